"""The judge's section: what it cost, how far it agrees with people, and what its errors make of the arms."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workshop_lib.evaluation.arms import FIELDS
from workshop_lib.evaluation.judging import (
    agreement_with_gold,
    confusion,
    corrected_accuracy,
    judge_error_simulation,
    judge_rates,
    same_vendor_warning,
)
from workshop_lib.evaluation.metrics import wilson
from workshop_lib.evaluation.report.findings import Case, items, usd
from workshop_lib.evaluation.report.page import badge, heading, paragraph, table
from workshop_lib.tasks.triage import CATEGORIES

if TYPE_CHECKING:
    from workshop_lib.evaluation.bakeoff import Bakeoff


def judge(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return the judge's bill, its agreement with people, what correcting for its errors gives, and the arms graded by its labels."""
    if not (bakeoff.judge["outcome"] == "answered").any():
        return [heading("The judge"), paragraph(judge_says(bakeoff))]
    crossed = confusion(bakeoff.judge["gold_category"].tolist(), bakeoff.judge["category"].tolist(), CATEGORIES)
    corrected = corrections(bakeoff)
    return [
        heading("The judge"),
        paragraph(judge_says(bakeoff)),
        *_warning(bakeoff),
        table(_agreement(bakeoff), "Judge and people", bakeoff.source),
        table(crossed.reset_index().rename(columns={"gold": "people say"}), "Category: people in the rows, the judge in the columns", bakeoff.source),
        *_corrected(bakeoff, corrected),
        *_simulated(bakeoff, found),
        *_reviewed(bakeoff),
        table(_graded(bakeoff.judged), f"All arms graded by the judge's labels, on {int(bakeoff.judged['n'].iloc[0])} tickets", bakeoff.source) if len(bakeoff.judged) else "",
    ]


def judge_says(bakeoff: "Bakeoff") -> str:
    """Return how many labels the judge gave, what they cost, and what a judge's label is worth."""
    n = bakeoff.tickets
    labelled = int((bakeoff.judge["outcome"] == "answered").sum())
    bill = f"{usd(float(bakeoff.judge['cost_usd'].sum()), bool(bakeoff.judge['cost_complete'].all()))}, which no arm contains"
    if labelled == 0:
        return f"The judge gave none of {items(n)} a valid label; its calls cost {bill}. Nothing is graded by it."
    same = int(bakeoff.judge["correct"].sum())
    low, high = wilson(same, n)
    return (
        f"The judge gave {labelled} of {items(n)} a valid label, for {bill}. It names the category people chose for {same} of {n} ({same / n:.3f}, 95 % from {low:.3f} to {high:.3f}). "
        "A judge is a model: the arms above are graded by people's labels, only what stands in this section by the judge's."
    )


def corrections(bakeoff: "Bakeoff") -> pd.DataFrame:
    """Return for each single model and cascade what the judge makes of it on half of the families, corrected by the judge's rates on the other half.

    Columns arm, n, judge_says, corrected, low, high (95 %), people_say: accuracies on the same half. An arm is left out where people find all
    of its answers right or all wrong in the half that the rates come from, or where the judge cannot tell them apart there.
    """
    rows: list[dict[str, Any]] = []
    names = sorted(set(bakeoff.judge["family"].astype(str)))
    for name, arm in bakeoff.arms.items():
        if not isinstance(arm, pd.DataFrame) or name.startswith("oracle"):
            continue
        second = arm["family"].astype(str).isin(names[1::2]).to_numpy(bool)
        right = arm["correct"].to_numpy(bool)
        passed = np.array([said is not None and said == verdict for said, verdict in zip(arm["category"], bakeoff.judge["category"], strict=True)])
        if not second.any() or second.all():
            continue
        try:
            found = corrected_accuracy(int(passed[second].sum()), int(second.sum()), judge_rates(right[~second], passed[~second]))
        except ValueError:
            continue
        rows.append(
            {"arm": name, "n": found.n, "judge_says": found.measured, "corrected": found.corrected, "low": found.low, "high": found.high}
            | {"people_say": float(right[second].mean())}
        )
    return pd.DataFrame(rows)


def _warning(bakeoff: "Bakeoff") -> list[str]:
    judged_by = [str(name) for name in bakeoff.judge["model_used"].dropna().unique()]
    tiers = [name.removesuffix("_only") for name in bakeoff.arms if name.endswith("_only")]
    said = same_vendor_warning(judged_by[0], tiers) if judged_by else None
    return [f"<p><strong>{escape(said)}</strong></p>"] if said else []


def _agreement(bakeoff: "Bakeoff") -> pd.DataFrame:
    kappa = {name: agreement_with_gold(bakeoff.judge[f"gold_{name}"].tolist(), bakeoff.judge[name].tolist()).kappa for name in FIELDS}
    return bakeoff.agreement.assign(kappa=[kappa.get(name, np.nan) for name in bakeoff.agreement["field"]])


def _corrected(bakeoff: "Bakeoff", rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return [paragraph("A correction for the judge's errors needs answers that people call right and wrong in both halves of the families; there are too few here.")]
    within = int(((rows["low"] <= rows["people_say"]) & (rows["people_say"] <= rows["high"])).sum())
    return [
        paragraph(
            "What if there were people's labels for half of the scenario families only? The judge's rates of passing right and of failing wrong answers are measured on that half, "
            "and its verdict on the other half is corrected by them (Rogan and Gladen, 1978). What people say of the other half stands beside it: "
            f"the corrected interval holds it for {within} of {len(rows)} arms. The rates are measured for each arm apart, as a judge need not be equally fair to all."
        ),
        table(rows, "Accuracy on half of the families: by the judge, corrected, and by people", bakeoff.source),
    ]


def _simulated(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    if not found or len(found[0].arm) < 2:
        return []
    case = found[0]
    rows = judge_error_simulation(case.arm["correct"], case.strong["correct"], draws=2000, seed=bakeoff.seed)
    columns = {"epsilon": "judge's error rate", "true": "true difference", "measured": "measured on average", "flipped": "wrong arm ahead", "tied": "tied"}
    return [table(rows.rename(columns=columns), f"{case.name} minus {case.strong_name}, as a judge would measure it that errs at random", bakeoff.source)]


def _reviewed(bakeoff: "Bakeoff") -> list[str]:
    if not bakeoff.reviewed:
        return []
    many = bakeoff.reviewed != 1
    text = f"People reviewed {bakeoff.reviewed} of the judge's labels; in the table below their word stands instead of the judge's on {'those tickets' if many else 'that ticket'}."
    return [f"<p>{escape(text)} {badge(bakeoff.source)}</p>"]


def _graded(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["arm", "n", "right", "accuracy", "low", "high", "joint", "human_recall", *(["source"] if rows["source"].nunique() > 1 else [])]
    return rows[columns]
