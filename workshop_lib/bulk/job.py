"""One bulk run: entries through workers into the journal, until the input or what the run may spend has ended."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from workshop_lib.bulk.bitmap import Ids, key_of
from workshop_lib.bulk.journal import NO_KEY, Journal
from workshop_lib.bulk.ndjson import error_row, line, rows
from workshop_lib.bulk.paced import CallLimitReached
from workshop_lib.bulk.pacing import Stopped
from workshop_lib.bulk.runner import Done, run
from workshop_lib.bulk.sources import Entry, Rejected
from workshop_lib.cascade import Trace
from workshop_lib.tasks import RoutingDecision, Ticket

End = Literal["finished", "max_usd", "max_calls", "deadline", "interrupted"]
Triage = Callable[[Ticket], Trace[RoutingDecision]]


@dataclass(frozen=True)
class Guards:
    """What a run may spend: known USD, and seconds. Calls in flight when a limit is reached still end, and are kept."""

    max_usd: float | None = None
    deadline_s: float | None = None


class Job:
    """One run over one journal; `stop` may be called from another thread or a signal handler."""

    def __init__(self, journal: Journal, triage: Triage, guards: Guards | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.journal = journal
        self.end: End = "finished"
        self._triage = triage
        self._guards = guards or Guards()
        self._clock = clock
        self._stopping = threading.Event()
        self._begun = clock()

    def stop(self, end: End = "interrupted") -> None:
        """Begin no further ticket; those in work end and are kept."""
        if not self._stopping.is_set():
            self.end = end
            self._stopping.set()

    def run(self, entries: Iterable[Entry], concurrency: int) -> Iterator[Entry]:
        """Yield each entry once its rows are in the journal; raise DataError if they cannot be written."""
        for done in run(self._wanted(entries), self._work, concurrency=concurrency):
            if isinstance(done.error, CallLimitReached):
                self.stop("max_calls")
            elif not isinstance(done.error, Stopped):
                self._keep(done)
                yield done.item.entry

    def _wanted(self, entries: Iterable[Entry]) -> "Iterator[_Piece]":
        """Yield what is still to be done; a second ticket of the same id is told as an error, and not asked about."""
        for entry in entries:
            self._guard()
            if self._stopping.is_set():
                return
            if entry.number not in self.journal.finished:
                yield _piece(entry, self.journal.ids)

    def _guard(self) -> None:
        if self._guards.max_usd is not None and self.journal.totals.usd >= self._guards.max_usd:
            self.stop("max_usd")
        if self._guards.deadline_s is not None and self._clock() - self._begun >= self._guards.deadline_s:
            self.stop("deadline")

    def _work(self, piece: "_Piece") -> Trace[RoutingDecision] | None:
        return None if isinstance(piece.entry.ticket, Rejected) else self._triage(piece.entry.ticket)

    def _keep(self, done: "Done[_Piece, Trace[RoutingDecision] | None]") -> None:
        entry, trace = done.item.entry, done.result
        if isinstance(entry.ticket, Rejected):
            self.journal.add(entry.number, _rejected(entry, entry.ticket), 0.0, failed=True)
            return
        written = rows(Done(entry.ticket, trace, done.error))
        cost = trace.cost if trace is not None else None
        self.journal.add(
            entry.number,
            "".join(map(line, written)).encode(),
            cost.usd if cost is not None else 0.0,
            key=done.item.key,
            failed=any("error" in row for row in written),
            escalated=trace is not None and trace.escalated,
            cost_complete=cost is not None and cost.complete,
        )


@dataclass(frozen=True)
class _Piece:
    """An entry on its way through the workers, with the key of its id."""

    entry: Entry
    key: bytes


def _piece(entry: Entry, seen: Ids) -> _Piece:
    if isinstance(entry.ticket, Rejected):
        return _Piece(entry, NO_KEY)
    key = key_of(entry.ticket.id)
    if seen.add(key):
        return _Piece(entry, key)
    # Without a key in the journal: else, gone on with, it would make a duplicate of the first one.
    return _Piece(Entry(entry.number, entry.where, Rejected(entry.ticket.id, "an earlier ticket has the same id")), NO_KEY)


def _rejected(entry: Entry, rejected: Rejected) -> bytes:
    return line({**error_row(rejected.ticket_id, "invalid_input", f"{entry.where}: {rejected.reason}"), "line": entry.number + 1}).encode()
