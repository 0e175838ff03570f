"""Arms: the same items under different policies, as tables with one row an item, the baselines between them, and their summary."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd

from workshop_lib.cascade import Learned, Policy, Trace, walk
from workshop_lib.evaluation.baselines import Baseline, gold_human, oracle, oracle_baseline, random_baseline, sources
from workshop_lib.evaluation.composing import composed, picked, staged, threshold_sweep
from workshop_lib.evaluation.labels import FIELDS, LabelledQuestion, LabelledTicket
from workshop_lib.evaluation.metrics import percentile_nearest_rank, recall, wilson
from workshop_lib.evaluation.tables import cells, is_words, text_table
from workshop_lib.llm import Ask
from workshop_lib.tasks import Answer as QuestionAnswer
from workshop_lib.tasks import RoutingDecision
from workshop_lib.tasks.base import Answer, Item, Task

__all__ = [
    "FIELDS", "Baseline", "cells", "composed", "frame", "is_words", "oracle", "oracle_baseline", "picked", "random_baseline", "run_arm", "staged",
    "summary", "text_table", "threshold_sweep",
]  # fmt: skip

_NOTHING_REACHED = frozenset({"unreachable", "access", "not_found"})
_BOOLEANS = ("needs_human", "gold_needs_human")


def run_arm(
    task: Task[Item, Answer], items: Sequence[Item], policy: Policy, ask: Ask, concurrency: int = 8, *, learned: Mapping[str, Learned] | None = None
) -> list[Trace[Answer]]:
    """Walk every item through a policy, `concurrency` at a time, and return the traces in the order of the items; `learned` as in `walk`.

    An item whose calls fail is kept as a failed trace. If half of the items or more failed because no model could be reached (sandbox
    stopped, no access, no such model), that is no measurement of a policy and the CallError is raised instead.
    """
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="arm") as pool:
        waiting = [pool.submit(walk, task, item, policy, ask, learned=learned or {}) for item in items]
        try:
            traces = [future.result() for future in waiting]
        finally:
            for future in waiting:
                future.cancel()
    failed = [trace.steps[-1].error for trace in traces if trace.outcome == "error"]
    unreached = [error for error in failed if error is not None and error.kind in _NOTHING_REACHED]
    if unreached and 2 * len(unreached) >= len(traces):
        raise unreached[0]
    return traces


def frame(traces: Iterable[Trace[Any]], labels: Sequence[LabelledTicket | LabelledQuestion]) -> pd.DataFrame:
    """Return one row an item, in the order of the labels, graded against them; a failed item is wrong.

    Columns: item_id, family, cohort; category, priority, needs_human and gold_* of the same (for questions: answer and gold_answer); correct
    (the category, or the question's answer), joint (all three fields; for questions the same as correct); confidence (of the first tier, 0
    without a valid answer); calls (of tiers, judges, routers and samples), cost_usd, cost_complete, latency_ms; escalated, escalated_because, model_used, review_required, outcome, first_error
    (kind of the first tier's failed call, or empty), source.
    Raises ValueError unless traces and labels are of the same items, one each: arms with other denominators cannot be compared.
    """
    by_id: dict[str, Trace[Any]] = {}
    for trace in traces:
        if trace.item_id in by_id:
            raise ValueError(f"item {trace.item_id} has two traces; an arm has one an item")
        by_id[trace.item_id] = trace
    wanted = [_item_id(label) for label in labels]
    _same_items(by_id, wanted)
    rows = [{**_graded(by_id[item_id].answer, label), **_walked(by_id[item_id])} for item_id, label in zip(wanted, labels, strict=True)]
    return _typed(pd.DataFrame(rows))


def summary(arms: Mapping[str, pd.DataFrame | Baseline]) -> pd.DataFrame:
    """Return one row an arm, graded on the same items; raise ValueError if the items differ.

    Columns: arm, n, failed (calls that brought no answer), right, accuracy with low and high (95 % Wilson; for a random baseline 95 % of its draws), joint (items), cost_usd (all
    items), cost_per_1000 (USD), p50_ms and p95_ms (nearest rank), escalation_rate, human_recall (of gold needs_human, by review_required),
    cost_complete, source.
    """
    frames = {name: arm for name, arm in arms.items() if isinstance(arm, pd.DataFrame)}
    items: dict[str, Any] = {name: arm["item_id"].tolist() for name, arm in frames.items()}
    for name, ids in items.items():
        first = next(iter(items))
        if set(ids) != set(items[first]) or len(ids) != len(items[first]):
            raise ValueError(f"arms {first!r} and {name!r} were run on different items ({len(items[first])} and {len(ids)}); run all arms on the same")
    return pd.DataFrame([{"arm": name, **(_baseline_row(arm) if isinstance(arm, Baseline) else _arm_row(arm))} for name, arm in arms.items()])


def _arm_row(arm: pd.DataFrame) -> dict[str, Any]:
    n, right, cost = len(arm), int(arm["correct"].sum()), float(arm["cost_usd"].sum())
    low, high = wilson(right, n)
    gold = gold_human(arm)
    return {
        "n": n, "failed": int((arm["outcome"] == "error").sum()), "right": right, "accuracy": right / n, "low": low, "high": high, "joint": int(arm["joint"].sum()),
        "cost_usd": cost, "cost_per_1000": 1000 * cost / n,
        "p50_ms": percentile_nearest_rank(arm["latency_ms"].to_numpy(float), 50), "p95_ms": percentile_nearest_rank(arm["latency_ms"].to_numpy(float), 95),
        "escalation_rate": float(arm["escalated"].mean()), "human_recall": math.nan if gold is None else recall(gold, arm["review_required"].to_numpy(bool)),
        "cost_complete": bool(arm["cost_complete"].all()), "source": sources(arm),
    }  # fmt: skip


def _baseline_row(arm: Baseline) -> dict[str, Any]:
    low, high = arm.accuracy_interval
    return {
        "n": arm.n, "failed": 0, "right": arm.accuracy * arm.n, "accuracy": arm.accuracy, "low": low, "high": high, "joint": arm.joint,
        "cost_usd": arm.cost_usd, "cost_per_1000": 1000 * arm.cost_usd / arm.n, "p50_ms": arm.p50_ms, "p95_ms": arm.p95_ms,
        "escalation_rate": arm.rate, "human_recall": arm.human_recall, "cost_complete": arm.cost_complete, "source": arm.source,
    }  # fmt: skip


def _graded(answer: Any, label: LabelledTicket | LabelledQuestion) -> dict[str, Any]:
    if isinstance(label, LabelledQuestion):
        given = answer.answer if isinstance(answer, QuestionAnswer) else None
        right = given is not None and label.equivalence.accepts(given, label.answer)
        row: dict[str, Any] = {"item_id": label.question.id, "family": label.family, "cohort": label.kind}
        return row | {"answer": given, "gold_answer": label.answer, "correct": right, "joint": right}
    given_label = answer.label if isinstance(answer, RoutingDecision) else None
    row = {"item_id": label.ticket.id, "family": label.family, "cohort": label.cohort}
    row |= {name: None if given_label is None else getattr(given_label, name) for name in FIELDS}
    row |= {f"gold_{name}": getattr(label.label, name) for name in FIELDS}
    return row | {"correct": given_label is not None and given_label.category == label.label.category, "joint": given_label == label.label}


def _walked(trace: Trace[Any]) -> dict[str, Any]:
    first = trace.steps[0]
    sources = sorted({step.reply.source for step in trace.steps if step.reply is not None})
    return {
        "confidence": 0.0 if first.answer is None else float(first.answer.confidence),
        "calls": len(trace.steps) + len(trace.calls),
        "cost_usd": trace.cost.usd,
        "cost_complete": trace.cost.complete,
        "latency_ms": float(trace.latency_ms),
        "escalated": trace.escalated,
        "escalated_because": " | ".join("; ".join(step.escalated_because) for step in trace.steps[:-1]),
        "model_used": trace.model_used,
        "review_required": trace.review_required,
        "outcome": trace.outcome,
        "first_error": "" if first.error is None else first.error.kind,
        "source": ", ".join(sources),
    }


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    # A flag may be missing, which plain booleans cannot say and objects say differently in every operation.
    return rows.astype({name: "boolean" for name in _BOOLEANS if name in rows})


def _item_id(label: LabelledTicket | LabelledQuestion) -> str:
    return label.question.id if isinstance(label, LabelledQuestion) else label.ticket.id


def _same_items(have: Iterable[str], wanted: Sequence[str]) -> None:
    if not wanted:
        raise ValueError("an arm needs at least one labelled item")
    twice = sorted({item for item in wanted if wanted.count(item) > 1}) if len(set(wanted)) != len(wanted) else []
    if twice:
        raise ValueError(f"{len(twice)} items have two labels, such as {twice[0]}")
    for some, others, what in ((wanted, set(have), "no trace"), (have, set(wanted), "no label")):
        missing = [item for item in some if item not in others]
        if missing:
            raise ValueError(f"{len(missing)} items have {what}, such as {missing[0]}; every arm needs every item, failed ones too")
