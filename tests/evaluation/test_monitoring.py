"""Monitoring: quiet while nothing changes, an alarm soon after something does, and a shadow that changes nothing."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_lib.cascade import Trace, documented, single, walk
from workshop_lib.evaluation.arms import text_table
from workshop_lib.evaluation.metrics import Interval
from workshop_lib.evaluation.monitoring import (
    Cusum,
    Monitor,
    Reference,
    Shadow,
    average_run_length,
    chance_level,
    design,
    drift,
    monitor_table,
    psi,
    psi_interval,
)
from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import TRIAGE, Answer, RoutingDecision, Ticket

NAMES = ("auth", "billing", "other")


def traffic(n: int, mix: Sequence[float] = (0.3, 0.5, 0.2), sure: float = 8.0, up: float = 0.2, seed: int = 0) -> pd.DataFrame:
    """Return n items: categories by `mix`, confidence Beta(sure, 2), escalated at rate `up`."""
    generator = np.random.default_rng(seed)
    return pd.DataFrame({"category": generator.choice(NAMES, n, p=mix), "confidence": generator.beta(sure, 2, n), "escalated": generator.random(n) < up})


def ask_with(category: str, confidence: float = 0.95, usd: float = 1.0) -> object:
    """Return an `Ask` that gives one decision to everything."""

    def ask(model: str, request: Request) -> Reply:
        fields = {"category": category, "priority": "P3", "needs_human": False, "confidence": confidence, "reasoning": "r"}
        return Reply(model, "", fields, Usage(1, 1), Cost(usd), 10.0, "tool_use", source="test")

    return ask


def kept(item_id: str = "X-1", confidence: float = 0.95) -> Trace[RoutingDecision]:
    """Return the trace of a ticket that the cheap model said is about billing."""
    return walk(TRIAGE, Ticket(id=item_id, subject="s", body="b"), documented(), ask_with("billing", confidence))


def test_psi_of_a_hand_computed_example() -> None:
    """Without it the index could be another divergence than the one whose bands are used."""
    reference, current = [499.5, 299.5, 199.5], [399.5, 399.5, 199.5]  # with half an item added: 500, 300, 200 and 400, 400, 200
    total = 1000.0
    expected = (400 - 500) / total * np.log(400 / 500) + (400 - 300) / total * np.log(400 / 300)
    assert float(psi(reference, current)) == pytest.approx(expected)
    assert float(psi([10, 20], [10, 20])) == 0
    assert np.isfinite(psi([10, 0], [0, 10]))


def test_drift_false_alarms_come_at_the_stated_rate() -> None:
    """Without it a quiet week would raise alarms, or the chance level be too lax to find anything."""
    generator, shares, runs, alpha = np.random.default_rng(1), np.array([0.3, 0.25, 0.2, 0.1, 0.1, 0.05]), 20_000, 0.05
    values = psi(generator.multinomial(1000, shares, runs), generator.multinomial(300, shares, runs))
    rate = float((values > chance_level(6, 1000, 300, alpha)).mean())
    assert rate == pytest.approx(alpha, abs=0.012)
    assert float((values > chance_level(6, 1000, 3000, alpha)).mean()) > 0.2  # a wrong sample size shows


def test_psi_interval_covers_the_true_index() -> None:
    """Without it the interval of an alarm would be an ornament."""
    generator, before, after = np.random.default_rng(2), np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.3, 0.3, 0.2, 0.2])
    truth = float(((after - before) * np.log(after / before)).sum())
    values = psi(generator.multinomial(800, before, 300), generator.multinomial(400, after, 300))
    covered = np.mean([low <= truth <= high for low, high in (psi_interval(float(value), 4, 800, 400) for value in values)])
    assert covered > 0.9
    assert psi_interval(0.0, 4, 800, 400) == Interval(0.0, 0.0)


def test_rare_bins_are_pooled_and_new_ones_counted() -> None:
    """Without it one ticket of a rare category would raise an alarm, or a flood of a new category none."""
    names, reference = ("a", "b", "rare", "(new)"), (500, 490, 10, 0)
    assert not drift("mix", names, reference, (50, 48, 2, 0)).alarm
    flood = drift("mix", names, reference, (50, 25, 0, 25))
    assert flood.alarm
    assert (flood.moved, flood.before, flood.after) == ("(new)", 0.0, 0.25)


def test_empty_or_unlike_windows_are_refused() -> None:
    """Without it a division by nothing would pass for no drift."""
    with pytest.raises(ValueError, match="got 3 and 0"):
        drift("mix", ("a", "b"), (1, 2), (0, 0))
    with pytest.raises(ValueError, match="2 bins"):
        drift("mix", ("a", "b"), (1, 2, 3), (1, 2, 3))
    with pytest.raises(ValueError, match="at least one item"):
        Reference.of(traffic(0))


@pytest.mark.slow
def test_monitor_is_quiet_on_stationary_traffic() -> None:
    """Without it the alarm of a whole monitor, with its three signals, could come more often than its parts."""
    reference, alarmed = Reference.of(traffic(5000, seed=3)), 0
    monitor = Monitor(reference, window=200, alpha=0.05, band=0.0)
    stream = traffic(200 * 200, seed=4)
    for start in range(0, len(stream), 200):
        monitor.observe_frame(stream.iloc[start : start + 200])
        alarmed += bool(monitor.alarms())
    assert alarmed <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)


@pytest.mark.parametrize(
    ("signal", "shifted"), [("category mix", {"mix": (0.6, 0.2, 0.2)}), ("confidence", {"sure": 3.0}), ("escalation rate", {"up": 0.5})]
)
def test_a_shift_is_found_within_two_windows(signal: str, shifted: dict[str, float]) -> None:
    """Without it the stated delay would be a hope."""
    monitor = Monitor(Reference.of(traffic(2000, seed=5)), window=200)
    monitor.observe_frame(traffic(310, seed=6))  # the change falls into the middle of a window
    assert not monitor.alarms()
    monitor.observe_frame(traffic(2 * 200 - 1, seed=7, **shifted))
    (alarm,) = monitor.alarms()
    assert alarm.signal == signal
    assert alarm.value > alarm.threshold >= 0.1
    assert alarm.interval.low <= alarm.value <= alarm.interval.high
    assert (alarm.n, alarm.since in {201, 401}) == (200, True)
    assert f"since item {alarm.since}" in alarm.sentence


def test_drift_alarm_ends_with_the_drift() -> None:
    """Without it a passing peak would be in alarm for ever, and `since` name the wrong peak."""
    monitor = Monitor(Reference.of(traffic(2000, seed=5)), window=200)
    monitor.observe_frame(traffic(200, seed=8, up=0.6))
    assert [alarm.since for alarm in monitor.alarms()] == [1]
    monitor.observe_frame(traffic(200, seed=9, up=0.6))
    assert [alarm.since for alarm in monitor.alarms()] == [1]
    monitor.observe_frame(traffic(200, seed=10))
    assert monitor.alarms() == []
    monitor.observe_frame(traffic(200, seed=11, up=0.6))
    assert [alarm.since for alarm in monitor.alarms()] == [601]


def test_traces_and_frames_count_alike() -> None:
    """Without it a stream and its recording would give different alarms."""
    reference = Reference.of(traffic(500))
    streamed, framed = Monitor(reference, window=4), Monitor(reference, window=4)
    for confidence in (0.95, 0.2, 0.8, 0.75):
        streamed.observe(kept(confidence=confidence))
    framed.observe_frame(pd.DataFrame({"category": ["billing"] * 4, "confidence": [0.95, 0.2, 0.8, 0.75], "escalated": [False, True, False, False]}))
    assert streamed.snapshot() == framed.snapshot()
    assert streamed.snapshot()["items"] == 4


def test_monitor_keeps_no_items() -> None:
    """Without it a month of traffic would fill the memory."""
    monitor = Monitor(Reference.of(traffic(500)), window=100, overrides=design(0.1, 0.3))
    monitor.observe_frame(traffic(50))
    size = len(json.dumps(monitor.snapshot()))
    monitor.observe_frame(traffic(5000))
    assert len(json.dumps(monitor.snapshot())) < size + 2000
    assert sum(sum(row) for row in monitor._counts.values()) == 3 * 50


def simulated(rate: float, setting: tuple[float, float, float], runs: int, seed: int = 0) -> np.ndarray:
    """Return run lengths of the sum written down anew, all runs at once."""
    base, k, h = setting
    generator = np.random.default_rng(seed)
    total, length, running = np.zeros(runs), np.zeros(runs), np.ones(runs, dtype=bool)
    while running.any():
        step = (generator.random(runs) < rate) - base - k
        total = np.where(running, np.maximum(0, np.round((total + step) * 400) / 400), total)
        length += running
        running &= total <= h + 1e-9
    return length


@pytest.mark.parametrize(("rate", "shifted", "run_length"), [(0.1, 0.2, 300.0), (0.02, 0.08, 400.0), (0.4, 0.6, 200.0)])
def test_run_lengths_are_those_of_a_simulation(rate: float, shifted: float, run_length: float) -> None:
    """Without it the stated time between false alarms, and the delay, would be unproved."""
    made = design(rate, shifted, run_length)
    assert run_length <= made.false_after < 1.2 * run_length
    for true, stated in ((rate, made.false_after), (shifted, made.found_after)):
        lengths = simulated(true, (rate, made.k, made.h), 3000)
        assert float(lengths.mean()) == pytest.approx(stated, abs=4 * float(lengths.std()) / np.sqrt(3000))
    assert average_run_length(shifted, rate, made.k, made.h) == made.found_after < made.false_after / 3


@given(st.lists(st.booleans(), max_size=200))
def test_sum_is_the_recursion(bad: list[bool]) -> None:
    """Without it the running sum could drift from the one whose run length is stated."""
    made = design(0.2, 0.4, 50.0)
    running, total, alarm = Cusum(made), 0.0, False
    for value in bad:
        running.add(value)
        total = max(0.0, total + value - 0.2 - made.k)
        alarm = alarm or total > made.h + 1e-9
        assert running.value == pytest.approx(total, abs=1e-9)
        assert running.alarm == alarm
        assert 0 <= running.bad_since <= running.n <= running.seen


def test_overrides_and_disagreement_raise_alarms_until_acknowledged() -> None:
    """Without it the one signal that people give, and the shadow's, would be heard by nobody."""
    monitor = Monitor(Reference.of(traffic(500)), disagreement=design(0.05, 0.2, 1000), overrides=design(0.1, 0.3, 1000))
    for _ in range(30):
        monitor.observe_override(False)
    for _ in range(20):
        monitor.observe_override(True)
    (alarm,) = monitor.alarms()
    assert (alarm.signal, alarm.since, alarm.n) == ("human overrides", 30, 20)
    assert "20 of the 20 observations after number 30 (1.000, 95 % from 0.839 to 1.000)" in alarm.sentence
    assert json.loads(json.dumps(monitor.snapshot()))["rates"]["human overrides"]["rate"] == 0.4
    monitor.acknowledge("human overrides")
    assert monitor.alarms() == []
    shadow = Shadow(ask_with("auth"), "sonnet", 1.0)
    for n in range(20):
        monitor.observe_look(shadow.look(TRIAGE, Ticket(id=f"X-{n}", subject="s", body="b"), kept(f"X-{n}")))
    assert [alarm.signal for alarm in monitor.alarms()] == ["shadow disagreement"]


