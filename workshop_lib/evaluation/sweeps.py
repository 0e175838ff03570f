"""Every threshold at once: what sums over items come to when all answers below a threshold escalate, from one pass over the sorted confidences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_THRESHOLDS = 256


@dataclass(frozen=True)
class Sweep:
    """One entry a threshold, lowest first: how many items escalate (shape (m,)) and the totals of k columns over all n items (shape (m, k))."""

    threshold: NDArray[np.float64]
    escalated: NDArray[np.int64]
    totals: NDArray[np.float64]
    n: int


def sweep(confidence: ArrayLike, kept: Sequence[ArrayLike], escalated: Sequence[ArrayLike], thresholds: Sequence[float] | None = None) -> Sweep:
    """Return the totals of columns for each threshold, from each item's values if it is kept and if it escalates (confidence below the threshold).

    `kept` and `escalated` are k columns each in the same order, such as right and USD. Without `thresholds` it takes `thresholds_of` the
    confidences. Sorting aside, the time grows linearly with items and thresholds.
    """
    stated, *columns = columns_of(confidence, *kept, *escalated)
    if len(kept) != len(escalated) or not kept:
        raise ValueError(f"as many columns for kept as for escalated items are expected, at least one, got {len(kept)} and {len(escalated)}")
    stay, go = np.stack(columns[: len(kept)], axis=1), np.stack(columns[len(kept) :], axis=1)
    levels = thresholds_of(stated) if thresholds is None else np.sort(np.asarray(thresholds, dtype=float))
    order = np.argsort(stated, kind="stable")
    below = np.searchsorted(stated[order], levels, side="left")
    extra = np.concatenate([np.zeros((1, len(kept))), np.cumsum((go - stay)[order], axis=0)])
    return Sweep(levels, np.asarray(below, dtype=np.int64), stay.sum(axis=0) + extra[below], len(stated))


def thresholds_of(confidence: ArrayLike) -> NDArray[np.float64]:
    """Return the thresholds that make a difference: each confidence that occurs (of more than 256, evenly ranked ones), and one above all."""
    occurring = np.unique(np.asarray(confidence, dtype=float))
    if len(occurring) > MOST_THRESHOLDS:
        occurring = occurring[np.linspace(0, len(occurring) - 1, MOST_THRESHOLDS).round().astype(int)]
    return np.append(occurring, occurring[-1] + 0.01)


def columns_of(*columns: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Return columns as arrays of numbers; raise ValueError unless all have one entry an item, at least one item, and no missing value."""
    arrays = tuple(np.asarray(column, dtype=float) for column in columns)
    if any(array.ndim != 1 or array.shape != arrays[0].shape for array in arrays) or len(arrays[0]) == 0:
        raise ValueError(f"columns of one entry an item are expected, all as long and at least one item, got shapes {', '.join(str(array.shape) for array in arrays)}")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("every value must be a number; an item without an answer is wrong (0) and has confidence 0, it is not missing")
    return arrays
