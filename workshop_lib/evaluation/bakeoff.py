"""The bake-off: every arm on the same tickets, from the same single-model replies, graded against people and against a judge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from workshop_lib.cascade import Policy, Trace, documented, published, single
from workshop_lib.evaluation.arms import FIELDS, Baseline, frame, oracle_baseline, random_baseline, run_arm, summary
from workshop_lib.evaluation.cache import ReplyCache, request_hash
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.evaluation.metrics import bootstrap_difference, mcnemar_exact, performance_gap_recovered, wilson
from workshop_lib.llm import Ask, CallError, Reply, Request
from workshop_lib.tasks import TRIAGE, RoutingDecision

__all__ = ["JUDGE", "TIERS", "Arms", "Bakeoff", "compare", "run_bakeoff"]

TIERS = ("nano", "super", "sonnet")
JUDGE = "opus"

Arms = Mapping[str, pd.DataFrame | Baseline]


@dataclass(frozen=True)
class Bakeoff:
    """One bake-off: arms and summary against gold, the same against the judge's labels, and how far the judge agrees with gold.

    `judge` is the judge's own arm graded against gold (its cost_usd is the bill for the labels, which no arm contains). `agreement` has a row
    for each field and for all three. `comparisons` has a row for each cascade and baseline against each of its single models. `judged` leaves
    out, in every arm, the tickets the judge gave no valid label.
    """

    arms: Arms
    summary: pd.DataFrame
    judged: pd.DataFrame
    judge: pd.DataFrame
    agreement: pd.DataFrame
    comparisons: pd.DataFrame
    policies: tuple[Policy, ...]
    source: str

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
) -> Bakeoff:
    """Run all arms on the same tickets: each model alone, each policy's cascade, random at its rate, and its oracle.

    `policies` defaults to documented and published. Every model is asked once a ticket, through `ask` (give a ReplyCache to record or replay);
    cascades walk over those very replies, so arms differ by policy and not by sampling. The judge labels the tickets through `judge_ask`, by
    the same task. Raises what `ask` raises if nothing can be reached, CacheMiss from an incomplete recording, ValueError without tickets or for two policies of one name.
    """
    policies = tuple(policies) if policies is not None else (documented(), published())
    if len({policy.name for policy in policies}) != len(policies):
        raise ValueError(f"two policies have the same name: {', '.join(policy.name for policy in policies)}; name an arm once")
    items = [entry.ticket for entry in tickets]
    once = _once(ask)
    traces = {_only(tier): run_arm(TRIAGE, items, single(tier), once, concurrency) for tier in _models(tiers, policies)}
    cascades = {f"cascade_{policy.name}": run_arm(TRIAGE, items, policy, once, concurrency) for policy in policies}
    verdicts = run_arm(TRIAGE, items, single(judge), judge_ask, concurrency)
    by_judge = _judge_labels(tickets, verdicts)
    arms = _arms({**traces, **cascades}, policies, tickets, draws, seed)
    labelled = {entry.ticket.id for entry in by_judge}
    kept = {name: [trace for trace in arm if trace.item_id in labelled] for name, arm in {**traces, **cascades}.items()}
    judge_frame = frame(verdicts, tickets)
    return Bakeoff(
        arms=arms,
        summary=summary(arms),
        judged=summary(_arms(kept, policies, by_judge, draws, seed)) if by_judge else summary({}),
        judge=judge_frame,
        agreement=_agreement(judge_frame),
        comparisons=_comparisons(arms, policies, draws, seed),
        policies=policies,
        source=", ".join(sorted({str(text) for text in summary(arms)["source"]})),
    )


def _models(tiers: Sequence[str], policies: Sequence[Policy]) -> list[str]:
    return list(dict.fromkeys([*tiers, *(tier for policy in policies for tier in policy.tiers)]))


def _only(tier: str) -> str:
    return f"{tier}_only"


def _once(ask: Ask) -> Ask:
    """Return an `Ask` that asks each thing once and then repeats the outcome, failures too: a cascade must meet what its tiers met."""
    replies = ReplyCache(None, ask)
    failures: dict[tuple[str, str], CallError] = {}

    def answer(model: str, request: Request) -> Reply:
        key = (model, request_hash(request))
        if key in failures:
            raise failures[key]
        try:
            return replies(model, request)
        except CallError as error:
            failures[key] = error
            raise

    return answer


def _arms(
    traces: Mapping[str, Sequence[Trace[RoutingDecision]]], policies: Sequence[Policy], labels: Sequence[LabelledTicket], draws: int, seed: int
) -> Arms:
    frames = {name: frame(arm, labels) for name, arm in traces.items()}
    arms: dict[str, pd.DataFrame | Baseline] = dict(frames)
    for policy in policies:
        cheap, strong = frames[_only(policy.tiers[0])], frames[_only(policy.tiers[-1])]
        rate = float(frames[f"cascade_{policy.name}"]["escalated"].mean())
        arms[f"random at {policy.name} rate"] = random_baseline(cheap, strong, rate, draws, seed)
    for cheap_key, strong_key in dict.fromkeys((policy.tiers[0], policy.tiers[-1]) for policy in policies):
        arms[f"oracle {cheap_key}, {strong_key}"] = oracle_baseline(frames[_only(cheap_key)], frames[_only(strong_key)])
    return arms


def _judge_labels(tickets: Sequence[LabelledTicket], verdicts: Sequence[Trace[RoutingDecision]]) -> list[LabelledTicket]:
    labels = {trace.item_id: trace.answer.label for trace in verdicts if trace.answer is not None}
    return [LabelledTicket(entry.ticket, labels[entry.ticket.id], entry.cohort, entry.family) for entry in tickets if entry.ticket.id in labels]


def _agreement(judge: pd.DataFrame) -> pd.DataFrame:
    """Return how often the judge says what people say, by field; a ticket it gave no valid label counts as disagreement."""
    agrees = {field: (judge[field] == judge[f"gold_{field}"]).fillna(value=False) for field in FIELDS} | {"all three": judge["joint"]}
    rows = []
    for field, same in agrees.items():
        k, n = int(same.sum()), len(judge)
        low, high = wilson(k, n)
        rows.append({"field": field, "n": n, "agree": k, "share": k / n, "low": low, "high": high})
    return pd.DataFrame(rows)


def _comparisons(arms: Arms, policies: Sequence[Policy], draws: int, seed: int) -> pd.DataFrame:
    """Return each cascade against its cheap and its strong model on the same tickets: paired difference, exact test, saving, gap recovered."""
    rows: list[dict[str, str | float]] = []
    for policy in policies:
        name, cheap, strong = f"cascade_{policy.name}", _only(policy.tiers[0]), _only(policy.tiers[-1])
        recovered = performance_gap_recovered(*(float(_frame(arms, key)["correct"].mean()) for key in (cheap, strong, name)))
        for other, gap in ((cheap, math.nan), (strong, recovered)):
            paired = compare(_frame(arms, name), _frame(arms, other), draws, seed)
            rows.append({"arm": name, "against": other, **paired, "gap_recovered": gap, "source": _frame(arms, name)["source"].iloc[0]})
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
