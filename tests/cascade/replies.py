"""Scripted replies for the tests of the cascade, and strategies that make them up."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from workshop_lib.cascade import Policy, Trace, walk
from workshop_lib.llm import Ask, CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import CATEGORIES, TRIAGE, RoutingDecision, Ticket

TICKET = Ticket(id="T-1", subject="s", body="b")
TIERS = ("nano", "super", "sonnet")


def says(confidence: float = 0.9, category: str = "billing", priority: str = "P2", needs_human: bool = False, usd: float = 0.001, **changed: Any) -> Reply:
    """Return a valid reply; `changed` replaces fields of the Reply."""
    tool = {"category": category, "priority": priority, "confidence": confidence, "reasoning": "r", "needs_human": needs_human}
    return Reply(**{"model": "m", "text": "", "tool_input": tool, "usage": Usage(1, 1), "cost": Cost(usd), "latency_ms": 100.0, "stop_reason": "tool_use", **changed})


def invalid(usd: float = 0.001, **changed: Any) -> Reply:
    """Return a reply without an answer."""
    return says(usd=usd, **{"tool_input": None, "text": "no idea", "stop_reason": "end_turn", **changed})


BLOCKED = says(usd=0.002, stop_reason="guardrail_intervened", tool_input=None, text="Blocked.")


def asks(script: Mapping[str, Reply | CallError]) -> Ask:
    """Return an `Ask` that answers each tier from a script."""
    def ask(model: str, request: Request) -> Reply:
        outcome = script[model]
        if isinstance(outcome, CallError):
            raise outcome
        return outcome

    return ask


def walked(policy: Policy, *outcomes: Reply | CallError, **options: Any) -> Trace[RoutingDecision]:
    """Walk one ticket, the policy's tiers answering as told."""
    return walk(TRIAGE, TICKET, policy, asks(dict(zip(policy.tiers, outcomes, strict=False))), **options)


class Script:
    """An `Ask` that answers each model with the next outcome of its list (the last one again and again) and remembers the requests."""

    def __init__(self, **outcomes: Any) -> None:
        self.outcomes = {model: list(listed) if isinstance(listed, list) else [listed] for model, listed in outcomes.items()}
        self.asked: list[tuple[str, Request]] = []

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer as the script says."""
        self.asked.append((model, request))
        listed = self.outcomes[model]
        outcome = listed[0] if len(listed) == 1 else listed.pop(0)
        if isinstance(outcome, CallError):
            raise outcome
        return outcome

    @property
    def models(self) -> list[str]:
        """Return which models were asked, in order."""
        return [model for model, _ in self.asked]


def grade(score: object, usd: float = 0.005) -> Reply:
    """Return a judge's reply."""
    return says(usd=usd, tool_input={"score": score, "why": "w"})


REPLIES = st.builds(
    says,
    confidence=st.floats(0, 1),
    category=st.sampled_from(CATEGORIES),
    priority=st.sampled_from(["P0", "P1", "P2", "P3"]),
    needs_human=st.booleans(),
    usd=st.floats(0, 1),
)
OUTCOMES = st.one_of(REPLIES, st.builds(invalid, usd=st.floats(0, 1)), st.just(BLOCKED), st.sampled_from(["throttled", "read_timeout"]).map(lambda kind: CallError(kind, "m", "x.")))
