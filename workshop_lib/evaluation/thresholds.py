"""Thresholds with a reason: one that holds the error of what is accepted under a bound, and one that costs least.

An answer is accepted when its confidence is at least the threshold, as the confidence gate does it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workshop_lib.evaluation.arms import composed
from workshop_lib.evaluation.calibration import refuse_test
from workshop_lib.evaluation.intervals import Interval, clopper_pearson_upper
from workshop_lib.evaluation.labels import URGENT
from workshop_lib.evaluation.sweeps import columns_of, sweep
from workshop_lib.evaluation.uncertainty import family_codes, picked_families

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

GRID: tuple[float, ...] = tuple(step / 100 for step in range(100, -1, -1))
"""The thresholds tried unless others are given, from strict to lax; models state confidence in hundredths."""


@dataclass(frozen=True)
class Guarantee:
    """The most permissive threshold whose accepted answers are wrong in at most `epsilon` of cases, with probability 1 - delta; None if none is shown.

    `accepted` of `n` answers pass it, `errors` of them wrong, and `bound` is the upper bound of their error. `needed` is how many accepted
    answers it takes even without a single error; `most` how many any threshold of the grid accepts; `first` the threshold that testing began with.
    """

    threshold: float | None
    accepted: int
    errors: int
    bound: float
    n: int
    epsilon: float
    delta: float
    needed: int
    most: int
    first: float
    families: int | None = None

    @property
    def coverage(self) -> float:
        """Return the share of answers accepted."""
        return self.accepted / self.n if self.n else 0.0

    @property
    def sentence(self) -> str:
        """Return what is shown, or why nothing is, in plain words."""
        goal = f"an error of at most {self.epsilon:g} with probability {1 - self.delta:g}"
        if self.threshold is not None:
            said = (
                f"Accept from confidence {self.threshold:g}: {self.accepted} of {self.n} answers ({self.coverage:.1%}), {self.errors} of them wrong, "
                f"error at most {self.bound:.4f}; that is {goal}."
            )
        elif self.most < self.needed:
            said = f"Too few labels: {goal} takes {self.needed} accepted answers even without a single error, and there are {self.most}."
        else:
            said = f"No threshold is shown to hold {goal}: testing began at {self.first:g}, which already fails."
        if self.families is not None and self.families < self.n:
            said += f" The bound takes answers as independent; these {self.n} come from {self.families} families, so it is optimistic."
        return said


@dataclass(frozen=True)
class CostCurve:
    """Expected USD an item for each threshold, lowest first; all arrays have one entry a threshold, the last of which sends everything on."""

    threshold: Array
    escalation_rate: Array
    usd: Array


@dataclass(frozen=True)
class CostAware:
    """The threshold of least expected USD an item (calls, errors and missed stakes less the value of right answers), and how sure the choice is.

    `interval` holds the middle 95 % of the choices over resampled families; `keep_usd` and `escalate_usd` are what always keeping and always
    escalating come to.
    """

    threshold: float
    usd: float
    escalation_rate: float
    interval: Interval
    keep_usd: float
    escalate_usd: float
    curve: CostCurve
    families: int

    @property
    def sentence(self) -> str:
        """Return the choice in plain words, and whether the calibration split settles it."""
        low, high = self.interval
        return (
            f"Escalate below {self.threshold:g}: {self.usd:.6f} USD an item at {self.escalation_rate:.1%} escalated, against {self.keep_usd:.6f} always keeping and "
            f"{self.escalate_usd:.6f} always escalating. Resampling {self.families} families puts the choice between {low:g} and {high:g}."
        )


def labels_needed(epsilon: float, delta: float) -> int:
    """Return how many accepted answers it takes, without a single error, to show an error of at most epsilon: the least m with (1 - epsilon)^m <= delta."""
    _levels(epsilon, delta)
    m = math.ceil(math.log(delta) / math.log1p(-epsilon))
    # the quotient of logarithms may land a hair beside a whole number
    return m - 1 if m > 1 and (1 - epsilon) ** (m - 1) <= delta else m


def guaranteed_threshold(
    confidence: ArrayLike, correct: ArrayLike, *, epsilon: float, delta: float = 0.1, grid: Sequence[float] = GRID, start: float | None = None,
    families: Iterable[Any] | None = None,
) -> Guarantee:  # fmt: skip
    """Return the most permissive threshold that keeps the error of accepted answers at most `epsilon` with probability at least 1 - `delta`.

    The thresholds of `grid` are tested from strict to lax, each at level delta, until the first that fails; the last that passed is chosen. A
    threshold passes if the exact upper bound of its error is at most epsilon. Testing in an order fixed beforehand needs no correction for
    many tests, and equal confidences do no harm. `grid` must be fixed before the labels are seen. So must `start`, the threshold to begin with (for
    instance one that enough unlabelled traffic reaches): then the guarantee is exact for any model. Without it testing begins at the strictest
    threshold that `labels_needed` answers reach, which looks at how many are accepted and not at who is right; that is exact if a stricter
    threshold never has the higher true error. It holds for new items like these, drawn independently; near-duplicates weaken it: pass
    `families` to have it said. Raises ValueError for a grid that is not decreasing or a `start` that is not on it.
    Source: Angelopoulos et al., Learn then Test, 2021 (fixed sequence testing); Geifman and El-Yaniv, NIPS 2017, for the bound.
    """
    _levels(epsilon, delta)
    stated, right = _graded(confidence, correct)
    thresholds = np.asarray(grid, dtype=float)
    if thresholds.ndim != 1 or len(thresholds) == 0 or (np.diff(thresholds) >= 0).any():
        raise ValueError("the grid must hold thresholds from strict to lax, each below the one before")
    accepted, errors = accepted_and_errors(stated, right, thresholds)
    needed = labels_needed(epsilon, delta)
    if start is not None and start not in grid:
        raise ValueError(f"start {start} is not on the grid of thresholds")
    begin = int(np.argmax(accepted >= needed)) if start is None else list(grid).index(start)
    chosen, bounds = certified(accepted[begin:], errors[begin:], epsilon, delta)
    count = None if families is None else family_codes(families, len(stated))[1]
    most, first = int(accepted.max()), float(thresholds[begin])
    if chosen < 0:
        return Guarantee(None, 0, 0, math.nan, len(stated), epsilon, delta, needed, most, first, count)
    # of passed thresholds that accept the same answers the strictest: nothing was seen in the gap below it
    at = begin + int(np.argmax(accepted[begin:] == accepted[begin + chosen]))
    return Guarantee(float(thresholds[at]), int(accepted[at]), int(errors[at]), float(bounds[at - begin]), len(stated), epsilon, delta, needed, most, first, count)


def accepted_and_errors(confidence: Array, correct: NDArray[np.bool_], thresholds: Array) -> tuple[Counts, Counts]:
    """Return how many answers each threshold accepts and how many of those are wrong, from one pass over the sorted confidences."""
    order = np.argsort(confidence, kind="stable")
    ranked = confidence[order]
    wrong_from = np.concatenate([np.cumsum(~correct[order][::-1])[::-1], [0]])
    first = np.searchsorted(ranked, thresholds, side="left")
    return np.asarray(len(ranked) - first, dtype=np.int64), np.asarray(wrong_from[first], dtype=np.int64)


def certified(accepted: Counts, errors: Counts, epsilon: float, delta: float) -> tuple[int, Array]:
    """Return the index of the last threshold before the first that fails (-1: the first one fails), and the upper bounds of all.

    `accepted` and `errors` are counts by threshold, strict to lax.
    """
    bounds = clopper_pearson_upper(errors, accepted, delta)
    failed = np.flatnonzero(bounds > epsilon)
    return (int(failed[0]) if len(failed) else len(bounds)) - 1, bounds


def empirical_threshold(confidence: ArrayLike, correct: ArrayLike, *, epsilon: float, grid: Sequence[float] = GRID) -> float | None:
    """Return the lowest threshold whose accepted answers were wrong in at most epsilon of cases in this very sample: the rule without a guarantee.

    It is what is often done, and it picks luck: of many thresholds the lucky ones pass. Here to be compared with, not to be used.
    """
    _levels(epsilon, 0.5)
    stated, right = _graded(confidence, correct)
    thresholds = np.asarray(grid, dtype=float)
    accepted, errors = accepted_and_errors(stated, right, thresholds)
    passing = thresholds[(accepted > 0) & (errors <= epsilon * accepted)]
    return float(passing.min()) if len(passing) else None


def cost_curve(confidence: ArrayLike, kept_usd: ArrayLike, escalated_usd: ArrayLike, thresholds: Sequence[float] | None = None) -> CostCurve:
    """Return expected USD an item against the threshold, from what each item comes to if it is kept and if it escalates.

    One pass over the sorted confidences; which thresholds it takes by itself stands at `sweeps.thresholds_of`.
    """
    found = sweep(confidence, [kept_usd], [escalated_usd], thresholds)
    return CostCurve(found.threshold, found.escalated / found.n, found.totals[:, 0] / found.n)


def cheapest_threshold(
    confidence: ArrayLike, kept_usd: ArrayLike, escalated_usd: ArrayLike, families: Iterable[Any] | None = None, *, draws: int = 2000, seed: int = 0
) -> CostAware:
    """Return the threshold of least expected USD with a bootstrap interval of the choice itself; of equally cheap ones the lowest.

    Time grows with items, and with families times draws. A wide interval says that the split does not settle where the threshold should stand.
    """
    stated, kept, raised = columns_of(confidence, kept_usd, escalated_usd)
    curve = cost_curve(stated, kept, raised)
    codes, groups = family_codes(families, len(stated))
    # by family, what escalating everything below each threshold adds; keeping is the same for all thresholds and drops out of the choice
    level_of = np.searchsorted(curve.threshold, stated, side="right")
    width = len(curve.threshold) + 1
    added = np.bincount(codes * width + level_of, weights=raised - kept, minlength=groups * width).reshape(groups, width)
    below = np.cumsum(added, axis=1)[:, :-1]
    choices = [_lowest(picked.astype(float) @ below) for picked in picked_families(groups, draws, seed, width)]
    low, high = np.percentile(curve.threshold[np.concatenate(choices)], [2.5, 97.5], method="nearest")
    best = int(_lowest(curve.usd[None, :])[0])
    return CostAware(
        float(curve.threshold[best]), float(curve.usd[best]), float(curve.escalation_rate[best]), Interval(float(low), float(high)),
        float(kept.mean()), float(raised.mean()), curve, groups,
    )  # fmt: skip


def cost_aware_threshold(
    cheap: pd.DataFrame, strong: pd.DataFrame, *, split: str, wrong_usd: float, right_usd: float = 0.0, missed_usd: float = 0.0,
    missed_priorities: Sequence[str] = ("P0",), draws: int = 2000, seed: int = 0,
) -> CostAware:  # fmt: skip
    """Return the cheapest threshold for two single-model arms on the same items (frames of `arms.frame`).

    An item comes to the USD of the calls it took, plus `wrong_usd` if its answer is wrong, less `right_usd` if it is right, plus `missed_usd` if
    it is labelled with one of `missed_priorities`, the answer says neither P0 nor P1 and no tier asked for a person. Both models are
    charged where an item escalates; an invalid cheap answer always escalates. `split` is where the items come from; "test" is refused.
    """
    refuse_test(split, "A threshold")
    prices = {"wrong_usd": wrong_usd, "right_usd": right_usd, "missed_usd": missed_usd}
    for name, usd in prices.items():
        if not (usd >= 0 and math.isfinite(usd)):
            raise ValueError(f"{name} is an amount in USD of 0 or more, got {usd}")
    everything = composed(cheap, strong, np.ones(len(cheap), dtype=bool))

    def usd_of(arm: pd.DataFrame) -> Array:
        right = arm["correct"].to_numpy(bool)
        total = arm["cost_usd"].to_numpy(float) + np.where(right, -right_usd, wrong_usd)
        if missed_usd and "gold_priority" in arm:
            due = arm["gold_priority"].isin(list(missed_priorities)).to_numpy(bool)
            seen = arm["priority"].isin(list(URGENT)).to_numpy(bool) | arm["review_required"].to_numpy(bool)
            total = total + missed_usd * (due & ~seen)
        return total

    raised = usd_of(everything)
    kept = np.where((cheap["outcome"] == "invalid").to_numpy(bool), raised, usd_of(cheap))
    return cheapest_threshold(cheap["confidence"].to_numpy(float), kept, raised, cheap["family"].tolist(), draws=draws, seed=seed)


def _lowest(totals: Array) -> NDArray[np.intp]:
    # of thresholds that come to the same up to rounding, the lowest: the fewest strong calls
    rounding = 1e-12 * np.abs(totals).max(axis=1, keepdims=True)
    return np.asarray(np.argmax(totals <= totals.min(axis=1, keepdims=True) + rounding, axis=1))


def _levels(epsilon: float, delta: float) -> None:
    for name, value in (("epsilon", epsilon), ("delta", delta)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")


def _graded(confidence: ArrayLike, correct: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    stated, right = columns_of(confidence, np.asarray(correct, dtype=float))
    return stated, right.astype(bool)
