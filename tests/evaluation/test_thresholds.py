"""Thresholds: the guarantee holds in simulation where the usual rule does not, and the cheapest threshold is the cheapest."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from workshop_lib.evaluation.arms import threshold_sweep
from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.evaluation.sweeps import MOST_THRESHOLDS, sweep, thresholds_of
from workshop_lib.evaluation.thresholds import (
    accepted_and_errors,
    certified,
    cheapest_threshold,
    cost_aware_threshold,
    cost_curve,
    empirical_threshold,
    guaranteed_threshold,
    labels_needed,
)

RUNS, N, EPSILON, DELTA = 2000, 300, 0.1, 0.1
LEVELS = np.linspace(1.0, 0.05, 20)  # twenty confidences, strict to lax
# true error at each confidence, strict to lax; a hair above epsilon is the hardest case: every choice is a violation
CURVES = {
    "everywhere a hair above epsilon": np.full(20, EPSILON + 1e-9),
    "rising slowly through epsilon": np.linspace(0.0, 0.3, 20),
    "a cliff": np.where(np.arange(20) < 8, 0.02, 0.6),
    "at epsilon, then just above": np.where(np.arange(20) < 10, EPSILON, EPSILON + 0.01),
    "confident errors on top": np.where(np.arange(20) < 3, 0.5, 0.06),
    "hopeless": np.full(20, 0.4),
}
FIVE = np.array([0.98, 0.95, 0.9, 0.8, 0.5])  # a small model states few values


def drawn(curve: np.ndarray, weights: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return accepted and wrong answers by threshold, strict to lax, of RUNS samples of N answers; shape (RUNS, levels)."""
    generator = np.random.default_rng(seed)
    stated = generator.multinomial(N, weights, size=RUNS)
    return stated.cumsum(axis=1), generator.binomial(stated, curve).cumsum(axis=1)


