"""The bake-off: every arm on the same tickets, from the same single-model replies, graded against people and against a judge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from workshop_lib.cascade import Learned, Policy, Trace, documented, published, single
from workshop_lib.evaluation.arms import (
    FIELDS,
    Baseline,
    frame,
    oracle,
    oracle_baseline,
    picked,
    random_baseline,
    run_arm,
    summary,
)
from workshop_lib.evaluation.cache import ReplyCache, once
from workshop_lib.evaluation.labels import LabelledTicket, load_tickets
from workshop_lib.evaluation.learned_arms import NEIGHBOURS, best_by_category, category_majority, nearest_tiers
from workshop_lib.evaluation.metrics import bootstrap_difference, mcnemar_exact, performance_gap_recovered, wilson
from workshop_lib.evaluation.provenance import Provenance, provenance, shipped_split
from workshop_lib.evaluation.uncertainty import holm
from workshop_lib.llm import Ask
from workshop_lib.tasks import TRIAGE, Label, RoutingDecision, Ticket

__all__ = ["JUDGE", "TIERS", "Arms", "Bakeoff", "compare", "run_bakeoff"]

TIERS = ("nano", "super", "sonnet")
JUDGE = "opus"

Arms = Mapping[str, pd.DataFrame | Baseline]


@dataclass(frozen=True)
class Bakeoff:
    """One bake-off: arms and summary against gold, the same against the judge's labels, and how far the judge agrees with gold.

    `judge` is the judge's own arm graded against gold (its cost_usd is the bill for the labels, which no arm contains). `agreement` has a row
    for each field and for all three. `comparisons` has a row for each cascade and baseline against each of its single models. `judged` leaves
    out, in every arm, the tickets the judge gave no valid label and no person reviewed; `reviewed` counts the judge's labels a person replaced.
    `ladders` are the cascades that `every` adds to `policies`; an arm is named "cascade_<policy>" and "cascade <ladder>".
    """

    arms: Arms
    summary: pd.DataFrame
    judged: pd.DataFrame
    judge: pd.DataFrame
    agreement: pd.DataFrame
    comparisons: pd.DataFrame
    policies: tuple[Policy, ...]
    source: str
    provenance: Provenance | None = None
    seed: int = 0
    reviewed: int = 0
    ladders: tuple[Policy, ...] = ()

    @property
    def tickets(self) -> int:
        """Return how many tickets every arm was run on."""
        return len(self.judge)

    def table(self) -> pd.DataFrame:
        """Return the summary cut to the columns that fit a terminal or a page."""
        return self.summary.drop(columns=["failed", "cost_complete"])


def run_bakeoff(
    ask: Ask,
    judge_ask: Ask,
    tickets: Sequence[LabelledTicket],
    policies: Sequence[Policy] | None = None,
    *,
    tiers: Sequence[str] = TIERS,
    judge: str = JUDGE,
    concurrency: int = 8,
    draws: int = 2000,
    seed: int = 0,
    every: bool = False,
    calibration: Sequence[LabelledTicket] = (),
    reviews: Mapping[str, Label] | None = None,
    learned: Mapping[str, Learned] | None = None,
) -> Bakeoff:
    """Run all arms on the same tickets: each model alone, each policy's cascade, random at its rate, and its oracle.

    `policies` defaults to documented and published. Every model is asked once a ticket, through `ask` (give a ReplyCache to record or replay);
    cascades walk over those very replies, so arms differ by policy and not by sampling. The judge labels the tickets through `judge_ask`, by
    the same task; `reviews` (labels by ticket id) replace its labels. Caches with a file are held to the provenance of this run.

    `learned` holds the routers and scorers that policies name (`evaluation.routers`); they must come from other tickets than these. A policy with a
    router gets no random baseline at its rate, as its items need not pay the cheap model: `equal_spend.verdict_of_arm` compares at equal spend.

    With `every`, the gates of the first policy also walk each pair of `tiers` (cheapest first) and all of them, and an oracle may stop at any
    tier; given `calibration` tickets, which must be others, category majority and kNN are fitted on them.

    Raises what `ask` raises if nothing can be reached, CacheMiss from an incomplete recording, ProvenanceError from one of something else, ValueError
    without tickets, for two policies of one name, or if calibration and tickets overlap.
    """
    policies = tuple(policies) if policies is not None else (documented(), published())
    if len({policy.name for policy in policies}) != len(policies):
        raise ValueError(f"two policies have the same name: {', '.join(policy.name for policy in policies)}; name an arm once")
    if not tickets:
        raise ValueError("a bake-off needs at least one labelled ticket")
    if both := {entry.ticket.id for entry in calibration} & {entry.ticket.id for entry in tickets}:
        raise ValueError(f"{len(both)} tickets are in the calibration and in the test, such as {min(both)}; an arm must not be fitted on what it is tested on")
    models, items = _models(tiers, policies), [entry.ticket for entry in tickets]
    wanted = _provenance([*models, judge], tickets, calibration)
    for cache, asked in ((ask, models), (judge_ask, [judge])):
        if isinstance(cache, ReplyCache):
            cache.bind(wanted.model_copy(update={"models": {key: wanted.models[key] for key in wanted.models if key in asked}}))
    asked_once = once(ask)
    singles = {_only(tier): run_arm(TRIAGE, items, single(tier), asked_once, concurrency) for tier in models}
    cascades = _cascades(policies, tiers, every)
    traces = singles | {name: run_arm(TRIAGE, items, policy, asked_once, concurrency, learned=learned) for name, policy in cascades.items()}
    fitted = _learned(tickets, calibration, tiers, asked_once, concurrency) if every and calibration else None
    verdicts = run_arm(TRIAGE, items, single(judge), judge_ask, concurrency)
    by_judge, reviewed = _judge_labels(tickets, verdicts, reviews or {})
    plan = _Plan(policies, cascades, tuple(tiers), every, fitted, draws, seed)
    arms = _arms(traces, plan, tickets)
    labelled = {entry.ticket.id for entry in by_judge}
    kept = {name: [trace for trace in arm if trace.item_id in labelled] for name, arm in traces.items()}
    judge_frame = frame(verdicts, tickets)
    fitted_on = [entry.ticket for entry in calibration] if fitted is not None else []
    _finish([(ask, [*items, *(fitted_on if model in tiers else [])], model) for model in models] + [(judge_ask, items, judge)])
    return Bakeoff(
        arms=arms,
        summary=summary(arms),
        judged=summary(_arms(kept, plan, by_judge)) if by_judge else summary({}),
        judge=judge_frame,
        agreement=_agreement(judge_frame),
        comparisons=_comparisons(arms, cascades, draws, seed),
        policies=policies,
        source=", ".join(sorted({str(text) for text in summary(arms)["source"]})),
        provenance=wanted,
        seed=seed,
        reviewed=reviewed,
        ladders=tuple(policy for name, policy in cascades.items() if policy not in policies),
    )


def _finish(wished: Sequence[tuple[Ask, Sequence[Ticket], str]]) -> None:
    """Mark as finished each cache that now holds all that was wished of it."""
    missing = [cache for cache, items, model in wished if isinstance(cache, ReplyCache) and not all(cache.holds(model, TRIAGE.request(item)) for item in items)]
    for cache, _, _ in wished:
        if isinstance(cache, ReplyCache) and not any(cache is other for other in missing):
            cache.finish()


@dataclass(frozen=True)
class _Learned:
    """What was learned on the calibration split: a tier for each category of the cheap answer, and a tier for each ticket by its neighbours."""

    by_category: Mapping[str | None, int]
    by_neighbours: Mapping[str, int]


@dataclass(frozen=True)
class _Plan:
    """Which arms to make of the traces."""

    policies: tuple[Policy, ...]
    cascades: Mapping[str, Policy]
    tiers: tuple[str, ...]
    every: bool
    learned: _Learned | None
    draws: int
    seed: int


def _models(tiers: Sequence[str], policies: Sequence[Policy]) -> list[str]:
    return list(dict.fromkeys([*tiers, *(tier for policy in policies for tier in policy.tiers)]))


def _provenance(models: Sequence[str], tickets: Sequence[LabelledTicket], calibration: Sequence[LabelledTicket]) -> Provenance:
    """Return what this run is of; tickets of a shipped split stand for the whole split, so that a part of it may be recorded first."""
    splits = {split for split in map(shipped_split, (tickets, calibration)) if split is not None}
    return provenance(TRIAGE, tickets[0].ticket, models, {split: load_tickets(split) for split in splits})


def _cascades(policies: Sequence[Policy], tiers: Sequence[str], every: bool) -> dict[str, Policy]:
    cascades = {f"cascade_{policy.name}": policy for policy in policies}
    if not every or not policies:
        return cascades
    first = policies[0]
    walks = [*combinations(tiers, 2), *([tuple(tiers)] if len(tiers) > 2 else [])]
    ladders = [first.model_copy(update={"name": ">".join(walk), "tiers": walk}) for walk in walks if walk != first.tiers]
    return cascades | {f"cascade {ladder.name}": ladder for ladder in ladders}


def _learned(tickets: Sequence[LabelledTicket], calibration: Sequence[LabelledTicket], tiers: Sequence[str], ask: Ask, concurrency: int) -> _Learned:
    known = [entry.ticket for entry in calibration]
    fitted = [frame(run_arm(TRIAGE, known, single(tier), ask, concurrency), calibration) for tier in tiers]
    asked = [entry.ticket for entry in tickets]
    votes = nearest_tiers(known, fitted, asked, k=min(NEIGHBOURS, len(known)))
    return _Learned(best_by_category(fitted), {ticket.id: int(vote) for ticket, vote in zip(asked, votes, strict=True)})


def _only(tier: str) -> str:
    return f"{tier}_only"


def _arms(traces: Mapping[str, Sequence[Trace[RoutingDecision]]], plan: _Plan, labels: Sequence[LabelledTicket]) -> Arms:
    frames = {name: frame(arm, labels) for name, arm in traces.items()}
    arms: dict[str, pd.DataFrame | Baseline] = dict(frames)
    for name, policy in plan.cascades.items():
        if policy.router is None and (policy in plan.policies or len(policy.tiers) == 2):
            cheap, strong = frames[_only(policy.tiers[0])], frames[_only(policy.tiers[-1])]
            rate = float(frames[name]["escalated"].mean())
            arms[f"random at {policy.name} rate"] = random_baseline(cheap, strong, rate, plan.draws, plan.seed)
    ladder = [frames[_only(tier)] for tier in plan.tiers]
    if plan.learned is not None:
        arms["category majority"] = category_majority(ladder, plan.learned.by_category)
        arms["kNN"] = picked(ladder, [plan.learned.by_neighbours[entry.ticket.id] for entry in labels])
    for cheap_key, strong_key in dict.fromkeys((policy.tiers[0], policy.tiers[-1]) for policy in plan.policies):
        arms[f"oracle {cheap_key}, {strong_key}"] = oracle_baseline(frames[_only(cheap_key)], frames[_only(strong_key)])
    if plan.every and len(plan.tiers) > 2:
        arms[f"oracle {', '.join(plan.tiers)}"] = oracle(ladder)
    return arms


def _judge_labels(
    tickets: Sequence[LabelledTicket], verdicts: Sequence[Trace[RoutingDecision]], reviews: Mapping[str, Label]
) -> tuple[list[LabelledTicket], int]:
    """Return the tickets with the judge's labels, a person's review before the judge's word, and how many were reviewed."""
    labels = {trace.item_id: trace.answer.label for trace in verdicts if trace.answer is not None}
    reviewed = {entry.ticket.id: reviews[entry.ticket.id] for entry in tickets if entry.ticket.id in reviews}
    labels |= reviewed
    return [LabelledTicket(entry.ticket, labels[entry.ticket.id], entry.cohort, entry.family) for entry in tickets if entry.ticket.id in labels], len(reviewed)


