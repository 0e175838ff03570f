"""POST /api/triage/cascade: one ticket through the tiers, every step told as it happens (server-sent events)."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from workshop_lib.bulk.ndjson import wire_name
from workshop_lib.cascade import Policy, Step, Trace, walk
from workshop_lib.llm import Ask
from workshop_lib.service.calls import ClientGone
from workshop_lib.service.context import Shared
from workshop_lib.service.routes.triage import no_answer
from workshop_lib.service.working import Put, Streamed
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

router = APIRouter()
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"description": "nano-start, nano-result, [claude-start, claude-result], then done or error", "content": {"text/event-stream": {}}}}


@router.post("/api/triage/cascade", response_class=Response, responses=_EVENTS, summary="Route one ticket step by step")
async def cascade(ticket: Ticket, context: Shared) -> Streamed:
    """Stream the walk of one ticket; a walk that ends without an answer ends with the event `error`."""
    gone = threading.Event()
    ask = context.calls.of(gone)
    return Streamed(context.desk, lambda put: told(ticket, context.policy, ask, put, context.on_trace), gone, "text/event-stream", context.limits.send_s)


def event(name: str, data: dict[str, Any]) -> str:
    """Return one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def told(ticket: Ticket, policy: Policy, ask: Ask, put: Put, on_trace: Callable[[Trace[Any]], None] | None = None) -> dict[str, Any]:
    """Walk one ticket and put its events; return facts for the log, and tell `on_trace` of the walk."""
    tiers = iter(policy.tiers)

    def start(because: tuple[str, ...]) -> None:
        put(event(f"{wire_name(next(tiers))}-start", {"because": list(because)} if because else {}))

    def observe(step: Step[RoutingDecision], goes_on: bool) -> None:
        put(event(f"{wire_name(step.tier)}-result", result(step, goes_on)))
        if goes_on:
            start(step.escalated_because)

    try:
        start(())
        try:
            trace = walk(TRIAGE, ticket, policy, ask, observe=observe)
        except ClientGone:
            raise
        except Exception as error:  # the boundary: the headers are sent, so that a bug too must be an event
            put(event("error", {"message": f"{type(error).__name__}: {error}"}))
            return {"tickets": 1, "outcome": type(error).__name__}
        if on_trace is not None:
            on_trace(trace)
        for last in closing_events(trace):
            put(last)
    except ClientGone:
        return {"tickets": 1, "outcome": "client_gone"}
    return {"tickets": 1, "outcome": trace.outcome, "escalated": trace.escalated, "usd": trace.cost.usd}


def result(step: Step[RoutingDecision], goes_on: bool) -> dict[str, Any]:
    """Return what a tier's turn came to; `error` is there only if its call failed, and `costComplete` only if its cost is a lower bound."""
    data: dict[str, Any] = {
        "decision": step.answer.model_dump() if step.answer is not None else None,
        "escalating": goes_on,
        "latencyMs": step.reply.latency_ms if step.reply is not None else None,
        "cost": step.cost.usd,
    }
    if not step.cost.complete:
        data["costComplete"] = False
    if step.error is not None:
        data["error"] = {"type": step.error.kind, "message": str(step.error)}
    return data


def closing_events(trace: Trace[RoutingDecision]) -> Iterator[str]:
    """Yield the last event: `done` with the final decision and the whole bill, or `error`."""
    if trace.answer is None or trace.model_used is None:
        yield event("error", {"message": str(no_answer(trace))})
        return
    data: dict[str, Any] = {
        "finalDecision": trace.answer.model_dump(),
        "modelUsed": wire_name(trace.model_used),
        "escalated": trace.escalated,
        "reviewRequired": trace.review_required,
        "totalLatencyMs": trace.latency_ms,
        "totalCost": trace.cost.usd,
    }
    if not trace.cost.complete:
        data["costComplete"] = False
    yield event("done", data)
