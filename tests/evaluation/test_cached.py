"""What a cache does to labelled tickets, by hand: hits, false hits, lost flags, saving, and a threshold that must be earned."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from workshop_lib.cascade import CACHE, TextCache, TextVectors, Trace, cached_walk, documented, item_text
from workshop_lib.evaluation.arms import run_arm
from workshop_lib.evaluation.cached import cache_report, cache_sweep, fit_cache_threshold
from workshop_lib.evaluation.labels import LabelledTicket, load_tickets
from workshop_lib.llm import Ask, Cost
from workshop_lib.tasks import TRIAGE, Label, RoutingDecision, Ticket

Scripted = Callable[[Mapping[tuple[str, str], object]], Ask]
BODIES = ["Charged twice for May, please refund", "charged twice for may please refund", "Charged twice for May, please refund!", "A dark theme would be nice"]
VECTORS = TextVectors.fit(BODIES)


def labelled(bodies: Sequence[str], labels: Sequence[tuple[str, str, bool]], families: Sequence[str] | None = None) -> tuple[LabelledTicket, ...]:
    """Return labelled tickets with these bodies."""
    names = families or [f"f{n // 2}" for n in range(len(bodies))]
    return tuple(
        LabelledTicket(Ticket(id=f"X-{n}", subject="s", body=body), Label(category=c, priority=p, needs_human=h), "routine", name)  # type: ignore[arg-type]
        for n, (body, (c, p, h), name) in enumerate(zip(bodies, labels, names, strict=True))
    )


def says(category: str = "billing", priority: str = "P2", needs_human: bool = False) -> dict[str, object]:
    """Return a sure decision."""
    return {"category": category, "priority": priority, "needs_human": needs_human, "confidence": 0.9, "reasoning": "r"}


@pytest.fixture
def tickets() -> tuple[LabelledTicket, ...]:
    """Return three near-duplicates, of which the second and the third should get other answers, and one more."""
    return labelled(BODIES, [("billing", "P2", False), ("billing", "P3", False), ("billing", "P0", True), ("feature_request", "P3", False)])


@pytest.fixture
def traces(tickets: tuple[LabelledTicket, ...], scripted: Scripted) -> list[Trace[RoutingDecision]]:
    """Return what the cascade said: all right but the second, which it gave the first one's answer."""
    script = {("nano", "X-0"): says(), ("nano", "X-1"): says(), ("nano", "X-2"): says(priority="P0", needs_human=True),
              ("sonnet", "X-2"): says(priority="P0", needs_human=True), ("nano", "X-3"): says("feature_request", "P3")}  # fmt: skip
    return run_arm(TRIAGE, [entry.ticket for entry in tickets], documented(), scripted(script), 1)


def test_hits_false_hits_and_saving(tickets: tuple[LabelledTicket, ...], traces: list[Trace[RoutingDecision]]) -> None:
    """Without it the figures of a cache could be of something else; nano costs 1 USD and sonnet 10 here."""
    report = cache_report(traces, tickets, TextCache(VECTORS, threshold=0.9), draws=200)
    assert report.rows["hit"].tolist() == [False, True, True, False]
    assert report.rows["near"].tolist() == ["", "X-0", "X-0", ""]
    assert report.rows["same_family"].tolist() == [False, True, False, False]
    assert report.row["same_family"] == 1
    counts = [(rate.k, rate.n) for rate in (report.hits, report.false_hits, report.changed, report.wrong, report.unflagged)]
    assert counts == [(2, 4), (2, 2), (1, 2), (2, 2), (1, 2)]
    assert report.saving.value == pytest.approx(12 / 14)
    assert report.accuracy.value == pytest.approx(-1 / 4)
    assert (report.families, report.source, report.row["hits"], report.row["false"]) == (2, "test", 2, 2)
    assert "2 of 4 tickets are hits" in report.sentence
    assert "1 of them tickets that a person would have seen" in report.sentence


def test_a_rate_is_never_surer_than_its_tickets(tickets: tuple[LabelledTicket, ...], traces: list[Trace[RoutingDecision]]) -> None:
    """Without it two false hits of two would be shown as 100 %, from 100 % to 100 %."""
    report = cache_report(traces, tickets, TextCache(VECTORS, threshold=0.9), draws=200)
    assert report.false_hits.interval.low < 0.5
    none = cache_report(traces, tickets, TextCache(TextVectors.fit(["x"]), threshold=1, max_age_s=1e-9), draws=200)
    assert (none.hits.k, none.false_hits.interval, math.isnan(none.false_hits.share), none.saving.value) == (0, (0, 1), True, 0)
    assert none.sentence.endswith("nothing is saved and nothing can go wrong.")


