"""Rules for trouble: every rule, both ways, and what is left of the item afterwards."""

from typing import Any

import pytest
from replies import BLOCKED, TICKET, TIERS, Script, grade, invalid, says, walked

from workshop_lib.cascade import AgreementGate, ConfidenceGate, JudgeGate, Policy, Trouble, documented, single, walk
from workshop_lib.llm import CallError, Cost, Reply, Request
from workshop_lib.tasks import TRIAGE

LOW = (ConfidenceGate(below=0.7),)
REFUSED = ["validation", "access", "not_found"]
DOWN = ["server", "connect_timeout", "disconnected", "unreachable", "read_timeout", "model"]


def policy(trouble: Trouble | None = None, tiers: tuple[str, ...] = ("nano", "sonnet"), gates: Any = LOW) -> Policy:
    """Return a policy with these rules."""
    return Policy(name="p", tiers=tiers, gates=gates, trouble=trouble or Trouble())


def failed(kind: Any, model: str = "nano") -> CallError:
    """Return a failed call."""
    return CallError(kind, model, "x.")


class Clock:
    """A clock that a scripted model moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def slow(self, ask: Any, seconds: float) -> Any:
        """Return an `Ask` whose every call takes a while."""

        def asked(model: str, request: Request) -> Reply:
            reply: Reply = ask(model, request)
            self.now += seconds
            return reply

        return asked


@pytest.mark.parametrize(
    ("kind", "rule", "field", "default"),
    [*((kind, "tier_down", "tier_down", "escalate") for kind in DOWN), ("throttled", "tier_throttled", "tier_throttled", "stop"),
     *((kind, "tier_refused", "tier_refused", "stop") for kind in REFUSED)],
)  # fmt: skip
def test_a_failed_first_tier(kind: Any, rule: str, field: str, default: str) -> None:
    """Without it a quota or a missing permission of the cheap tier would become a bill of the strong one, or an outage would lose items."""
    for direction in ("escalate", "stop"):
        trace = walked(policy(Trouble(**{field: direction})), failed(kind), says(usd=0.01))
        assert [(note.rule, note.direction, note.tier) for note in trace.notes] == [(rule, direction, "nano")]
        assert (trace.outcome, trace.model_used) == (("answered", "sonnet") if direction == "escalate" else ("error", None))
        assert trace.steps[0].error is not None
        assert trace.steps[0].escalated_because == ((f"failed: {kind}",) if direction == "escalate" else ())
    assert walked(policy(), failed(kind), says()).notes[0].direction == default


@pytest.mark.parametrize("kind", [*DOWN, *REFUSED, "throttled"])
@pytest.mark.parametrize(("direction", "outcome", "used"), [("keep", "answered", "nano"), ("stop", "error", None), ("escalate", "answered", "sonnet")])
def test_a_failed_later_tier(kind: Any, direction: Any, outcome: str, used: str | None) -> None:
    """Without it an outage of the middle tier would throw away what the cheap one had answered, whatever the rule says."""
    trace = walked(policy(Trouble(later_tier=direction), TIERS), says(0.1), failed(kind, "super"), says())
    assert (trace.outcome, trace.model_used) == (outcome, used)
    assert (trace.answer is None) is (used is None)
    assert [(note.rule, note.direction) for note in trace.notes] == [("later_tier", direction)]


def test_when_every_tier_is_down_the_item_is_an_error_and_not_lost() -> None:
    """Without it a full outage would raise, or look like an answer."""
    trace = walked(policy(), failed("server"), failed("server", "sonnet"))
    assert (trace.outcome, trace.answer, len(trace.steps)) == ("error", None, 2)
    assert [note.direction for note in trace.notes] == ["escalate", "stop"]


def test_a_failed_last_tier_keeps_the_answer_though_the_rule_would_go_on() -> None:
    """Without it there would be a note that the walk went on to a tier that does not exist."""
    trace = walked(policy(Trouble(later_tier="escalate")), says(0.1), failed("server", "sonnet"))
    assert (trace.model_used, trace.notes[0].direction) == ("nano", "keep")


def test_a_retry_of_unknown_price_leaves_a_lower_bound() -> None:
    """Without it a cascade over a flaky connection would look exactly priced."""
    flaky = says(0.1, usd=0.25, cost=Cost(0.25, complete=False), attempts=2)
    trace = walked(policy(), flaky, says(usd=0.5))
    assert trace.cost == Cost(0.75, complete=False)
    assert walked(policy(), failed("read_timeout"), says(usd=0.5)).cost == Cost(0.5, complete=False)
    judged = walk(TRIAGE, TICKET, policy(gates=(JudgeGate(model="opus"),)), Script(nano=says(usd=0.5), opus=failed("disconnected", "opus")))
    assert judged.cost == Cost(0.5, complete=False)


@pytest.mark.parametrize(("direction", "outcome", "used"), [("keep", "answered", "nano"), ("stop", "error", None)])
def test_a_budget_that_is_spent_ends_the_walk(direction: Any, outcome: str, used: str | None) -> None:
    """Without it one hard item could spend without end, or nobody would know that it was cut short."""
    script = Script(nano=says(0.1, usd=0.02), sonnet=says())
    trace = walk(TRIAGE, TICKET, policy(Trouble(budget=direction)), script, budget_usd=0.02)
    assert (trace.outcome, trace.model_used, trace.cut_short, script.models) == (outcome, used, True, ["nano"])
    (note,) = trace.notes
    assert (note.rule, note.direction) == ("budget", direction)
    assert "0.020000 USD of the item's 0.020000 USD were spent" in note.detail
    assert "confidence 0.1 < 0.7" in note.detail


def test_a_budget_that_is_not_reached_changes_nothing() -> None:
    """Without it items that could afford the next tier would be kept from it."""
    trace = walk(TRIAGE, TICKET, policy(), Script(nano=says(0.1, usd=0.02), sonnet=says()), budget_usd=0.0201)
    assert (trace.model_used, trace.cut_short, trace.notes) == ("sonnet", False, ())


@pytest.mark.parametrize(("direction", "outcome"), [("keep", "answered"), ("stop", "error")])
def test_a_deadline_that_has_passed_ends_the_walk(direction: Any, outcome: str) -> None:
    """Without it an item would go on to a slow model after the customer has left."""
    clock = Clock()
    script = Script(nano=says(0.1), sonnet=says())
    trace = walk(TRIAGE, TICKET, policy(Trouble(deadline=direction)), clock.slow(script, 2.0), deadline_s=2.0, clock=clock)
    assert (trace.outcome, trace.cut_short, script.models) == (outcome, True, ["nano"])
    assert trace.notes[0].rule == "deadline"


def test_each_call_is_given_the_time_that_is_left() -> None:
    """Without it a retry loop could outlast the item's deadline."""
    clock = Clock()
    script = Script(nano=says(0.1), sonnet=says())
    walk(TRIAGE, TICKET, policy(), clock.slow(script, 2.0), deadline_s=5.0, clock=clock)
    assert [request.timeout_s for _, request in script.asked] == [5.0, 3.0]


