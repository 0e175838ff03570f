"""What the report's sentences rest on: paired differences with intervals, parity with a margin, misses and charges."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workshop_lib.evaluation.intervals import Interval, newcombe_paired
from workshop_lib.evaluation.routing_metrics import URGENT
from workshop_lib.evaluation.uncertainty import NonInferiority, non_inferiority

Parity = Literal["shown", "not shown", "excluded"]


def against(arm: pd.DataFrame, other: pd.DataFrame, margin: float = 0.05, draws: int = 2000, seed: int = 0) -> NonInferiority:
    """Return the comparison of two arms (frames of `arms.frame`) on the same items in the same order; raise ValueError otherwise.

    Each bound is the wider one of resampling whole families and of Newcombe's paired interval, which keeps its width where nothing differs.
    """
    if arm["item_id"].tolist() != other["item_id"].tolist():
        raise ValueError("the two arms hold different items, or the same in another order")
    if not 0 < margin < 1:
        raise ValueError(f"the margin is a share between 0 and 1, got {margin}")
    return non_inferiority(arm["correct"], other["correct"], arm["family"].astype(str), margin=margin, draws=draws, seed=seed)


def reading(pair: NonInferiority) -> Parity:
    """Return "shown" if a loss of the margin or more is excluded, "excluded" if the loss is surely larger than the margin, else "not shown"."""
    if pair.low > -pair.margin:
        return "shown"
    return "excluded" if pair.high < -pair.margin else "not shown"


def paired_interval(first: ArrayLike, second: ArrayLike) -> Interval:
    """Return the 95 % interval of mean(first) - mean(second) for paired right-or-wrong answers, which keeps its width where no pair differs."""
    mine, theirs = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if mine.shape != theirs.shape or not mine.size:
        raise ValueError(f"a paired interval needs two columns of the same items, at least one; got shapes {mine.shape} and {theirs.shape}")
    return newcombe_paired(*(int(cell.sum()) for cell in (mine & theirs, mine & ~theirs, ~mine & theirs, ~mine & ~theirs)))


def by_group(arm: pd.DataFrame, other: pd.DataFrame, column: str = "family") -> pd.DataFrame:
    """Return group, n, difference in accuracy (arm minus other), low and high (95 %, `paired_interval`), ordered by difference then name."""
    pairs = pd.DataFrame({"group": arm[column].astype(str).to_numpy(), "mine": arm["correct"].to_numpy(bool), "theirs": other["correct"].to_numpy(bool)})
    rows = []
    for group, inside in pairs.groupby("group"):
        low, high = paired_interval(inside["mine"], inside["theirs"])
        rows.append({"group": group, "n": len(inside), "difference": float(inside["mine"].mean() - inside["theirs"].mean()), "low": low, "high": high})
    return pd.DataFrame(rows).sort_values(["difference", "group"], kind="stable").reset_index(drop=True)


def missed(arm: pd.DataFrame) -> pd.DataFrame:
    """Return the items that people call urgent (P0, P1) or say need a person, and that left the arm without that being seen.

    Columns item_id, family, gold (what people say), said, kept_because. An urgent item is seen if the final priority is P0 or P1 or some tier asked for a
    person; a needed person, if some tier asked for one. An item that ended without an answer is listed too, with how it ended. Empty for questions.
    """
    columns = ["item_id", "family", "gold", "said", "kept_because"]
    if "gold_priority" not in arm:
        return pd.DataFrame(columns=columns)
    rows = []
    for row in arm.to_dict("records"):
        urgent, person = row["gold_priority"] in URGENT, bool(row["gold_needs_human"])
        if not row["review_required"] and (person or (urgent and row["priority"] not in URGENT)):
            why = [f"priority {row['gold_priority']}"] * urgent + ["needs a person"] * person
            said = "no answer" if row["model_used"] is None else f"{row['category']}, {row['priority']}, {'needs a person' if row['needs_human'] is True else 'no person'}"
            rows.append({"item_id": row["item_id"], "family": row["family"], "gold": " and ".join(why), "said": said, "kept_because": _kept(row)})
    return pd.DataFrame(rows, columns=columns)


def _kept(row: dict[Any, Any]) -> str:
    if row["model_used"] is None:
        return f"ended without an answer: {row['outcome']}"
    if row["escalated"]:
        return f"escalated ({row['escalated_because']}), then {row['model_used']} said so"
    return f"{row['model_used']} was confident enough ({row['confidence']:.2f}) and no gate fired"
