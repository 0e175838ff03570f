"""What an arm is worth beyond its accuracy, each figure with an interval that resamples whole scenario families."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workshop_lib.evaluation.baselines import Baseline
from workshop_lib.evaluation.labels import URGENT
from workshop_lib.evaluation.uncertainty import resampled_totals


def family_intervals(arms: Mapping[str, pd.DataFrame | Baseline], draws: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Return one row an arm, baselines without rows left out, with 95 % percentile intervals from resampling families.

    Columns: arm, n, families; accuracy, joint (shares), priority (share; NaN for questions), urgent_recall (of the items whose label is P0 or P1, the share that the final answer
    calls P0 or P1; NaN if there is none), human_recall, cost_per_1000 (USD); each followed by its bounds `<name>_low` and `<name>_high`. Every arm sees
    the same draws. Source: cluster bootstrap, Cameron, Gelbach and Miller, REStat 90 (2008).
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    rows = []
    for name, arm in arms.items():
        if isinstance(arm, Baseline):
            continue
        ratios = _ratios(arm)
        above, below = (np.array([pair[side] for pair in ratios.values()]) for side in (0, 1))
        drawn = resampled_totals([*above, *below], arm["family"], draws=draws, seed=seed)
        lows, highs = _bounds(drawn[:, : len(above)], drawn[:, len(above) :])
        row: dict[str, Any] = {"arm": name, "n": len(arm), "families": int(arm["family"].astype(str).nunique())}
        for column, top, bottom, low, high in zip(ratios, above.sum(axis=1), below.sum(axis=1), lows, highs, strict=True):
            row |= {column: float(top / bottom) if bottom else math.nan, f"{column}_low": float(low), f"{column}_high": float(high)}
        rows.append(row)
    return pd.DataFrame(rows)


def _ratios(arm: pd.DataFrame) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return each figure as a numerator and a denominator an item, so that it is a ratio of sums in every draw."""
    one, urgent, seen, human, flagged, priority = (_column(np.full(len(arm), value)) for value in (1, 0, 0, 0, 0, 0))
    if "gold_priority" in arm:
        urgent = _column(arm["gold_priority"].isin(URGENT))
        seen = urgent * _column(arm["priority"].isin(URGENT))
        human = _column(arm["gold_needs_human"])
        flagged = human * _column(arm["review_required"])
        priority = _column(arm["priority"] == arm["gold_priority"])
    return {
        "accuracy": (_column(arm["correct"]), one),
        "joint": (_column(arm["joint"]), one),
        "priority": (priority, one if "gold_priority" in arm else 0 * one),
        "urgent_recall": (seen, urgent),
        "human_recall": (flagged, human),
        "cost_per_1000": (1000 * _column(arm["cost_usd"]), one),
    }


def _column(values: "pd.Series[Any] | NDArray[Any]") -> NDArray[np.float64]:
    return np.asarray(values, dtype=float)


def _bounds(above: NDArray[np.float64], below: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds of each ratio over the draws, a row each; a draw without such an item says nothing about it."""
    figures = np.divide(above, below, out=np.full_like(below, math.nan), where=below > 0)
    bounds = np.full((2, figures.shape[1]), math.nan)
    for column in range(figures.shape[1]):
        known = figures[~np.isnan(figures[:, column]), column]
        if known.size:
            bounds[:, column] = np.percentile(known, [2.5, 97.5])
    return bounds[0], bounds[1]
