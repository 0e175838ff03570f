"""Arms: graded rows with equal denominators, baselines that can be computed by hand, and tables that print the same everywhere."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_lib.cascade import ConfidenceGate, Policy, documented, single
from workshop_lib.evaluation.arms import (
    Baseline,
    composed,
    frame,
    oracle_baseline,
    random_baseline,
    run_arm,
    summary,
    text_table,
    threshold_sweep,
)
from workshop_lib.evaluation.cache import CacheMiss, ReplyCache
from workshop_lib.evaluation.labels import LabelledQuestion, LabelledTicket
from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import QUESTIONS, TRIAGE, Equivalence, Question

Tickets = tuple[LabelledTicket, ...]
Make = Callable[..., Any]


@pytest.fixture
def script(decision: Make) -> dict[tuple[str, str], Any]:
    """Return what nano and sonnet say: nano right on X-0, unsure and wrong on X-1, sure and wrong on X-2, flags X-3; sonnet errs on X-2 only."""
    return {
        ("nano", "X-0"): decision(), ("nano", "X-1"): decision("billing", confidence=0.5), ("nano", "X-2"): decision("billing"),
        ("nano", "X-3"): decision("other", "P1", True), ("sonnet", "X-0"): decision(), ("sonnet", "X-1"): decision("auth", "P2"),
        ("sonnet", "X-2"): decision("other"), ("sonnet", "X-3"): decision("other", "P1", False),
    }  # fmt: skip


@pytest.fixture
def arm(tickets: Tickets, scripted: Make) -> Make:
    """Return a function that runs and grades one policy on the four tickets under a script."""

    def run(policy: Policy, script: dict[tuple[str, str], Any]) -> pd.DataFrame:
        return frame(run_arm(TRIAGE, [entry.ticket for entry in tickets], policy, scripted(script), concurrency=3), tickets)

    return run


def test_rows_by_hand(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it a losing tier's cost, a reason or a grade could be lost between trace and table."""
    got = arm(documented(), script).set_index("item_id")
    assert got["correct"].tolist() == [True, True, False, True]
    assert got["joint"].tolist() == [True, True, False, False]
    assert got["cost_usd"].tolist() == [1, 11, 1, 11]
    assert got["latency_ms"].tolist() == [10, 110, 10, 110]
    assert got["escalated_because"].tolist() == ["", "confidence 0.5 < 0.7", "", "priority P1"]
    assert got["model_used"].tolist() == ["nano", "sonnet", "nano", "sonnet"]
    assert got["review_required"].tolist() == [False, False, False, True]
    assert got["confidence"].tolist() == [0.9, 0.5, 0.9, 0.9]
    assert got["source"].unique().tolist() == ["test"]


