"""What a semantic cache in front of a cascade does to labelled tickets: hits, false hits and saving, with intervals that resample whole families.

Nothing is called: the traces of the cascade without a cache say what every ticket would have been answered, and what that cost.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workshop_lib.cascade import SemanticCache, TextCache, TextVectors, Trace, item_text, worth_keeping
from workshop_lib.evaluation.calibration import refuse_test
from workshop_lib.evaluation.intervals import Interval, wilson
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.evaluation.thresholds import Guarantee, guaranteed_threshold
from workshop_lib.evaluation.uncertainty import DRAWS, Estimate, bootstrap, bootstrap_paired
from workshop_lib.tasks import Label, RoutingDecision

Traces = Sequence[Trace[RoutingDecision]]
GRID = tuple(step / 100 for step in range(99, 9, -1))
"""The similarities tried unless others are given, from strict to lax."""


@dataclass(frozen=True)
class Rate:
    """`k` of `n` with a 95 % interval: the wider one, at each end, of Wilson's and of the bootstrap by family. Without any item it is (0, 1)."""

    k: int
    n: int
    interval: Interval

    @property
    def share(self) -> float:
        """Return k/n, NaN without any item."""
        return self.k / self.n if self.n else math.nan


@dataclass(frozen=True, eq=False)
class CacheReport:
    """What a cache would have done to tickets that came in this order.

    `hits` of all tickets. Of the hits: `false_hits` give another category, priority or needs_human than the label or than the cascade would have;
    `changed` differ from the cascade, `wrong` from the label, and `unflagged` are hits on tickets that the cascade would have had a person look at,
    and no longer does. `saving` is the share of the cascade's USD (of the known ones unless `cost_complete`; NaN if they are none), `accuracy` the change of the share of tickets right in all three fields.
    `rows` has one row a ticket, in order, with the ticket each hit was near and whether that is of the same family.
    """

    rows: pd.DataFrame
    hits: Rate
    false_hits: Rate
    changed: Rate
    wrong: Rate
    unflagged: Rate
    saving: Estimate
    accuracy: Estimate
    families: int
    source: str
    cost_complete: bool = True

    @property
    def row(self) -> dict[str, float | int | str]:
        """Return the report as one row of a table: counts, and shares with their 95 % bounds."""
        return {
            "n": self.hits.n, "hits": self.hits.k, "hit_rate": self.hits.share, "hit_low": self.hits.interval.low, "hit_high": self.hits.interval.high,
            "false": self.false_hits.k, "false_rate": self.false_hits.share, "false_low": self.false_hits.interval.low, "false_high": self.false_hits.interval.high,
            "changed": self.changed.k, "wrong": self.wrong.k, "same_family": int(self.rows["same_family"].sum()), "unflagged": self.unflagged.k, "saving": self.saving.value, "saving_low": self.saving.low, "saving_high": self.saving.high,
            "accuracy": self.accuracy.value, "accuracy_low": self.accuracy.low, "accuracy_high": self.accuracy.high, "source": self.source,
        }  # fmt: skip

    @property
    def sentence(self) -> str:
        """Return the report in plain words."""
        said = f"{self.hits.k} of {self.hits.n} tickets are hits ({_bounds(self.hits)}; {self.families} families)"
        if not self.hits.k:
            return f"{said}: nothing is saved and nothing can go wrong."
        cost = f"saves {self.saving.value:.1%} of the {'' if self.cost_complete else 'known '}cost (95 % from {self.saving.low:.1%} to {self.saving.high:.1%})"
        if math.isnan(self.saving.value):
            cost = f"saves a share of the cost that is not known, as {'nothing was charged' if self.cost_complete else 'the cost is not'},"
        return (
            f"{said}, {self.false_hits.k} of them false ({_bounds(self.false_hits)}), {self.unflagged.k} of them tickets that a person would have seen. "
            f"That {cost} and moves the share right in all three fields by {self.accuracy.value:+.3f} (from {self.accuracy.low:+.3f} to {self.accuracy.high:+.3f})."
        )


@dataclass(frozen=True, eq=False)
class CacheThreshold:
    """The lowest similarity shown to keep false hits under a bound, or None if none is; `pairs` has each text with its nearest earlier one.

    Columns of `pairs`: similarity, same (the two answers agree in all three fields), same_family.
    """

    threshold: float | None
    guarantee: Guarantee
    pairs: pd.DataFrame

    @property
    def sentence(self) -> str:
        """Return the choice, or why there is none, in plain words."""
        found = self.guarantee
        goal = f"at most {found.epsilon:.0%} false hits with probability {1 - found.delta:g}"
        if self.threshold is not None:
            return f"From similarity {self.threshold:g}: {found.accepted} of {found.n} texts would be hits, {found.errors} of them false; that shows {goal}."
        if found.most < found.needed:
            missing = f"it takes {found.needed} texts near an earlier one even if all answers agree, and from similarity {GRID[-1]:g} on there are {found.most} of {found.n}"
            return f"No threshold shows {goal}: {missing}. Leave the cache off."
        return f"No threshold shows {goal}: the first that {found.needed} texts reach, {found.first:g}, fails already. Leave the cache off."


