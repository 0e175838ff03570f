"""Arms: the same items under different policies, as tables with one row an item, the baselines between them, and their summary."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workshop_lib.cascade import Policy, Trace, walk
from workshop_lib.evaluation.labels import LabelledQuestion, LabelledTicket
from workshop_lib.evaluation.metrics import Interval, percentile_nearest_rank, recall, wilson
from workshop_lib.llm import Ask
from workshop_lib.tasks import Answer as QuestionAnswer
from workshop_lib.tasks import RoutingDecision
from workshop_lib.tasks.base import Answer, Item, Task

FIELDS = ("category", "priority", "needs_human")
_NOTHING_REACHED = frozenset({"unreachable", "access", "not_found"})
_BOOLEANS = ("needs_human", "gold_needs_human")


def run_arm(task: Task[Item, Answer], items: Sequence[Item], policy: Policy, ask: Ask, concurrency: int = 8) -> list[Trace[Answer]]:
    """Walk every item through a policy, `concurrency` at a time, and return the traces in the order of the items.

    An item whose calls fail is kept as a failed trace. If half of the items or more failed because no model could be reached (sandbox
    stopped, no access, no such model), that is no measurement of a policy and the CallError is raised instead.
    """
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="arm") as pool:
        waiting = [pool.submit(walk, task, item, policy, ask) for item in items]
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
    without a valid answer); cost_usd, cost_complete, latency_ms; escalated, escalated_because, model_used, review_required, outcome, source.
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


@dataclass(frozen=True)
class Baseline:
    """What escalating at random gives: expected values over all choices of the escalated items, and 95 % of the draws between the bounds."""

    n: int
    rate: float
    accuracy: float
    accuracy_interval: Interval
    joint: float
    cost_usd: float
    cost_interval: Interval
    cost_complete: bool
    p50_ms: float
    p95_ms: float
    human_recall: float
    source: str


def random_baseline(cheap: pd.DataFrame, strong: pd.DataFrame, rate: float, draws: int = 2000, seed: int = 0) -> Baseline:
    """Return what a cascade gains by escalating a random share `rate` of the items: any gate worth its name must beat it.

    Accuracy, joint (items) and cost_usd are exact expectations; intervals, latency percentiles and human recall come from the draws.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is a share between 0 and 1, got {rate}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    kept, raised = _kept_and_raised(cheap, strong)
    open_to = np.flatnonzero(_may_escalate(cheap))
    count = min(round(rate * len(cheap)), len(open_to))
    generator = np.random.default_rng(seed)
    share = count / len(open_to) if len(open_to) else 0.0

    def expected(column: str) -> float:
        gain = raised[column].to_numpy(float)[open_to] - kept[column].to_numpy(float)[open_to]
        return float(kept[column].to_numpy(float).sum() + share * gain.sum())

    columns = {name: (kept[name].to_numpy(float), raised[name].to_numpy(float)) for name in ("correct", "cost_usd", "latency_ms", "review_required")}
    gold = _gold_human(cheap)
    drawn = []
    for _ in range(draws):
        mask = np.zeros(len(cheap), dtype=bool)
        mask[generator.choice(open_to, count, replace=False)] = True
        now = {name: np.where(mask, after, before) for name, (before, after) in columns.items()}
        latency = now["latency_ms"]
        flagged = recall(gold, now["review_required"]) if gold is not None else math.nan
        p50, p95 = (percentile_nearest_rank(latency, q) for q in (50, 95))
        drawn.append((now["correct"].mean(), now["cost_usd"].sum(), p50, p95, flagged))
    accuracy, cost, p50s, p95s, recalls = np.array(drawn).T
    return Baseline(
        n=len(cheap), rate=count / len(cheap), accuracy=expected("correct") / len(cheap), accuracy_interval=_middle(accuracy), joint=expected("joint"),
        cost_usd=expected("cost_usd"), cost_interval=_middle(cost), cost_complete=bool((cheap["cost_complete"] & strong["cost_complete"]).all()),
        p50_ms=float(np.median(p50s)), p95_ms=float(np.median(p95s)), human_recall=float(recalls.mean()), source=_source(cheap, strong),
    )  # fmt: skip