def test_failed_invalid_and_blocked_items_stay_and_are_wrong(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it an arm could look better by failing on hard tickets."""
    script |= {("nano", "X-0"): CallError("read_timeout", "nano", "late."), ("nano", "X-1"): "no idea", ("nano", "X-2"): "blocked"}
    got = arm(single("nano"), script).set_index("item_id")
    assert got["outcome"].tolist() == ["error", "invalid", "guardrail", "answered"]
    assert got["correct"].tolist() == [False, False, False, True]
    assert got["needs_human"].isna().tolist() == [True, True, True, False]
    assert got["confidence"].tolist() == [0, 0, 0, 0.9]
    assert got["cost_usd"].tolist() == [0, 1, 1, 1]
    assert got["cost_complete"].tolist() == [False, True, True, True]
    row = summary({"nano": got.reset_index()}).iloc[0]
    assert (row["n"], row["failed"], row["right"], row["cost_complete"]) == (4, 1, 1, False)


def test_nothing_reached_is_an_error_and_no_result(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it a stopped sandbox would be reported as a model with accuracy 0."""
    gone = {key: CallError("unreachable", key[0], "nothing answers.") for key in script}
    with pytest.raises(CallError, match="nothing answers"):
        arm(single("nano"), gone)


def test_an_incomplete_recording_ends_the_run(tickets: Tickets) -> None:
    """Without it a replay with holes would be graded as wrong answers."""
    with pytest.raises(CacheMiss, match="ticket X-"):
        run_arm(TRIAGE, [entry.ticket for entry in tickets], single("nano"), ReplyCache(None))


def test_denominators_must_be_equal(arm: Make, tickets: Tickets, scripted: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it arms on different tickets could be set side by side."""
    traces = run_arm(TRIAGE, [entry.ticket for entry in tickets], single("nano"), scripted(script))
    for some, labels, says in ((traces[1:], tickets, "no trace"), (traces, tickets[1:], "no label"), ([*traces, traces[0]], tickets, "two traces")):
        with pytest.raises(ValueError, match=says):
            frame(some, labels)
    whole = arm(single("nano"), script)
    with pytest.raises(ValueError, match="different items"):
        summary({"a": whole, "b": whole.iloc[1:]})


def test_questions_are_graded_by_their_equivalence() -> None:
    """Without it another spelling of a right answer would count as wrong."""
    items = [
        LabelledQuestion(Question(id="Q-1", question="6 * 7?"), "42", "one_step", Equivalence(type="number"), "f", "test"),
        LabelledQuestion(Question(id="Q-2", question="Who?"), "Jane Austen", "fact", Equivalence(type="text", aliases=("Austen",)), "g", "test"),
        LabelledQuestion(Question(id="Q-3", question="Where?"), "Paris", "fact", Equivalence(type="text"), "g", "test"),
    ]
    said = {"6 * 7?": '{"answer": 42.0, "confidence": 5}', "Who?": '{"answer": "austen", "confidence": 4}', "Where?": '{"answer": "Rome", "confidence": 1}'}

    def ask(model: str, request: Request) -> Reply:
        return Reply(model, said[request.prompt], None, Usage(1, 1), Cost(1.0), 1.0, "end_turn", source="test")

    policy = Policy(name="p", tiers=("nim-8b", "nim-70b"), gates=(ConfidenceGate(below=4),))
    got = frame(run_arm(QUESTIONS, [item.question for item in items], policy, ask), items)
    assert got["correct"].tolist() == got["joint"].tolist() == [True, True, False]
    assert got["escalated"].tolist() == [False, False, True]
    row = summary({"p": got}).iloc[0]
    assert (row["right"], row["cost_usd"], bool(np.isnan(row["human_recall"]))) == (2, 4, True)


def test_random_baseline_expects_what_it_must(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it a cascade could be compared with a baseline that is too weak."""
    cheap, strong = arm(single("nano"), script), arm(single("sonnet"), script)
    half = random_baseline(cheap, strong, 0.5, draws=500)
    assert half.accuracy == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert half.cost_usd == pytest.approx(4 + 2 * 10)
    assert half.cost_interval == pytest.approx((24, 24))
    assert half.accuracy_interval == pytest.approx((0.5, 0.75))
    assert half == random_baseline(cheap, strong, 0.5, draws=500)
    ends = [random_baseline(cheap, strong, rate, draws=3) for rate in (0, 1)]
    assert [(end.accuracy, end.cost_usd, end.human_recall) for end in ends] == [(0.5, 4, 1), (0.75, 44, 1)]


def test_oracle_escalates_only_what_it_rescues(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it the upper bound could be too low, or free of charge."""
    got = oracle_baseline(arm(single("nano"), script), arm(single("sonnet"), script))
    assert got["escalated"].tolist() == [False, True, False, False]
    assert got["correct"].tolist() == [True, True, False, True]
    assert got["cost_usd"].tolist() == [1, 11, 1, 1]
    assert got["latency_ms"].tolist() == [10, 110, 10, 10]


def test_composed_equals_walked(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it offline baselines and live cascades would be two different things, above all where a call fails."""
    script |= {("sonnet", "X-1"): CallError("read_timeout", "sonnet", "late."), ("sonnet", "X-3"): "blocked", ("nano", "X-2"): "gibberish"}
    walked = arm(documented(), script)
    offline = composed(arm(single("nano"), script), arm(single("sonnet"), script), walked["escalated"].tolist())
    pd.testing.assert_frame_equal(offline.drop(columns="escalated_because"), walked.drop(columns="escalated_because"), check_dtype=False)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([0.7, 0.78, 0.85, 0.9, 0.92, 0.93, 0.95, 0.955, 0.96, 1.0]))
def test_recorded_cascades_compose_at_any_threshold(threshold: float) -> None:
    """Without it a threshold sweep could show something else than the cascade at that threshold."""
    policy = Policy(name="t", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=threshold),))
    arms = recorded_arms(policy)
    row = threshold_sweep(arms["nano"], arms["sonnet"], [threshold]).iloc[0]
    walked = arms["cascade (t)"]
    assert (row["right"], row["escalation_rate"]) == (walked["correct"].sum(), walked["escalated"].mean())
    assert row["cost_usd"] == pytest.approx(walked["cost_usd"].sum())


def test_arms_in_another_order_are_not_mixed(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it one ticket's cheap answer could be paired with another ticket's strong one."""
    cheap = arm(single("nano"), script)
    with pytest.raises(ValueError, match="another order"):
        oracle_baseline(cheap, cheap.iloc[::-1])


def test_order_of_items_survives_concurrency(tickets: Tickets, scripted: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it a stored table would change from run to run."""
    traces = run_arm(TRIAGE, [entry.ticket for entry in tickets], single("nano"), scripted(script), concurrency=4)
    assert [trace.item_id for trace in traces] == [entry.ticket.id for entry in tickets]


def test_text_table_is_plain_and_stable() -> None:
    """Without it a stored output could change with the last bit of a sum, or carry a style."""
    table = pd.DataFrame(
        {"arm": ["nano", "x"], "right": [3, 124.4], "accuracy": [0.8200000000000001, float("nan")], "cost_usd": [0.1 + 0.2, -1e-12], "p50_ms": [674.4, 10.0], "ok": [True, None]}
    )
    assert text_table(table).splitlines() == [
        "arm   right  accuracy  cost_usd  p50_ms   ok",
        "----  -----  --------  --------  ------  ---",
        "nano    3.0     0.820  0.300000     674  yes",
        "x     124.4         -  0.000000      10    -",
    ]


def test_summary_takes_baselines_beside_frames(arm: Make, script: dict[tuple[str, str], Any]) -> None:
    """Without it the table of arms could not show what chance gives."""
    cheap, strong = arm(single("nano"), script), arm(single("sonnet"), script)
    chance = random_baseline(cheap, strong, 0.5, draws=50)
    assert isinstance(chance, Baseline)
    table = summary({"nano": cheap, "random": chance})
    assert table["arm"].tolist() == ["nano", "random"]
    assert table["cost_per_1000"].tolist() == [1000, 6000]
    assert not table.isna().any().any()
