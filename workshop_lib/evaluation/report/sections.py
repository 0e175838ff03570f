"""The sections of the report, each a list of ready parts; a section that has nothing to show says so or leaves itself out."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workshop_lib.evaluation.arm_intervals import family_intervals
from workshop_lib.evaluation.arms import oracle_baseline, random_baseline, summary, threshold_sweep
from workshop_lib.evaluation.figures import (
    Picture,
    calibration_figure,
    cost_quality_figure,
    deferral_figure,
    forest_figure,
    pareto_figure,
    quadrant_figure,
    reliability_figure,
    risk_coverage_figure,
    threshold_figure,
)
from workshop_lib.evaluation.metrics import auroc, brier, ece, reliability
from workshop_lib.evaluation.report.evidence import by_group, missed
from workshop_lib.evaluation.report.findings import Case
from workshop_lib.evaluation.report.page import badge, bullets, heading, image, paragraph, table
from workshop_lib.evaluation.report.provenance import facts, prices
from workshop_lib.evaluation.routing_metrics import deferral_curve, risk_coverage

if TYPE_CHECKING:
    from workshop_lib.evaluation.bakeoff import Bakeoff

_MONEY_COLUMNS = ["cost_usd", "cost_per_1000", "cost_complete"]


def costs(bakeoff: "Bakeoff") -> list[str]:
    """Return the cost table: each walked arm with its calls, then the judge, then what asking every model once came to."""
    rows: list[dict[str, Any]] = []
    dearest = 0.0
    frames = {name: arm for name, arm in bakeoff.arms.items() if isinstance(arm, pd.DataFrame)}
    singles = {name: arm for name, arm in frames.items() if name.endswith("_only")}
    for name, arm in frames.items():
        rows.append(_charge(name, arm))
        dearest = max(dearest, float(arm["cost_usd"].sum()) if name in singles else 0.0)
    rows.append(_charge("judge (labels only, in no arm)", bakeoff.judge))
    asked = [*singles.values(), bakeoff.judge]
    rows.append(
        {"arm": "this bake-off: every model and the judge once", "calls": sum(int(arm["calls"].sum()) for arm in asked), "cost_usd": sum(float(arm["cost_usd"].sum()) for arm in asked)}
        | {"cost_per_1000": None, "unknown": sum(int((~arm["cost_complete"].astype(bool)).sum()) for arm in asked)}
    )
    charged = pd.DataFrame(rows)
    share = [f"{row['cost_usd'] / dearest:.1%}" if dearest > 0 else None for row in rows]
    charged["of dearest model"] = pd.Series(share, dtype=object)
    bounds = cost_intervals(bakeoff).set_index("arm")
    charged = charged.join(bounds, on="arm")[["arm", "calls", "cost_usd", "cost_per_1000", *bounds.columns, "unknown", "of dearest model"]]
    charged = charged.rename(columns={"unknown": "tickets of unknown cost", "cost_low": "low 95 %", "cost_high": "high 95 %"})
    unknown = int(sum(row["unknown"] for row in rows[:-1]))
    incomplete = (
        "Every cost below is complete: each call reported its tokens and none failed in a way that may have been charged."
        if unknown == 0
        else "Where the last column but one is not 0, the cost is a lower bound: those tickets met a call that may have been charged at a price that is not known."
    )
    return [
        heading("What it cost"),
        paragraph(
            "Each arm is charged for everything that ran in it: tiers that were overruled, replies that were no valid answer, and retries that were billed. "
            "The cascades walk over the same replies as the single models, so the bake-off paid for those once. The bounds of USD per 1,000 resample whole scenario families. " + incomplete
        ),
        table(charged, "Everything charged, at the prices under Provenance", bakeoff.source),
    ]


def cost_intervals(bakeoff: "Bakeoff") -> pd.DataFrame:
    """Return arm, cost_low and cost_high: the 95 % interval of USD per 1,000 items, resampling families."""
    rows = family_intervals(bakeoff.arms, seed=bakeoff.seed)
    return rows[["arm", "cost_per_1000_low", "cost_per_1000_high"]].set_axis(["arm", "cost_low", "cost_high"], axis=1)


def arms(bakeoff: "Bakeoff") -> list[str]:
    """Return the table of all arms, the plane of cost and accuracy, the quadrants and the paired comparisons."""
    foresight = [name for name in bakeoff.summary["arm"] if name.startswith("oracle")]
    plane = bakeoff.summary.merge(cost_intervals(bakeoff), on="arm", how="left")
    return [
        heading("All arms"),
        paragraph(
            "Graded against the labels that people gave. right counts the category, joint all three fields. low and high are 95 % Wilson intervals; for a random "
            "baseline, 95 % of its draws. People's flags kept: of the tickets that need a person, the share that some tier flagged."
        ),
        table(_narrow(bakeoff.summary), "All arms, same tickets", bakeoff.source),
        image(pareto_figure(plane, bakeoff.source, needs_foresight=foresight), bakeoff.source),
        table(_paired(bakeoff.comparisons), "Paired comparisons: accuracy of the arm minus the other's; p is McNemar's exact test, and beside it p corrected for all tests of the table (Holm)", bakeoff.source) if len(bakeoff.comparisons) else "",
    ]


def item_by_item(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return what each cascade changes: quadrants, and the first cascade's difference from the strong model by family."""
    if not found:
        return []
    parts = [heading("Where the difference lies")]
    for cheap in dict.fromkeys(case.cheap_name for case in found):
        mine = [case for case in found if case.cheap_name == cheap]
        right = {case.name: case.arm["correct"] for case in mine} | {f"{case.strong_name}_only": case.strong["correct"] for case in mine}
        parts.append(image(quadrant_figure(mine[0].cheap["correct"], right, bakeoff.source, cheap=cheap), bakeoff.source))
    first = found[0]
    rows = by_group(first.arm, first.strong)
    name = first.name
    parts.append(image(forest_figure(rows, bakeoff.source, margin=first.versus_strong.margin, arm=name, other=first.strong_name), bakeoff.source))
    parts.append(table(rows.rename(columns={"group": "family"}), f"{name} minus {first.strong_name} by scenario family", bakeoff.source))
    return parts