def oracle_baseline(cheap: pd.DataFrame, strong: pd.DataFrame) -> pd.DataFrame:
    """Return the arm that escalates exactly where the cheap model is wrong and the strong one right, charged for both there.

    No gate can be more accurate with these two models; no real gate can know what this one does.
    """
    kept, raised = _kept_and_raised(cheap, strong)
    return _compose(kept, raised, _may_escalate(cheap) & ~kept["correct"].to_numpy(bool) & raised["correct"].to_numpy(bool), "oracle")


def composed(cheap: pd.DataFrame, strong: pd.DataFrame, escalate: NDArray[np.bool_] | Sequence[bool], because: str = "chosen") -> pd.DataFrame:
    """Return the arm that asks the cheap model everything and the strong one where `escalate` is true, from their single-model arms.

    Both are charged there, latencies add up, and a safety flag that either raised stays. Where the cheap call failed nothing escalates.
    """
    kept, raised = _kept_and_raised(cheap, strong)
    mask = np.asarray(escalate, dtype=bool)
    if mask.shape != (len(kept),):
        raise ValueError(f"`escalate` needs one value for each of the {len(kept)} items, got shape {mask.shape}")
    return _compose(kept, raised, mask & _may_escalate(cheap), because)


def threshold_sweep(cheap: pd.DataFrame, strong: pd.DataFrame, thresholds: Sequence[float] | None = None) -> pd.DataFrame:
    """Return accuracy, cost and escalation rate when every answer with confidence below a threshold escalates, one row a threshold.

    Without `thresholds` it takes every one that makes a difference: each confidence that occurs (exactly at it is kept), and one above all.
    """
    confidence = cheap["confidence"].to_numpy(float)
    if thresholds is None:
        occurring = np.unique(confidence).tolist()
        thresholds = [*occurring, occurring[-1] + 0.01]
    rows = []
    for threshold in thresholds:
        arm = composed(cheap, strong, confidence < threshold)
        right, n = int(arm["correct"].sum()), len(arm)
        low, high = wilson(right, n)
        rows.append(
            {"threshold": threshold, "n": n, "right": right, "accuracy": right / n, "low": low, "high": high}
            | {"escalation_rate": float(arm["escalated"].mean()), "cost_usd": float(arm["cost_usd"].sum())}
        )
    return pd.DataFrame(rows)


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
    gold = _gold_human(arm)
    return {
        "n": n, "failed": int((arm["outcome"] == "error").sum()), "right": right, "accuracy": right / n, "low": low, "high": high, "joint": int(arm["joint"].sum()),
        "cost_usd": cost, "cost_per_1000": 1000 * cost / n,
        "p50_ms": percentile_nearest_rank(arm["latency_ms"].to_numpy(float), 50), "p95_ms": percentile_nearest_rank(arm["latency_ms"].to_numpy(float), 95),
        "escalation_rate": float(arm["escalated"].mean()), "human_recall": math.nan if gold is None else recall(gold, arm["review_required"].to_numpy(bool)),
        "cost_complete": bool(arm["cost_complete"].all()), "source": _source(arm),
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
        "cost_usd": trace.cost.usd,
        "cost_complete": trace.cost.complete,
        "latency_ms": float(trace.latency_ms),
        "escalated": trace.escalated,
        "escalated_because": " | ".join("; ".join(step.escalated_because) for step in trace.steps[:-1]),
        "model_used": trace.model_used,
        "review_required": trace.review_required,
        "outcome": trace.outcome,
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


def _kept_and_raised(cheap: pd.DataFrame, strong: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows as they are if an item stays with the cheap model, and as they are if it escalates."""
    kept, strong = cheap.reset_index(drop=True), strong.reset_index(drop=True)
    if kept["item_id"].tolist() != strong["item_id"].tolist():
        raise ValueError("the cheap and the strong arm hold different items, or the same in another order")
    raised = strong.copy()
    failed = ~strong["outcome"].isin(["answered", "guardrail"])  # the walk then keeps the cheap model's answer
    answered = [name for name in (*FIELDS, "answer", "correct", "joint", "model_used") if name in strong]
    for name in answered:
        raised[name] = strong[name].where(~failed, kept[name])
    raised["outcome"] = strong["outcome"].where(~(failed & (kept["outcome"] == "answered")), "answered")
    raised["confidence"] = kept["confidence"]
    raised["cost_usd"] = kept["cost_usd"] + strong["cost_usd"]
    raised["cost_complete"] = kept["cost_complete"] & strong["cost_complete"]
    raised["latency_ms"] = kept["latency_ms"] + strong["latency_ms"]
    both = kept["source"] + ", " + strong["source"]
    raised["source"] = kept["source"].where((kept["source"] == strong["source"]) | (strong["source"] == ""), both.str.removeprefix(", "))
    raised["review_required"] = kept["review_required"] | strong["review_required"]
    return kept, raised


def _may_escalate(cheap: pd.DataFrame) -> NDArray[np.bool_]:
    return cheap["outcome"].isin(["answered", "invalid"]).to_numpy(dtype=bool)


def _compose(kept: pd.DataFrame, raised: pd.DataFrame, mask: NDArray[np.bool_], because: str) -> pd.DataFrame:
    arm = kept.copy()
    for name in kept.columns:
        arm[name] = kept[name].where(~mask, raised[name])
    arm["escalated"] = mask
    arm["escalated_because"] = np.where(mask, because, "")
    return arm


def _gold_human(arm: pd.DataFrame) -> NDArray[np.bool_] | None:
    return arm["gold_needs_human"].to_numpy(dtype=bool) if "gold_needs_human" in arm else None


def _middle(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))


def _source(*arms: pd.DataFrame) -> str:
    return ", ".join(sorted({part for arm in arms for text in arm["source"].unique() for part in text.split(", ") if part}))


_DECIMALS: Mapping[str, int] = {"right": 1, "joint": 1, "cost_usd": 6, "cost_per_1000": 4, "p50_ms": 0, "p95_ms": 0, "p": 5}


def text_table(df: pd.DataFrame, decimals: Mapping[str, int] | None = None) -> str:
    """Return a table as plain fixed-width text, the same on every machine; `decimals` by column, else 6 for USD, 0 for ms, 3.

    Whole numbers carry no decimals, a missing value is "-", truth is "yes" or "no"; numbers stand right, words left.
    """
    header = [str(name) for name in df.columns]
    columns = cells(df, decimals)
    widths = [max([len(name), *(len(cell) for cell in column)]) for name, column in zip(header, columns, strict=True)]
    align: list[Callable[[str, int], str]] = [str.ljust if is_words(df[name]) else str.rjust for name in df.columns]
    lines = [header, ["-" * width for width in widths], *(list(row) for row in zip(*columns, strict=True))]
    return "\n".join("  ".join(put(cell, width) for put, cell, width in zip(align, line, widths, strict=True)).rstrip() for line in lines)


def cells(df: pd.DataFrame, decimals: Mapping[str, int] | None = None) -> list[list[str]]:
    """Return a table's values as text, column by column, rounded as `text_table` rounds."""
    places = {**_DECIMALS, **(decimals or {})}
    columns = [str(name) for name in df.columns]
    return [[_cell(value, places.get(name, _places(name))) for value in df[name].tolist()] for name in columns]


def is_words(column: "pd.Series[Any]") -> bool:
    """Say whether a column holds words, which stand left, and not numbers."""
    return any(isinstance(value, str) for value in column.tolist())


def _places(name: str) -> int:
    return 6 if name.endswith("usd") else 0 if name.endswith("_ms") else 3


def _cell(value: Any, places: int) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = f"{round(value, 9):.{places}f}"  # the last bits of a sum differ between machines; a half must not
        return text.removeprefix("-") if not text.strip("-0.") else text
    return str(value)
