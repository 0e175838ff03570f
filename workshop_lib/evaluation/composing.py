"""Composing arms from single-model arms: which item is answered by which model, without a call, so that arms differ by policy alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workshop_lib.evaluation.labels import FIELDS
from workshop_lib.evaluation.metrics import wilson

Mask = NDArray[np.bool_]


def composed(cheap: pd.DataFrame, strong: pd.DataFrame, escalate: NDArray[np.bool_] | Sequence[bool], because: str = "chosen") -> pd.DataFrame:
    """Return the arm that asks the cheap model everything and the strong one where `escalate` is true, from their single-model arms.

    Both are charged there, latencies add up, and a safety flag that either raised stays. Where the cheap call failed nothing escalates.
    """
    kept, raised = kept_and_raised(cheap, strong)
    mask = np.asarray(escalate, dtype=bool)
    if mask.shape != (len(kept),):
        raise ValueError(f"`escalate` needs one value for each of the {len(kept)} items, got shape {mask.shape}")
    return chosen(kept, raised, mask & may_escalate(cheap), because)


def staged(frames: Sequence[pd.DataFrame], escalate: Sequence[Mask | Sequence[bool]], because: str = "chosen") -> pd.DataFrame:
    """Return the arm that walks through any number of tiers: item j goes on from tier i to the next one where `escalate[i][j]` is true.

    `frames` are the tiers' single-model arms, cheapest first, on the same items; there is one mask fewer. Every tier an item reached is charged. A
    model whose call failed at the start stays failed; after an answer that answer stands.
    """
    if not frames or len(escalate) != len(frames) - 1:
        raise ValueError(f"{len(frames)} tiers need {max(0, len(frames) - 1)} masks, got {len(escalate)}")
    arm = frames[-1].reset_index(drop=True)
    for cheap, mask in zip(reversed(frames[:-1]), reversed(escalate), strict=True):
        arm = composed(cheap, arm, mask, because)
    return arm


def picked(frames: Sequence[pd.DataFrame], choice: Sequence[int] | NDArray[np.int_]) -> pd.DataFrame:
    """Return the arm of a router that sends item j to `frames[choice[j]]` and to no other model, and is charged for that one alone."""
    index = np.asarray(choice, dtype=int)
    ids = frames[0]["item_id"].tolist()
    if any(frame["item_id"].tolist() != ids for frame in frames):
        raise ValueError("the arms hold different items, or the same in another order")
    if index.shape != (len(ids),) or ((index < 0) | (index >= len(frames))).any():
        raise ValueError(f"`choice` needs an index from 0 to {len(frames) - 1} for each of the {len(ids)} items")
    arm = frames[0].reset_index(drop=True).copy()
    for number, frame in enumerate(frames[1:], start=1):
        other, mask = frame.reset_index(drop=True), index == number
        for name in arm.columns:
            arm[name] = arm[name].where(~mask, other[name])
    return arm


def threshold_sweep(cheap: pd.DataFrame, strong: pd.DataFrame, thresholds: Sequence[float] | None = None) -> pd.DataFrame:
    """Return accuracy, cost and escalation rate when every answer with confidence below a threshold escalates, one row a threshold.

    Without `thresholds` it takes every one that makes a difference: each confidence that occurs (exactly at it is kept), and one above all. The work
    grows with items plus thresholds, as everything is a running sum over the items sorted by confidence.
    """
    confidence = cheap["confidence"].to_numpy(float)
    if thresholds is None:
        occurring = np.unique(confidence).tolist()
        thresholds = [*occurring, occurring[-1] + 0.01]
    kept, raised = kept_and_raised(cheap, strong)
    order, n = np.argsort(confidence, kind="stable"), len(kept)
    open_to = may_escalate(cheap)[order]
    below = np.searchsorted(confidence[order], np.asarray(thresholds, dtype=float), side="left")

    def running(column: str) -> NDArray[np.float64]:
        before, after = kept[column].to_numpy(float), raised[column].to_numpy(float)
        gains = np.where(open_to, (after - before)[order], 0.0)
        return np.asarray(before.sum() + np.concatenate([[0.0], np.cumsum(gains)]))

    right, cost, escalated = running("correct"), running("cost_usd"), np.concatenate([[0], np.cumsum(open_to)])
    rows = []
    for threshold, count in zip(thresholds, below.tolist(), strict=True):
        k = round(right[count])
        low, high = wilson(k, n)
        rows.append(
            {"threshold": threshold, "n": n, "right": k, "accuracy": k / n, "low": low, "high": high}
            | {"escalation_rate": float(escalated[count]) / n, "cost_usd": float(cost[count])}
        )
    return pd.DataFrame(rows)


def kept_and_raised(cheap: pd.DataFrame, strong: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows as they are if an item stays with the cheap model, and as they are if it escalates."""
    kept, strong = cheap.reset_index(drop=True), strong.reset_index(drop=True)
    if kept["item_id"].tolist() != strong["item_id"].tolist():
        raise ValueError("the cheap and the strong arm hold different items, or the same in another order")
    raised = strong.copy()
    failed = ~strong["outcome"].isin(["answered", "guardrail"])  # the walk then keeps the cheap model's answer
    answered = [name for name in (*FIELDS, "answer", "correct", "joint", "model_used") if name in strong]
    for name in answered:
        raised[name] = strong[name].where(~failed, kept[name])
    raised["outcome"] = strong["outcome"].where(~(failed & (kept["outcome"] == "answered")), "answered")
    raised["confidence"] = kept["confidence"]
    raised["cost_usd"] = kept["cost_usd"] + strong["cost_usd"]
    raised["cost_complete"] = kept["cost_complete"] & strong["cost_complete"]
    raised["latency_ms"] = kept["latency_ms"] + strong["latency_ms"]
    both = kept["source"] + ", " + strong["source"]
    raised["source"] = kept["source"].where((kept["source"] == strong["source"]) | (strong["source"] == ""), both.str.removeprefix(", "))
    raised["review_required"] = kept["review_required"] | strong["review_required"]
    return kept, raised


def may_escalate(cheap: pd.DataFrame) -> Mask:
    """Say for each item whether a gate could send it on: it has an answer, or an invalid one."""
    return cheap["outcome"].isin(["answered", "invalid"]).to_numpy(dtype=bool)


def chosen(kept: pd.DataFrame, raised: pd.DataFrame, mask: Mask, because: str) -> pd.DataFrame:
    """Return the rows of `raised` where the mask is true, else those of `kept`, marked as escalated or not."""
    arm = kept.copy()
    for name in kept.columns:
        arm[name] = kept[name].where(~mask, raised[name])
    arm["escalated"] = mask
    arm["escalated_because"] = np.where(mask, because, "")
    return arm
