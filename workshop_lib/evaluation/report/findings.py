"""Sentences made from numbers alone: each must hold whatever the numbers are, few items, failures and unknown costs included."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from workshop_lib.cascade import Policy
from workshop_lib.evaluation.arms import Baseline
from workshop_lib.evaluation.metrics import Interval, wilson
from workshop_lib.evaluation.report.evidence import against, missed, reading
from workshop_lib.evaluation.routing_metrics import pareto
from workshop_lib.evaluation.uncertainty import NonInferiority, items_to_show_parity

if TYPE_CHECKING:
    from workshop_lib.evaluation.bakeoff import Bakeoff

_FEW_FAMILIES = 10


@dataclass(frozen=True)
class Case:
    """One cascade of a bake-off with its cheapest and its strongest model alone, on the same items."""

    name: str
    policy: Policy
    arm: pd.DataFrame
    cheap: pd.DataFrame
    strong: pd.DataFrame
    random: Baseline | None
    versus_strong: NonInferiority

    @property
    def cheap_name(self) -> str:
        """Return the first tier's key."""
        return self.policy.tiers[0]

    @property
    def strong_name(self) -> str:
        """Return the last tier's key."""
        return self.policy.tiers[-1]


def cases(bakeoff: "Bakeoff", margin: float, seed: int = 0) -> list[Case]:
    """Return every policy whose cascade and whose first and last model were run, then each ladder that no cheaper arm equals, in the bake-off's order."""
    found = []
    best = undominated(bakeoff)
    named = [(f"cascade_{policy.name}", policy) for policy in bakeoff.policies]
    named += [(name, policy) for policy in bakeoff.ladders if (name := f"cascade {policy.name}") in best]
    for name, policy in named:
        arm, cheap, strong = (bakeoff.arms.get(key) for key in (name, f"{policy.tiers[0]}_only", f"{policy.tiers[-1]}_only"))
        if len(policy.tiers) > 1 and isinstance(arm, pd.DataFrame) and isinstance(cheap, pd.DataFrame) and isinstance(strong, pd.DataFrame):
            random = bakeoff.arms.get(f"random at {policy.name} rate")
            pair = against(arm, strong, margin, seed=seed)
            found.append(Case(name, policy, arm, cheap, strong, random if isinstance(random, Baseline) else None, pair))
    return found


def undominated(bakeoff: "Bakeoff") -> set[str]:
    """Return the arms that could be had (no oracle, no random baseline) and that no other such arm beats in both cost and accuracy."""
    rows = bakeoff.summary
    real = [isinstance(bakeoff.arms[name], pd.DataFrame) and not name.startswith("oracle") for name in rows["arm"]]
    rows = rows[real]
    return set(rows["arm"][pareto(rows["cost_usd"], rows["accuracy"])]) if len(rows) else set()


def answer(case: Case) -> list[str]:
    """Return the answer for one cascade as sentences: accuracy, parity, cost, chance, and what was missed."""
    n = len(case.arm)
    if dead := [name for name, arm in _three(case) if (arm["outcome"] == "error").all()]:
        return [f"Nothing was measured about the cascade {case.policy.name}: every call failed in {' and '.join(dead)}. A comparison with an arm that never answered says nothing."]
    said = [
        f"The cascade {case.policy.name} ({', then '.join(case.policy.tiers)}) got {_share(case.arm)} right; {case.strong_name} alone got {_share(case.strong)}, "
        f"{case.cheap_name} alone {_share(case.cheap)}.",
        parity(case.versus_strong, case.strong_name),
        f"It passed {int(case.arm['escalated'].sum())} of {items(n)} on to a dearer model. {money(case.arm, case.strong, case.strong_name)}",
        *([chance(case)] if case.random is not None else []),
    ]
    failed = [f"{int((arm['outcome'] == 'error').sum())} in {name}" for name, arm in _three(case) if (arm["outcome"] == "error").any()]
    if failed:
        said.append(f"Calls that failed count as wrong: {', '.join(failed)}.")
    if "gold_priority" in case.arm:
        gone, at_stake = len(missed(case.arm)), _at_stake(case.arm)
        said.append(
            f"Of the tickets that people call urgent or say need a person ({at_stake}), {gone} left the cascade without that being seen." if at_stake else "No ticket here is urgent or needs a person, so nothing is known about missing one."
        )
    return said


