"""Composing arms from single-model arms: which item is answered by which model, without a call, so that arms differ by policy alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workshop_lib.cascade.trouble import Trouble
from workshop_lib.evaluation.labels import FIELDS
from workshop_lib.evaluation.metrics import wilson
from workshop_lib.llm import CallError

Mask = NDArray[np.bool_]
_RULES = Trouble()


def composed(
    cheap: pd.DataFrame, strong: pd.DataFrame, escalate: Mask | Sequence[bool], because: str = "chosen", answered: Mask | None = None
) -> pd.DataFrame:
    """Return the arm that asks the cheap model everything and the strong one where `escalate` is true, from their single-model arms.

    Both are charged there, latencies add up, and a safety flag that either raised stays. Where the cheap call failed it is as the walk's default
    rules say: a model that is down goes on to the strong one whatever `escalate` says, a throttled or refused call ends there. `answered` says where a tier before these two
    has answered already: there a model that is down ends the walk.
    """
    kept, raised = kept_and_raised(cheap, strong, answered)
    mask = np.asarray(escalate, dtype=bool)
    if mask.shape != (len(kept),):
        raise ValueError(f"`escalate` needs one value for each of the {len(kept)} items, got shape {mask.shape}")
    return chosen(kept, raised, mask & may_escalate(cheap), because)


def staged(frames: Sequence[pd.DataFrame], escalate: Sequence[Mask | Sequence[bool]], because: str = "chosen") -> pd.DataFrame:
    """Return the arm that walks through any number of tiers: item j goes on from tier i to the next one where `escalate[i][j]` is true.

    `frames` are the tiers' single-model arms, cheapest first, on the same items; there is one mask fewer. Every tier an item reached is charged.
    Failed calls follow the walk's default rules, as in `composed`.
    """
    if not frames or len(escalate) != len(frames) - 1:
        raise ValueError(f"{len(frames)} tiers need {max(0, len(frames) - 1)} masks, got {len(escalate)}")
    has_answer = np.array([(frame["outcome"] == "answered").to_numpy(dtype=bool) for frame in frames])
    arm = frames[-1].reset_index(drop=True)
    for tier in range(len(frames) - 2, -1, -1):
        arm = composed(frames[tier], arm, escalate[tier], because, np.asarray(has_answer[:tier].any(axis=0)))
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

    down = int(kept["escalated"].sum())
    right, cost, escalated = running("correct"), running("cost_usd"), down + np.concatenate([[0], np.cumsum(open_to)])
    rows = []
    for threshold, count in zip(thresholds, below.tolist(), strict=True):
        k = round(right[count])
        low, high = wilson(k, n)
        rows.append(
            {"threshold": threshold, "n": n, "right": k, "accuracy": k / n, "low": low, "high": high}
            | {"escalation_rate": float(escalated[count]) / n, "cost_usd": float(cost[count])}
        )
    return pd.DataFrame(rows)


def kept_and_raised(cheap: pd.DataFrame, strong: pd.DataFrame, answered: Mask | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows as they are if no gate sends an item on, and as they are if one does; where the cheap model is down both have gone on.

    They have not where `answered` says that an earlier tier has given an answer, which then stands.
    """
    kept, strong = cheap.reset_index(drop=True), strong.reset_index(drop=True)
    if kept["item_id"].tolist() != strong["item_id"].tolist():
        raise ValueError("the cheap and the strong arm hold different items, or the same in another order")
    raised = strong.copy()
    failed = ~strong["outcome"].isin(["answered", "guardrail"])  # the walk then keeps the cheap model's answer
    decided = [name for name in (*FIELDS, "answer", "correct", "joint", "model_used") if name in strong]
    for name in decided:
        raised[name] = strong[name].where(~failed, kept[name])
    raised["outcome"] = strong["outcome"].where(~(failed & (kept["outcome"] == "answered")), "answered")
    raised["confidence"], raised["first_error"] = kept["confidence"], kept["first_error"]
    for name in ("calls", "cost_usd", "latency_ms"):
        if name in strong:
            raised[name] = kept[name] + strong[name]
    raised["cost_complete"] = kept["cost_complete"] & strong["cost_complete"]
    both = kept["source"] + ", " + strong["source"]
    raised["source"] = kept["source"].where((kept["source"] == strong["source"]) | (strong["source"] == ""), both.str.removeprefix(", "))
    all_replied = ~strong["escalated"].astype(bool) | strong["review_required"]  # of several tiers without an answer: the flag says that none failed
    none_valid = (kept["outcome"] == "invalid") & (strong["outcome"] == "invalid") & all_replied
    flagged = strong["review_required"] & (strong["outcome"] != "invalid")  # without a valid answer only the walk as a whole can raise the flag
    raised["review_required"] = kept["review_required"] | flagged | none_valid
    down = kept["first_error"].map(_goes_on).to_numpy(dtype=bool)
    if answered is not None:
        down = down & ~answered
    for name in kept.columns:
        kept[name] = kept[name].where(~down, raised[name])
    kept["escalated"] = down
    return kept, raised


def _goes_on(kind: str) -> bool:
    return kind != "" and _RULES.of_failure(CallError(kind, "", ""), answered=False)[1] == "escalate"  # type: ignore[arg-type]


def may_escalate(cheap: pd.DataFrame) -> Mask:
    """Say for each item whether a gate could send it on: it has an answer, or an invalid one."""
    return cheap["outcome"].isin(["answered", "invalid"]).to_numpy(dtype=bool)


def chosen(kept: pd.DataFrame, raised: pd.DataFrame, mask: Mask, because: str) -> pd.DataFrame:
    """Return the rows of `raised` where the mask is true, else those of `kept`, marked as escalated or not."""
    arm = kept.copy()
    for name in kept.columns:
        arm[name] = kept[name].where(~mask, raised[name])
    down = kept["escalated"].to_numpy(dtype=bool)
    arm["escalated"] = mask | down
    arm["escalated_because"] = np.where(mask, because, np.where(down, "failed: " + kept["first_error"], ""))
    return arm
