"""Baselines between two or more models: what chance would get, and what a perfect gate would get."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workshop_lib.evaluation.composing import chosen, kept_and_raised, may_escalate, staged
from workshop_lib.evaluation.metrics import Interval

_CELLS = 2_000_000  # draws times items held in memory at once


@dataclass(frozen=True)
class Baseline:
    """What escalating at random gives: expected values over all choices of the escalated items, and 95 % of the draws between the bounds."""

    n: int
    rate: float
    accuracy: float
    accuracy_interval: Interval
    joint: float
    cost_usd: float
    cost_interval: Interval
    cost_complete: bool
    p50_ms: float
    p95_ms: float
    human_recall: float
    source: str


def random_baseline(cheap: pd.DataFrame, strong: pd.DataFrame, rate: float, draws: int = 2000, seed: int = 0) -> Baseline:
    """Return what a cascade gains by escalating a random share `rate` of the items: any gate worth its name must beat it.

    Accuracy, joint (items) and cost_usd are exact expectations; intervals, latency percentiles and human recall come from the draws.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is a share between 0 and 1, got {rate}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    kept, raised = kept_and_raised(cheap, strong)
    open_to = np.flatnonzero(may_escalate(cheap))
    down = int(kept["escalated"].sum())  # these go on whatever is drawn
    count = min(max(0, round(rate * len(cheap)) - down), len(open_to))
    share = count / len(open_to) if len(open_to) else 0.0

    def expected(column: str) -> float:
        gain = raised[column].to_numpy(float)[open_to] - kept[column].to_numpy(float)[open_to]
        return float(kept[column].to_numpy(float).sum() + share * gain.sum())

    accuracy, cost, p50s, p95s, recalls = _drawn(kept, raised, open_to, count, draws, seed)
    return Baseline(
        n=len(cheap), rate=(count + down) / len(cheap), accuracy=expected("correct") / len(cheap), accuracy_interval=_middle(accuracy), joint=expected("joint"),
        cost_usd=expected("cost_usd"), cost_interval=_middle(cost), cost_complete=bool((cheap["cost_complete"] & strong["cost_complete"]).all()),
        p50_ms=float(np.median(p50s)), p95_ms=float(np.median(p95s)), human_recall=float(recalls.mean()), source=sources(cheap, strong),
    )  # fmt: skip


def _drawn(
    kept: pd.DataFrame, raised: pd.DataFrame, open_to: NDArray[np.int_], count: int, draws: int, seed: int
) -> tuple[NDArray[np.float64], ...]:
    """Return accuracy, cost, p50, p95 and human recall of each draw of `count` items, drawn one after the other and computed in blocks."""
    columns = {name: (kept[name].to_numpy(float), raised[name].to_numpy(float)) for name in ("correct", "cost_usd", "latency_ms", "review_required")}
    gold, n = gold_human(kept), len(kept)
    ranks = [math.ceil(q * n / 100) - 1 for q in (50, 95)]  # nearest rank
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // n)
    parts = []
    for start in range(0, draws, block):
        masks = np.zeros((min(block, draws - start), n), dtype=bool)
        for mask in masks:
            mask[generator.choice(open_to, count, replace=False)] = True
        now = {name: np.where(masks, after, before) for name, (before, after) in columns.items()}
        latency = np.partition(now["latency_ms"], ranks, axis=1)[:, ranks]
        flagged = now["review_required"][:, gold].mean(axis=1) if gold is not None and gold.any() else np.full(len(masks), math.nan)
        parts.append((now["correct"].mean(axis=1), now["cost_usd"].sum(axis=1), latency[:, 0], latency[:, 1], flagged))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def oracle_baseline(cheap: pd.DataFrame, strong: pd.DataFrame) -> pd.DataFrame:
    """Return the arm that escalates exactly where the cheap model is wrong and the strong one right, charged for both there.

    No gate can be more accurate with these two models; no real gate can know what this one does.
    """
    kept, raised = kept_and_raised(cheap, strong)
    return chosen(kept, raised, may_escalate(cheap) & ~kept["correct"].to_numpy(bool) & raised["correct"].to_numpy(bool), "oracle")


def oracle(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the arm that stops each item at its cheapest tier that is right, and at the first tier if none is; charged for every tier on the way.

    `frames` are single-model arms, cheapest first. With two tiers it is `oracle_baseline`.
    """
    if not frames:
        raise ValueError("an oracle needs at least one single-model arm")
    right = np.array([frame["correct"].to_numpy(bool) for frame in frames])
    target = np.where(right.any(axis=0), right.argmax(axis=0), 0)
    return staged(frames, [target > tier for tier in range(len(frames) - 1)], "oracle")


def gold_human(arm: pd.DataFrame) -> NDArray[np.bool_] | None:
    """Return which items need a person by their label; None if the task has no such label."""
    return arm["gold_needs_human"].to_numpy(dtype=bool) if "gold_needs_human" in arm else None


def sources(*arms: pd.DataFrame) -> str:
    """Return where the replies of these arms came from, each source once."""
    return ", ".join(sorted({part for arm in arms for text in arm["source"].unique() for part in text.split(", ") if part}))


def _middle(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
