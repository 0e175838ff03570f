"""Chance at equal spend: an arm is held against what the same money buys at random, and a bake-off takes learned routers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from workshop_lib.cascade import LearnedRouter, Policy, Seen, documented
from workshop_lib.evaluation.bakeoff import run_bakeoff
from workshop_lib.evaluation.composing import composed, picked
from workshop_lib.evaluation.equal_spend import verdict_of_arm
from workshop_lib.evaluation.recorded import recorded_arms, recorded_labels
from workshop_lib.evaluation.report import report_html
from workshop_lib.evaluation.routers import history, verdict

Make = Callable[..., Any]


@pytest.mark.parametrize("cheap_first", [True, False])
def test_verdict_of_an_arm_is_that_of_its_choice(cheap_first: bool) -> None:
    """Without it the report would hold arms against another chance than the routers' own verdict."""
    arms = recorded_arms()
    nano, sonnet = arms["nano"], arms["sonnet"]
    later = nano["confidence"].to_numpy(float) < 0.8
    arm = composed(nano, sonnet, later) if cheap_first else picked([nano, sonnet], later.astype(int))
    past = history([entry.ticket for entry in recorded_labels()], nano, sonnet)
    want = verdict(past, later, cheap_first=cheap_first, draws=200, name="the arm")
    got = verdict_of_arm(arm, nano, sonnet, cheap_first=cheap_first, draws=200)
    assert (got.n, got.sentence) == (want.n, want.sentence)
    assert (got.spend_usd, got.difference) == pytest.approx((want.spend_usd, want.difference))
    with pytest.raises(ValueError, match="different items"):
        verdict_of_arm(arm.iloc[::-1], nano, sonnet, cheap_first=cheap_first)


class Knows:
    """A learned model that knows which items are hard."""

    digest = "abc"

    def __init__(self, hard: set[str]) -> None:
        self.hard = hard

    def probability(self, seen: Seen) -> float:
        """Return 1 for a hard item."""
        return float(seen.item_id in self.hard)


@pytest.mark.slow
def test_a_bake_off_takes_learned_routers_and_gives_a_verdict(tickets: Any, scripted: Make, decision: Make) -> None:
    """Without it a router trained in a lab could be walked and never compared at equal spend."""
    many = tuple(replace(entry, ticket=entry.ticket.model_copy(update={"id": f"X-{n}"}), family=f"f{n}") for n, entry in enumerate(tickets * 10))
    hard = {f"X-{n}" for n in range(0, 40, 4)}
    right = {(model, entry.ticket.id): decision(entry.label.category) for model in ("nano", "sonnet", "opus") for entry in many}
    wrong = {("nano", name): decision("feature_request") for name in hard}
    ask = scripted(right | wrong)
    routed = Policy(name="routed", tiers=("nano", "sonnet"), router=LearnedRouter(start="sonnet", name="oracle", digest="abc", at_least=0.5))
    baked = run_bakeoff(ask, ask, many, (documented(), routed), tiers=("nano", "sonnet"), draws=50, learned={"oracle": Knows(hard)})
    arm = baked.arms["cascade_routed"]
    assert isinstance(arm, pd.DataFrame)
    assert (arm["correct"].all(), arm["cost_usd"].sum(), arm["calls"].sum()) == (True, 30 * 1 + 10 * 10, 40)
    assert "random at routed rate" not in baked.arms
    page = report_html(baked, {}, pd.DataFrame())
    assert "cascade_routed is right on 100.0%; a random 25.0% sent to the strong model for the same money gives 81.2%" in page
    assert "cascade_routed beats chance" in page
    with pytest.raises(ValueError, match="needs the learned model 'oracle'"):
        run_bakeoff(ask, ask, many, (routed,), tiers=("nano", "sonnet"), draws=50)


def test_a_strong_model_that_costs_no_more_leaves_nothing_to_hold_equal() -> None:
    """Without it a division by nothing would pass for a verdict."""
    nano = recorded_arms()["nano"]
    with pytest.raises(ValueError, match="no spend to hold equal"):
        verdict_of_arm(nano, nano, nano, cheap_first=False)
