"""Walks that, together, measure every metric in every place that the dashboard shows."""

from typing import Any

from workshop_lib.cascade import ConfidenceGate, JudgeGate, Policy, StakesGate, Trace, walk
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

TICKET = Ticket(id="T-secret", subject="s", body="The text of a customer.")
POLICY = Policy(name="p", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=0.7), StakesGate(), JudgeGate(model="opus", below=4)))


def says(confidence: float = 0.9, usd: float = 0.001, ms: float = 100.0, attempts: int = 1, **changed: Any) -> Reply:
    """Return a valid reply."""
    tool = {"category": "billing", "priority": "P3", "confidence": confidence, "reasoning": "r", "needs_human": False, **changed}
    return Reply("m", "", tool, Usage(1, 1), Cost(usd), ms, "tool_use", attempts)


def score(value: int) -> Reply:
    """Return a judge's reply."""
    return Reply("m", "", {"score": value, "why": "w"}, Usage(1, 1), Cost(0.005), 700.0, "tool_use")


def failed(kind: Any, attempts: int = 1) -> CallError:
    """Return a failed call."""
    error = CallError(kind, "m", "x.")
    error.attempts = attempts
    return error


def walked(**outcomes: Reply | CallError) -> Trace[RoutingDecision]:
    """Walk one ticket, each model answering as told."""

    def ask(model: str, request: Request) -> Reply:
        outcome = outcomes[model]
        if isinstance(outcome, CallError):
            raise outcome
        return outcome

    return walk(TRIAGE, TICKET, POLICY, ask)


INVALID = Reply("m", "no idea", None, Usage(1, 1), Cost(0.001), 90.0, "end_turn")


def traces() -> list[Trace[RoutingDecision]]:
    """Return the walks: kept, judged badly, unsure, urgent, invalid, throttled, and read too late."""
    return [
        walked(nano=says(), opus=score(5)),
        walked(nano=says(attempts=3), opus=score(2), sonnet=says(usd=0.01, ms=900)),
        walked(nano=says(confidence=0.2), sonnet=says(usd=0.01)),
        walked(nano=says(priority="P0", needs_human=True), sonnet=says(usd=0.01)),
        walked(nano=INVALID, sonnet=INVALID),
        walked(nano=failed("throttled", 4)),
        walked(nano=failed("read_timeout"), sonnet=failed("throttled", 4)),
        walked(nano=says(), opus=failed("throttled", 4)),
    ]
