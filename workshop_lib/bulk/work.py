"""What becomes of one ticket: walked through the tiers by a worker, and told as rows with what they cost."""

import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Literal

from workshop_lib.bulk.ndjson import error_row, line, rows
from workshop_lib.bulk.paced import CallLimitReached
from workshop_lib.bulk.pacing import Stopped
from workshop_lib.bulk.runner import Done, run
from workshop_lib.bulk.sources import Entry, Rejected
from workshop_lib.cascade import Policy, Trace, walk
from workshop_lib.llm import Ask, Cost, Reply, Request
from workshop_lib.llm.errors import Kind
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

SERVICE_KINDS: frozenset[Kind] = frozenset({"throttled", "server", "connect_timeout", "disconnected", "unreachable", "access", "not_found"})
"""Failures that say more of the service or the account than of a ticket."""
REFUSED: Kind = "validation"
"""A failure that lies with the ticket (too long, say), or, if no ticket is served, with what all requests have in common (a guardrail that is not there)."""


@dataclass(frozen=True)
class Met:
    """How one tier served a ticket: why it did not, if the reason lies with the service, or may."""

    tier: str
    kind: Kind | None = None
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a ticket came to: its rows as bytes, known USD, and what happened; `unfinished` says that it was left for a later run."""

    rows: bytes = b""
    usd: float = 0.0
    cost_complete: bool = True
    failed: bool = False
    escalated: bool = False
    unfinished: Literal["max_calls", "stopped"] | None = None
    met: tuple[Met, ...] = ()
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Piece:
    """An entry on its way through the workers, with the key of its id."""

    entry: Entry
    key: bytes


Engine = Callable[[Iterable[Piece]], Generator[Done[Piece, Outcome], None, None]]
"""Workers: they take pieces as they are free and bring back what became of each, in the order they finish."""


class Work:
    """Called with a ticket, walks it and returns its Outcome; safe to share between threads."""

    def __init__(self, policy: Policy, ask: Ask) -> None:
        self._policy = policy
        self._ask = ask
        self._mine = threading.local()

    def __call__(self, ticket: Ticket) -> Outcome:
        """Walk one ticket; one that is left for a later run tells what was spent on it already."""
        self._mine.spent = Cost(0.0)
        try:
            return told(ticket, walk(TRIAGE, ticket, self._policy, self._counted))
        except CallLimitReached:
            return self._left("max_calls")
        except Stopped:
            return self._left("stopped")

    def _counted(self, model: str, request: Request) -> Reply:
        reply = self._ask(model, request)
        self._mine.spent += reply.cost
        return reply

    def _left(self, why: Literal["max_calls", "stopped"]) -> Outcome:
        spent: Cost = self._mine.spent
        return Outcome(usd=spent.usd, cost_complete=spent.complete, unfinished=why)


def told(ticket: Ticket, trace: Trace[RoutingDecision]) -> Outcome:
    """Return a finished walk as an Outcome."""
    written = rows(Done(ticket, trace))
    cost = trace.cost
    return Outcome(
        rows="".join(map(line, written)).encode(),
        usd=cost.usd,
        cost_complete=cost.complete,
        failed="error" in written[-1],
        escalated=trace.escalated,
        met=_met(trace),
        sources=frozenset(step.reply.source for step in trace.steps if step.reply is not None),
    )


def _met(trace: Trace[RoutingDecision]) -> tuple[Met, ...]:
    found = []
    for step in trace.steps:
        if step.error is None:
            found.append(Met(step.tier))
        elif step.error.kind in SERVICE_KINDS or step.error.kind == REFUSED:
            found.append(Met(step.tier, step.error.kind, str(step.error)))
    return tuple(found)


def rejected(entry: Entry, ticket: Rejected) -> Outcome:
    """Return the Outcome of an entry that is no ticket: a row that says where it stands and why."""
    row = {**error_row(ticket.ticket_id, "invalid_input", f"{entry.where}: {ticket.reason}"), "line": entry.number + 1}
    return Outcome(rows=line(row).encode(), failed=True)


def broken(ticket_id: str, error: Exception | None) -> Outcome:
    """Return the Outcome of a ticket that met an unforeseen error."""
    return Outcome(rows=line(error_row(ticket_id, type(error).__name__, str(error))).encode(), cost_complete=False, failed=True)


def threads(work: Callable[[Ticket], Outcome], concurrency: int) -> Engine:
    """Return workers that are threads of this process."""

    def one(piece: Piece) -> Outcome:
        ticket = piece.entry.ticket
        return rejected(piece.entry, ticket) if isinstance(ticket, Rejected) else work(ticket)

    def engine(pieces: Iterable[Piece]) -> Generator[Done[Piece, Outcome], None, None]:
        return run(pieces, one, concurrency=concurrency)

    return engine