def misses(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return the list of urgent tickets, or tickets that need a person, that each cascade let pass unseen."""
    if not found or "gold_priority" not in found[0].arm:
        return []
    parts = [
        heading("Urgent tickets and tickets for people that passed unseen"),
        paragraph(
            "Tickets that people call P0 or P1 where the final answer was neither and no tier asked for a person, and tickets that need a person where no tier asked for one. "
            "For each: what people say, what was said, and why it was kept."
        ),
    ]
    for case in found:
        rows = missed(case.arm)
        name = case.name
        parts.append(table(rows, f"{name}: {len(rows)} missed of {len(case.arm)} tickets", bakeoff.source) if len(rows) else f"<p>{escape(name)}: none. {badge(bakeoff.source)}</p>")
    return parts


def confidence(bakeoff: "Bakeoff", found: Sequence[Case], recorded: Mapping[str, pd.DataFrame], calibrated: Sequence[float] | None) -> list[str]:
    """Return what the cheap model's confidence is worth: reliability, risk by coverage and deferral, with the recorded model beside it."""
    parts = [heading("Is the cheap model's confidence worth anything?")]
    if found:
        case, source, name = found[0], bakeoff.source, f"{found[0].cheap_name}_only"
        if (case.cheap["outcome"] == "error").all():
            parts.append(paragraph(f"Every call of {case.cheap_name} failed, so there is no confidence to look at."))
        else:
            parts += _about(case.cheap, source, name)
            if calibrated is not None:
                rows = [reliability(values, case.cheap["correct"]) for values in (case.cheap["confidence"], calibrated)]
                parts.append(image(calibration_figure(rows[0], rows[1], source, f"{name}: before and after calibration"), source))
            stated, right = case.cheap["confidence"].to_numpy(float), case.cheap["correct"].to_numpy(bool)
            kept = risk_coverage(stated, right)
            curve = deferral_curve(stated, right, case.strong["correct"].to_numpy(bool))
            pictures: list[Picture] = [
                threshold_figure(threshold_sweep(case.cheap, case.strong), source, f"{name} then {case.strong_name}: what a threshold buys (to look at, not to choose by)"),
                risk_coverage_figure(kept.coverage, kept.risk, len(right), source, f"{name}: error among the answers kept"),
                deferral_figure(curve.share, curve.accuracy, right, case.strong["correct"].to_numpy(bool), source, title=f"Deferring from {case.cheap_name} to {case.strong_name}"),
            ]
            parts += [image(picture, source) for picture in pictures]
    if isinstance(recorded.get("nano"), pd.DataFrame):
        parts += _about(recorded["nano"], "recorded", "nano")
    return parts


def on_bedrock(recorded: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the recorded arms with their baselines, or nothing if none are given."""
    if not {"nano", "sonnet"} <= set(recorded):
        return []
    rates = {name: float(arm["escalated"].mean()) for name, arm in recorded.items()}
    baselines = {f"random at {name} rate": random_baseline(recorded["nano"], recorded["sonnet"], rate) for name, rate in rates.items() if rate > 0}
    rows = summary({**recorded, **baselines, "oracle": oracle_baseline(recorded["nano"], recorded["sonnet"])})
    return [
        heading("The same on Amazon Bedrock, recorded"),
        paragraph("Real models on other tickets; compare the pattern with the arms above, not the digits."),
        table(_one_source(rows.drop(columns=["failed", "cost_usd", "cost_complete"])), "Recorded arms", "recorded"),
        image(cost_quality_figure(rows, "recorded"), "recorded"),
    ]


def elsewhere(published: pd.DataFrame) -> list[str]:
    """Return the published tables, quoted as they stand."""
    if published.empty:
        return []
    decimals = {"cost_usd": 6, "avg_latency_ms": 0, "escalated": 0, "category_right": 0, "joint_right": 0}
    return [
        heading("What others published"),
        paragraph("Three tables of one comparison that differ in how cost was counted, in the reference and in the policy. None is comparable with the rows above."),
        table(published, "Published tables, an empty cell was not published", "published", decimals),
    ]


def provenance(bakeoff: "Bakeoff", made_on: date | None, sources: Sequence[tuple[str, str]]) -> list[str]:
    """Return what somebody needs to make the numbers again: sources, models with prices, policies with digests, data, prompt and code."""
    tiers = [name.removesuffix("_only") for name in bakeoff.arms if name.endswith("_only")]
    judged_by = [str(name) for name in bakeoff.judge["model_used"].dropna().unique()]
    policies = "".join(
        f"<li>{escape(policy.name)} (<code>{policy.digest}</code>): <code>{escape(policy.model_dump_json())}</code></li>" for policy in (*bakeoff.policies, *bakeoff.ladders)
    )
    judge_line = f"Judge: {', '.join(judged_by)}." if judged_by else "Which model judged is not known: it gave no valid label."
    return [
        heading("Provenance"),
        paragraph("Where a number comes from:"),
        "<ul>" + "".join(f"<li>{badge(name)} {escape(text)}</li>" for name, text in sources) + "</ul>",
        table(facts(bakeoff, made_on), "What made this page", bakeoff.source),
        paragraph(judge_line),
        table(prices([*tiers, *judged_by]), "Models, with prices in USD per million tokens", "catalogue", {"input": 3, "output": 3}) if tiers or judged_by else "",
        paragraph("Policies, with the digest that changes whenever a tier, a gate or a threshold does:"),
        f"<ul>{policies}</ul>" if policies else bullets(["none"]),
    ]


def _paired(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the comparisons with what an arm cost as a multiple of the other, which reads better than a negative saving."""
    told = _one_source(rows).rename(columns={"saving": "cost beside it"})
    told["cost beside it"] = ["-" if np.isnan(saving) else f"{1 - saving:.3g} times" for saving in rows["saving"]]
    first = ["arm", "against", "cost beside it", "difference", "low", "high", "only_arm", "only_other", "p", "p_holm"]
    return told[[*first, *(name for name in told.columns if name not in first)]]


def _narrow(rows: pd.DataFrame) -> pd.DataFrame:
    spare = _MONEY_COLUMNS if rows["failed"].any() else [*_MONEY_COLUMNS, "failed"]
    return _one_source(rows.drop(columns=spare))


def _one_source(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table without its source column where the badge above it says the same for all rows."""
    return rows.drop(columns="source") if rows["source"].nunique() == 1 else rows


def _charge(name: str, arm: pd.DataFrame) -> dict[str, Any]:
    usd = float(arm["cost_usd"].sum())
    return {"arm": name, "calls": int(arm["calls"].sum()), "cost_usd": usd, "cost_per_1000": 1000 * usd / len(arm), "unknown": int((~arm["cost_complete"].astype(bool)).sum())}


def _about(arm: pd.DataFrame, source: str, name: str) -> list[str]:
    claimed, right = arm["confidence"].to_numpy(float), arm["correct"].to_numpy(bool)
    ranks = auroc(claimed, right)
    ranking = "cannot be told, as all its answers are right or all are wrong" if np.isnan(ranks) else f"{ranks:.3f} (0.5 is chance)"
    picture = reliability_figure(reliability(claimed, right), f"{name}: stated confidence and share right", source)
    text = f"{name}: expected calibration error {ece(claimed, right):.3f}, Brier score {brier(claimed, right):.3f}; the chance that a right answer is the more confident one is {ranking}."
    return [image(picture, source), f"<p>{escape(text)} {badge(source)}</p>"]
