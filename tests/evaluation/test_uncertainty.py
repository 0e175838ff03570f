"""Bootstraps from resampled counts, non-inferiority, Holm and sample sizes: against naive loops, other implementations and simulation."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_lib.evaluation.metrics import auroc, mcnemar_exact
from workshop_lib.evaluation.uncertainty import (
    bootstrap,
    bootstrap_mean,
    bootstrap_paired,
    bootstrap_ratio,
    bootstrap_weighted,
    family_codes,
    holm,
    items_to_show_difference,
    items_to_show_parity,
    non_inferiority,
    picked_families,
    resampled_totals,
)

ITEMS = st.lists(st.tuples(st.booleans(), st.floats(0, 10), st.integers(0, 5)), min_size=1, max_size=40)


def copies(families: list[int], draws: int, seed: int) -> list[np.ndarray]:
    """Return the rows of each draw written out, from the same picks."""
    codes, groups = family_codes(families, len(families))
    picks = np.concatenate(list(picked_families(groups, draws, seed)))
    return [np.concatenate([np.tile(np.flatnonzero(codes == g), times) for g, times in enumerate(row)]).astype(int) for row in picks]


@given(ITEMS, st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_counts_do_what_copying_rows_does(items: list[tuple[bool, float, int]], seed: int) -> None:
    """Without it the quick bootstrap could be the bootstrap of something else."""
    right, usd, families = (list(column) for column in zip(*items, strict=True))
    x, cost = np.array(right, dtype=float), np.array(usd)
    loops = copies(families, 60, seed)
    mean = bootstrap_mean(x, families, draws=60, seed=seed)
    assert mean.interval == pytest.approx(np.percentile([x[rows].mean() for rows in loops], [2.5, 97.5]), abs=1e-9)
    assert mean.value == pytest.approx(x.mean())
    totals = resampled_totals([x, cost], families, draws=60, seed=seed)
    assert totals == pytest.approx(np.array([[x[rows].sum(), cost[rows].sum()] for rows in loops]), abs=1e-7)


def test_any_statistic_can_be_resampled_by_weights() -> None:
    """Without it the area under a curve would have no interval by family."""
    generator = np.random.default_rng(2)
    score, right, families = generator.random(30), generator.random(30) < 0.7, np.repeat(np.arange(10), 3).tolist()

    def ranked(weights: np.ndarray) -> np.ndarray:
        return np.array([auroc(np.repeat(score, row.astype(int)), np.repeat(right, row.astype(int))) for row in weights])

    found = bootstrap_weighted(30, ranked, families, draws=40, seed=1)
    naive = [value for rows in copies(families, 40, 1) if not math.isnan(value := auroc(score[rows], right[rows]))]
    assert found.interval == pytest.approx(np.percentile(naive, [2.5, 97.5]))
    assert found.families == 10


def test_many_families_are_drawn_with_replacement_too() -> None:
    """Without it the generator for large samples could favour some families."""
    groups = 3000
    picks = np.concatenate(list(picked_families(groups, 40, 7)))
    assert picks.shape == (40, groups)
    assert (picks.sum(axis=1) == groups).all()
    assert (picks == 0).mean() == pytest.approx(math.exp(-1), abs=0.01)


def test_an_undefined_draw_is_counted_not_hidden() -> None:
    """Without it the recall of three P0 tickets would look known although most draws hold none."""
    due, seen = [1, 0, 0, 0], [1, 0, 0, 0]
    recall = bootstrap_ratio(seen, due, draws=2000)
    assert recall.value == 1
    assert recall.undefined == pytest.approx((3 / 4) ** 4, abs=0.04)
    nothing = bootstrap_ratio([0, 0], [0, 0])
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)


def test_families_widen_an_interval() -> None:
    """Without it near-duplicates would count as independent evidence."""
    right = np.repeat(np.random.default_rng(1).random(12) < 0.7, 10)
    by_item, by_family = bootstrap_mean(right), bootstrap_mean(right, np.repeat(np.arange(12), 10))
    assert by_family.high - by_family.low > 2 * (by_item.high - by_item.low)


def test_a_paired_bootstrap_keeps_pairs() -> None:
    """Without it two arms that fail on the same items would look different by chance."""
    right = np.random.default_rng(3).random(80) < 0.5
    same = bootstrap_paired(right, right)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_basic_interval_is_the_percentile_one_reflected() -> None:
    """Without it the bias of a calibration error would be doubled instead of removed."""
    x = np.random.default_rng(4).exponential(size=50)
    columns = [x, np.ones(50)]
    plain, basic = (bootstrap(columns, lambda t: t[:, 0] / t[:, 1], draws=500, method=m) for m in ("percentile", "basic"))
    assert basic.low == pytest.approx(2 * plain.value - plain.high)
    assert basic.high == pytest.approx(2 * plain.value - plain.low)


@pytest.mark.parametrize(("families", "draws"), [(["a"], 10), (["a", "b"], 0)])
def test_a_bootstrap_refuses_what_it_cannot_resample(families: list[str], draws: int) -> None:
    """Without it families of another table would be paired silently."""
    with pytest.raises(ValueError, match=r"different shape|at least one"):
        bootstrap_mean([1, 0], families, draws=draws)


def test_parity_needs_items_not_just_no_difference() -> None:
    """Without it ten equal answers would show parity, as a bootstrap alone says."""
    few = non_inferiority([1] * 10, [1] * 10, margin=0.05)
    many = non_inferiority([1] * 400, [1] * 400, margin=0.05)
    assert few.verdict == "not shown"
    assert many.verdict == "parity"
    assert "margin 0.05" in few.sentence


def test_worse_is_said_when_it_is_shown() -> None:
    """Without it a clear loss would be filed under not shown."""
    reference, arm = np.ones(200), np.ones(200)
    arm[:40] = 0
    verdict = non_inferiority(arm, reference, margin=0.05)
    assert verdict.verdict == "worse"
    assert verdict.difference == pytest.approx(-0.2)
    assert non_inferiority(arm, reference, margin=0.4).verdict == "parity"


def test_dependence_counts_against_parity() -> None:
    """Without it one bad scenario of many copies would be outvoted by its copies' independence."""
    families = np.repeat(np.arange(10), 40)
    reference = np.ones(400)
    arm = np.where(families == 0, 0.0, 1.0)
    alone, grouped = (non_inferiority(arm, reference, group, margin=0.15) for group in (None, families))
    assert alone.verdict == "parity"
    assert grouped.verdict == "not shown"


