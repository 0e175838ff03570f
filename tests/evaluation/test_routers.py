"""Learned routers: what they learn from, what they refuse, and whether they beat chance for the same money."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_lib.cascade import Policy, Seen, single, walk
from workshop_lib.evaluation.advice import measured
from workshop_lib.evaluation.arms import frame, run_arm
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.evaluation.routers import History, history, train_router, train_scorer, verdict
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

EASY, HARD = "please change my invoice address", "intermittent webhook race after failover"


def past(hard: Sequence[bool], families: Sequence[str] | None = None, usd: tuple[float, float] = (1.0, 10.0)) -> History:
    """Return a history where the strong model is always right and the cheap one wrong on hard items, whose words differ."""
    n = len(hard)
    texts = tuple(f"{HARD if is_hard else EASY} number {index}" for index, is_hard in enumerate(hard))
    wrong = np.array(hard, dtype=bool)
    return History(texts, tuple(families or [f"f{index}" for index in range(n)]), ~wrong, np.ones(n, dtype=bool), np.full(n, usd[0]), np.full(n, usd[1]))


MIXED = [index % 3 == 0 for index in range(60)]


@pytest.mark.parametrize("method", ["logistic", "knn"])
def test_it_learns_which_words_are_hard(method: Any) -> None:
    """Without it a router could be trained on the wrong target and nobody would see."""
    router = train_router(past(MIXED), split="calibration", method=method)
    easy, hard = router.probabilities([f"{EASY} again", f"{HARD} again"])
    assert easy < 0.3 < 0.7 < hard
    assert router.probability(Seen(None, text=f"{HARD} again")) == hard
    assert (router.n, router.hard) == (60, 20)


@pytest.mark.parametrize("method", ["logistic", "knn"])
def test_the_threshold_sends_on_about_the_share_asked_for(method: Any) -> None:
    """Without it a router meant for a tenth of the items could send on all of them."""
    router = train_router(past(MIXED), split="calibration", method=method)
    policy = router.router("sonnet", share=1 / 3)
    assert np.mean(router.held_out >= policy.at_least) == pytest.approx(1 / 3, abs=0.05)
    assert policy.digest == router.digest


def test_an_item_is_not_judged_by_a_model_that_saw_its_family() -> None:
    """Without it near-duplicates would make the held-out probabilities, and so the threshold, look certain."""
    generator = np.random.default_rng(0)
    hard = generator.random(80) < 0.5
    families = [f"f{index // 2}" for index in range(80)]
    texts = tuple(f"word{index // 2}" for index in range(80))
    twins = np.repeat(hard[::2], 2)
    told = History(texts, tuple(families), ~twins, np.ones(80, dtype=bool), np.ones(80), np.full(80, 10.0))
    router = train_router(told, split="calibration")
    assert np.mean((router.probabilities(texts) > 0.5) == twins) > 0.95
    assert np.mean((router.held_out > 0.5) == twins) < 0.75


@pytest.mark.slow
def test_the_digest_follows_what_it_was_trained_on() -> None:
    """Without it a retrained router could run under the hash of the old one."""
    same, other = train_router(past(MIXED), split="calibration"), train_router(past(MIXED[::-1]), split="calibration")
    digests = {same.digest, other.digest, train_router(past(MIXED), split="calibration", method="knn").digest, train_router(past(MIXED), split="calibration", method="knn", neighbours=3).digest}
    assert len(digests) == 4
    assert train_router(past(MIXED), split="calibration").digest == same.digest


@pytest.mark.parametrize(("hard", "split", "message"), [(MIXED, "test", "calibration split"), ([True] * 4 + [False] * 50, "calibration", "4 of 54 items are hard"), ([True] * 50, "calibration", "50 of 50 items are hard")])
def test_what_cannot_teach_is_refused(hard: list[bool], split: str, message: str) -> None:
    """Without it a router could be trained on the items it is measured on, or on three examples."""
    with pytest.raises(ValueError, match=message):
        train_router(past(hard), split=split)
    with pytest.raises(ValueError, match=r"calibration split|answered wrongly"):
        train_scorer(past(hard), [decision(0.5)] * len(hard), split=split)


def decision(confidence: float, category: str = "billing") -> RoutingDecision:
    """Return a cheap answer."""
    return RoutingDecision(ticket_id="T", category=category, priority="P3", confidence=confidence, reasoning="", needs_human=False)  # type: ignore[arg-type]


def test_a_scorer_learns_from_the_answer_too() -> None:
    """Without it a scorer would be a router that is asked too late."""
    same_words = past(MIXED)
    plain = History(tuple("the same words" for _ in MIXED), *(getattr(same_words, name) for name in ("families", "cheap_right", "strong_right", "cheap_usd", "strong_usd")))
    answers: list[RoutingDecision | None] = [decision(0.9, "other" if hard else "billing") for hard in MIXED]
    scorer = train_scorer(plain, [*answers[:-1], None], split="calibration")
    wrong, right = (scorer.probability(Seen(decision(0.9, category), text="the same words")) for category in ("other", "billing"))
    assert right < 0.3 < 0.6 < wrong
    assert scorer.n == 59
    gate = scorer.gate(share=0.3)
    assert np.mean(scorer.held_out > gate.above) == pytest.approx(1 / 3, abs=0.06)


def test_history_comes_from_arms_on_the_same_items(tickets: tuple[LabelledTicket, ...], scripted: Callable[..., Any], decision: Callable[..., Any]) -> None:
    """Without it texts and outcomes of different items could be paired."""
    script: dict[tuple[str, str], Any] = {("nano", f"X-{n}"): decision("billing") for n in range(4)}
    script |= {("sonnet", f"X-{n}"): decision(entry.label.category) for n, entry in enumerate(tickets)}
    items = [entry.ticket for entry in tickets]
    cheap, strong = (frame(run_arm(TRIAGE, items, single(tier), scripted(script)), tickets) for tier in ("nano", "sonnet"))
    told = history(items, cheap, strong)
    assert told.hard.tolist() == [False, True, True, True]
    assert told.texts[1] == "s\nbody 1"
    assert (told.cheap_usd.tolist(), told.strong_usd.tolist()) == ([1.0] * 4, [10.0] * 4)
    with pytest.raises(ValueError, match="other items"):
        history(items[::-1], cheap, strong)


def test_a_trained_router_routes_in_a_walk() -> None:
    """Without it training and walking could read different texts."""
    router = train_router(past(MIXED), split="calibration")
    policy = Policy(name="p", tiers=("nano", "sonnet"), router=router.router("sonnet", share=1 / 3))
    fields = {"category": "auth", "priority": "P3", "confidence": 0.9, "reasoning": "r", "needs_human": False}

    def ask(model: str, request: Request) -> Reply:
        return Reply(model, "", fields, Usage(1, 1), Cost(1.0), 1.0, "tool_use")

    for body, tier in ((EASY, "nano"), (HARD, "sonnet")):
        trace = walk(TRIAGE, Ticket(id="T-1", subject="number", body=body), policy, ask, learned={"disagreement": router})
        assert trace.model_used == tier


def test_a_perfect_router_beats_chance_and_says_by_how_much() -> None:
    """Without it a good router could be thrown away: 20 of 60 hard, chance sends the same third and is right on 2/3 + 1/3 * 1/3."""
    result = verdict(past(MIXED), MIXED)
    assert (result.accuracy, result.share, result.random_share) == (1.0, pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert result.random_accuracy == pytest.approx(2 / 3 + 1 / 9)
    assert result.spend_usd == pytest.approx(40 * 1 + 20 * 10)
    assert result.beats
    assert "beats chance" in result.sentence
    assert "+22.2 points" in result.sentence


def test_a_router_that_is_right_but_too_dear_does_not_beat_chance() -> None:
    """Without it the router's own price would be forgotten: for 6 USD an item chance could send everything on."""
    assert not verdict(past(MIXED), MIXED, router_usd=6.0).beats
    assert verdict(past(MIXED), MIXED, router_usd=6.0).random_share == 1.0


