"""POST /api/triage: one ticket, the strong model only."""

import threading
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from workshop_lib.cascade import Trace, single, walk
from workshop_lib.service.context import Shared, wire_name
from workshop_lib.service.observing import note
from workshop_lib.service.problems import Problem, of_call
from workshop_lib.service.working import watched
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

router = APIRouter()


class Triaged(BaseModel):
    """One ticket's decision; cost in USD, latency in ms. `costComplete` is there, and false, if the cost is a lower bound."""

    decision: RoutingDecision
    modelUsed: str  # the contract's spelling
    latencyMs: float
    cost: float
    costComplete: bool = True


@router.post("/api/triage", response_model_exclude_defaults=True, summary="Route one ticket with the strong model")
async def triage(ticket: Ticket, request: Request, context: Shared) -> Triaged:
    """Ask the policy's last tier and return its decision; 502 if it gave none, 503 if it may do so later."""
    gone = threading.Event()
    strong = context.policy.tiers[-1]
    async with watched(request.receive, gone):
        trace = await context.desk.work(partial(walk, TRIAGE, ticket, single(strong), context.calls.of(gone)))
    note(request.scope, tickets=1, outcome=trace.outcome, usd=trace.cost.usd)
    return _answer(trace)


def _answer(trace: Trace[RoutingDecision]) -> Triaged:
    if trace.answer is None or trace.model_used is None:
        raise no_answer(trace)
    return Triaged(
        decision=trace.answer,
        modelUsed=wire_name(trace.model_used),
        latencyMs=trace.latency_ms,
        cost=trace.cost.usd,
        costComplete=trace.cost.complete,
    )


def no_answer(trace: Trace[Any]) -> Problem:
    """Return why a walk ended without an answer."""
    failed = trace.steps[-1].error
    if failed is not None:
        return of_call(failed)
    if trace.outcome == "guardrail":
        return Problem(502, "guardrail", "A guardrail intervened; no model decides on this ticket. A person must route it.")
    if trace.stopped and trace.notes:
        return Problem(503, trace.notes[-1].rule, trace.notes[-1].detail)
    return Problem(502, "invalid", "No tier gave a valid answer. A person must route this ticket.")
