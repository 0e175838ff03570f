"""Composing: arms made of single-model arms are the arms that a walk would have made."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workshop_lib.cascade import ConfidenceGate, Policy, StakesGate, single
from workshop_lib.evaluation.arms import frame, run_arm
from workshop_lib.evaluation.baselines import oracle, oracle_baseline
from workshop_lib.evaluation.composing import composed, picked, staged, threshold_sweep
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import TRIAGE, Label, Ticket

Make = Callable[..., Any]
TIERS = ("nano", "super", "sonnet")
TICKETS = tuple(
    LabelledTicket(Ticket(id=f"X-{n}", subject="s", body=f"body {n}"), Label(category="billing", priority="P3", needs_human=False), "routine", f"f{n // 2}")
    for n in range(6)
)
DECISIONS = st.fixed_dictionaries(
    {
        "category": st.sampled_from(["billing", "auth"]), "priority": st.sampled_from(["P1", "P3"]), "needs_human": st.booleans(),
        "confidence": st.sampled_from([0.5, 0.7, 0.9]), "reasoning": st.just("r"),
    }
)  # fmt: skip
SAID = st.one_of(DECISIONS, DECISIONS, DECISIONS, st.sampled_from(["no idea", "blocked", "throttled", "server"]))


def answering(script: dict[tuple[str, str], Any]) -> Callable[[str, Request], Reply]:
    """Return an `Ask` that follows a script; "throttled" and "server" fail so, "blocked" is a guardrail's intervention, other text is no answer."""

    def ask(model: str, request: Request) -> Reply:
        says = script[model, request.tags["ticket"]]
        if says in ("throttled", "server"):
            raise CallError(says, model, "no answer.")
        stop = "guardrail_intervened" if says == "blocked" else "tool_use"
        fields = None if isinstance(says, str) else says
        tier = TIERS.index(model)
        return Reply(model, says if isinstance(says, str) else "", fields, Usage(1, 1), Cost(10.0**tier), 10.0 * (tier + 1), stop, source="test")

    return ask


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@example(first=["no idea"] * 6, later=[("server", "no idea"), ("no idea", "no idea"), ("no idea", "server"), ("blocked", "no idea"), ("throttled", "no idea"), ("server", "server")])
@given(first=st.lists(SAID, min_size=6, max_size=6), later=st.lists(st.tuples(SAID, SAID), min_size=6, max_size=6))
def test_composed_equals_walked_over_three_tiers(first: list[Any], later: list[tuple[Any, Any]]) -> None:
    """Without it arms composed offline and live cascades would be two things, above all where a tier fails, is blocked or invalid."""
    script = {("nano", f"X-{n}"): said for n, said in enumerate(first)}
    script |= {(tier, f"X-{n}"): said for n, pair in enumerate(later) for tier, said in zip(TIERS[1:], pair, strict=True)}
    ask = answering(script)
    items = [entry.ticket for entry in TICKETS]
    policy = Policy(name="p", tiers=TIERS, gates=(ConfidenceGate(below=0.7), StakesGate()))
    traces = run_arm(TRIAGE, items, policy, ask, concurrency=1)
    walked = frame(traces, TICKETS)
    singles = [frame(run_arm(TRIAGE, items, single(tier), ask, concurrency=1), TICKETS) for tier in TIERS]
    masks = [[len(trace.steps) > tier + 1 for trace in traces] for tier in range(2)]
    offline = staged(singles, masks)
    pd.testing.assert_frame_equal(_plain(offline), _plain(walked))


def _plain(arm: pd.DataFrame) -> pd.DataFrame:
    """Return an arm without its reasons, which are given in other words, and with one kind of missing value."""
    values = arm.drop(columns="escalated_because").astype(object)
    return values.where(values.notna(), None)


def test_masks_must_fit_the_tiers() -> None:
    """Without it a mask too few would leave a tier out unnoticed."""
    arms = recorded_arms()
    with pytest.raises(ValueError, match="2 tiers need 1 masks, got 2"):
        staged([arms["nano"], arms["sonnet"]], [[True] * 150, [True] * 150])
    with pytest.raises(ValueError, match="0 tiers"):
        staged([], [])


def test_a_router_pays_for_the_model_it_picks_alone() -> None:
    """Without it a router could be charged like a cascade, or be given another item's answer."""
    arms = recorded_arms()
    nano, sonnet = arms["nano"], arms["sonnet"]
    choice = np.arange(150) % 2
    got = picked([nano, sonnet], choice)
    assert got["cost_usd"].tolist() == [(nano, sonnet)[which]["cost_usd"].iloc[row] for row, which in enumerate(choice)]
    assert got["category"].tolist() == [(nano, sonnet)[which]["category"].iloc[row] for row, which in enumerate(choice)]
    assert not got["escalated"].any()
    with pytest.raises(ValueError, match="index from 0 to 1"):
        picked([nano, sonnet], choice + 1)
    with pytest.raises(ValueError, match="another order"):
        picked([nano, sonnet.iloc[::-1]], choice)


def test_a_sweep_is_the_composed_arm_at_every_threshold() -> None:
    """Without it the running sums could be off by an item at a tie."""
    arms = recorded_arms()
    cheap, strong = arms["nano"], arms["sonnet"]
    sweep = threshold_sweep(cheap, strong)
    assert len(sweep) == cheap["confidence"].nunique() + 1
    for row in sweep.to_dict("records"):
        arm = composed(cheap, strong, cheap["confidence"].to_numpy() < row["threshold"])
        assert (row["right"], row["escalation_rate"]) == (arm["correct"].sum(), arm["escalated"].mean())
        assert row["cost_usd"] == pytest.approx(arm["cost_usd"].sum())


def test_the_oracle_of_many_tiers_stops_at_the_first_right_one(decision: Make) -> None:
    """Without it the upper bound could pay for tiers it does not need, or miss one that is right."""
    right, wrong = decision(), decision("auth")
    says = {"nano": [right, wrong, wrong, wrong], "super": [wrong, right, wrong, wrong], "sonnet": [right, right, right, wrong]}
    ask = answering({(tier, f"X-{n}"): said for tier, row in says.items() for n, said in enumerate(row)})
    labels = TICKETS[:4]
    frames = [frame(run_arm(TRIAGE, [entry.ticket for entry in labels], single(tier), ask), labels) for tier in TIERS]
    best = oracle(frames)
    assert best["correct"].tolist() == [True, True, True, False]
    assert best["cost_usd"].tolist() == [1, 11, 111, 1]
    pd.testing.assert_frame_equal(oracle(frames[::2]), oracle_baseline(frames[0], frames[2]))
    with pytest.raises(ValueError, match="at least one"):
        oracle([])