def _agreement(judge: pd.DataFrame) -> pd.DataFrame:
    """Return how often the judge says what people say, by field; a ticket it gave no valid label counts as disagreement."""
    agrees = {field: (judge[field] == judge[f"gold_{field}"]).fillna(value=False) for field in FIELDS} | {"all three": judge["joint"]}
    rows = []
    for field, same in agrees.items():
        k, n = int(same.sum()), len(judge)
        low, high = wilson(k, n)
        rows.append({"field": field, "n": n, "agree": k, "share": k / n, "low": low, "high": high})
    return pd.DataFrame(rows)


def _comparisons(arms: Arms, cascades: Mapping[str, Policy], draws: int, seed: int) -> pd.DataFrame:
    """Return each cascade against its cheap and its strong model on the same tickets: paired difference, exact test, saving, gap recovered.

    `p_holm` is p corrected for all the tests of this table.
    """
    rows: list[dict[str, str | float]] = []
    for name, policy in cascades.items():
        cheap, strong = _only(policy.tiers[0]), _only(policy.tiers[-1])
        recovered = performance_gap_recovered(*(float(_frame(arms, key)["correct"].mean()) for key in (cheap, strong, name)))
        for other, gap in ((cheap, math.nan), (strong, recovered)):
            paired = compare(_frame(arms, name), _frame(arms, other), draws, seed)
            rows.append({"arm": name, "against": other, **paired, "gap_recovered": gap, "source": _frame(arms, name)["source"].iloc[0]})
    for row, p in zip(rows, holm([float(row["p"]) for row in rows]), strict=True):
        row["p_holm"] = p
    return pd.DataFrame(rows)