def test_choosing_the_dear_items_is_no_merit() -> None:
    """Without it equal rates would pass for equal spend: here the items sent on cost ten times as much as the others."""
    hard = past(MIXED)
    dear = History(hard.texts, hard.families, hard.cheap_right, hard.strong_right, hard.cheap_usd, np.where(MIXED, 100.0, 10.0))
    result = verdict(dear, MIXED)
    assert result.random_share == pytest.approx((20 * 100 - 20) / (20 * 100 + 40 * 10 - 60))
    assert result.random_share > 0.8


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_chance_does_not_beat_chance_by_more_than_chance(seed: int) -> None:
    """Without it the verdict itself could favour routers."""
    result = verdict(past(MIXED), np.random.default_rng(seed).random(60) < 0.5, draws=200, seed=seed)
    assert result.interval.low <= result.difference <= result.interval.high
    assert result.beats is (result.interval.low > 0)


@pytest.mark.slow
def test_false_alarms_are_rare() -> None:
    """Without it a coin would be sold as a router: at 95 % about one in forty coins may look better than a coin."""
    generator = np.random.default_rng(1)
    told = past([index % 3 == 0 for index in range(150)])
    alarms = sum(verdict(told, generator.random(150) < 0.4, draws=200, seed=run).beats for run in range(200))
    assert alarms <= 14  # 200 draws of 2.5 %: 5 expected, more than 14 in fewer than one of 1,000