def test_unwatched_rates_are_refused_by_name() -> None:
    """Without it overrides could be counted nowhere and nobody notice."""
    monitor = Monitor(Reference.of(traffic(50)))
    with pytest.raises(ValueError, match="no human overrides is watched; give the monitor a Design"):
        monitor.observe_override(True)
    monitor.observe_look(None)


@pytest.mark.parametrize(("arguments", "message"), [((0.2, 0.1), "0 < rate < shifted < 1"), ((0.0, 0.1), "0 < rate"), ((0.1, 0.2, 0.0), "at least 1")])
def test_impossible_designs_are_refused(arguments: tuple[float, ...], message: str) -> None:
    """Without it a sum that never or always alarms could be built."""
    with pytest.raises(ValueError, match=message):
        design(*arguments)


def shadow_ask(behaviour: str) -> object:
    """Return a strong model that agrees, disagrees, talks, is blocked, or is down."""

    def ask(model: str, request: Request) -> Reply:
        if behaviour == "down":
            raise CallError("read_timeout", model, "late.")  # which may have been charged
        if behaviour in {"talks", "blocked"}:
            stop = "guardrail_intervened" if behaviour == "blocked" else "end_turn"
            return Reply(model, "I would rather not.", None, Usage(1, 1), Cost(5.0), 50.0, stop, source="test")
        return ask_with("billing" if behaviour == "agrees" else "auth", usd=5.0)(model, request)  # type: ignore[operator]

    return ask


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["agrees", "disagrees", "talks", "blocked", "down"]), st.floats(0, 1)), min_size=1, max_size=8),
    st.floats(0, 1),
    st.integers(0, 5),
)
def test_shadow_never_changes_an_answer_and_its_bill_is_apart(script: list[tuple[str, float]], rate: float, seed: int) -> None:
    """Without it a model that only watches could route a ticket, fail one, or hide its cost in the cascade's."""
    for n, (behaviour, confidence) in enumerate(script):
        item = Ticket(id=f"X-{n}", subject="s", body="b")
        trace, untouched = kept(item.id, confidence), kept(item.id, confidence)
        shadow = Shadow(shadow_ask(behaviour), "sonnet", rate, seed)
        seen = shadow.look(TRIAGE, item, trace)
        assert trace == untouched
        if trace.escalated or rate == 0:
            assert seen is None
        if seen is None:
            assert (shadow.asked, shadow.cost) == (0, Cost(0.0))
            continue
        assert seen.agrees is {"agrees": True, "disagrees": False}.get(behaviour)
        assert shadow.cost == (Cost(0.0, complete=False) if behaviour == "down" else Cost(5.0))
        assert (seen.problem is None) == (seen.agrees is not None)