def test_the_tighter_of_two_limits_holds() -> None:
    """Without it a caller could lift a limit that the policy sets."""
    spends = policy(Trouble(budget_usd=0.01))
    for budget in (None, 5.0):
        assert walk(TRIAGE, TICKET, spends, Script(nano=says(0.1, usd=0.01), sonnet=says()), budget_usd=budget).cut_short
    assert walk(TRIAGE, TICKET, policy(Trouble(budget_usd=5)), Script(nano=says(0.1, usd=0.01), sonnet=says()), budget_usd=0.01).cut_short


def test_a_gate_that_cannot_be_afforded_is_not_asked() -> None:
    """Without it a judge would be paid from money that is not there, or an item lost for want of it."""
    script = Script(nano=says(usd=0.02), opus=grade(1), sonnet=says())
    trace = walk(TRIAGE, TICKET, policy(gates=(JudgeGate(model="opus"),)), script, budget_usd=0.01)
    assert (script.models, trace.model_used, trace.cut_short) == (["nano"], "nano", True)
    assert (trace.steps[0].checks[0].remark, trace.calls) == ("not asked: budget", ())


def test_money_that_runs_out_between_samples_charges_those_that_ran() -> None:
    """Without it samples before the limit would be free."""
    script = Script(nano=says(usd=0.01), sonnet=says())
    trace = walk(TRIAGE, TICKET, policy(gates=(AgreementGate(k=5),)), script, budget_usd=0.03)
    assert (len(script.asked), trace.cost.usd, trace.model_used) == (3, pytest.approx(0.03), "nano")


@pytest.mark.parametrize("before", [[], [says(0.1)]])
def test_a_guardrail_ends_the_walk_under_every_rule(before: list[Reply]) -> None:
    """Without it some combination of rules could send a blocked ticket to the next model."""
    eager = Trouble(tier_down="escalate", tier_throttled="escalate", tier_refused="escalate", later_tier="escalate", judge_down="escalate")
    trace = walked(policy(eager, TIERS), *before, BLOCKED, says())
    assert (trace.outcome, trace.answer, len(trace.steps)) == ("guardrail", None, len(before) + 1)
    assert trace.notes[-1].rule == "guardrail"


@pytest.mark.parametrize(("direction", "review"), [("review", True), ("none", False)])
def test_an_item_no_tier_answered_validly_goes_to_a_person(direction: Any, review: bool) -> None:
    """Without it the items that no model understands would be the ones that nobody looks at."""
    trace = walked(policy(Trouble(all_invalid=direction)), invalid(), invalid())
    assert (trace.outcome, trace.review_required) == ("invalid", review)
    assert [(note.rule, note.direction) for note in trace.notes] == [("all_invalid", direction)]


def test_one_model_alone_is_no_cascade_and_raises_no_flag() -> None:
    """Without it the baselines' recall of people needed would count replies that said nothing."""
    assert not walked(single("nano"), invalid()).review_required


def test_a_plain_walk_fires_no_rule() -> None:
    """Without it every trace would carry notes and nobody would read them."""
    assert walked(documented(), says()).notes == walked(documented(), says(0.1), says()).notes == walked(documented(), invalid(), says()).notes == ()


@pytest.mark.parametrize("limits", [{"deadline_s": 0}, {"deadline_s": -1}, {"budget_usd": 0}, {"budget_usd": float("nan")}, {"deadline_s": float("inf")}])
def test_a_limit_that_is_no_limit_is_refused(limits: dict[str, float]) -> None:
    """Without it a budget of 0 would fail every item, and NaN would be none at all."""
    with pytest.raises(ValueError, match="must be a positive number"):
        walked(policy(), says(), **limits)


def test_the_rules_are_part_of_the_hash() -> None:
    """Without it two runs under different rules would carry the same label."""
    base = policy()
    others = [
        {"tier_down": "stop"}, {"tier_throttled": "escalate"}, {"tier_refused": "escalate"}, {"later_tier": "stop"}, {"judge_down": "escalate"},
        {"deadline": "stop"}, {"budget": "stop"}, {"all_invalid": "none"}, {"deadline_s": 1}, {"budget_usd": 1},
    ]  # fmt: skip
    digests = {base.digest, *(policy(Trouble(**other)).digest for other in others), base.model_copy(update={"ask_every_gate": True}).digest}
    assert len(digests) == len(others) + 2