def test_a_margin_must_be_a_loss_one_would_accept() -> None:
    """Without it a margin of 0 would never be met and a negative one always."""
    with pytest.raises(ValueError, match="margin"):
        non_inferiority([1, 0], [1, 0], margin=0.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(deadline=None)
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    """Without it one lucky arm of eight could be called significant."""
    arms = range(len(p_values))
    groups = [group for size in range(1, len(p_values) + 1) for group in combinations(arms, size)]
    bonferroni = {group: min(1.0, len(group) * min(p_values[i] for i in group)) for group in groups}
    assert holm(p_values) == pytest.approx([max(p for group, p in bonferroni.items() if arm in group) for arm in arms])


def test_holm_refuses_what_is_no_p_value() -> None:
    """Without it NaN would be sorted last and returned as 1."""
    with pytest.raises(ValueError, match="p values"):
        holm([0.1, math.nan])


def test_so_many_items_do_show_the_difference() -> None:
    """Without it the advice how much to label could be off by a factor."""
    difference, discordant = 0.06, 0.14
    n = items_to_show_difference(difference, discordant)
    generator = np.random.default_rng(8)
    cells = generator.multinomial(n, [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant], size=1500)
    shown = np.mean([mcnemar_exact(int(b), int(c)) < 0.05 for b, c, _ in cells])
    assert 0.72 <= shown <= 0.84  # the exact test is a little stricter than the normal formula


def test_so_many_items_do_show_parity() -> None:
    """Without it a margin could be promised that the sample cannot meet."""
    margin, discordant = 0.05, 0.1
    n = items_to_show_parity(margin, discordant)
    cells = np.random.default_rng(9).multinomial(n, [discordant / 2, discordant / 2, 1 - discordant], size=3000)
    difference = (cells[:, 0] - cells[:, 1]) / n
    half = 1.96 * np.sqrt(((cells[:, 0] + cells[:, 1]) / n - difference**2) / n)
    assert np.mean(difference - half > -margin) == pytest.approx(0.8, abs=0.04)


def test_more_items_for_less_and_for_families() -> None:
    """Without it a design effect or a smaller difference could lower the number of labels."""
    sizes = [items_to_show_difference(d, 0.2) for d in (0.2, 0.1, 0.05, 0.01)]
    assert all(less < more for less, more in pairwise(sizes))
    assert items_to_show_difference(0.1, 0.2, design_effect=3) == pytest.approx(3 * sizes[1], abs=3)
    assert items_to_show_parity(0.05, 0.1, difference=-0.02) > items_to_show_parity(0.05, 0.1)


def test_impossible_sizes_are_refused() -> None:
    """Without it a difference of 0 would divide by zero and a loss beyond the margin give a finite number."""
    with pytest.raises(ValueError, match="difference of 0"):
        items_to_show_difference(0.0, 0.1)
    with pytest.raises(ValueError, match="discordant"):
        items_to_show_difference(0.2, 0.1)
    with pytest.raises(ValueError, match="outside the margin"):
        items_to_show_parity(0.02, 0.1, difference=-0.03)
