"""From measured arms to the numbers that `cascade.when_not_to_cascade` checks."""

import numpy as np
import pandas as pd

from workshop_lib.cascade import Measured
from workshop_lib.evaluation.metrics import auroc, percentile_nearest_rank


def measured(cheap: pd.DataFrame, strong: pd.DataFrame, cascade: pd.DataFrame, gate_usd: float = 0.0) -> Measured:
    """Return what three arms on the same items (as `arms.frame` makes them) say of a cascade; `gate_usd` is what judges and routers cost an item.

    Raises ValueError unless all three hold the same items in the same order. AUROC ranks the cheap model's own confidence.
    """
    if not cheap["item_id"].tolist() == strong["item_id"].tolist() == cascade["item_id"].tolist():
        raise ValueError("the three arms hold different items, or the same in another order")

    def mean(arm: pd.DataFrame, column: str) -> float:
        return float(np.mean(arm[column].to_numpy(float)))

    return Measured(
        n=len(cheap), cheap_accuracy=mean(cheap, "correct"), strong_accuracy=mean(strong, "correct"), cascade_accuracy=mean(cascade, "correct"),
        cheap_usd=mean(cheap, "cost_usd"), strong_usd=mean(strong, "cost_usd"), cascade_usd=mean(cascade, "cost_usd"), escalation_rate=mean(cascade, "escalated"),
        auroc=auroc(cheap["confidence"], cheap["correct"]), cascade_p95_ms=percentile_nearest_rank(cascade["latency_ms"].to_numpy(float), 95), gate_usd=gate_usd,
    )  # fmt: skip
