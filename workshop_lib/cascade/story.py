"""A walk told in plain lines: every tier asked, why the walk went on, what was charged beside it, the decision and the bill."""

from collections.abc import Sequence
from typing import Any

from workshop_lib.cascade.gate import Call
from workshop_lib.cascade.trace import Step, Trace
from workshop_lib.llm import Cost
from workshop_lib.tasks import RoutingDecision


def told(trace: Trace[RoutingDecision]) -> list[str]:
    """Return where the walk started, if a router chose, one line a step, and one line for each rule for trouble that fired."""
    start = [] if trace.route is None else [f"start: {trace.route.reason}, at {trace.steps[0].tier}{_calls(trace.routing)}"]
    return [*start, *map(step_line, trace.steps), *notes(trace)]


def step_line(step: Step[RoutingDecision]) -> str:
    """Return one tier's turn: what it said, what that cost, and why the walk goes on, if it does."""
    said = f"{step.answer.category} {step.answer.priority}, confidence {step.answer.confidence:g}" if step.answer else str(step.error or step.invalid or "stopped by a guardrail")
    why = f"; escalates: {', '.join(step.escalated_because)}" if step.escalated_because else ""
    return f"{step.tier}: {said}; {usd(step.cost)}{_calls(step.calls)}{why}"


def notes(trace: Trace[Any]) -> list[str]:
    """Return one line for each rule for trouble that fired."""
    return [f"note: {note.rule.replace('_', ' ')} at {note.tier}, {note.direction.replace('_', ' ')}: {note.detail}" for note in trace.notes]


def verdict(trace: Trace[RoutingDecision]) -> str:
    """Return the final decision, whether a person must look, the bill of everything that ran, and who answered."""
    review = "a person must look at it" if trace.review_required else "no person needed"
    final = f"{trace.answer.category} {trace.answer.priority} by {trace.model_used}" if trace.answer else f"no decision ({trace.outcome})"
    return f"final: {final}; {review}; {usd(trace.cost)}; source: {_source(trace)}"


def usd(cost: Cost) -> str:
    """Return a cost in USD, as a lower bound if it is one."""
    return f"{cost.usd:.6f} USD" if cost.complete else f"at least {cost.usd:.6f} USD"


def _calls(calls: Sequence[Call]) -> str:
    """Return what judges, samples and routers were asked beside a tier and what each cost."""
    return "".join(f"; {call.purpose} {call.model} {usd(call.cost)}" for call in calls)


def _source(trace: Trace[Any]) -> str:
    replies = [*(step.reply for step in trace.steps), *(call.reply for call in trace.calls)]
    return ", ".join(sorted({reply.source for reply in replies if reply})) or "none"