def test_shadow_sample_is_fixed_and_of_the_stated_size() -> None:
    """Without it a rerun would look at other items, or at many more than were paid for."""
    ids = [f"X-{n}" for n in range(2000)]
    first = {item for item in ids if Shadow(ask_with("auth"), "sonnet", 0.1, seed=1).wants(kept(item))}
    again = {item for item in ids if Shadow(ask_with("auth"), "sonnet", 0.1, seed=1).wants(kept(item))}
    assert first == again
    assert len(first) == pytest.approx(200, abs=45)
    assert first != {item for item in ids if Shadow(ask_with("auth"), "sonnet", 0.1, seed=2).wants(kept(item))}
    assert first <= {item for item in ids if Shadow(ask_with("auth"), "sonnet", 0.2, seed=1).wants(kept(item))}


def test_shadow_asks_no_model_about_itself() -> None:
    """Without it agreement would be counted that says nothing."""
    own = walk(TRIAGE, Ticket(id="X-1", subject="s", body="b"), single("sonnet"), ask_with("billing"))
    assert not Shadow(ask_with("billing"), "sonnet", 1.0).wants(own)
    with pytest.raises(ValueError, match="share between 0 and 1"):
        Shadow(ask_with("billing"), "sonnet", 1.5)


def test_shadow_compares_answers_to_questions_too() -> None:
    """Without it the shadow would work for one task only."""
    from workshop_lib.evaluation.monitoring import same_answer

    assert same_answer(Answer(answer="Paris ", confidence=4), Answer(answer="paris", confidence=1))
    assert not same_answer(Answer(answer="Paris", confidence=4), Answer(answer="Rome", confidence=4))


