"""A ticket from the terminal, told step by step."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from workshop_lib.backend import open_backend
from workshop_lib.cascade import Call, Policy, Trace, documented, published, walk
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.llm import Cost, connect
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

_POLICIES = {"documented": documented, "published": published}


def policy_named(name: str) -> Policy:
    """Return a policy by name; raise SettingsError naming those there are."""
    if name not in _POLICIES:
        raise SettingsError(f"No policy {name!r}. Choose one of: {', '.join(_POLICIES)}.")
    return _POLICIES[name]()


def triage_one(text: str, subject: str, policy: str) -> str:
    """Return the story of one ticket's walk: every tier asked, why it went on, the decision and the bill."""
    ticket = _ticket(text, subject)
    trace = walk(TRIAGE, ticket, policy_named(policy), connect(open_backend()))
    return "\n".join([*_steps(trace), _verdict(trace)])


def _ticket(text: str, subject: str) -> Ticket:
    if not text.strip():
        raise DataError('The ticket has no text. Give it between quotes: workshop triage "Two payments for one invoice"')
    try:
        return Ticket(id="T-1", subject=subject, body=text)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"The ticket's {first['loc'][0]} is refused: {first['msg']}. Shorten it and try again.") from None


def _steps(trace: Trace[RoutingDecision]) -> list[str]:
    lines = [] if trace.route is None else [f"start: {trace.route.reason}, at {trace.steps[0].tier}{_calls(trace.routing)}"]
    for step in trace.steps:
        said = f"{step.answer.category} {step.answer.priority}, confidence {step.answer.confidence:g}" if step.answer else str(step.error or step.invalid or "stopped by a guardrail")
        why = f"; escalates: {', '.join(step.escalated_because)}" if step.escalated_because else ""
        lines.append(f"{step.tier}: {said}; {_usd(step.cost)}{_calls(step.calls)}{why}")
    return [*lines, *(f"note: {note.rule.replace('_', ' ')} at {note.tier}, {note.direction.replace('_', ' ')}: {note.detail}" for note in trace.notes)]


def _calls(calls: Sequence[Call]) -> str:
    """Return what judges, samples and routers were asked beside a tier and what each cost."""
    return "".join(f"; {call.purpose} {call.model} {_usd(call.cost)}" for call in calls)


def _verdict(trace: Trace[RoutingDecision]) -> str:
    review = "a person must look at it" if trace.review_required else "no person needed"
    final = f"{trace.answer.category} {trace.answer.priority} by {trace.model_used}" if trace.answer else f"no decision ({trace.outcome})"
    return f"final: {final}; {review}; {_usd(trace.cost)}; source: {_source(trace)}"


def _source(trace: Trace[Any]) -> str:
    replies = [*(step.reply for step in trace.steps), *(call.reply for call in trace.calls)]
    return ", ".join(sorted({reply.source for reply in replies if reply})) or "none"


def _usd(cost: Cost) -> str:
    return f"{cost.usd:.6f} USD" if cost.complete else f"at least {cost.usd:.6f} USD"