def compare(arm: pd.DataFrame, other: pd.DataFrame, draws: int = 2000, seed: int = 0) -> dict[str, float]:
    """Return the paired comparison of two arms on the same items.

    difference (accuracy of `arm` minus `other`) with low and high (95 % bootstrap by family), only_arm and only_other (items one alone got
    right), p (McNemar, exact: it takes items as independent, which near-duplicates are not, so trust the interval first), saving (share of `other`'s cost; negative if dearer).
    """
    if arm["item_id"].tolist() != other["item_id"].tolist():
        raise ValueError("the two arms hold different items, or the same in another order")
    mine, theirs = arm["correct"].to_numpy(bool), other["correct"].to_numpy(bool)
    only_mine, only_theirs = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
    low, high = bootstrap_difference(mine, theirs, arm["family"].tolist(), draws, seed)
    spent = float(other["cost_usd"].sum())
    saving = 1 - float(arm["cost_usd"].sum()) / spent if spent > 0 else math.nan
    difference = float(mine.mean() - theirs.mean())
    p = mcnemar_exact(only_mine, only_theirs)
    return {"difference": difference, "low": low, "high": high, "only_arm": only_mine, "only_other": only_theirs, "p": p, "saving": saving}


def _frame(arms: Arms, name: str) -> pd.DataFrame:
    arm = arms[name]
    if not isinstance(arm, pd.DataFrame):
        raise TypeError(f"{name} is a baseline without rows and cannot be paired")
    return arm
