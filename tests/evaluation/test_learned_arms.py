"""Arms that learn which model to ask, computed by hand on a few tickets."""

from typing import Any

import pandas as pd
import pytest

from workshop_lib.evaluation.learned_arms import best_by_category, category_majority, nearest_tiers
from workshop_lib.tasks import Ticket


def arm(categories: list[str | None], right: list[bool], usd: float = 1.0) -> pd.DataFrame:
    """Return a single-model arm as `frame` makes it, cut to what is composed."""
    n = len(categories)
    columns: dict[str, Any] = {
        "item_id": [f"T-{row}" for row in range(n)], "category": categories, "correct": right, "joint": right, "confidence": [0.9] * n,
        "cost_usd": [usd] * n, "cost_complete": [True] * n, "latency_ms": [10 * usd] * n, "escalated": [False] * n, "escalated_because": [""] * n,
        "model_used": [f"m{usd:g}"] * n, "review_required": [False] * n, "first_error": [""] * n, "source": ["test"] * n,
        "outcome": ["answered" if category is not None else "invalid" for category in categories],
    }  # fmt: skip
    return pd.DataFrame(columns)


KNOWN = [
    arm(["auth", "auth", "auth", "other", "other"], [True, False, False, True, False]),
    arm(["auth", "billing", "auth", "billing", "billing"], [False, True, True, False, True], 10),
]


def test_each_category_goes_to_the_model_that_was_right_more_often() -> None:
    """Without it the rule could be learned from the strong model's categories, or a tie go to the dearer model."""
    assert best_by_category(KNOWN) == {"auth": 1, "other": 0, None: 1}
    tie = [arm(["auth", "auth"], [True, False]), arm(["auth", "auth"], [False, True], 10)]
    assert best_by_category(tie) == {"auth": 0, None: 0}


def test_the_majority_arm_charges_the_cheap_call_too() -> None:
    """Without it the arm would know the cheap answer's category for nothing."""
    cheap = arm(["auth", "other", "abuse", None], [False, True, False, False])
    strong = arm(["billing", "billing", "billing", "billing"], [True, False, True, True], 10)
    got = category_majority([cheap, strong], best_by_category(KNOWN))
    assert got["cost_usd"].tolist() == [11, 1, 11, 11]
    assert got["correct"].tolist() == [True, True, True, True]
    assert got["escalated"].tolist() == [True, False, True, True]
    cautious = category_majority([cheap, strong], {None: 0})
    assert cautious["escalated"].tolist() == [False, False, False, True]  # an answer that is not valid cannot be kept
    assert category_majority([cheap], {None: 0})["cost_usd"].tolist() == [1, 1, 1, 1]


def test_neighbours_vote_for_the_model_that_was_right_on_them() -> None:
    """Without it a ticket could be sent by tickets that are unlike it, or by their own text in the test."""
    texts = ["invoice charged twice", "invoice charged wrongly", "login loop after password", "login refused password", "invoice and login"]
    known = [Ticket(id=f"T-{row}", subject="", body=text) for row, text in enumerate(texts)]
    fitted = [arm(["auth"] * 5, [True, True, False, False, True]), arm(["auth"] * 5, [True, False, True, True, True], 10)]
    asked = [Ticket(id="Q-1", subject="invoice", body="charged"), Ticket(id="Q-2", subject="password", body="login")]
    assert nearest_tiers(known, fitted, asked, k=2).tolist() == [0, 1]
    assert nearest_tiers(known, fitted, asked[:1], k=1).tolist() == [0]


def test_what_cannot_be_learned_from_is_refused() -> None:
    """Without it one ticket's text could vote with another one's result."""
    known = [Ticket(id=f"T-{row}", subject="", body="text") for row in range(5)]
    with pytest.raises(ValueError, match="another order"):
        nearest_tiers(known[::-1], KNOWN, known)
    with pytest.raises(ValueError, match="another order"):
        best_by_category([KNOWN[0], KNOWN[1].iloc[::-1]])
    with pytest.raises(ValueError, match="between 1 and the 5"):
        nearest_tiers(known, KNOWN, known, k=6)
    with pytest.raises(ValueError, match="at least one"):
        best_by_category([])