def test_the_report_is_what_walking_with_the_cache_gives(tickets: tuple[LabelledTicket, ...], traces: list[Trace[RoutingDecision]]) -> None:
    """Without it a replay of traces could measure another cache than the one that runs."""
    by_id = {trace.item_id: trace for trace in traces}
    cache: TextCache[RoutingDecision] = TextCache(VECTORS, threshold=0.9)

    def ask(model: str, request: object) -> object:
        return next(step.reply for step in by_id[request.tags["ticket"]].steps if step.tier == model)  # type: ignore[attr-defined]

    walked = [cached_walk(TRIAGE, entry.ticket, documented(), ask, cache) for entry in tickets]  # type: ignore[arg-type]
    rows = cache_report(traces, tickets, TextCache(VECTORS, threshold=0.9), draws=10).rows
    assert [trace.model_used == CACHE for trace in walked] == rows["hit"].tolist()
    assert [trace.answer.label == entry.label for trace, entry in zip(walked, tickets, strict=True) if trace.answer] == rows["right"].tolist()


def test_a_saving_of_unknown_costs_is_told_as_such(tickets: tuple[LabelledTicket, ...], traces: list[Trace[RoutingDecision]]) -> None:
    """Without it the saving would be of a complete cost that nobody knows, or read "saves nan% of the cost"."""

    def costing(trace: Trace[RoutingDecision], cost: Cost) -> Trace[RoutingDecision]:
        steps = tuple(replace(step, reply=step.reply and replace(step.reply, cost=cost)) for step in trace.steps)
        return replace(trace, steps=steps)

    unknown = [costing(traces[0], Cost(0.0, complete=False)), *traces[1:]]
    report = cache_report(unknown, tickets, TextCache(VECTORS, threshold=0.9), draws=20)
    assert not report.cost_complete
    assert "of the known cost (" in report.sentence
    for complete, said in ((False, "not known, as the cost is not,"), (True, "not known, as nothing was charged,")):
        free = cache_report([costing(trace, Cost(0.0, complete=complete)) for trace in traces], tickets, TextCache(VECTORS, threshold=0.9), draws=20)
        assert said in free.sentence
        assert "nan" not in free.sentence


def test_other_tickets_are_refused(tickets: tuple[LabelledTicket, ...], traces: list[Trace[RoutingDecision]]) -> None:
    """Without it an answer could be graded by another ticket's label."""
    with pytest.raises(ValueError, match="same tickets in the same order"):
        cache_report(traces[::-1], tickets, TextCache(VECTORS, threshold=0.9))
    with pytest.raises(ValueError, match="at least one"):
        cache_report([], (), TextCache(VECTORS, threshold=0.9))


def test_a_lower_threshold_hits_more(tickets: tuple[LabelledTicket, ...], traces: list[Trace[RoutingDecision]]) -> None:
    """Without it the sweep could reuse one cache, so that a row would hit what the row before had kept."""
    sweep = cache_sweep(traces, tickets, VECTORS, (1.0, 0.9, 0.01), draws=20)
    assert sweep["threshold"].tolist() == [1.0, 0.9, 0.01]
    assert sweep["hits"].is_monotonic_increasing
    assert sweep["hits"].iloc[0] == 2  # punctuation and capitals do not count


def test_a_threshold_is_found_where_near_texts_agree() -> None:
    """Without it a cache that would be safe could never be switched on; thirty pairs agree, ten that are less near do not."""
    bodies, labels = [], []
    for n in range(30):
        bodies += [f"alpha{n} beta{n} gamma{n} delta{n}"] * 2
        labels += [("billing", "P2", False)] * 2
    for n in range(10):
        bodies += [f"one{n} two{n} three{n} four{n}", f"one{n} two{n} other{n} words{n}"]
        labels += [("auth", "P2", False), ("auth", "P0", True)]
    found = fit_cache_threshold(labelled(bodies, labels), TextVectors.fit(bodies), split="calibration", epsilon=0.1)
    assert found.threshold is not None
    assert found.pairs.loc[~found.pairs["same"], "similarity"].max() < found.threshold < 1
    assert found.sentence.startswith("From similarity 0.")
    answers: dict[str, Label | None] = {entry.ticket.id: None for entry in labelled(bodies, labels)}
    with pytest.raises(ValueError, match="at least two answered"):
        fit_cache_threshold(labelled(bodies, labels), VECTORS, split="calibration", answer=lambda entry: answers[entry.ticket.id])


def test_near_texts_with_other_answers_earn_no_threshold() -> None:
    """Without it a family of paraphrases would pass for a safe cache because its texts are near."""
    bodies = [f"the boards are slow for {n} of us" for n in range(60)]
    labels = [("performance", ("P0", "P3")[n % 2], False) for n in range(60)]
    found = fit_cache_threshold(labelled(bodies, labels), TextVectors.fit(bodies), split="calibration")
    assert (found.threshold, found.sentence.startswith("No threshold shows ")) == (None, True)
    assert "fails already" in found.sentence


def test_the_shipped_tickets_earn_no_threshold() -> None:
    """Without it the docs could say so and be wrong: no two shipped tickets are near-duplicates."""
    vectors = TextVectors.fit([item_text(entry.ticket) for entry in load_tickets("calibration")])
    found = fit_cache_threshold(load_tickets("calibration"), vectors, split="calibration")
    assert (found.threshold, "Leave the cache off." in found.sentence) == (None, True)
    with pytest.raises(ValueError, match="test split"):
        fit_cache_threshold(load_tickets("test"), vectors, split="test")