def cache_report(
    traces: Traces, tickets: Sequence[LabelledTicket], cache: SemanticCache[RoutingDecision], *, draws: int = DRAWS, seed: int = 0
) -> CacheReport:
    """Return what an empty cache would have done to labelled tickets that came in this order; `traces` are those of the cascade without a cache.

    A miss keeps the cascade's answer if it is `worth_keeping`. Raises ValueError unless there is one trace a ticket, in the same order.
    Hits come in pairs of tickets, so the families are fewer than they look: the intervals are, if anything, too narrow.
    """
    rows = pd.DataFrame([_row(trace, entry, cache) for trace, entry in _pairs(traces, tickets)])
    family_of = {entry.ticket.id: entry.family for entry in tickets}
    rows["same_family"] = [family_of.get(near) == family for near, family in zip(rows["near"], rows["family"], strict=True)]
    families = rows["family"].to_numpy(str)
    hit = rows["hit"].to_numpy(bool)
    cost = rows["cost_usd"].to_numpy(float)

    def rate(column: str, among: NDArray[np.bool_]) -> Rate:
        return _rate(rows[column].to_numpy(bool) & among, among, families, draws, seed)

    sources = sorted({step.reply.source for trace in traces for step in trace.steps if step.reply is not None})
    return CacheReport(
        rows, rate("hit", np.ones(len(rows), dtype=bool)), rate("false", hit), rate("changed", hit), rate("wrong", hit), rate("unflagged", hit),
        saving=bootstrap([cost * hit, cost], lambda total: total[:, 0] / total[:, 1], families, draws=draws, seed=seed),
        accuracy=bootstrap_paired(rows["right"].to_numpy(float), rows["cascade_right"].to_numpy(float), families, draws=draws, seed=seed),
        families=len(set(families)), source=", ".join(sources), cost_complete=all(trace.cost.complete for trace in traces),
    )  # fmt: skip


def cache_sweep(
    traces: Traces, tickets: Sequence[LabelledTicket], vectors: TextVectors, thresholds: Sequence[float], *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Return one row a threshold, as `CacheReport.row`, each of an empty `TextCache`."""

    def report(threshold: float) -> CacheReport:
        return cache_report(traces, tickets, TextCache(vectors, threshold=threshold), draws=draws, seed=seed)

    return pd.DataFrame([{"threshold": threshold, **report(threshold).row} for threshold in thresholds])


def fit_cache_threshold(
    tickets: Sequence[LabelledTicket], vectors: TextVectors, *, split: str, answer: Callable[[LabelledTicket], Label | None] | None = None,
    epsilon: float = 0.05, delta: float = 0.1,
) -> CacheThreshold:  # fmt: skip
    """Return the lowest similarity from which at most `epsilon` of the hits are false, with probability 1 - `delta`.

    Each ticket is compared with the nearest of those before it. Two answers agree if all three fields do: those of the labels, or what `answer` returns
    of a ticket, such as a cascade's; without an answer a ticket is left out. The method is that of `guaranteed_threshold`, on `GRID`. Raises
    ValueError for the test split and for fewer than two tickets.
    """
    refuse_test(split, "A cache's threshold")
    answers = [(entry, entry.label if answer is None else answer(entry)) for entry in tickets]
    kept = [(entry, label) for entry, label in answers if label is not None]
    if len(kept) < 2:
        raise ValueError(f"a threshold needs at least two answered tickets, got {len(kept)}")
    rows = vectors.rows([item_text(entry.ticket) for entry, _ in kept])
    cosines = np.tril((rows @ rows.T).toarray(), -1)  # of each with those before it
    near = cosines.argmax(axis=1)
    found = [
        {"similarity": round(float(cosines[at, near[at]]), 6), "same": label == kept[near[at]][1], "same_family": entry.family == kept[near[at]][0].family}
        for at, (entry, label) in enumerate(kept) if at
    ]  # fmt: skip
    pairs = pd.DataFrame(found)
    shown = guaranteed_threshold(pairs["similarity"].clip(0, 1), pairs["same"], epsilon=epsilon, delta=delta, grid=GRID, families=[entry.family for entry, _ in kept[1:]])
    return CacheThreshold(shown.threshold, shown, pairs)


def _pairs(traces: Traces, tickets: Sequence[LabelledTicket]) -> list[tuple[Trace[RoutingDecision], LabelledTicket]]:
    if [trace.item_id for trace in traces] != [entry.ticket.id for entry in tickets]:
        raise ValueError(f"{len(traces)} traces and {len(tickets)} tickets are not of the same tickets in the same order")
    if not tickets:
        raise ValueError("a cache needs at least one labelled ticket")
    return list(zip(traces, tickets, strict=True))


def _row(trace: Trace[RoutingDecision], entry: LabelledTicket, cache: SemanticCache[RoutingDecision]) -> dict[str, Any]:
    text = item_text(entry.ticket)
    hit = cache.look(text)
    if hit is None and trace.answer is not None and worth_keeping(trace):
        cache.keep(text, trace.answer, item_id=trace.item_id)
    without = None if trace.answer is None else trace.answer.label
    given = without if hit is None else hit.answer.label
    changed, wrong = given != without, given != entry.label
    return {
        "item_id": trace.item_id, "family": entry.family, "hit": hit is not None, "similarity": math.nan if hit is None else hit.similarity,
        "near": "" if hit is None else hit.item_id, "false": changed or wrong, "changed": changed, "wrong": wrong,
        "unflagged": hit is not None and trace.review_required and not hit.answer.needs_human,
        "right": not wrong, "cascade_right": without == entry.label, "cost_usd": trace.cost.usd,
    }  # fmt: skip


def _rate(found: NDArray[np.bool_], among: NDArray[np.bool_], families: NDArray[np.str_], draws: int, seed: int) -> Rate:
    k, n = int(found.sum()), int(among.sum())
    low, high = wilson(k, n)
    if n:
        drawn = bootstrap([found.astype(float), among.astype(float)], lambda total: total[:, 0] / total[:, 1], families.tolist(), draws=draws, seed=seed)
        low, high = min(low, drawn.low), max(high, drawn.high)
    return Rate(k, n, Interval(low, high))


def _bounds(rate: Rate) -> str:
    return f"{rate.share:.1%}, 95 % from {rate.interval.low:.1%} to {rate.interval.high:.1%}"
