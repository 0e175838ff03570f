"""Routers: where an item starts, why, and what choosing cost."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from replies import TIERS, Script, invalid, says

from workshop_lib.cascade import (
    ClassifierRouter,
    ConfidenceGate,
    HeuristicRouter,
    LearnedRouter,
    Policy,
    Seen,
    item_text,
    walk,
)
from workshop_lib.llm import CallError, Cost, Reply
from workshop_lib.tasks import TRIAGE, Question, Ticket


def routed(router: Any, body: str = "b", script: Script | None = None, **options: Any) -> Any:
    """Walk one ticket from where a router starts it."""
    policy = Policy(name="p", tiers=TIERS, gates=(ConfidenceGate(below=0.7),), router=router)
    return walk(TRIAGE, Ticket(id="T-1", subject="s", body=body, customer_tier="enterprise"), policy, script or Script(nano=says(), super=says(), sonnet=says()), **options)


def rated(difficulty: object, usd: float = 0.25) -> Reply:
    """Return what a small model says of an item's difficulty."""
    return says(usd=usd, tool_input={"difficulty": difficulty})


@pytest.mark.parametrize(
    ("rules", "body", "reason"),
    [
        ({"longer_than": 10}, "x" * 9, "11 characters > 10"), ({"longer_than": 11}, "x" * 9, None),
        ({"question_marks": 2}, "why? how?", "2 question marks >= 2"), ({"question_marks": 3}, "why? how?", None),
        ({"keywords": ("outage",)}, "An OUTAGE!", "keyword 'outage'"), ({"keywords": ("out",)}, "An outage", None), ({"keywords": ("c++",)}, "in c++ code", "keyword 'c++'"),
        ({"code": True}, "see\n```\nx\n```", "holds code"), ({"code": True}, "def f(x):\n  return x", "holds code"), ({"code": True}, "We return home (soon).", None),
        ({}, "anything? ```", None),
    ],
)  # fmt: skip
def test_each_heuristic_alone_skips_the_first_tier(rules: Any, body: str, reason: str | None) -> None:
    """Without it a rule could be dead, or fire on everything."""
    trace = routed(HeuristicRouter(start="sonnet", **rules), body)
    assert trace.route.skips is (reason is not None)
    assert trace.route.reason == (reason or "no rule applies")
    assert [step.tier for step in trace.steps] == (["sonnet"] if reason else ["nano"])


def test_an_item_can_start_in_the_middle_and_still_escalate() -> None:
    """Without it a routed item would be stuck with the tier it started at."""
    trace = routed(HeuristicRouter(start="super", longer_than=0), script=Script(super=says(0.1), sonnet=says()))
    assert [step.tier for step in trace.steps] == ["super", "sonnet"]
    assert trace.escalated


@pytest.mark.parametrize(("difficulty", "start"), [(3, "nano"), (4, "sonnet"), (5, "sonnet")])
def test_a_classifier_call_is_charged(difficulty: int, start: str) -> None:
    """Without it routing by a model would look free."""
    script = Script(**{"nim-8b": rated(difficulty)}, nano=says(usd=1), sonnet=says(usd=10))
    trace = routed(ClassifierRouter(model="nim-8b", start="sonnet"), script=script)
    assert trace.steps[0].tier == start
    assert trace.cost == Cost(0.25 + (1 if start == "nano" else 10))
    assert trace.latency_ms == 200
    assert [(call.purpose, call.model) for call in trace.calls] == [("router", "nim-8b")]


