"""Metrics: known values, bounds and agreement with independent implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from workshop_lib.evaluation.metrics import (
    agreement,
    auroc,
    bootstrap_difference,
    brier,
    ece,
    mcnemar_exact,
    mcnemar_from_totals,
    percentile_nearest_rank,
    performance_gap_recovered,
    recall,
    reliability,
    wilson,
)

GRADED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_is_the_textbook_interval(counts: tuple[int, int], confidence: float) -> None:
    """Without it an interval could leave [0, 1], miss its own share, or differ from an independent implementation."""
    k, n = counts
    low, high = wilson(k, n, confidence)
    assert 0 <= low <= high <= 1
    if n:
        assert low <= k / n <= high
        expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_of_nothing_says_nothing() -> None:
    """Without it an empty group would divide by zero or look certain."""
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(("k", "n", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 0.0), (1, 5, 1.0)])
def test_wilson_refuses_impossible_counts(k: int, n: int, confidence: float) -> None:
    """Without it swapped arguments would give a plausible interval."""
    with pytest.raises(ValueError, match="must lie between"):
        wilson(k, n, confidence)


def test_missing_answers_agree_with_nothing() -> None:
    """Without it two failed calls would count as agreement."""
    assert agreement(["a", None, "b", math.nan], ["a", None, "c", math.nan]) == 0.25


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0.01, 100))
def test_nearest_rank_is_an_observed_value_with_enough_below(values: list[float], q: float) -> None:
    """Without it a percentile could be interpolated, which the recorded p50 and p95 are not."""
    found = percentile_nearest_rank(values, q)
    assert found in values
    assert sum(value <= found for value in values) >= q / 100 * len(values) - 1e-6


@pytest.mark.parametrize(("n", "q", "rank"), [(20, 95, 19), (150, 50, 75), (150, 95, 143), (1, 1, 1), (100, 7, 7), (100, 29, 29)])
def test_nearest_rank_is_exact_where_rounding_tempts(n: int, q: float, rank: int) -> None:
    """Without it 0.95 * 20 could be taken for a little more than 19."""
    assert percentile_nearest_rank(list(range(1, n + 1)), q) == rank


@given(GRADED, st.integers(1, 20))
def test_calibration_errors_stay_in_bounds(graded: list[tuple[float, bool]], bins: int) -> None:
    """Without it a calibration error could exceed 1, or a bin could lose items."""
    confidence, correct = zip(*graded, strict=True)
    rows = reliability(confidence, correct, bins)
    assert sum(row.n for row in rows) == len(graded)
    assert all(row.low - 1e-9 <= row.mean_confidence <= row.high + 1e-9 for row in rows)
    assert 0 <= ece(confidence, correct, bins) <= 1
    assert 0 <= brier(confidence, correct) <= 1


def test_ece_by_hand() -> None:
    """Without it the weights of the bins could be wrong and every other test still pass."""
    confidence = [0.95, 0.95, 0.95, 0.95, 0.55]
    correct = [True, True, False, False, True]
    assert ece(confidence, correct) == pytest.approx(4 / 5 * 0.45 + 1 / 5 * 0.45)
    assert brier(confidence, correct) == pytest.approx((2 * 0.05**2 + 2 * 0.95**2 + 0.45**2) / 5)


def test_a_confidence_on_a_bin_edge_belongs_below() -> None:
    """Without it 0.7 could fall in either bin, depending on how 0.7 is written in binary."""
    rows = reliability([k / 10 for k in range(11)], [True] * 11)
    assert [row.n for row in rows] == [2] + [1] * 9


@pytest.mark.parametrize("confidence", [[4.0], [-0.1], [math.nan]])
def test_a_confidence_on_another_scale_is_refused(confidence: list[float]) -> None:
    """Without it confidences from 1 to 5 would all land in the last bin."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        ece(confidence, [True])


def test_auroc_ranks_and_does_not_guess() -> None:
    """Without it ties or a set without errors would give a made-up number."""
    assert auroc([0.9, 0.8, 0.3], [True, True, False]) == 1
    assert auroc([0.5, 0.5], [True, False]) == 0.5
    assert auroc([4, 1, 2], [True, False, True]) == 1
    assert math.isnan(auroc([0.5, 0.6], [True, True]))


def test_recall_counts_only_the_flagged() -> None:
    """Without it recall could be precision or accuracy."""
    assert recall([True, True, False, False], [True, False, True, False]) == 0.5
    assert math.isnan(recall([False], [True]))


def test_gap_recovered_can_be_negative_and_undefined() -> None:
    """Without it a cascade worse than its cheap model would look like a gain, and a strong model that is not better would turn the sign."""
    assert performance_gap_recovered(111, 125, 109) == pytest.approx(-1 / 7)
    assert performance_gap_recovered(0.5, 1.0, 1.0) == 1
    assert math.isnan(performance_gap_recovered(0.5, 0.5, 0.6))
    assert math.isnan(performance_gap_recovered(0.55, 0.525, 0.54))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int) -> None:
    """Without it the p value could be one-sided or approximate."""
    expected = 1.0 if b + c == 0 else binomtest(b, b + c).pvalue
    assert mcnemar_exact(b, c) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_totals_bound_what_the_pairs_would_say(pairs: list[tuple[bool, bool]]) -> None:
    """Without it a published table could be said to show, or to exclude, more than it does."""
    first, second = zip(*pairs, strict=True)
    low, high = mcnemar_from_totals(sum(first), sum(second), len(pairs))
    p = mcnemar_exact(sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs))
    assert low <= p <= high


def test_the_published_totals_show_no_difference() -> None:
    """Without it 28 against 25 of 30 could be read as a proof."""
    assert mcnemar_from_totals(28, 25, 30) == pytest.approx((0.25, 0.453125))
    with pytest.raises(ValueError, match="between 0 and n"):
        mcnemar_from_totals(31, 25, 30)


def test_bootstrap_resamples_families_not_items() -> None:
    """Without it near-duplicates would make an interval too narrow."""
    generator = np.random.default_rng(1)
    families = np.repeat(np.arange(10), 15)
    a = np.repeat(generator.random(10) < 0.7, 15)
    b = np.zeros(150)
    by_family = bootstrap_difference(a, b, families)
    by_item = bootstrap_difference(a, b, range(150))
    assert by_family.low <= a.mean() <= by_family.high
    assert by_family.high - by_family.low > 2 * (by_item.high - by_item.low)


def test_bootstrap_repeats_itself_and_sees_no_difference_in_equals() -> None:
    """Without it a stored output would change on every build."""
    a, b = [1, 0, 1, 1], [0, 0, 1, 1]
    assert bootstrap_difference(a, b, "wxyz", seed=3) == bootstrap_difference(a, b, "wxyz", seed=3)
    assert bootstrap_difference(a, a, "wxyz") == (0, 0)


def test_columns_of_different_length_are_refused() -> None:
    """Without it numpy would stretch a single value over a whole column."""
    with pytest.raises(ValueError, match="different shape"):
        ece([0.5, 0.5], [True])
    with pytest.raises(ValueError, match="different shape"):
        bootstrap_difference([1, 0], [0, 0], ["f"])
