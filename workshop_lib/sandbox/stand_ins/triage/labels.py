"""What is decided about a ticket, and what one stand-in makes of a text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Capacity = Literal["small", "medium", "large", "judge"]

FIELDS: Mapping[str, tuple[Any, ...]] = {
    "category": ("billing", "auth", "integration", "performance", "bug_report", "feature_request", "abuse", "other"),
    "priority": ("P0", "P1", "P2", "P3"),
    "needs_human": (False, True),
}
"""What is decided about a ticket, and the values each field can take."""

URGENT_UP_TO = 2
"""P0 and P1 are the first two priorities: they always need a person."""


@dataclass(frozen=True)
class Opinion:
    """What one stand-in makes of a text: shares of each label that sum to about 1, and the words that spoke for its category.

    Shares have two digits, as a model would write them; `exact` holds those of category and priority before rounding.
    """

    category: Mapping[str, float]
    priority: Mapping[str, float]
    needs_human: float
    evidence: tuple[str, ...]
    exact: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def _columns() -> dict[str, slice]:
    columns, done = {}, 0
    for name, values in FIELDS.items():
        columns[name] = slice(done, done + len(values))
        done += len(values)
    return columns


COLUMNS: Mapping[str, slice] = _columns()
"""Where each field's labels are in a table of weights, a column for every label."""

WIDTH = sum(len(values) for values in FIELDS.values())
"""How many columns such a table has."""