@pytest.mark.parametrize("outcome", [rated(9), rated(None), invalid(usd=0.25), CallError("throttled", "nim-8b", "x."), CallError("read_timeout", "nim-8b", "x.")])
def test_a_router_that_is_down_starts_at_the_first_tier(outcome: Any) -> None:
    """Without it an outage of the router would lose items, or send all of them to the strong model."""
    trace = routed(ClassifierRouter(model="nim-8b", start="sonnet"), script=Script(**{"nim-8b": outcome}, nano=says(usd=1)))
    assert (trace.steps[0].tier, trace.outcome) == ("nano", "answered")
    assert [(note.rule, note.direction) for note in trace.notes] == [("router_down", "first_tier")]
    paid = isinstance(outcome, Reply)
    assert trace.cost == Cost(1.25 if paid else 1.0, complete=paid or not outcome.maybe_billed)


def test_a_router_that_spends_the_budget_leaves_an_error_and_no_surprise() -> None:
    """Without it an item whose money went into routing would have no record at all."""
    trace = routed(ClassifierRouter(model="nim-8b", start="sonnet"), script=Script(**{"nim-8b": rated(1)}, nano=says()), budget_usd=0.2)
    assert (trace.outcome, trace.steps[0].error.kind, trace.cost, trace.cut_short) == ("error", "budget", Cost(0.25), True)


class Fixed(BaseModel):
    """A learned model that always says the same."""

    digest: str = "d1"
    says: float = 0.5

    def probability(self, seen: Seen) -> float:
        """Return the fixed probability."""
        assert seen.answer is None
        return self.says


@pytest.mark.parametrize(("hard", "start"), [(0.5, "sonnet"), (0.49, "nano")])
def test_a_learned_router_decides_by_its_probability(hard: float, start: str) -> None:
    """Without it a trained router could not act in a walk."""
    trace = routed(LearnedRouter(start="sonnet", name="r", digest="d1", at_least=0.5), learned={"r": Fixed(says=hard)})
    assert (trace.steps[0].tier, trace.route.value) == (start, hard)


def test_a_learned_router_of_another_digest_is_refused() -> None:
    """Without it a retrained router would run under the old policy's hash."""
    with pytest.raises(ValueError, match="has digest d1"):
        routed(LearnedRouter(start="sonnet", name="r", digest="other", at_least=0.5), learned={"r": Fixed()})


def test_a_router_must_start_at_a_tier_of_its_policy() -> None:
    """Without it the walk would fail at the first hard item."""
    with pytest.raises(ValidationError, match="opus is named by a gate or the router but is no tier"):
        Policy(name="p", tiers=TIERS, router=HeuristicRouter(start="opus", longer_than=1))


def test_the_router_is_part_of_the_hash_and_survives_json() -> None:
    """Without it two runs that start elsewhere would carry the same label."""
    routers: list[Any] = [
        None, HeuristicRouter(start="super", longer_than=9), HeuristicRouter(start="sonnet", longer_than=9), HeuristicRouter(start="super", code=True),
        ClassifierRouter(model="nano", start="super"), ClassifierRouter(model="nano", start="super", at_least=3), LearnedRouter(start="super", name="r", digest="d", at_least=0.5),
        LearnedRouter(start="super", name="r", digest="e", at_least=0.5),
    ]  # fmt: skip
    policies = [Policy(name="p", tiers=TIERS, router=router) for router in routers]
    assert len({policy.digest for policy in policies}) == len(policies)
    assert [Policy.model_validate_json(policy.model_dump_json()) for policy in policies] == policies


def test_a_router_reads_what_the_customer_wrote_and_nothing_else() -> None:
    """Without it an id or a paid plan could decide which model somebody gets."""
    assert item_text(Ticket(id="T-9", subject="s", body="b", customer_tier="enterprise")) == "s\nb"
    assert item_text(Question(id="Q-9", question="why?")) == "why?"


def test_when_every_tier_from_the_start_on_is_invalid_a_person_must_look() -> None:
    """Without it an item that skipped the first tier would slip through the rule for items that nobody answered."""
    trace = routed(HeuristicRouter(start="super", longer_than=0), script=Script(super=invalid(), sonnet=invalid()))
    assert (trace.outcome, trace.review_required, [note.rule for note in trace.notes]) == ("invalid", True, ["all_invalid"])
