"""The walk: who is asked, what is kept, what is charged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replies import BLOCKED, OUTCOMES, REPLIES, TICKET, TIERS, Script, asks, invalid, says, walked

from workshop_lib import catalog
from workshop_lib.cascade import (
    CategoryGate,
    ConfidenceGate,
    Policy,
    StakesGate,
    documented,
    published,
    self_rated,
    single,
    walk,
)
from workshop_lib.llm import CallError, Cost, Reply
from workshop_lib.tasks import CATEGORIES, QUESTIONS, TRIAGE, Question


def test_a_good_answer_is_kept() -> None:
    """Without it every ticket would pay for two models."""
    trace = walked(documented(), says(0.9))
    assert (trace.escalated, trace.model_used, trace.outcome, trace.item_id, trace.policy) == (False, "nano", "answered", "T-1", "documented")


@pytest.mark.parametrize(("confidence", "escalates"), [(0.7, False), (0.6999, True), (0.0, True), (1.0, False)])
def test_exactly_at_the_threshold_is_kept(confidence: float, escalates: bool) -> None:
    """Without it the boundary case, which self-rated scales hit all the time, would differ from what the policy says."""
    assert walked(documented(), says(confidence), says()).escalated is escalates


@pytest.mark.parametrize(("rated", "escalates"), [(4, False), (3, True), (5, False)])
def test_a_self_rating_of_four_is_kept(rated: int, escalates: bool) -> None:
    """Without it the question cascade would escalate at its own threshold."""
    first = says(tool_input={"answer": "x", "confidence": rated})
    trace = walk(QUESTIONS, Question(id="Q", question="?"), self_rated(), asks(dict.fromkeys(self_rated().tiers, first)))
    assert trace.escalated is escalates


@pytest.mark.parametrize(
    ("reply", "because"),
    [
        (says(priority="P0"), "priority P0"), (says(priority="P1"), "priority P1"), (says(needs_human=True), "needs_human"), (says(0.5), "confidence 0.5 < 0.7"),
        (invalid(), "invalid: no JSON object"), (says(stop_reason="max_tokens"), "invalid: the reply ended with max_tokens"),
    ],
)  # fmt: skip
def test_every_reason_is_recorded(reply: Reply, because: str) -> None:
    """Without it nobody could say why a ticket cost more."""
    (reason,) = walked(documented(), reply, says()).steps[0].escalated_because
    assert reason.startswith(because)


def test_all_reasons_are_recorded() -> None:
    """Without it a gate that never matters alone would look as if it did."""
    trace = walked(published(), says(0.1, "abuse", "P0"), says())
    assert trace.steps[0].escalated_because == ("confidence 0.1 < 0.7", "priority P0", "category abuse")


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_published_policy_names_five_categories(category: str) -> None:
    """Without it the published 76.7 % could not be reproduced."""
    listed = {"abuse", "integration", "feature_request", "bug_report", "performance"}
    assert walked(published(), says(category=category), says()).escalated is (category in listed)
    assert not walked(documented(), says(category=category), says()).escalated


def test_an_invalid_cheap_reply_escalates_and_is_charged() -> None:
    """Without it a broken reply would be free, or end the ticket."""
    trace = walked(documented(), invalid(0.001), says(usd=0.01))
    assert (trace.outcome, trace.model_used, trace.cost, trace.steps[0].answer) == ("answered", "sonnet", Cost(0.011), None)


def test_two_invalid_replies_are_no_answer_and_are_charged() -> None:
    """Without it an item nobody answered would look answered, or free."""
    trace = walked(documented(), invalid(0.001), invalid(0.01))
    assert (trace.answer, trace.model_used, trace.outcome, trace.cost, trace.escalated) == (None, None, "invalid", Cost(0.011), True)


def test_an_invalid_last_tier_keeps_the_first_answer() -> None:
    """Without it escalating could lose the answer one had."""
    trace = walked(documented(), says(0.2, "auth"), invalid())
    assert trace.answer is not None
    assert (trace.answer.category, trace.model_used, trace.outcome) == ("auth", "nano", "answered")


def test_a_failed_second_tier_keeps_the_first_answer() -> None:
    """Without it an outage of the strong model would lose tickets the cheap one answered."""
    trace = walked(documented(), says(0.2, "auth", usd=0.001), CallError("throttled", "sonnet", "x."))
    assert trace.answer is not None
    assert (trace.answer.category, trace.model_used, trace.outcome, trace.cost) == ("auth", "nano", "answered", Cost(0.001))
    assert trace.steps[-1].error is not None


def test_a_throttled_first_tier_ends_the_walk() -> None:
    """Without it a quota of the cheap tier would silently become a bill of the strong one."""
    trace = walked(documented(), CallError("throttled", "nano", "x."), says())
    assert (trace.outcome, trace.answer, len(trace.steps), trace.cost) == ("error", None, 1, Cost(0.0))


@pytest.mark.parametrize("kind", ["read_timeout", "disconnected", "model"])
def test_a_failed_call_that_may_be_billed_makes_the_cost_incomplete(kind: Any) -> None:
    """Without it a timeout of the expensive tier would be reported as exactly free."""
    assert walked(documented(), says(0.2, usd=0.001), CallError(kind, "sonnet", "x.")).cost == Cost(0.001, complete=False)


@pytest.mark.parametrize("before", [[], [says(0.2)]])
def test_a_guardrail_ends_the_walk_and_is_no_answer(before: list[Reply]) -> None:
    """Without it a blocked ticket would be tried on the next model, or keep an answer that must not be used."""
    policy = Policy(name="three", tiers=TIERS, gates=documented().gates)
    trace = walked(policy, *before, BLOCKED, says())
    assert (trace.outcome, trace.answer, trace.model_used, len(trace.steps)) == ("guardrail", None, None, len(before) + 1)
    assert trace.cost.usd == pytest.approx(0.002 + sum(reply.cost.usd for reply in before))


def test_a_safety_flag_is_never_taken_back() -> None:
    """Without it a confident strong model would call off the person the first one asked for."""
    trace = walked(documented(), says(needs_human=True), says(needs_human=False))
    assert trace.answer is not None
    assert (trace.answer.needs_human, trace.review_required) == (False, True)
    assert not walked(documented(), says()).review_required
    assert walked(documented(), says(needs_human=True), BLOCKED).review_required


def test_three_tiers() -> None:
    """Without it the walk might know only two."""
    policy = Policy(name="three", tiers=TIERS, gates=(ConfidenceGate(below=0.7),))
    assert [walked(policy, *replies).model_used for replies in ([says()], [says(0.1), says()], [says(0.1), says(0.1), says(0.1)])] == list(TIERS)
    last = walked(policy, says(0.1), says(0.1), says(0.1)).steps[-1]
    assert (last.escalated_because, last.answer is not None) == ((), True)


def test_a_single_model_never_escalates() -> None:
    """Without it the baselines would be cascades."""
    trace = walked(single("nano"), says(0.0, priority="P0"))
    assert (trace.escalated, trace.outcome, trace.steps[0].escalated_because) == (False, "answered", ())


def test_latencies_add_up() -> None:
    """Without it an escalated ticket would seem as quick as its last tier."""
    assert walked(documented(), says(0.1), says()).latency_ms == 200.0


THREE = st.tuples(OUTCOMES, OUTCOMES, OUTCOMES)


@given(THREE, st.floats(0, 1))
def test_everything_that_ran_is_charged(outcomes: tuple[Any, ...], below: float) -> None:
    """Without it the cost of a losing tier could be dropped."""
    trace = walked(Policy(name="p", tiers=TIERS, gates=(ConfidenceGate(below=below), StakesGate())), *outcomes)
    ran = outcomes[: len(trace.steps)]
    assert trace.cost.usd == pytest.approx(sum(reply.cost.usd for reply in ran if isinstance(reply, Reply)))
    assert trace.cost.complete is not any(isinstance(reply, CallError) and reply.maybe_billed for reply in ran)


@given(THREE, st.floats(0, 1))
def test_a_walk_is_consistent(outcomes: tuple[Any, ...], below: float) -> None:
    """Without it a trace could name an answer and no model, or drop a flag."""
    trace = walked(Policy(name="p", tiers=TIERS, gates=(ConfidenceGate(below=below),)), *outcomes)
    assert (trace.answer is None) is (trace.model_used is None) is (trace.outcome != "answered")
    assert trace.steps[-1].escalated_because == ()
    assert all(step.escalated_because for step in trace.steps[:-1])
    assert [step.tier for step in trace.steps] == list(TIERS[: len(trace.steps)])
    nobody = len(trace.steps) == len(TIERS) and all(step.invalid for step in trace.steps)
    assert trace.review_required is (nobody or any(step.answer.needs_human for step in trace.steps if step.answer is not None))


@given(st.lists(REPLIES, min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_escalates_less(replies: list[Reply], one: float, other: float) -> None:
    """Without it a threshold could not be tuned by looking at the escalation rate."""
    low, high = sorted((one, other))

    def escalated(below: float) -> set[int]:
        policy = Policy(name="p", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=below),))
        return {index for index, reply in enumerate(replies) if walked(policy, reply, says()).escalated}

    assert escalated(low) <= escalated(high)


def test_the_digest_follows_everything_but_the_name() -> None:
    """Without it two different policies could share a result's label, or one policy have two."""
    base = documented()
    gates = base.gates
    others = [
        base.model_copy(update={"tiers": ("nano", "super")}),
        base.model_copy(update={"tiers": ("sonnet", "nano")}),
        base.model_copy(update={"gates": (ConfidenceGate(below=0.71), gates[1])}),
        base.model_copy(update={"gates": (gates[0], StakesGate(priorities=("P0",)))}),
        base.model_copy(update={"gates": (gates[0], StakesGate(needs_human=False))}),
        base.model_copy(update={"gates": gates[:1]}),
        base.model_copy(update={"gates": (*gates, CategoryGate(categories=("abuse",)))}),
        base.model_copy(update={"gates": (*gates, CategoryGate(categories=("other",)))}),
    ]
    digests = [base.digest, *(policy.digest for policy in others)]
    assert len(set(digests)) == len(digests)
    assert base.model_copy(update={"name": "renamed"}).digest == base.digest
    assert all(len(digest) == 12 for digest in digests)


