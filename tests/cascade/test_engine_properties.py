"""What holds for every walk, whatever the models say and whichever calls fail."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from replies import BLOCKED, OUTCOMES, REPLIES, TICKET, TIERS, asks, grade, says

from workshop_lib.cascade import (
    AgreementGate,
    ClassifierRouter,
    ConfidenceGate,
    HeuristicRouter,
    JudgeGate,
    Policy,
    StakesGate,
    Trace,
    Trouble,
    single,
    walk,
)
from workshop_lib.llm import CallError, Cost, Reply, Request
from workshop_lib.tasks import TRIAGE, Ticket

KINDS = st.sampled_from(
    ["throttled", "server", "connect_timeout", "disconnected", "unreachable", "read_timeout", "validation", "access", "not_found", "model"]
)
FAILURES = KINDS.map(lambda kind: CallError(kind, "m", "x."))
ANYTHING = st.one_of(OUTCOMES, FAILURES, st.builds(grade, st.integers(0, 6)), st.builds(lambda level: says(tool_input={"difficulty": level}), st.integers(1, 5)))
TROUBLES = st.builds(
    Trouble,
    tier_down=st.sampled_from(["escalate", "stop"]), tier_throttled=st.sampled_from(["escalate", "stop"]), tier_refused=st.sampled_from(["escalate", "stop"]),
    later_tier=st.sampled_from(["escalate", "keep", "stop"]), judge_down=st.sampled_from(["escalate", "keep"]), deadline=st.sampled_from(["keep", "stop"]),
    budget=st.sampled_from(["keep", "stop"]), all_invalid=st.sampled_from(["review", "none"]), budget_usd=st.none() | st.floats(0.01, 3),
)  # fmt: skip
GATES = st.lists(
    st.one_of(
        st.builds(ConfidenceGate, below=st.floats(0, 1)), st.just(StakesGate()), st.builds(AgreementGate, k=st.integers(1, 3), at_least=st.floats(0, 1)),
        st.builds(JudgeGate, model=st.just("opus"), below=st.integers(1, 5), rate=st.sampled_from([0.5, 1.0])),
    ),
    max_size=3,
).map(tuple)  # fmt: skip
ROUTERS = st.none() | st.sampled_from([HeuristicRouter(start="sonnet", longer_than=0), ClassifierRouter(model="nim-8b", start="super")])
POLICIES = st.builds(Policy, name=st.just("p"), tiers=st.just(TIERS), gates=GATES, router=ROUTERS, trouble=TROUBLES, ask_every_gate=st.booleans())


class Weather:
    """An `Ask` whose outcomes are drawn one after the other, and which keeps what it gave."""

    def __init__(self, outcomes: list[Any]) -> None:
        self.left = outcomes
        self.gave: list[Any] = []

    def __call__(self, model: str, request: Request) -> Reply:
        """Give the next outcome, and after the last one fail."""
        outcome = self.left.pop(0) if self.left else CallError("server", model, "x.")
        self.gave.append(outcome)
        if isinstance(outcome, CallError):
            raise outcome
        return outcome


@given(POLICIES, st.lists(ANYTHING, max_size=14))
def test_no_outage_loses_an_item_and_everything_that_ran_is_charged(policy: Policy, outcomes: list[Any]) -> None:
    """Without it some order of failures could raise, lose the item, or leave a judge, a sample or a losing tier out of the bill."""
    weather = Weather(outcomes)
    trace = walk(TRIAGE, TICKET, policy, weather)
    assert trace.item_id == "T-1"
    assert trace.steps
    assert (trace.answer is None) is (trace.model_used is None) is (trace.outcome != "answered")
    assert abs(trace.cost.usd - sum(outcome.cost.usd for outcome in weather.gave if isinstance(outcome, Reply))) < 1e-9
    assert trace.cost.complete is not any(isinstance(outcome, CallError) and outcome.maybe_billed for outcome in weather.gave)
    made = sum(step.error is None or step.error.kind not in ("budget", "deadline") for step in trace.steps) + len(trace.calls)
    assert made == len(weather.gave)
    assert trace.steps[-1].escalated_because == ()
    assert all(step.escalated_because for step in trace.steps[:-1])
    if any(outcome is BLOCKED for outcome in weather.gave) and not any(call.reply is BLOCKED for call in trace.routing):
        assert trace.outcome == "guardrail"


@given(POLICIES, st.lists(ANYTHING, max_size=14))
def test_a_safety_flag_never_disappears(policy: Policy, outcomes: list[Any]) -> None:
    """Without it a later tier, a failure or a limit could call off the person that somebody asked for."""
    weather = Weather(outcomes)
    trace = walk(TRIAGE, TICKET, policy, weather)
    raised = [step.answer for step in trace.steps if step.answer is not None and step.answer.needs_human]
    assert trace.review_required or not raised
    assert trace.review_required or not any(call.needs_human for call in trace.calls)


@given(st.lists(st.tuples(REPLIES, REPLIES, REPLIES), min_size=1, max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_escalates_less_through_three_tiers(items: list[Any], one: float, other: float) -> None:
    """Without it a threshold could not be tuned by looking at the escalation rate."""
    low, high = sorted((one, other))

    def reached(below: float) -> list[int]:
        policy = Policy(name="p", tiers=TIERS, gates=(ConfidenceGate(below=below), StakesGate()))
        return [len(walk(TRIAGE, TICKET, policy, asks(dict(zip(TIERS, replies, strict=True)))).steps) for replies in items]

    assert all(less <= more for less, more in zip(reached(low), reached(high), strict=True))


@given(st.lists(st.tuples(OUTCOMES, OUTCOMES, OUTCOMES), min_size=1, max_size=5), st.builds(Policy, name=st.just("p"), tiers=st.just(TIERS), gates=st.just((ConfidenceGate(below=0.7), StakesGate())), trouble=TROUBLES))
def test_a_cascade_composed_of_single_model_outputs_is_the_live_one(items: list[Any], policy: Policy) -> None:
    """Without it arms compared on recorded outputs would not be the policies that run."""
    tickets = [Ticket(id=f"T-{n}", subject="s", body="b") for n in range(len(items))]

    def live(model: str, request: Request) -> Reply:
        outcome = items[int(request.tags["ticket"][2:])][TIERS.index(model)]
        if isinstance(outcome, CallError):
            raise outcome
        return outcome

    outputs: dict[tuple[str, str], Trace[Any]] = {(tier, ticket.id): walk(TRIAGE, ticket, single(tier), live) for tier in TIERS for ticket in tickets}

    def recorded(model: str, request: Request) -> Reply:
        step = outputs[model, request.tags["ticket"]].steps[0]
        if step.error is not None:
            raise step.error
        assert step.reply is not None
        return step.reply

    assert [walk(TRIAGE, ticket, policy, recorded) for ticket in tickets] == [walk(TRIAGE, ticket, policy, live) for ticket in tickets]


def test_cost_adds_up_exactly_in_one_worked_walk() -> None:
    """Without it the property above could hold because nothing but tiers ever ran."""
    weather = Weather([
        says(usd=0.5, tool_input={"difficulty": 1}), says(0.9, usd=1.0), says(usd=2.0), says(usd=4.0), grade(1, 8.0), says(0.9, usd=16.0), says(usd=32.0), says(usd=64.0), grade(5, 128.0),
    ])  # fmt: skip
    policy = Policy(name="p", tiers=TIERS, gates=(AgreementGate(k=2), JudgeGate(model="opus")), router=ClassifierRouter(model="nim-8b", start="sonnet"))
    trace = walk(TRIAGE, TICKET, policy, weather)
    assert (trace.cost, trace.model_used) == (Cost(255.5), "super")
    assert [call.purpose for call in trace.calls] == ["router", "sample", "sample", "judge", "sample", "sample", "judge"]
