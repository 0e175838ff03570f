"""The window that counts as normal: its bins are fixed once, so that later windows are counted in the same ones."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from workshop_lib.evaluation.monitoring.drift import BANDS, Drift, drift

NEW = "(new)"
NO_ANSWER = "(no answer)"
MIX, CONFIDENCE, ESCALATION, OVERRIDE = "category mix", "confidence", "escalation rate", "override rate"
Bins = Mapping[str, tuple[str, ...]]
Counts = dict[str, list[int]]


@dataclass(frozen=True)
class Reference:
    """A reference window: the bins of each signal, fixed, and how many items fell into each.

    `cuts` are the upper bounds of the confidence bins but the last. Signals: category mix (of final answers; left out for items without a category),
    confidence (of the first tier) and escalation rate.
    """

    bins: Bins
    counts: Mapping[str, tuple[int, ...]]
    cuts: tuple[float, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, bins: int = 10) -> "Reference":
        """Return the reference of an arm's frame (columns confidence, escalated and, if there, category), its confidences in up to `bins` equal parts."""
        if frame.empty:
            raise ValueError("a reference window needs at least one item")
        if bins < 2:
            raise ValueError(f"bins must be at least 2, got {bins}")
        cuts = _cuts(frame["confidence"].to_numpy(float), bins)
        names: dict[str, tuple[str, ...]] = {}
        if "category" in frame:
            seen = sorted({_category(value) for value in frame["category"]} - {NO_ANSWER})
            names[MIX] = (*seen, NO_ANSWER, NEW)
        edges = [f"{cut:.4g}" for cut in cuts]
        inner = (low if low == high else f"{low} to {high}" for low, high in pairwise(edges))
        names[CONFIDENCE] = (f"up to {edges[0]}", *inner, f"above {edges[-1]}")
        names[ESCALATION] = ("kept", "escalated")
        empty = cls(names, {}, cuts)
        counts = empty.count(frame)
        return cls(names, {signal: tuple(row) for signal, row in counts.items()}, cuts)

    @property
    def n(self) -> int:
        """Return how many items the window held."""
        return sum(self.counts[ESCALATION])

    def zeros(self) -> Counts:
        """Return empty counts in the bins of this reference."""
        return {signal: [0] * len(names) for signal, names in self.bins.items()}

    def add(self, counts: Counts, category: object, confidence: float, escalated: bool) -> None:
        """Count one item."""
        if MIX in counts:
            names, name = self.bins[MIX], _category(category)
            counts[MIX][names.index(name) if name in names else len(names) - 1] += 1
        counts[CONFIDENCE][bisect_left(self.cuts, confidence)] += 1
        counts[ESCALATION][int(escalated)] += 1

    def count(self, frame: pd.DataFrame) -> Counts:
        """Return the counts of a frame's items in the bins of this reference."""
        counts = self.zeros()
        categories: Iterable[object] = frame["category"] if "category" in frame else [None] * len(frame)
        for category, confidence, escalated in zip(categories, frame["confidence"], frame["escalated"], strict=True):
            self.add(counts, category, float(confidence), bool(escalated))
        return counts

    def drifts(self, counts: Counts, alpha: float = 0.01, band: float = BANDS[0]) -> list[Drift]:
        """Return the drift of every signal; `alpha` is the chance that stationary items raise an alarm in any of them (shared out equally)."""
        each = alpha / len(self.bins)
        return [drift(signal, self.bins[signal], self.counts[signal], counts[signal], each, band) for signal in self.bins]


def monitor_table(frame_reference: pd.DataFrame, frame_current: pd.DataFrame, bins: int = 10, alpha: float = 0.01, band: float = BANDS[0]) -> pd.DataFrame:
    """Return one row a signal: the index with its interval, what it must exceed, and the bin that moved most with its shares.

    Columns signal, n, psi, low, high, alarm_above, alarm, moved_most, before, after. A column `overridden` in both frames (True where a person changed the
    answer; missing where nobody looked) adds the override rate.
    """
    reference = Reference.of(frame_reference, bins)
    found = reference.drifts(reference.count(frame_current), alpha, band)
    if "overridden" in frame_reference and "overridden" in frame_current:
        looked = [frame["overridden"].dropna().astype(bool) for frame in (frame_reference, frame_current)]
        before, after = ([int((~values).sum()), int(values.sum())] for values in looked)
        found.append(drift(OVERRIDE, ("let stand", "overridden"), before, after, alpha / len(reference.bins), band))
    return pd.DataFrame(
        [
            {"signal": one.signal, "n": one.n, "psi": one.psi, "low": one.interval.low, "high": one.interval.high, "alarm_above": one.threshold}
            | {"alarm": one.alarm, "moved_most": one.moved, "before": one.before, "after": one.after}
            for one in found
        ]
    )


def _category(value: object) -> str:
    return value if isinstance(value, str) else NO_ANSWER


def _cuts(confidence: np.ndarray, bins: int) -> tuple[float, ...]:
    values = np.unique(confidence)
    if len(values) == 1:  # one stated confidence: what can drift is to be below or above it
        only = float(values[0])
        return (float(np.nextafter(only, -np.inf)), only)
    if len(values) <= bins:
        return tuple(float(cut) for cut in (values[:-1] + values[1:]) / 2)
    cuts = np.unique(np.quantile(confidence, np.arange(1, bins) / bins, method="inverted_cdf"))
    return tuple(float(cut) for cut in cuts if cut < values[-1]) or (float(values[-2]),)