def test_a_policy_survives_json() -> None:
    """Without it a policy file could not be written, shared and checked by its digest."""
    policy = published()
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


@pytest.mark.parametrize("wrong", [{"tiers": []}, {"gates": [{"kind": "mood"}]}, {"gates": [{"kind": "confidence"}]}, {"gates": [{"kind": "confidence", "below": 0.5, "above": 1}]}, {"tier": []}])
def test_a_wrong_policy_is_refused(wrong: dict[str, Any]) -> None:
    """Without it a mistyped gate would silently not exist."""
    with pytest.raises(ValueError, match="validation error"):
        Policy.model_validate({"name": "p", "tiers": ["nano"], **wrong})


def test_adding_a_tier_is_one_entry_and_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a new model would need code in the walk, the price or the policy."""
    tiny = catalog.model("nano").model_copy(update={"key": "tiny", "id": "example.tiny-1"})
    table = {"tiny": tiny, **catalog.models()}
    monkeypatch.setattr(catalog, "models", lambda: table)
    policy = Policy(name="four", tiers=("example.tiny-1", *TIERS), gates=(ConfidenceGate(below=0.7),))
    assert policy.tiers == ("tiny", *TIERS)
    trace = walked(policy, says(0.1, usd=1), says(0.1, usd=2), says(0.1, usd=4), says(usd=8))
    assert (trace.model_used, trace.cost) == ("sonnet", Cost(15.0))


def test_tiers_of_two_providers_in_one_walk() -> None:
    """Without it a small model on NIM could not stand before a strong one on Bedrock."""
    policy = Policy(name="mixed", tiers=("nim-8b", "sonnet"), gates=documented().gates)
    assert [catalog.model(tier).provider for tier in policy.tiers] == ["nim", "bedrock"]
    trace = walked(policy, says(0.1, usd=0.25), says(usd=0.5))
    assert (trace.model_used, trace.cost) == ("sonnet", Cost(0.75))


def test_whoever_watches_hears_of_every_step_and_where_it_goes() -> None:
    """Without it a page that shows the walk as it happens would have to wait for its end."""
    heard: list[tuple[str, bool]] = []
    trace = walk(TRIAGE, TICKET, documented(), asks({"nano": says(0.1), "sonnet": says()}), observe=lambda step, on: heard.append((step.tier, on)))
    assert heard == [("nano", True), ("sonnet", False)]
    assert len(trace.steps) == 2


def test_a_plain_walk_asks_exactly_what_the_task_asks() -> None:
    """Without it recorded replies, which are found by the request, would be lost as soon as the engine grows."""
    script = Script(nano=says(0.1), sonnet=says())
    walk(TRIAGE, TICKET, documented(), script)
    assert script.asked == [("nano", TRIAGE.request(TICKET)), ("sonnet", TRIAGE.request(TICKET))]


@pytest.fixture
def own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a copy of the model table to add to; the shipped one is back in force afterwards."""
    table = tmp_path / "models.toml"
    table.write_bytes((catalog.DATA / "models.toml").read_bytes())
    monkeypatch.setattr(catalog, "DATA", tmp_path)
    catalog.models.cache_clear()
    yield table
    catalog.models.cache_clear()


def test_a_code_model_goes_first_by_one_entry_in_the_table_and_one_in_the_policy(own_table: Path) -> None:
    """Without it a specialised model on one provider could not stand before the general ones of another without code."""
    with own_table.open("a", encoding="utf-8") as file:
        file.write(
            """
[coder]
id = "example/coder-32b"
name = "A code model"
provider = "nim"
price = { input = 0.1, output = 0.2, basis = "proxy", source = "made up for this test", checked_on = 2026-11-21 }
latency = { intercept_ms = 1, per_output_token_ms = 1, spread_ms = 1, source = "made up for this test" }
stand_in = { triage = "small", knowledge = 1, steps = 1 }
"""
        )
    policy = Policy(name="code first", tiers=("coder", "nano", "sonnet"), gates=(ConfidenceGate(below=0.7, per_model={"coder": 0.9}),))
    trace = walked(policy, says(0.8, usd=0.25), says(0.8, usd=0.5), says())
    assert ([step.tier for step in trace.steps], trace.cost) == (["coder", "nano"], Cost(0.75))
