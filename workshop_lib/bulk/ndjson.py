"""Rows of the bulk route: newline-delimited JSON, the first tier's row before the second's, errors as rows."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from workshop_lib.bulk.runner import Done, run
from workshop_lib.cascade import Policy, Step, Trace, walk
from workshop_lib.llm import Ask
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

_WIRE_NAMES = {"sonnet": "claude"}
_ENCODER = json.JSONEncoder(separators=(",", ":"))  # made once: dumps() makes one for every row


def triage(tickets: Iterable[Ticket], policy: Policy, ask: Ask, *, concurrency: int = 16) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each ticket as it finishes: one row a tier that answered, or a row with `error {type, message}`."""
    for done in run(tickets, lambda ticket: walk(TRIAGE, ticket, policy, ask), concurrency=concurrency):
        yield rows(done)


def rows(done: Done[Ticket, Trace[RoutingDecision]]) -> list[dict[str, Any]]:
    """Return one finished ticket's rows."""
    if done.error is not None or done.result is None:
        return [error_row(done.item.id, type(done.error).__name__, str(done.error))]
    trace = done.result
    answered = [step for step in trace.steps if step.reply is not None]
    written = [_row(trace, step, first=step is answered[0]) for step in answered]
    failed = trace.steps[-1].error
    if failed is not None:
        written.append(error_row(trace.item_id, failed.kind, str(failed)))
    elif trace.outcome != "answered":
        written.append(error_row(trace.item_id, trace.outcome, "no tier gave a valid answer; a person must route this ticket"))
    return written


def error_row(ticket_id: str, kind: str, message: str) -> dict[str, Any]:
    """Return the row of a ticket that failed."""
    return {"ticket_id": ticket_id, "error": {"type": kind, "message": message}}


def line(row: dict[str, Any]) -> str:
    """Return a row as one line of NDJSON, newline included; in ASCII, as some readers also break lines at U+2028 or U+0085."""
    return _ENCODER.encode(row) + "\n"


def _row(trace: Trace[RoutingDecision], step: Step[RoutingDecision], *, first: bool) -> dict[str, Any]:
    assert step.reply is not None  # the caller leaves out steps without a reply
    row: dict[str, Any] = {
        "ticket_id": trace.item_id,
        "model": _WIRE_NAMES.get(step.tier, step.tier),
        "decision": step.answer.model_dump() if step.answer is not None else None,
    }
    if first:  # also if another tier's call failed before it: a client then knows that it was meant to be asked
        row["escalated"] = trace.escalated
    row |= {"latencyMs": step.reply.latency_ms, "cost": step.cost.usd}
    if not step.cost.complete:
        row["costComplete"] = False
    return row
