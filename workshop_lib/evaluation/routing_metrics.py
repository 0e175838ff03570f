"""What a router or gate is worth: gap recovered, curves over the share sent on, quality for money, and which escalations paid.

Every function takes arrays of one entry an item, in the same order. `cheap_right` and `strong_right` say whether the answer was right (0/1, or
a quality from 0 to 1) if the item stays with the cheap model and if it goes on to the strong one. `score` is high where the cheap answer is trusted;
the lowest goes on first. Items of equal score have no order, so every curve is the mean over all orders of them, exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workshop_lib.evaluation.labels import URGENT
from workshop_lib.evaluation.metrics import performance_gap_recovered, recall
from workshop_lib.evaluation.sweeps import columns_of

Array = NDArray[np.float64]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class DeferralCurve:
    """Accuracy when the k least trusted of n items go on to the strong model, for k = 0..n; `share` is k / n. Both have shape (n + 1,)."""

    share: Array
    accuracy: Array

    @property
    def auc(self) -> float:
        """Return the area under the curve, an accuracy: that of a gate whose rate of escalation is drawn evenly from 0 to 1."""
        return float(np.trapezoid(self.accuracy, self.share))

    @property
    def recovered(self) -> Array:
        """Return the performance gap recovered at each point, shape (n + 1,); NaN throughout unless strong is better than cheap."""
        gap = self.accuracy[-1] - self.accuracy[0]
        return (self.accuracy - self.accuracy[0]) / gap if gap > _ROUNDING else np.full_like(self.accuracy, math.nan)


@dataclass(frozen=True)
class RiskCoverage:
    """Share of wrong answers among the k most trusted of n items, for k = 1..n; `coverage` is k / n. Both have shape (n,)."""

    coverage: Array
    risk: Array

    @property
    def aurc(self) -> float:
        """Return the mean risk over all coverages; 0 would be a model without errors. Source: Geifman, Uziel and El-Yaniv, ICLR 2019."""
        return float(self.risk.mean())


@dataclass(frozen=True)
class Ibc:
    """Accuracy gained per USD over always-cheap, by the cascade and by always-strong, and by which share the first exceeds the second."""

    cascade: float
    strong: float
    lift: float


@dataclass(frozen=True)
class Quadrants:
    """Counts of items by whether the cheap model alone and the cascade got them right: (right, right), (wrong, right), (right, wrong), (wrong, wrong)."""

    safe: int
    rescue: int
    loss: int
    hard: int


@dataclass(frozen=True)
class Escalations:
    """What became of the items by where they went and who was right.

    Escalated: `rescued` (cheap wrong, strong right), `needless` (both right), `harmed` (cheap right, strong wrong), `futile` (both wrong).
    Kept: `missed` (cheap wrong, strong would have been right), `kept_right`, `kept_wrong` (both wrong).
    """

    rescued: int
    needless: int
    harmed: int
    futile: int
    missed: int
    kept_right: int
    kept_wrong: int

    @property
    def escalated(self) -> int:
        """Return how many items went on."""
        return self.rescued + self.wasted

    @property
    def wasted(self) -> int:
        """Return how many strong calls turned no wrong answer into a right one."""
        return self.needless + self.harmed + self.futile


def deferral_curve(score: ArrayLike, cheap_right: ArrayLike, strong_right: ArrayLike) -> DeferralCurve:
    """Return accuracy against the share sent on. Source: Jitkrittum et al., When Does Confidence-Based Cascade Deferral Suffice?, NeurIPS 2023."""
    trust, kept, raised = columns_of(score, cheap_right, strong_right)
    gained = _cumulative(trust, raised - kept)
    n = len(trust)
    return DeferralCurve(np.arange(n + 1) / n, (kept.sum() + gained) / n)


def apgr(curve: DeferralCurve) -> float:
    """Return the average performance gap recovered over all shares of strong calls: 0.5 for a random order, NaN without a gap.

    APGR = integral of PGR(share) from 0 to 1, by trapezoids over k / n. Source: RouteLLM, Ong et al., ICLR 2025, which averages ten points of it.
    """
    return float(np.trapezoid(curve.recovered, curve.share))


def cpt(curve: DeferralCurve, target: float) -> float:
    """Return the call-performance threshold: the smallest share of strong calls that recovers `target` of the gap, 0.5 for CPT(50 %).

    NaN without a gap or if no share reaches it. Source: RouteLLM, Ong et al., ICLR 2025.
    """
    if not 0 < target <= 2:  # a good gate can pass the strong model, but nobody means fifty times the gap
        raise ValueError(f"target is a share of the gap, 0.5 for CPT(50 %), got {target}")
    reached = np.flatnonzero(curve.recovered >= target - _ROUNDING)
    return float(curve.share[reached[0]]) if len(reached) else math.nan


def pgr_at(curve: DeferralCurve, share: float) -> float:
    """Return the performance gap recovered when this share of the items goes on, interpolated between whole items."""
    if not 0 <= share <= 1:
        raise ValueError(f"share lies between 0 and 1, got {share}")
    return float(np.interp(share, curve.share, curve.recovered))


def risk_coverage(score: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """Return the risk of what is accepted against the share accepted, most trusted first. Source: El-Yaniv and Wiener, JMLR 11 (2010) 1605-1641."""
    trust, right = columns_of(score, correct)
    n = len(trust)
    accepted = np.arange(1, n + 1)
    return RiskCoverage(accepted / n, _cumulative(-trust, 1 - right)[1:] / accepted)


def ibc(cheap: tuple[float, float], strong: tuple[float, float], cascade: tuple[float, float]) -> Ibc:
    """Return the incremental benefit per cost, from (accuracy, USD) of each arm on the same items, USD in total or an item throughout.

    IBC = (accuracy - accuracy_cheap) / (USD - USD_cheap); lift = (IBC_cascade - IBC_strong) / IBC_strong. NaN where an arm costs no more than
    cheap, and as lift where strong is no better than cheap. Source: AutoMix, Aggarwal et al., NeurIPS 2024.
    """

    def slope(arm: tuple[float, float]) -> float:
        extra = arm[1] - cheap[1]
        return (arm[0] - cheap[0]) / extra if extra > 0 else math.nan

    own, base = slope(cascade), slope(strong)
    return Ibc(own, base, (own - base) / base if base > 0 else math.nan)


def pareto(costs: ArrayLike, qualities: ArrayLike) -> NDArray[np.bool_]:
    """Return which points no other point beats: none is as good for less, or better for as much. Of equal points all stay."""
    usd, quality = columns_of(costs, qualities)
    order = np.lexsort((-quality, usd))
    best = np.maximum.accumulate(quality[order])
    first = np.concatenate([[True], best[1:] > best[:-1]])
    chosen = {(float(usd[index]), float(quality[index])) for index in order[first]}
    return np.array([point in chosen for point in zip(usd.tolist(), quality.tolist(), strict=True)])


def envelope(costs: ArrayLike, qualities: ArrayLike) -> tuple[Array, Array]:
    """Return costs and qualities of the corners of the non-decreasing concave hull, cheapest first.

    Every point on the lines between the corners can be had by sending items to the two corners at random.
    Source: RouterBench, Hu et al., 2024, section 3 (there: non-decreasing convex hull).
    """
    usd, quality = columns_of(costs, qualities)
    keep = pareto(usd, quality)
    points = sorted(set(zip(usd[keep].tolist(), quality[keep].tolist(), strict=True)))
    hull: list[tuple[float, float]] = []
    for x, y in points:
        # a corner below or on the line from the one before it to the new point is none
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) <= (y - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append((x, y))
    corners = np.array(hull)
    return corners[:, 0], corners[:, 1]


def aiq(costs: ArrayLike, qualities: ArrayLike, low: float | None = None, high: float | None = None) -> float:
    """Return the average improvement in quality: the mean height of `envelope` over costs from `low` to `high` (default: those of the points).

    To compare routers give all of them the same bounds. Above the dearest corner quality stays; below the cheapest one, items go unanswered at
    random, on the line to cost 0 and quality 0. AIQ = integral of the envelope / (high - low). Source: RouterBench, Hu et al., 2024, section 3.
    """
    usd, quality = envelope(costs, qualities)
    start, end = float(np.min(np.asarray(costs, dtype=float))) if low is None else low, float(np.max(np.asarray(costs, dtype=float))) if high is None else high
    if not 0 <= start <= end:
        raise ValueError(f"costs from {start} to {end} are no range of costs")
    if usd[0] > 0:
        usd, quality = np.concatenate([[0.0], usd]), np.concatenate([[0.0], quality])
    if start == end:
        return float(np.interp(start, usd, quality))
    knots = np.unique(np.concatenate([[start, end], usd[(usd > start) & (usd < end)]]))
    return float(np.trapezoid(np.interp(knots, usd, quality), knots) / (end - start))


def quadrants(cheap_right: ArrayLike, cascade_right: ArrayLike) -> Quadrants:
    """Return how many items the cascade rescued, lost, left right (safe) and left wrong (hard), against the cheap model alone."""
    before, after = _flags(cheap_right, cascade_right)
    return Quadrants(*(int(cell.sum()) for cell in (before & after, ~before & after, before & ~after, ~before & ~after)))


def escalations(escalated: ArrayLike, cheap_right: ArrayLike, strong_right: ArrayLike) -> Escalations:
    """Return which strong calls paid and which wrong answers stayed, from both models' outcomes on all items."""
    sent, cheap, strong = _flags(escalated, cheap_right, strong_right)
    cells = (
        sent & ~cheap & strong, sent & cheap & strong, sent & cheap & ~strong, sent & ~cheap & ~strong,
        ~sent & ~cheap & strong, ~sent & cheap, ~sent & ~cheap & ~strong,
    )  # fmt: skip
    return Escalations(*(int(cell.sum()) for cell in cells))