def headline(case: Case) -> str:
    """Return the answer in one sentence: whether it is cheaper, and whether it is as good within the margin."""
    mine, theirs = float(case.arm["cost_usd"].sum()), float(case.strong["cost_usd"].sum())
    known = bool(case.arm["cost_complete"].all() and case.strong["cost_complete"].all())
    if any((arm["outcome"] == "error").all() for _, arm in _three(case)):
        return f"{case.policy.name}: not measured."
    cheaper = "cheaper" if mine < theirs else "dearer" if mine > theirs else "as dear"
    cost = f"{cheaper} than {case.strong_name} alone" if cheaper != "as dear" else f"no cheaper than {case.strong_name} alone"
    each = f"{1000 * mine / len(case.arm):,.2f} instead of {1000 * theirs / len(case.arm):,.2f} USD per 1,000 tickets"
    cost = f"{cost} ({each})" if known else f"by what is known of the cost {cost}"
    pair = case.versus_strong
    margin = f"within {pair.margin:g}"
    good = {"shown": f"as accurate {margin}", "not shown": f"not shown to be as accurate {margin}", "excluded": f"not as accurate {margin}"}[reading(pair)]
    return f"{case.policy.name}: {cost}, and {good}."


def parity(pair: NonInferiority, other: str) -> str:
    """Return what may be said about being as good as the other arm, with the interval and the margin."""
    spread = f"The difference in accuracy is {pair.difference:+.3f} (95 % from {_range(Interval(pair.low, pair.high))}, whole scenario families resampled or tickets taken singly, whichever is wider)"
    verdict = {
        "shown": f"parity with {other} within a margin of {pair.margin:g} is shown: the interval excludes a loss that large",
        "not shown": f"parity with {other} within a margin of {pair.margin:g} is not shown: a loss that large is not excluded",
        "excluded": f"parity with {other} within a margin of {pair.margin:g} is ruled out: the loss is larger",
    }[reading(pair)]
    few = "" if pair.families >= _FEW_FAMILIES else f" With {pair.families} {'family' if pair.families == 1 else 'families'} even this interval may be too narrow."
    return f"{spread}; {verdict}.{few}"


def money(arm: pd.DataFrame, other: pd.DataFrame, name: str) -> str:
    """Return what an arm cost beside another, as a bound where a cost is not fully known."""
    mine, theirs = float(arm["cost_usd"].sum()), float(other["cost_usd"].sum())
    known, known_other = bool(arm["cost_complete"].all()), bool(other["cost_complete"].all())
    bill = f"It cost {usd(mine, known)}, {name} alone {usd(theirs, known_other)}"
    if theirs <= 0:
        return f"{bill}: there is no cost to compare with."
    if mine == theirs and known and known_other:
        return f"{bill}: the same."
    change = f"{abs(1 - mine / theirs):.1%} {'less' if mine <= theirs else 'more'}" if mine <= 2 * theirs else f"{mine / theirs:.1f} times as much"
    if known and known_other:
        return f"{bill}: {change}."
    doubt = {(False, True): "the true saving is smaller or the true cost higher", (True, False): "the comparison errs against it", (False, False): "which way the comparison errs is not known"}
    return f"{bill}: by what is known {change}, but a call of unknown price is missing, so {doubt[known, known_other]}."


def chance(case: Case) -> str:
    """Return how the cascade stands against escalating as many items at random."""
    assert case.random is not None
    low, high = case.random.accuracy_interval
    right = float(case.arm["correct"].mean())
    where = "above what 95 % of such draws give" if right > high else "below what 95 % of such draws give" if right < low else "within what chance gives, so the gate is not shown to choose better than chance"
    if low == high == right:
        where = "what every such draw gives: here it does not matter which are passed on"
    return f"Passing on as many at random would give {case.random.accuracy:.3f} on average (95 % of draws from {_range(case.random.accuracy_interval, sign=False)}); the cascade's {right:.3f} is {where}."


