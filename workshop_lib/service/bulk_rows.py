"""Bulk routes: what one is, the library's own, and the watch over any of them, so that every ticket gets a row and every row is JSON."""

import inspect
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from queue import SimpleQueue
from typing import Any

from workshop_lib.bulk.ndjson import error_row, line, rows
from workshop_lib.bulk.runner import Done, run
from workshop_lib.cascade import Policy, Step, Trace, walk
from workshop_lib.llm import Ask
from workshop_lib.service.calls import ClientGone
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

Row = dict[str, Any]
BulkRoute = Callable[..., Iterable[Any]]
"""`route(tickets, ask)`, or with a third parameter `concurrency`: yields rows as tickets finish, as dictionaries, lists of them or lines of NDJSON."""


def library_route(policy: Policy, on_trace: Callable[[Trace[Any]], None] | None = None) -> BulkRoute:
    """Return the library's bulk route: the first tier's row goes out as soon as it is there, the last one's when the ticket is done.

    `on_trace` is told of every walk that ends, in the thread that walked (see workshop_lib.metrics).
    """

    def route(tickets: Sequence[Ticket], ask: Ask, concurrency: int) -> Iterator[list[Row]]:
        ready: SimpleQueue[list[Row] | None] = SimpleQueue()
        left = threading.Event()
        work = partial(_walked, policy, ask, ready, on_trace)

        def feed() -> None:
            try:
                with closing(run(tickets, work, concurrency=concurrency)) as finished:
                    for done in finished:
                        ready.put(done.result if done.result is not None else rows(Done(done.item, None, done.error)))
                        if left.is_set():
                            break
            finally:
                ready.put(None)

        feeder = threading.Thread(target=feed, daemon=True, name="bulk-feeder")
        feeder.start()
        try:
            while (written := ready.get()) is not None:
                yield written
        finally:
            left.set()
            feeder.join()

    return route


def _walked(
    policy: Policy, ask: Ask, ready: "SimpleQueue[list[Row] | None]", on_trace: Callable[[Trace[Any]], None] | None, ticket: Ticket
) -> list[Row]:
    """Walk one ticket; put rows of tiers that are not the last as they come, and return the others."""
    early: list[Step[RoutingDecision]] = []

    def observe(step: Step[RoutingDecision], goes_on: bool) -> None:
        if goes_on:
            early.append(step)
            if step.reply is not None:
                ready.put(rows(Done(ticket, _so_far(ticket, policy, early)))[sent() - 1 : sent()])

    def sent() -> int:
        return sum(step.reply is not None for step in early)

    trace = walk(TRIAGE, ticket, policy, ask, observe=observe)
    if on_trace is not None:
        on_trace(trace)
    return rows(Done(ticket, trace))[sent() :]


def _so_far(ticket: Ticket, policy: Policy, steps: Sequence[Step[RoutingDecision]]) -> Trace[RoutingDecision]:
    """Return the trace as it stands while the next tier is at work: its step has no reply yet."""
    return Trace(ticket.id, policy.digest, (*steps, Step("", None, None)))


def produced(route: BulkRoute, tickets: Sequence[Ticket], ask: Ask, concurrency: int, put: Callable[[str], None]) -> dict[str, Any]:
    """Run a bulk route and put every row as a line; return counts for the log.

    Whatever a route does, the stream ends well: tickets it left without a row, or did not come to before it raised, get an error row each.
    """
    waiting = {ticket.id: None for ticket in tickets}
    facts: dict[str, Any] = {"tickets": len(tickets), "rows": 0, "failed": 0, "usd": 0.0}

    def out(row: Mapping[str, Any]) -> None:
        waiting.pop(str(row.get("ticket_id")), None)
        facts["rows"] += 1
        facts["failed"] += "error" in row
        cost = row.get("cost")
        facts["usd"] += cost if isinstance(cost, int | float) else 0.0
        put(line(dict(row)))

    try:
        kind, why = "lost", "the bulk route ended without a row for this ticket"
        try:
            _each(route, tickets, ask, concurrency, out)
        except ClientGone:
            raise
        except Exception as error:  # the boundary: a learner's route may raise anything, and is told so row by row
            kind, why = type(error).__name__, f"the bulk route raised before this ticket had a row: {error}"
            facts["route_raised"] = kind
        for ticket_id in list(waiting):
            out(error_row(ticket_id, kind, why))
    except ClientGone:
        facts["unfinished"] = len(waiting)
    return facts


def _each(route: BulkRoute, tickets: Sequence[Ticket], ask: Ask, concurrency: int, out: Callable[[Mapping[str, Any]], None]) -> None:
    produced_by = route(tickets, ask, concurrency=concurrency) if takes_concurrency(route) else route(tickets, ask)
    entries = iter(produced_by)
    try:
        for entry in entries:
            for row in as_rows(entry):
                out(row)
    finally:
        close = getattr(entries, "close", None)
        if close is not None:
            close()


def takes_concurrency(route: BulkRoute) -> bool:
    """Say whether a route wants to be told how many tickets may be at work at once, as lab 04's does."""
    parameters = inspect.signature(route).parameters
    return "concurrency" in parameters and parameters["concurrency"].default is inspect.Parameter.empty


def as_rows(entry: object) -> Iterator[Mapping[str, Any]]:
    """Yield the rows in what a route yielded; raise ValueError for what is none."""
    if isinstance(entry, str | bytes):
        for text in entry.splitlines():
            if text.strip():
                row = json.loads(text)
                if not isinstance(row, dict):
                    raise ValueError(f"a line of NDJSON must be one JSON object, got {type(row).__name__}")
                yield row
    elif isinstance(entry, Mapping):
        yield entry
    elif isinstance(entry, list | tuple):
        for part in entry:
            yield from as_rows(part)
    else:
        raise ValueError(f"a bulk route yields rows or lines, got {type(entry).__name__}")