def catastrophic_accepts(
    escalated: ArrayLike, gold_priority: Sequence[str | None], priority: Sequence[str | None], gold_needs_human: ArrayLike, review_required: ArrayLike
) -> NDArray[np.bool_]:
    """Return which items were kept by the cheap model although it missed the stakes: shape (n,).

    That is: not escalated, and either P0 or P1 in the labels and neither in the answer, or a person needed and no tier saying so.
    """
    sent, due, flagged = _flags(escalated, gold_needs_human, review_required)
    urgent, called = _urgent(gold_priority), _urgent(priority)
    _flags(sent, urgent, called)
    return ~sent & ((urgent & ~called) | (due & ~flagged))


def urgent_recall(gold_priority: Sequence[str | None], priority: Sequence[str | None]) -> float:
    """Return the share of items labelled P0 or P1 whose answer says P0 or P1; an item without an answer counts as missed, NaN without any due."""
    return recall(_urgent(gold_priority), _urgent(priority))


def gap_recovered(cheap_right: ArrayLike, strong_right: ArrayLike, cascade_right: ArrayLike) -> float:
    """Return the performance gap recovered by a cascade, from the outcomes of three arms on the same items (see `metrics.performance_gap_recovered`)."""
    cheap, strong, cascade = (float(column.mean()) for column in columns_of(cheap_right, strong_right, cascade_right))
    return performance_gap_recovered(cheap, strong, cascade)


def _cumulative(order_by: Array, values: Array) -> Array:
    """Return the expected sum of the values of the k items of lowest `order_by`, k = 0..n, equal ones in random order."""
    order = np.argsort(order_by, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(values[order])])
    ranked = order_by[order]
    last = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]])) + 1
    knots = np.concatenate([[0], last])
    # within a group of equals the expectation is a straight line
    return np.asarray(np.interp(np.arange(len(values) + 1), knots, sums[knots]), dtype=float)


def _urgent(priorities: Sequence[str | None]) -> NDArray[np.bool_]:
    return np.array([priority in URGENT for priority in priorities], dtype=bool)


def _flags(*columns: ArrayLike) -> tuple[NDArray[np.bool_], ...]:
    return tuple(array.astype(bool) for array in columns_of(*columns))
