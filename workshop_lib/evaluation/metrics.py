"""The numbers a comparison rests on: shares with intervals, calibration, ranking, latency percentiles and paired tests.

Every function takes plain sequences, numpy arrays or pandas columns, one entry an item.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workshop_lib.evaluation.intervals import Interval, wilson
from workshop_lib.evaluation.uncertainty import bootstrap_paired

__all__ = [
    "Interval", "ReliabilityRow", "agreement", "auroc", "bootstrap_difference", "brier", "ece", "mcnemar_exact", "mcnemar_from_totals",
    "percentile_nearest_rank", "performance_gap_recovered", "recall", "reliability", "wilson",
]  # fmt: skip


@dataclass(frozen=True)
class ReliabilityRow:
    """One bin of a reliability table: items whose confidence lies in (low, high], and how many of them were right."""

    low: float
    high: float
    n: int
    mean_confidence: float
    accuracy: float
    interval: Interval


def agreement(first: Iterable[Any], second: Iterable[Any]) -> float:
    """Return the share of positions where two sequences hold the same value; a missing value (None, NaN) agrees with nothing."""
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        raise ValueError("agreement needs at least one pair")
    return sum(1 for a, b in pairs if a is not None and bool(a == b)) / len(pairs)


def percentile_nearest_rank(values: Sequence[float] | NDArray[Any], q: float) -> float:
    """Return the q-th percentile (0 < q <= 100) by nearest rank: the ceil(q/100 n)-th smallest value, always one that was observed."""
    if not 0 < q <= 100:
        raise ValueError(f"q must lie in (0, 100], got {q}")
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered.size == 0:
        raise ValueError("a percentile needs at least one value")
    # q * n before dividing: 0.95 * 20 is 19.000000000000004 when 95 is divided first
    return float(ordered[math.ceil(q * ordered.size / 100) - 1])


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> list[ReliabilityRow]:
    """Return one row for each of `bins` equally wide bins that holds an item, lowest confidence first.

    Bin m holds confidences in ((m-1)/bins, m/bins], the first one 0 as well. `interval` is the Wilson interval of the accuracy.
    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """
    claimed, right = _claims(confidence, correct)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    bin_of = np.searchsorted(np.arange(1, bins) / bins, claimed, side="left")
    rows = []
    for index in np.unique(bin_of):
        inside = bin_of == index
        n, k = int(inside.sum()), int(right[inside].sum())
        mean = float(claimed[inside].mean())
        rows.append(ReliabilityRow(float(index / bins), float((index + 1) / bins), n, mean, k / n, wilson(k, n)))
    return rows


def ece(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error: sum over bins of n_bin/n |accuracy - mean confidence|, from 0 (calibrated) to 1.

    It does not say in which direction; compare mean confidence with accuracy for that. Source: Guo et al., ICML 2017, equation 3.
    """
    rows = reliability(confidence, correct, bins)
    total = sum(row.n for row in rows)
    return min(1.0, sum(row.n * abs(row.accuracy - row.mean_confidence) for row in rows) / total)


def brier(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the Brier score, mean (confidence - correct)^2: 0 is perfect, always saying 0.5 scores 0.25.

    Source: G. W. Brier, Monthly Weather Review 78 (1950) 1-3, in the two-class form.
    """
    claimed, right = _claims(confidence, correct)
    return float(np.mean((claimed - right) ** 2))


def auroc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the chance that a right answer has a higher confidence than a wrong one (ties count half); NaN if all are right or all wrong.

    0.5 means that the confidence does not rank errors last at all. Source: Fawcett, Pattern Recognition Letters 27 (2006) 861-874.
    """
    from sklearn.metrics import roc_auc_score  # takes a second to import, which the other metrics need not wait for

    claims, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool)
    _same_length(claims, right)
    if right.all() or not right.any():
        return math.nan
    return float(roc_auc_score(right, claims))


def recall(flag_true: ArrayLike, flag_pred: ArrayLike) -> float:
    """Return the share of items whose flag should be raised that have it raised; NaN if there is no such item."""
    true, predicted = np.asarray(flag_true, dtype=bool), np.asarray(flag_pred, dtype=bool)
    _same_length(true, predicted)
    return float(predicted[true].mean()) if true.any() else math.nan


def performance_gap_recovered(cheap: float, strong: float, cascade: float) -> float:
    """Return (cascade - cheap) / (strong - cheap): 0 is no better than cheap, 1 as good as strong, negative worse than cheap.

    NaN unless strong is better than cheap: there is no gap to recover. The arguments are accuracies or counts on the same items.
    Source: RouteLLM, Ong et al., ICLR 2025.
    """
    return (cascade - cheap) / (strong - cheap) if strong > cheap else math.nan


def mcnemar_exact(b: int, c: int) -> float:
    """Return the two-sided exact p value that two arms are equally good, given the items only one of them got right.

    `b` items only the first arm got right, `c` only the second: p = min(1, 2 P[Binomial(b + c, 1/2) <= min(b, c)]).
    Source: McNemar, Psychometrika 12 (1947) 153-157, in the exact binomial form.
    """
    if b < 0 or c < 0:
        raise ValueError(f"b and c are counts, got b={b}, c={c}")
    n = b + c
    term, tail = 1, 0
    for i in range(min(b, c) + 1):
        tail += term
        term = term * (n - i) // (i + 1)
    return min(1.0, 2 * tail / (1 << n))  # integers throughout: exact until the one division


def mcnemar_from_totals(k_first: int, k_second: int, n: int) -> Interval:
    """Return the lowest and highest p of `mcnemar_exact` that two totals on the same n items allow, when which items is not known.

    A published table gives 28 and 25 of 30 right and no pairing: whatever the pairing, p lies within these bounds (0.25 to 0.45).
    """
    if not (0 <= k_first <= n and 0 <= k_second <= n):
        raise ValueError(f"both counts must lie between 0 and n, got {k_first} and {k_second} of {n}")
    # how many items both got right decides everything: from what must overlap to all the weaker arm has
    overlaps = range(max(0, k_first + k_second - n), min(k_first, k_second) + 1)
    p_values = [mcnemar_exact(k_first - both, k_second - both) for both in overlaps]
    return Interval(min(p_values), max(p_values))


def bootstrap_difference(a: ArrayLike, b: ArrayLike, families: Iterable[Any], draws: int = 2000, seed: int = 0) -> Interval:
    """Return the 95 % percentile interval of mean(a) - mean(b) on the same items, resampling whole families with replacement.

    Items of one family are near-duplicates, so resampling single items would make the interval too narrow.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Cameron, Gelbach and Miller, REStat 90 (2008), for clusters.
    """
    return bootstrap_paired(a, b, families, draws=draws, seed=seed).interval


def _claims(confidence: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    claimed, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool).astype(float)
    _same_length(claimed, right)
    if claimed.size == 0:
        raise ValueError("calibration needs at least one item")
    if not ((claimed >= 0) & (claimed <= 1)).all():
        raise ValueError("confidence must lie between 0 and 1; a scale from 1 to 5 has to be mapped to it first, for example (c - 1) / 4")
    return claimed, right


def _same_length(first: NDArray[Any], second: NDArray[Any]) -> None:
    if first.shape != second.shape:
        raise ValueError(f"two columns of different shape: {first.shape} and {second.shape}")