def true_error(curve: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the true error of what each threshold accepts."""
    return np.cumsum(curve * weights) / np.cumsum(weights)


def violations(curve: np.ndarray, weights: np.ndarray, begin: int | None, seed: int = 11) -> float:
    """Return the share of runs whose chosen threshold accepts a true error above epsilon."""
    accepted, errors = drawn(curve, weights, seed)
    truth, needed = true_error(curve, weights), labels_needed(EPSILON, DELTA)
    broken = 0
    for row, wrong in zip(accepted, errors, strict=True):
        first = int(np.argmax(row >= needed)) if begin is None else begin
        chosen, _ = certified(row[first:], wrong[first:], EPSILON, DELTA)
        broken += chosen >= 0 and truth[first + chosen] > EPSILON
    return broken / RUNS


MOST = DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / RUNS)


@pytest.mark.parametrize("begin", [None, 4, 19])
@pytest.mark.parametrize("name", CURVES)
def test_the_guarantee_holds(name: str, begin: int | None) -> None:
    """Without it "with probability 1 - delta" would be a sentence and no measurement."""
    assert violations(CURVES[name], np.full(20, 1 / 20), begin) <= MOST


@pytest.mark.parametrize("curve", [np.full(5, EPSILON + 1e-9), np.array([0.02, 0.08, 0.2, 0.3, 0.5]), np.array([0.3, 0.05, 0.1, 0.1, 0.2])])
def test_the_guarantee_holds_for_five_confidences(curve: np.ndarray) -> None:
    """Without it the many equal confidences of a small model could break what holds for distinct ones."""
    assert violations(curve, np.array([0.05, 0.7, 0.15, 0.06, 0.04]), None) <= MOST


def test_the_hardest_case_uses_the_level_up() -> None:
    """Without it the procedure could hold its level by choosing nothing, and the tests above would not see it."""
    # testing everything at once leaves one binomial test, whose level is the largest one below delta that whole answers allow
    tails = binom.cdf(np.arange(N), N, EPSILON)
    level = tails[tails <= DELTA].max()
    rate = violations(CURVES["everywhere a hair above epsilon"], np.full(20, 1 / 20), 19)
    assert rate == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / RUNS))


def test_the_usual_rule_breaks_its_promise() -> None:
    """Without it the simulation could be so mild that any rule passes it."""
    weights = np.full(20, 1 / 20)
    for name in ("everywhere a hair above epsilon", "rising slowly through epsilon"):
        accepted, errors = drawn(CURVES[name], weights, 11)
        passing = (accepted > 0) & (errors <= EPSILON * accepted)
        last = 19 - np.argmax(passing[:, ::-1], axis=1)
        broken = passing.any(axis=1) & (true_error(CURVES[name], weights)[last] > EPSILON)
        assert broken.mean() > MOST


def test_the_public_function_does_what_the_simulation_ran() -> None:
    """Without it the guarantee could be proved for one piece of code and shipped in another."""
    generator = np.random.default_rng(6)
    needed = labels_needed(EPSILON, DELTA)
    for _ in range(100):
        stated = generator.choice(LEVELS, size=N)
        right = generator.random(N) > np.interp(stated, LEVELS[::-1], CURVES["rising slowly through epsilon"][::-1])
        found = guaranteed_threshold(stated, right, epsilon=EPSILON, delta=DELTA, grid=LEVELS)
        accepted = np.array([(stated >= t).sum() for t in LEVELS])
        wrong = np.array([(~right[stated >= t]).sum() for t in LEVELS])
        chosen = None
        for t, k, n in zip(LEVELS, wrong, accepted, strict=True):
            if n < needed:
                continue
            if binom.cdf(k, n, EPSILON) > DELTA:
                break
            chosen = t
        assert found.threshold == (pytest.approx(chosen) if chosen is not None else None)
        if chosen is not None:
            assert (found.accepted, found.errors) == ((stated >= chosen).sum(), (~right[stated >= chosen]).sum())
            assert found.bound <= EPSILON


@pytest.mark.parametrize(("epsilon", "delta", "needed"), [(0.05, 0.1, 45), (0.01, 0.05, 299), (0.1, 0.1, 22), (0.5, 0.5, 1), (0.5, 0.25, 2)])
def test_so_many_labels_it_takes_without_an_error(epsilon: float, delta: float, needed: int) -> None:
    """Without it a reader would collect one label too few, or be told that ten are enough."""
    assert labels_needed(epsilon, delta) == needed
    assert (1 - epsilon) ** needed <= delta < (1 - epsilon) ** (needed - 1)
    enough, short = (guaranteed_threshold([0.9] * m, [True] * m, epsilon=epsilon, delta=delta) for m in (needed, max(1, needed - 1)))
    assert enough.threshold == 0.9
    if needed > 1:
        assert short.threshold is None
        assert f"takes {needed} accepted answers" in short.sentence


def test_too_many_errors_are_told_apart_from_too_few_labels() -> None:
    """Without it a useless confidence would be blamed on the sample, and more labels bought for nothing."""
    found = guaranteed_threshold([0.95] * 100, [True] * 70 + [False] * 30, epsilon=0.05)
    assert found.threshold is None
    assert "already fails" in found.sentence
    assert "0.95" in found.sentence


def test_families_are_named_in_the_sentence() -> None:
    """Without it a bound from near-duplicates would be read as one from independent answers."""
    found = guaranteed_threshold([0.9] * 60, [True] * 60, epsilon=0.1, families=[n // 10 for n in range(60)])
    assert "come from 6 families" in found.sentence
    assert "families" not in guaranteed_threshold([0.9] * 60, [True] * 60, epsilon=0.1).sentence


def test_testing_begins_where_it_is_told_to() -> None:
    """Without it the exact form of the guarantee, with a start fixed beforehand, could not be asked for."""
    stated, right = [0.95] * 40 + [0.9] * 60, [False] * 20 + [True] * 80
    assert guaranteed_threshold(stated, right, epsilon=0.3, start=0.95).threshold is None
    assert guaranteed_threshold(stated, right, epsilon=0.3, start=0.9).threshold == 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0.0}, "epsilon"), ({"delta": 1.0}, "delta"), ({"grid": (0.5, 0.9)}, "strict to lax"), ({"grid": ()}, "strict to lax"),
        ({"start": 0.123}, "not on the grid"),
    ],
)  # fmt: skip
def test_a_guarantee_refuses_what_it_cannot_hold(change: dict[str, object], message: str) -> None:
    """Without it a grid from lax to strict would stop at its first threshold without a word."""
    with pytest.raises(ValueError, match=message):
        guaranteed_threshold([0.9, 0.8], [True, False], **{"epsilon": 0.1, **change})


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.7, 0.9]), st.booleans()), min_size=1, max_size=30))
@settings(deadline=None)
def test_one_pass_counts_what_each_threshold_accepts(graded: list[tuple[float, bool]]) -> None:
    """Without it an answer exactly at the threshold could be counted as escalated."""
    stated, right = (np.array(column) for column in zip(*graded, strict=True))
    thresholds = np.array([0.95, 0.9, 0.7, 0.6, 0.0])
    accepted, errors = accepted_and_errors(stated, right, thresholds)
    assert accepted.tolist() == [(stated >= t).sum() for t in thresholds]
    assert errors.tolist() == [(~right[stated >= t]).sum() for t in thresholds]
    naive = [t for t in thresholds if (stated >= t).any() and (~right[stated >= t]).mean() <= 0.2 + 1e-12]
    assert empirical_threshold(stated, right, epsilon=0.2, grid=thresholds) == (min(naive) if naive else None)


USD = st.floats(0, 5)


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.7, 0.9, 0.95]), USD, USD), min_size=1, max_size=25))
@settings(deadline=None, max_examples=60)
def test_the_cheapest_threshold_is_the_cheapest(items: list[tuple[float, float, float]]) -> None:
    """Without it the sums from one pass could belong to another threshold."""
    stated, kept, raised = (np.array(column) for column in zip(*items, strict=True))
    found = cheapest_threshold(stated, kept, raised, draws=20)
    by_hand = [float(np.where(stated < t, raised, kept).mean()) for t in found.curve.threshold]
    assert found.curve.usd == pytest.approx(by_hand)
    assert found.usd == pytest.approx(min(by_hand))
    assert (found.keep_usd, found.escalate_usd) == pytest.approx((kept.mean(), raised.mean()))
    assert found.curve.escalation_rate[-1] == 1
    assert set(found.interval) <= set(found.curve.threshold.tolist())


def test_the_interval_of_the_choice_is_that_of_a_naive_loop() -> None:
    """Without it the matrix product could resample items where families were asked for."""
    from workshop_lib.evaluation.uncertainty import picked_families

    generator = np.random.default_rng(12)
    stated, families = generator.choice([0.6, 0.8, 0.9], size=40), np.repeat(np.arange(8), 5)
    kept, raised = generator.random(40), generator.random(40)
    found = cheapest_threshold(stated, kept, raised, families, draws=100, seed=4)
    choices = []
    for row in np.concatenate(list(picked_families(8, 100, 4))):
        weight = row[families]
        totals = [float((weight * np.where(stated < t, raised, kept)).sum()) for t in found.curve.threshold]
        choices.append(found.curve.threshold[int(np.argmin(totals))])
    assert found.interval == pytest.approx(np.percentile(choices, [2.5, 97.5], method="nearest"))


def test_prices_move_the_threshold() -> None:
    """Without it the price of an error could have the wrong sign and a dearer error mean fewer escalations."""
    arms = recorded_arms()
    choices = [cost_aware_threshold(arms["nano"], arms["sonnet"], split="calibration", wrong_usd=usd, draws=200) for usd in (0.0, 0.01, 1.0)]
    rates = [choice.escalation_rate for choice in choices]
    assert rates[0] == 0
    assert rates == sorted(rates)
    assert rates[2] > 0.9
    assert "families" in choices[2].sentence


def test_a_missed_p0_costs_only_if_nobody_saw_it(tickets_arm: pd.DataFrame) -> None:
    """Without it a flagged P0 would be charged as missed."""
    strong = tickets_arm.assign(cost_usd=0.5, priority="P0")

    def keep(cheap: pd.DataFrame) -> float:
        return cost_aware_threshold(cheap, strong, split="calibration", wrong_usd=0.0, missed_usd=8.0, draws=10).keep_usd

    assert keep(tickets_arm) == pytest.approx(8.0 / 4)
    assert keep(tickets_arm.assign(review_required=True)) == pytest.approx(0.0)
    assert keep(tickets_arm.assign(priority="P1")) == pytest.approx(0.0)


def test_an_invalid_answer_always_escalates(tickets_arm: pd.DataFrame) -> None:
    """Without it the lowest threshold would keep an answer that does not exist."""
    strong = tickets_arm.assign(cost_usd=0.5)
    cheap = tickets_arm.assign(outcome=["invalid", "answered", "answered", "answered"])
    found = cost_aware_threshold(cheap, strong, split="calibration", wrong_usd=0.0, draws=10)
    assert found.keep_usd == pytest.approx(0.5 / 4)


def test_a_threshold_is_not_chosen_on_the_test_split(tickets_arm: pd.DataFrame) -> None:
    """Without it the published mistake, choosing on the evaluation sample, could be repeated with this library."""
    with pytest.raises(ValueError, match="graded on its own answers"):
        cost_aware_threshold(tickets_arm, tickets_arm, split="test", wrong_usd=1.0)
    with pytest.raises(ValueError, match="wrong_usd"):
        cost_aware_threshold(tickets_arm, tickets_arm, split="calibration", wrong_usd=-1.0)


def test_the_sweep_agrees_with_composed_cascades() -> None:
    """Without it the quick sweep could differ from the cascade that is really walked."""
    arms = recorded_arms()
    cheap, strong = arms["nano"], arms["sonnet"]
    slow = threshold_sweep(cheap, strong)
    quick = sweep(cheap["confidence"], [cheap["correct"], cheap["cost_usd"]], [strong["correct"], cheap["cost_usd"] + strong["cost_usd"]])
    assert quick.threshold == pytest.approx(slow["threshold"].to_numpy())
    assert quick.escalated / quick.n == pytest.approx(slow["escalation_rate"].to_numpy())
    assert quick.totals == pytest.approx(slow[["right", "cost_usd"]].to_numpy(float))


def test_many_confidences_are_thinned_and_their_ends_kept() -> None:
    """Without it a hundred thousand distinct confidences would make the bootstrap of the choice as many columns wide."""
    stated = np.random.default_rng(1).random(5000)
    levels = thresholds_of(stated)
    assert len(levels) == MOST_THRESHOLDS + 1
    assert levels[0] == stated.min()
    assert levels[-2] == stated.max()
    assert cost_curve(stated, np.zeros(5000), np.ones(5000)).usd[[0, -1]].tolist() == [0, 1]


@pytest.fixture
def tickets_arm() -> pd.DataFrame:
    """Return a single-model arm of four tickets that cost nothing, one of them a P0 that it calls P2."""
    return pd.DataFrame(
        {
            "item_id": list("abcd"), "family": list("xxyy"), "outcome": ["answered"] * 4, "confidence": [0.9, 0.8, 0.9, 0.8], "correct": [True] * 4,
            "joint": [True] * 4, "cost_usd": [0.0] * 4, "cost_complete": [True] * 4, "latency_ms": [1.0] * 4, "escalated": [False] * 4,
            "escalated_because": [""] * 4, "model_used": ["nano"] * 4, "review_required": [False] * 4, "first_error": [""] * 4, "source": ["test"] * 4,
            "priority": ["P2"] * 4, "gold_priority": ["P0", "P2", "P2", "P3"],
        }
    )  # fmt: skip
