"""How well cascades and routers choose what goes to the strong model: against chance at equal spend, by the literature's measures, and when not to."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workshop_lib.cascade import when_not_to_cascade
from workshop_lib.evaluation.advice import measured
from workshop_lib.evaluation.equal_spend import verdict_of_arm
from workshop_lib.evaluation.report.findings import Case
from workshop_lib.evaluation.report.page import badge, heading, paragraph, table
from workshop_lib.evaluation.routing_metrics import (
    aiq,
    apgr,
    catastrophic_accepts,
    cpt,
    deferral_curve,
    escalations,
    gap_recovered,
    ibc,
)

if TYPE_CHECKING:
    from workshop_lib.evaluation.bakeoff import Bakeoff

_LEARNED = ("category majority", "kNN")


def choosing(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return the verdicts on chance at equal spend, the table of routing measures, and the conditions that speak against the first cascade."""
    arms = list(_choosers(bakeoff))
    if not arms:
        return []
    said = "".join(f"<li>{escape(_verdict(bakeoff, *row))} {badge(bakeoff.source)}</li>" for row in arms)
    rows = measures(bakeoff)
    return [
        heading("Do they choose well?"),
        paragraph(
            "A cascade or a router is worth its trouble if it is right more often than chance would be for the same money. Chance may spend all that the arm was charged, "
            "judges and routers included, on strong calls for tickets drawn at random."
        ),
        f"<ul>{said}</ul>",
        table(rows, "Measures of routing, from cheapest to strongest model of each arm", bakeoff.source) if len(rows) else "",
        paragraph(
            "gap recovered: 0 is no better than the cheap model, 1 as good as the strong one; a dash where the strong one is no better. gain a dollar: by how much accuracy bought per "
            "extra USD exceeds that of always-strong. wasted: strong answers that turned no wrong answer into a right one. kept in danger: kept by the cheap model although urgent "
            "or in need of a person."
        ),
        *_ranking(bakeoff, found),
        *_against(bakeoff, found),
    ]


def measures(bakeoff: "Bakeoff") -> pd.DataFrame:
    """Return one row a cascade or learned arm: arm, gap_recovered, gain_a_dollar (lift of IBC), rescued, wasted, missed, kept_in_danger (counts).

    The counts of strong answers are those of cascades of two tiers without a router, where escalated means asked both; else they are missing.
    """
    rows: list[dict[str, Any]] = []
    for name, arm, cheap, strong, plain in _choosers(bakeoff):
        sides = [(float(frame["correct"].mean()), float(frame["cost_usd"].mean())) for frame in (cheap, strong, arm)]
        row: dict[str, Any] = {"arm": name, "gap_recovered": gap_recovered(cheap["correct"], strong["correct"], arm["correct"]), "gain_a_dollar": ibc(*sides).lift}
        sent = escalations(arm["escalated"], cheap["correct"], strong["correct"]) if plain else None
        row |= {"rescued": sent.rescued if sent else None, "wasted": sent.wasted if sent else None, "missed": sent.missed if sent else None}
        if "gold_priority" in arm:
            danger = catastrophic_accepts(arm["escalated"], arm["gold_priority"].tolist(), arm["priority"].tolist(), arm["gold_needs_human"].astype(bool), arm["review_required"])
            row["kept_in_danger"] = int(danger.sum()) if plain else None
        rows.append(row)
    table_of = pd.DataFrame(rows)
    return table_of.astype({name: "Int64" for name in ("rescued", "wasted", "missed", "kept_in_danger") if name in table_of})


def _choosers(bakeoff: "Bakeoff") -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame, pd.DataFrame, bool]]:
    """Yield name, arm, cheapest and strongest model alone, and whether it is a plain cascade of two tiers; arms that never answered are left out."""
    frames = {name: arm for name, arm in bakeoff.arms.items() if isinstance(arm, pd.DataFrame) and not (arm["outcome"] == "error").all()}
    tiers = [name for name in bakeoff.arms if name.endswith("_only")]
    named = [(f"cascade_{policy.name}", policy) for policy in bakeoff.policies] + [(f"cascade {policy.name}", policy) for policy in bakeoff.ladders]
    rows = [(name, f"{policy.tiers[0]}_only", f"{policy.tiers[-1]}_only", len(policy.tiers) == 2 and policy.router is None) for name, policy in named if len(policy.tiers) > 1]
    rows += [(name, tiers[0], tiers[-1], False) for name in _LEARNED if name in bakeoff.arms]
    for name, cheap, strong, plain in rows:
        if name in frames and cheap in frames and strong in frames:
            yield name, frames[name], frames[cheap], frames[strong], plain


def _verdict(bakeoff: "Bakeoff", name: str, arm: pd.DataFrame, cheap: pd.DataFrame, strong: pd.DataFrame, plain: bool) -> str:
    routed = {f"cascade_{policy.name}" for policy in bakeoff.policies if policy.router is not None} | {"kNN"}
    try:
        return verdict_of_arm(arm, cheap, strong, cheap_first=name not in routed, seed=bakeoff.seed, name=name).sentence
    except ValueError:
        return f"{name}: the strong model costs no more than the cheap one here, so there is no spend to hold equal."


def _ranking(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return what the cheap model's confidence is worth as an order in which to send tickets on, and the quality of all arms over the range of costs."""
    if not found:
        return []
    case = found[0]
    curve = deferral_curve(case.cheap["confidence"], case.cheap["correct"], case.strong["correct"])
    rows = bakeoff.summary[[not str(name).startswith("oracle") for name in bakeoff.summary["arm"]]]
    said = []
    if not math.isnan(area := apgr(curve)):
        reach = ", ".join(f"{target:.0%} at {_share(cpt(curve, target))}" for target in (0.2, 0.5, 0.8))
        said.append(f"Sending tickets on from {case.cheap_name} to {case.strong_name} in the order of its confidence recovers {area:.3f} of the gap on average over all shares (0.5 is chance); it recovers {reach} of tickets sent on.")
    said.append(f"Averaged over costs from the cheapest to the dearest arm, the best mixture of arms is right on {aiq(rows['cost_usd'], rows['accuracy']):.3f} of tickets.")
    return [f"<p>{escape(' '.join(said))} {badge(bakeoff.source)}</p>"]


def _against(bakeoff: "Bakeoff", found: Sequence[Case]) -> list[str]:
    """Return the conditions under which one model is the better choice, each checked for the first plain cascade of two tiers."""
    case = next((one for one in found if len(one.policy.tiers) == 2 and one.policy.router is None), None)
    if case is None:
        return []
    own, cheap, strong = (frame["cost_usd"].to_numpy(float) for frame in (case.arm, case.cheap, case.strong))
    beside = np.where(case.arm["escalated"].to_numpy(bool), own - cheap - strong, own - cheap)  # what judges and samples took
    conditions = when_not_to_cascade(measured(case.cheap, case.strong, case.arm, max(0.0, float(beside.mean()))))
    words = {True: "speaks against it", False: "does not", None: "not known"}
    rows = pd.DataFrame([{"condition": one.name, "here": words[one.holds], "what was found": one.sentence} for one in conditions])
    return [table(rows, f"Conditions that speak against {case.name}", bakeoff.source)]


def _share(value: float) -> str:
    return "no share" if math.isnan(value) else f"{value:.1%}"
