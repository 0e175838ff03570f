"""Whether a choice of items for the strong model beats a random choice that costs the same: for routers, for gates, and for whole arms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workshop_lib.evaluation.history import History
from workshop_lib.evaluation.intervals import Interval
from workshop_lib.evaluation.uncertainty import resampled_totals

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """Whether a choice of items for the strong model beats a random choice that costs the same: accuracies, their difference, 95 % by family, in words."""

    n: int
    share: float
    spend_usd: float
    accuracy: float
    random_share: float
    random_accuracy: float
    difference: float
    interval: Interval
    beats: bool
    sentence: str


def verdict(
    past: History, later: ArrayLike, *, router_usd: float = 0.0, cheap_first: bool = False, draws: int = 2000, seed: int = 0, name: str = "the router"
) -> Verdict:
    """Return whether sending the items where `later` is true to the strong model beats a random choice at equal spend, on items of the test split.

    A router's items pay one model only; with `cheap_first` (a gate) every item pays the cheap model, and those sent on the strong one too.
    `router_usd` is paid per item by the router and not by chance, which may spend it on more strong calls. With spend S, totals C and X of the
    cheap and of the strong calls, chance sends the share q = (S - C) / (X - C), for a gate (S - C) / X, and is right with a + q (b - a), a and b
    the two models' accuracies. The interval resamples families; the router beats chance if all of it lies above 0.
    """
    chosen = np.asarray(later, dtype=bool)
    if chosen.shape != past.cheap_right.shape or not len(chosen):
        raise ValueError(f"`later` needs one value for each of the {len(past.texts)} items, at least one, got shape {chosen.shape}")
    spend = np.where(chosen, past.strong_usd + (past.cheap_usd if cheap_first else 0.0), past.cheap_usd) + router_usd
    right = np.where(chosen, past.strong_right, past.cheap_right)
    extra = past.strong_usd if cheap_first else past.strong_usd - past.cheap_usd
    columns = [right, past.cheap_right, past.strong_right, spend, past.cheap_usd, extra]
    return _verdict(columns, past.families, float(chosen.mean()), draws, seed, name)


def verdict_of_arm(
    arm: pd.DataFrame, cheap: pd.DataFrame, strong: pd.DataFrame, *, cheap_first: bool, draws: int = 2000, seed: int = 0, name: str = "the arm"
) -> Verdict:
    """Return the same for an arm of any number of tiers, gates and routers, against chance between its cheapest and its strongest model.

    The arms are frames of `arms.frame` on the same items. `cheap_first` says that chance pays the cheap model for every item, as a cascade without a
    router does. All that the arm was charged counts, judges and routers included; `share` is that of the items the strong model answered.
    Raises ValueError for other items, or if the strong model costs no more than the cheap one.
    """
    if not arm["item_id"].tolist() == cheap["item_id"].tolist() == strong["item_id"].tolist():
        raise ValueError("the three arms hold different items, or the same in another order")
    own, below, above = (frame["cost_usd"].to_numpy(float) for frame in (arm, cheap, strong))
    columns = [*(frame["correct"].to_numpy(float) for frame in (arm, cheap, strong)), own, below, above if cheap_first else above - below]
    last = strong["model_used"].dropna()
    share = float((arm["model_used"] == last.iloc[0]).mean()) if len(last) else 0.0
    return _verdict(columns, arm["family"].tolist(), share, draws, seed, name)


def _verdict(columns: Sequence[ArrayLike], families: Sequence[str], sent: float, draws: int, seed: int, name: str) -> Verdict:
    """Return the verdict from columns right, cheap right, strong right, spend, USD of the cheap calls, USD one more strong call adds."""
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    right, spend, extra = (np.asarray(columns[index], dtype=float) for index in (0, 3, 5))
    if extra.sum() <= 0:
        raise ValueError("the strong model costs no more than the cheap one on these items, so there is no spend to hold equal")
    n = len(right)
    table = [np.ones(n), *columns]
    share, chance, difference = (float(part[0]) for part in _against_chance(np.array([[np.sum(column) for column in table]], dtype=float)))
    low, high = np.percentile(_against_chance(resampled_totals(table, families, draws=draws, seed=seed))[2], [2.5, 97.5])
    accuracy, total, beats = float(right.mean()), float(spend.sum()), bool(low > 0)
    sentence = (
        f"On {n} items and {total:.6f} USD, {name} is right on {accuracy:.1%}; a random {share:.1%} sent to the strong model for the same money gives {chance:.1%}. "
        f"Difference {100 * difference:+z.1f} points (95 % by family {100 * low:+z.1f} to {100 * high:+z.1f}): {name} {'beats' if beats else 'does not beat'} chance."
    )
    return Verdict(n, sent, total, accuracy, share, chance, difference, Interval(float(low), float(high)), beats, sentence)


def _against_chance(sums: Column) -> tuple[Column, Column, Column]:
    """Return the share chance can afford, its accuracy, and the accuracy gained over it, for rows of sums over items."""
    n, right, cheap, strong, spend, cheap_usd, extra = sums.T
    share = np.clip((spend - cheap_usd) / np.where(extra > 0, extra, np.inf), 0.0, 1.0)
    chance = (cheap + share * (strong - cheap)) / n
    return share, chance, right / n - chance
