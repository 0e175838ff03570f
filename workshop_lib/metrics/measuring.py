"""What one walk says of each metric."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workshop_lib import catalog
from workshop_lib.cascade import Call, Step, Trace
from workshop_lib.metrics.listed import Metric, metric


@dataclass(frozen=True)
class Measurement:
    """One value of one metric; `where` is the value of its dimension, if it has one: a model's or a tier's key, or a kind of gate."""

    metric: Metric
    value: float
    where: str | None = None


def measurements(trace: Trace[Any]) -> list[Measurement]:
    """Return what one finished walk measured, in USD and ms; no id and no text of the item is among it."""
    return [*_of_ticket(trace), *(one for step in trace.steps for one in _of_step(step)), *(one for call in trace.calls for one in _of_call(call))]


def _of_ticket(trace: Trace[Any]) -> Iterator[Measurement]:
    facts = {
        "Tickets": 1.0,
        "Escalated": float(trace.escalated),
        "ReviewRequired": float(trace.review_required),
        "Unanswered": float(trace.answer is None),
        "TicketCost": trace.cost.usd,
        "CostIncomplete": float(not trace.cost.complete),
        "TicketLatency": trace.latency_ms,
    }
    yield from (Measurement(metric(name), value) for name, value in facts.items())


def _of_step(step: Step[Any]) -> Iterator[Measurement]:
    yield from _of_call(step)
    if step.reply is not None and not step.reply.blocked:
        yield Measurement(metric("InvalidReplies"), float(step.invalid is not None), step.tier)
    for check in step.checks:
        if check.reason is not None:
            yield Measurement(metric("GateReasons"), 1.0, check.gate)
        if check.gate == "judge" and check.value is not None:
            yield Measurement(metric("JudgeScore"), check.value)


def _of_call(call: Step[Any] | Call) -> Iterator[Measurement]:
    model = catalog.model(call.tier if isinstance(call, Step) else call.model).key
    made = call.reply if call.reply is not None else call.error
    if made is None or made.attempts == 0 or (call.error is not None and call.error.kind in ("deadline", "budget")):
        return  # refused before any request was made
    facts = {
        "Calls": 1.0,
        "Cost": call.cost.usd,
        "Retries": float(made.attempts - 1),
        "Throttled": float(call.error is not None and call.error.kind == "throttled"),
    }
    yield from (Measurement(metric(name), value, model) for name, value in facts.items())
    if call.reply is not None:
        yield Measurement(metric("Latency"), call.reply.latency_ms, model)
