"""What two models did with the same items: what a router learns from, and what chance at equal spend is reckoned on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from workshop_lib.cascade import item_text


@dataclass(frozen=True, eq=False)
class History:
    """What two models did with the same items, one entry an item: texts, families, who was right, and USD of each model's call."""

    texts: tuple[str, ...]
    families: tuple[str, ...]
    cheap_right: NDArray[np.bool_]
    strong_right: NDArray[np.bool_]
    cheap_usd: NDArray[np.float64]
    strong_usd: NDArray[np.float64]

    @property
    def hard(self) -> NDArray[np.bool_]:
        """Return where the cheap model was wrong and the strong one right: the items worth sending on."""
        return ~self.cheap_right & self.strong_right


def history(items: Sequence[BaseModel], cheap: pd.DataFrame, strong: pd.DataFrame) -> History:
    """Return the history of two single-model arms (as `arms.frame` makes them) on the same items in the same order; ValueError otherwise."""
    ids = [str(getattr(item, "id", "")) for item in items]
    for name, arm in (("cheap", cheap), ("strong", strong)):
        if arm["item_id"].tolist() != ids:
            raise ValueError(f"the {name} arm holds other items than those given, or the same in another order")
    return History(
        tuple(item_text(item) for item in items), tuple(cheap["family"].astype(str)),
        cheap["correct"].to_numpy(bool), strong["correct"].to_numpy(bool), cheap["cost_usd"].to_numpy(float), strong["cost_usd"].to_numpy(float),
    )  # fmt: skip