def test_a_gate_pays_the_cheap_model_everywhere() -> None:
    """Without it a gate would be held against the spend of a router, which skips the cheap call."""
    result = verdict(past(MIXED), MIXED, cheap_first=True, name="the gate")
    assert result.spend_usd == pytest.approx(60 * 1 + 20 * 10)
    assert result.random_share == pytest.approx(1 / 3)
    assert "the gate beats" in result.sentence


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    """Without it a learner reads "-0.0 points" and takes it for a loss."""
    generator = np.random.default_rng(0)
    sentences = [verdict(past(MIXED), generator.random(60) < 0.5, draws=20, seed=seed).sentence for seed in range(300)]
    assert any("+0.0 " in sentence for sentence in sentences)
    assert not any("-0.0 " in sentence for sentence in sentences)


@pytest.mark.parametrize(("later", "usd", "message"), [([True], (1.0, 10.0), "one value for each"), (MIXED, (1.0, 1.0), "costs no more")])
def test_what_cannot_be_compared_is_refused(later: list[bool], usd: tuple[float, float], message: str) -> None:
    """Without it a verdict could be computed from nothing."""
    with pytest.raises(ValueError, match=message):
        verdict(past(MIXED, usd=usd), later)


def test_measured_arms_give_the_numbers_the_advice_needs() -> None:
    """Without it the advice would rest on numbers typed by hand."""
    arms = recorded_arms()
    numbers = measured(arms["nano"], arms["sonnet"], arms["cascade (documented)"])
    assert (numbers.n, numbers.cheap_accuracy, numbers.cascade_accuracy, numbers.strong_accuracy) == (150, 123 / 150, 126 / 150, 141 / 150)
    assert numbers.escalation_rate == 12 / 150
    assert numbers.strong_usd / numbers.cheap_usd == pytest.approx(1.241988 / 0.01572552)
    assert numbers.cascade_p95_ms == 4427
    with pytest.raises(ValueError, match="different items"):
        measured(arms["nano"].iloc[::-1], arms["sonnet"], arms["cascade (documented)"])


def test_failed_calls_are_wrong_answers_in_the_history(tickets: tuple[LabelledTicket, ...], scripted: Callable[..., Any], decision: Callable[..., Any]) -> None:
    """Without it an outage of the cheap model would vanish from what a router learns."""
    script: dict[tuple[str, str], Any] = {(tier, f"X-{n}"): decision(entry.label.category) for tier in ("nano", "sonnet") for n, entry in enumerate(tickets)}
    script["nano", "X-0"] = CallError("server", "nano", "x.")
    items = [entry.ticket for entry in tickets]
    cheap, strong = (frame(run_arm(TRIAGE, items, single(tier), scripted(script)), tickets) for tier in ("nano", "sonnet"))
    assert history(items, cheap, strong).hard.tolist() == [True, False, False, False]
