"""Routing metrics: against brute force over all orders, scikit-learn, and values worked out by hand or recorded."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc

from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.evaluation.routing_metrics import (
    Escalations,
    Quadrants,
    aiq,
    apgr,
    catastrophic_accepts,
    cpt,
    deferral_curve,
    envelope,
    escalations,
    gap_recovered,
    ibc,
    pareto,
    pgr_at,
    quadrants,
    risk_coverage,
    urgent_recall,
)

GRADED = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=6)
POINTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=9)


def all_orders(score: list[int]) -> list[tuple[int, ...]]:
    """Return every order that sends lower scores on first."""
    return [order for order in permutations(range(len(score))) if all(score[a] <= score[b] for a, b in pairwise(order))]


@given(GRADED)
@settings(deadline=None, max_examples=60)
def test_a_curve_is_the_mean_over_all_orders_of_equals(graded: list[tuple[int, bool, bool]]) -> None:
    """Without it a model that states one confidence for everything would be ranked by the order of the file."""
    score, cheap, strong = (list(column) for column in zip(*graded, strict=True))
    n, curve = len(score), deferral_curve(score, cheap, strong)
    orders = all_orders(score)
    by_hand = np.mean([[sum(strong[i] if i in order[:k] else cheap[i] for i in range(n)) / n for k in range(n + 1)] for order in orders], axis=0)
    assert curve.accuracy == pytest.approx(by_hand)
    assert curve.auc == pytest.approx(auc(curve.share, by_hand))
    risks = np.mean([[1 - np.mean([cheap[i] for i in order[::-1][:k]]) for k in range(1, n + 1)] for order in orders], axis=0)
    assert risk_coverage(score, cheap).risk == pytest.approx(risks)
    assert risk_coverage(score, cheap).aurc == pytest.approx(np.mean(risks))


@pytest.mark.slow
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6).filter(lambda rows: sum(s for _, s in rows) > sum(c for c, _ in rows)))
@settings(deadline=None, max_examples=40)
def test_a_random_order_recovers_half_the_gap(graded: list[tuple[bool, bool]]) -> None:
    """Without it a gate that knows nothing would score above or below one half."""
    cheap, strong = (list(column) for column in zip(*graded, strict=True))
    assert apgr(deferral_curve([1] * len(cheap), cheap, strong)) == pytest.approx(0.5)
    assert np.mean([apgr(deferral_curve(order, cheap, strong)) for order in permutations(range(len(cheap)))]) == pytest.approx(0.5)


def test_the_perfect_gate_by_hand() -> None:
    """Without it the thresholds of the curve could be off by one item."""
    cheap, strong = [0, 0, 1, 1, 1, 1, 1, 1, 1, 1], [1] * 10
    curve = deferral_curve(range(10), cheap, strong)
    assert curve.recovered[:4] == pytest.approx([0, 0.5, 1, 1])
    assert (cpt(curve, 0.2), cpt(curve, 0.5), cpt(curve, 0.8)) == (0.1, 0.1, 0.2)
    assert apgr(curve) == pytest.approx(0.9)
    assert pgr_at(curve, 0.05) == pytest.approx(0.25)
    worst = deferral_curve(range(10, 0, -1), cheap, strong)
    assert (cpt(worst, 0.5), apgr(worst)) == pytest.approx((0.9, 0.1))


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    """Without it a strong model that is no better would turn every sign."""
    curve = deferral_curve([1, 2, 3], [1, 1, 0], [1, 0, 1])
    assert all(math.isnan(value) for value in (apgr(curve), cpt(curve, 0.5), pgr_at(curve, 0.5)))
    assert math.isnan(gap_recovered([1, 0], [0, 1], [1, 1]))


def test_a_target_that_no_share_reaches_is_not_a_number() -> None:
    """Without it an unreachable target would cost nothing."""
    assert math.isnan(cpt(deferral_curve([1, 2], [0, 0], [1, 1]), 1.2))
    with pytest.raises(ValueError, match=r"0\.5 for CPT"):
        cpt(deferral_curve([1, 2], [0, 0], [1, 1]), 50)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None)
def test_more_right_answers_recover_more(cheap: int, gap: int, low: int, more: int) -> None:
    """Without it a better cascade could score lower."""
    n = 100

    def column(k: int) -> np.ndarray:
        return np.arange(n) < k

    arms = [gap_recovered(column(cheap), column(cheap + gap + 1), column(k)) for k in (low, low + more)]
    assert arms[0] <= arms[1]
    assert gap_recovered(column(cheap), column(cheap + gap + 1), column(cheap)) == 0


def test_incremental_benefit_by_hand() -> None:
    """Without it a cascade could be credited for the accuracy the strong model buys as cheaply."""
    found = ibc(cheap=(0.5, 1.0), strong=(0.9, 5.0), cascade=(0.8, 3.0))
    assert (found.cascade, found.strong, found.lift) == pytest.approx((0.15, 0.1, 0.5))
    assert math.isnan(ibc((0.5, 1.0), (0.4, 5.0), (0.8, 3.0)).lift)
    assert math.isnan(ibc((0.5, 1.0), (0.9, 5.0), (0.8, 1.0)).cascade)


@given(POINTS)
@settings(deadline=None)
def test_the_front_holds_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    """Without it the envelope of the cost-quality plane could show a dominated arm or hide a good one."""
    costs, qualities = zip(*points, strict=True)
    for (cost, quality), kept in zip(points, pareto(costs, qualities), strict=True):
        beaten = any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points)
        assert kept == (not beaten)


@given(POINTS)
@settings(deadline=None)
def test_the_envelope_is_what_mixing_two_points_reaches(points: list[tuple[int, int]]) -> None:
    """Without it AIQ could be measured under a line that no mixture of arms reaches, or under one that others beat."""
    costs, qualities = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    x, y = envelope(costs, qualities)
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) > 0).all()
    for at in np.linspace(costs.min(), costs.max(), 7):
        best = max([q for c, q in points if c <= at] + [
            q1 + (q2 - q1) * (at - c1) / (c2 - c1) for c1, q1 in points for c2, q2 in points if c1 <= at < c2
        ])  # fmt: skip
        assert np.interp(at, x, y) == pytest.approx(best)


def test_average_quality_by_hand() -> None:
    """Without it AIQ could depend on arms that a mixture beats, or on costs outside the common range."""
    costs, qualities = [1.0, 3.0, 2.0], [0.4, 0.8, 0.5]
    assert aiq(costs, qualities) == pytest.approx(0.6)
    assert aiq(costs, qualities, 1.0, 5.0) == pytest.approx((0.6 * 2 + 0.8 * 2) / 4)
    assert aiq(costs, qualities, 0.0, 3.0) == pytest.approx((0.2 * 1 + 0.6 * 2) / 3)
    assert aiq([2.0], [0.7]) == pytest.approx(0.7)
    with pytest.raises(ValueError, match="no range"):
        aiq(costs, qualities, 3.0, 1.0)


def test_every_item_falls_in_one_quadrant_and_one_outcome() -> None:
    """Without it rescues could be counted against the wrong arm."""
    cheap, strong, sent = np.array([1, 0, 1, 0, 1, 0, 0]), np.array([1, 1, 0, 0, 1, 1, 0]), np.array([1, 1, 1, 1, 0, 0, 0])
    cascade = np.where(sent == 1, strong, cheap)
    assert quadrants(cheap, cascade) == Quadrants(safe=2, rescue=1, loss=1, hard=3)
    found = escalations(sent, cheap, strong)
    assert found == Escalations(rescued=1, needless=1, harmed=1, futile=1, missed=1, kept_right=1, kept_wrong=1)
    assert (found.escalated, found.wasted) == (4, 3)


def test_a_catastrophic_accept_is_kept_and_missed() -> None:
    """Without it the worst errors of a cascade would hide among the wrong categories."""
    gold, said = ["P0", "P0", "P1", "P2", "P3", "P1"], ["P2", "P2", "P0", "P3", "P3", None]
    due, flagged = [1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0]
    assert catastrophic_accepts([0, 1, 0, 0, 0, 0], gold, said, due, flagged).tolist() == [True, False, False, True, False, True]
    assert urgent_recall(gold, said) == 0.25
    assert math.isnan(urgent_recall(["P2"], ["P0"]))


def test_the_recorded_cascade_keeps_what_it_should_not() -> None:
    """Without it the figures of the recorded data, which the course teaches, could drift."""
    arms = recorded_arms()
    cheap, strong, cascade = arms["nano"], arms["sonnet"], arms["cascade (documented)"]
    assert quadrants(cheap["correct"], cascade["correct"]) == Quadrants(safe=123, rescue=3, loss=0, hard=24)
    assert escalations(cascade["escalated"], cheap["correct"], strong["correct"]).wasted == 9
    missed = catastrophic_accepts(cascade["escalated"], cheap["gold_priority"], cheap["priority"], cheap["gold_needs_human"], cascade["review_required"])
    assert int(missed.sum()) == 10
    assert gap_recovered(cheap["correct"], strong["correct"], cascade["correct"]) == pytest.approx(1 / 6)
    assert apgr(deferral_curve(cheap["confidence"], cheap["correct"], strong["correct"])) < 0.5


@pytest.mark.parametrize("columns", [([1, 2], [1], [0, 1]), ([], [], []), ([1.0, math.nan], [1, 0], [1, 1]), ([[1]], [[1]], [[0]])])
def test_columns_that_do_not_fit_are_refused(columns: tuple[list[float], list[float], list[float]]) -> None:
    """Without it a missing confidence would be sorted last, as the most trusted."""
    with pytest.raises(ValueError, match=r"columns of one entry|must be a number"):
        deferral_curve(*columns)