def not_said(bakeoff: "Bakeoff", found: list[Case]) -> list[str]:
    """Return what a reader must not take from the page, as far as the numbers tell."""
    n = bakeoff.tickets
    families = int(bakeoff.judge["family"].nunique()) if n else 0
    said = [f"It speaks of {items(n)} in {families} scenario {'family' if families == 1 else 'families'}, and of others only as far as they are alike. Tickets of one family are near-duplicates and count for less than their number."]
    if found:
        width = max((case.versus_strong.high - case.versus_strong.low) / 2 for case in found)
        said.append(f"A difference in accuracy smaller than about {width:.2f} cannot be told from none on this many tickets.")
        said += _needed(found[0])
    if "sandbox" in bakeoff.source:
        said.append("Stand-in models on one machine answered, priced as the models they stand in for. Their accuracy and latency are no figures of any vendor's model, and nothing was paid.")
    if len(found) > 1:
        said.append(f"{len(found)} cascades were compared and each interval stands alone; picking the best of several flatters it.")
    if any(case.policy.name == "published" for case in found):
        said.append("The policy published names categories that were chosen on the very tickets it was first evaluated on; on other tickets it may do worse than there.")
    if any(not arm["cost_complete"].all() for case in found for _, arm in _three(case)):
        said.append("A cost marked incomplete is a lower bound: a failed or repeated call may have been charged at a price that is not known.")
    said.append("Cost is that of model calls. Engineering, hosting, the labels that people made, and what a wrong answer costs are not in it.")
    said.append("Latency is that of single calls one after the other, not of a service under load.")
    said.append("Wrong means another category than people chose; a person may find some of those answers acceptable.")
    return said


def _needed(case: Case) -> list[str]:
    """Return how many tickets it would take to show parity where it is not shown, if there is any pair to go by."""
    differing = float((case.arm["correct"] != case.strong["correct"]).mean())
    margin = case.versus_strong.margin
    if reading(case.versus_strong) != "not shown" or differing == 0:
        return []
    needed = items_to_show_parity(margin, differing)
    return [
        f"If the cascade {case.policy.name} were truly as good as {case.strong_name}, it would take about {needed:,} independent tickets to show it within {margin:g} "
        f"(power 80 %, {differing:.1%} of tickets right in one of the two alone), and more when they come in families."
    ]


def _three(case: Case) -> list[tuple[str, pd.DataFrame]]:
    return [(f"the cascade {case.policy.name}", case.arm), (f"{case.cheap_name} alone", case.cheap), (f"{case.strong_name} alone", case.strong)]


def _at_stake(arm: pd.DataFrame) -> int:
    return int((arm["gold_priority"].isin(["P0", "P1"]) | arm["gold_needs_human"].astype(bool)).sum())


def _share(arm: pd.DataFrame) -> str:
    right, n = int(arm["correct"].sum()), len(arm)
    low, high = wilson(right, n)
    return f"{right} of {n} ({right / n:.3f}, 95 % from {low:.3f} to {high:.3f})"


def items(n: int) -> str:
    """Return a number of tickets in words."""
    return "1 ticket" if n == 1 else f"{n} tickets"


def _range(interval: Interval, sign: bool = True) -> str:
    low, high = (0.0 if abs(bound) < 5e-4 else bound for bound in interval)
    return f"{low:+.3f} to {high:+.3f}" if sign else f"{low:.3f} to {high:.3f}"


def usd(amount: float, complete: bool) -> str:
    """Return an amount with the digits it needs, as a bound unless it is complete."""
    digits = 6 if amount < 0.1 else 4 if amount < 10 else 2
    text = "an unknown amount" if math.isnan(amount) else f"{amount:,.{digits}f} USD"
    return text if complete else f"at least {text}"
