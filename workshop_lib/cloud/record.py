"""A finished walk as JSON: what an execution returns, and what two runs are compared by."""

from dataclasses import asdict
from typing import Any

from workshop_lib.cascade import Call, Step, Trace
from workshop_lib.llm import CallError, Cost, Reply
from workshop_lib.tasks import RoutingDecision


def result_document(trace: Trace[RoutingDecision]) -> dict[str, Any]:
    """Return the decision and its bill, and under "trace" every call and every verdict; USD and ms. It holds no text of the ticket."""
    replies = [reply for reply in (*(step.reply for step in trace.steps), *(call.reply for call in trace.calls)) if reply is not None]
    return {
        "ticket_id": trace.item_id,
        "outcome": trace.outcome,
        "decision": trace.answer.model_dump(mode="json") if trace.answer else None,
        "model_used": trace.model_used,
        "escalated": trace.escalated,
        "review_required": trace.review_required,
        **_cost(trace.cost),
        "latency_ms": trace.latency_ms,
        "source": ", ".join(sorted({reply.source for reply in replies})) or "none",
        "why": _why(trace),
        "trace": {
            "policy": trace.policy,
            "route": asdict(trace.route) if trace.route else None,
            "steps": [_step(step) for step in trace.steps],
            "notes": [asdict(note) for note in trace.notes],
        },
    }


def _why(trace: Trace[RoutingDecision]) -> str:
    """Return one line about how the walk ended."""
    if trace.notes:
        return trace.notes[-1].detail
    last = trace.steps[-1]
    return last.invalid or f"{last.tier} answered and no gate escalates." if trace.outcome != "error" else str(last.error)


def _step(step: Step[RoutingDecision]) -> dict[str, Any]:
    return {
        "tier": step.tier,
        "answer": step.answer.model_dump(mode="json") if step.answer else None,
        "invalid": step.invalid,
        "escalated_because": list(step.escalated_because),
        "checks": [asdict(check) for check in step.checks],
        "calls": [_call(call) for call in step.calls],
        **_cost(step.cost),
        **_reply(step.reply, step.error),
    }


def _call(call: Call) -> dict[str, Any]:
    return {"purpose": call.purpose, "model": call.model, **_cost(call.cost), **_reply(call.reply, call.error)}


def _reply(reply: Reply | None, error: CallError | None) -> dict[str, Any]:
    if reply is None:
        return {"error": None if error is None else {"kind": error.kind, "detail": error.detail, "attempts": error.attempts}}
    return {
        "model_id": reply.model,
        "usage": asdict(reply.usage) if reply.usage else None,
        "latency_ms": reply.latency_ms,
        "stop_reason": reply.stop_reason,
        "attempts": reply.attempts,
        "source": reply.source,
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {"cost_usd": cost.usd, "cost_complete": cost.complete}