def test_table_of_two_frames_names_what_moved() -> None:
    """Without it a reader would see an index and not what changed."""
    before, after = traffic(1000), traffic(400, up=0.5, seed=1)
    before["overridden"], after["overridden"] = pd.array([False] * 1000, "boolean"), pd.array([True] * 40 + [False] * 60 + [pd.NA] * 300, "boolean")
    rows = monitor_table(before, after).set_index("signal")
    assert rows["alarm"].to_dict() == {"category mix": False, "confidence": False, "escalation rate": True, "override rate": True}
    assert rows.loc["override rate", ["n", "moved_most", "before", "after"]].tolist() in ([100, "overridden", 0.0, 0.4], [100, "let stand", 1.0, 0.6])
    assert rows.loc["escalation rate", "after"] == pytest.approx(0.5, abs=0.1)
    assert "escalation rate" in text_table(rows.reset_index())


def test_recorded_arm_against_itself_does_not_drift() -> None:
    """Without it the five confidences that a real model uses, or a missing answer, could break the bins."""
    arm = recorded_arms()["cascade (documented)"]
    rows = monitor_table(arm, arm)
    assert rows["psi"].tolist() == [0, 0, 0]
    assert not rows["alarm"].any()


@pytest.mark.parametrize("stated", [[0.9] * 50, [0.8, 0.9] * 25, list(np.linspace(0, 1, 50))])
def test_confidence_bins_fit_any_reference(stated: list[float]) -> None:
    """Without it a model that always says 0.9 would have one bin, in which nothing can drift."""
    frame = pd.DataFrame({"confidence": stated, "escalated": [False] * 50})
    reference = Reference.of(frame)
    assert "category mix" not in reference.bins
    assert sum(reference.counts["confidence"]) == reference.n == 50
    lower = frame.assign(confidence=0.1)
    assert {row["signal"] for row in monitor_table(frame, lower).to_dict("records") if row["alarm"]} == {"confidence"}
