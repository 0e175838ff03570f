"""A bake-off as plain data, for other programs to read."""

import math
from collections.abc import Mapping
from typing import Any

from workshop_lib.evaluation.arm_intervals import family_intervals
from workshop_lib.evaluation.bakeoff import Bakeoff


def as_json(bake: Bakeoff) -> dict[str, Any]:
    """Return a bake-off as plain data: provenance, policies, and every table as rows; a value that does not exist is null."""
    tables = {
        "summary": bake.summary,
        "intervals": family_intervals(bake.arms, seed=bake.seed),
        "judged": bake.judged,
        "agreement": bake.agreement,
        "comparisons": bake.comparisons,
    }
    return {
        "tickets": bake.tickets,
        "source": bake.source,
        "seed": bake.seed,
        "judge_usd": float(bake.judge["cost_usd"].sum()),
        "judge_labels_replaced_by_review": bake.reviewed,
        "provenance": None if bake.provenance is None else bake.provenance.model_dump(mode="json"),
        "policies": [{"digest": policy.digest, **policy.model_dump(mode="json")} for policy in bake.policies],
        **{name: [_plain(row) for row in table.to_dict("records")] for name, table in tables.items()},
    }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
