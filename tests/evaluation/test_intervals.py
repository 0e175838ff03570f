"""Closed-form intervals: agreement with independent implementations, and coverage by exact enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from workshop_lib.evaluation.intervals import clopper_pearson_upper, newcombe, newcombe_paired, wilson

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.floats(0.6, 0.99))
@settings(deadline=None)
def test_wilson_is_that_of_statsmodels(counts: tuple[int, int], confidence: float) -> None:
    """Without it the own Wilson interval could drift from the one readers can check against."""
    assert wilson(*counts, confidence) == pytest.approx(proportion_confint(*counts, 1 - confidence, "wilson"), abs=1e-9)


@given(COUNTS, st.floats(0.01, 0.5))
@settings(deadline=None)
def test_the_upper_bound_is_the_exact_binomial_one(counts: tuple[int, int], delta: float) -> None:
    """Without it a guaranteed threshold could rest on an approximate bound."""
    expected = binomtest(*counts, alternative="less").proportion_ci(1 - delta, method="exact").high
    assert clopper_pearson_upper(*counts, delta) == pytest.approx(expected, abs=1e-9)


def test_no_item_bounds_nothing() -> None:
    """Without it an empty set of accepted answers would look free of errors."""
    assert clopper_pearson_upper([0, 3], [0, 3], 0.1).tolist() == [1.0, 1.0]


def test_the_bound_refuses_swapped_counts() -> None:
    """Without it more errors than answers would give NaN, which no comparison refuses."""
    with pytest.raises(ValueError, match="between 0 and n"):
        clopper_pearson_upper(5, 3, 0.1)
    with pytest.raises(ValueError, match="delta"):
        clopper_pearson_upper(1, 3, 1.0)


@given(COUNTS, COUNTS)
@settings(deadline=None)
def test_the_unpaired_difference_is_newcombes(first: tuple[int, int], second: tuple[int, int]) -> None:
    """Without it the interval for published totals could be the Wald one, which is empty at 30 of 30."""
    expected = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff", correction=False)
    assert newcombe(*first, *second) == pytest.approx(expected, abs=1e-9)


def test_what_28_against_25_of_30_can_say() -> None:
    """Without it the course could claim from the published table what it does not show."""
    low, high = newcombe(28, 30, 25, 30)
    assert low < 0 < high
    assert low == pytest.approx(-0.072, abs=0.01)
    assert high == pytest.approx(0.271, abs=0.01)


@given(st.tuples(*[st.integers(0, 40)] * 4).filter(any))
@settings(deadline=None)
def test_the_paired_interval_turns_with_the_arms_and_holds_the_difference(cells: tuple[int, int, int, int]) -> None:
    """Without it arm minus reference and reference minus arm could contradict each other."""
    both, first, second, neither = cells
    low, high = newcombe_paired(both, first, second, neither)
    assert newcombe_paired(both, second, first, neither) == pytest.approx((-high, -low), abs=1e-12)
    assert low - 1e-12 <= (first - second) / sum(cells) <= high + 1e-12


def test_arms_that_never_differed_are_not_certain_to_be_equal() -> None:
    """Without it ten items without a difference would show parity at any margin."""
    low, high = newcombe_paired(10, 0, 0, 0)
    assert low == -high
    assert high == pytest.approx(0.278, abs=0.001)


@pytest.mark.parametrize("shares", [(0.80, 0.08, 0.04, 0.08), (0.93, 0.03, 0.03, 0.01), (0.5, 0.2, 0.1, 0.2)])
def test_the_paired_interval_covers_what_it_says(shares: tuple[float, ...]) -> None:
    """Without it a wrong sign of the correlation would give a plausible interval that misses."""
    draws = multinomial(60, shares).rvs(size=1500, random_state=np.random.default_rng(5))
    truth = shares[1] - shares[2]
    covered = np.mean([low <= truth <= high for low, high in (newcombe_paired(*row) for row in draws.tolist())])
    assert 0.93 <= covered <= 0.995


@pytest.mark.parametrize("cells", [(0, 0, 0, 0), (3, -1, 0, 1)])
def test_impossible_cells_are_refused(cells: tuple[int, int, int, int]) -> None:
    """Without it an empty comparison would divide by zero."""
    with pytest.raises(ValueError, match="four counts"):
        newcombe_paired(*cells)
