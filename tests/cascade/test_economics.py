"""When a cascade pays, worked with the table's prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.cascade import (
    break_even_escalation,
    expected_cost,
    latency_break_even,
    monthly,
    projection,
)

NANO = catalog.model("nano").price.usd(1259, 120)
SONNET = catalog.model("sonnet").price.usd(1650, 214)


def test_worked_with_real_prices() -> None:
    """Without it the figures of lab 03 could change unnoticed: 1,259/120 tokens on Nano, 1,650/214 on Sonnet."""
    assert pytest.approx(0.00010434) == NANO
    assert pytest.approx(0.008976) == SONNET
    assert break_even_escalation(NANO, SONNET) == pytest.approx(0.98838, abs=1e-5)
    assert expected_cost([NANO, SONNET], [0.08]) == pytest.approx(0.00010434 + 0.08 * 0.008976)
    assert monthly(expected_cost([NANO, SONNET], [0.08]), 10_000) == pytest.approx(246.7, abs=0.1)
    assert monthly(SONNET, 10_000) == pytest.approx(2692.8)


def test_three_tiers_and_a_gate_by_hand() -> None:
    """Without it the gate could be charged after the last tier, or the second rate apply to all: 1.5 + 0.5 * 4.5 + 0.1 * 16 = 5.35."""
    assert expected_cost([1, 4, 16], [0.5, 0.2], gate=0.5) == pytest.approx(5.35)


def test_one_tier_has_no_gate() -> None:
    """Without it always-strong would pay for a judge it never asks."""
    assert expected_cost([7], [], gate=3) == 7


def test_a_gate_can_eat_the_saving() -> None:
    """Without it a cascade with an expensive judge would be recommended."""
    assert break_even_escalation(0.1, 1.0, gate=0.95) < 0
    assert break_even_escalation(0.0, 1.0) == 1.0


@given(st.floats(0, 0.1), st.floats(0.11, 10), st.floats(0, 0.05))
def test_at_break_even_both_cost_the_same(cheap: float, strong: float, gate: float) -> None:
    """Without it the formula shown and the cost computed could disagree."""
    rate = break_even_escalation(cheap, strong, gate)
    if 0 <= rate <= 1:
        assert expected_cost([cheap, strong], [rate], gate) == pytest.approx(strong)


@pytest.mark.parametrize(("costs", "rates"), [([], []), ([1], [0.5]), ([1, 2], []), ([1, 2], [1.1]), ([1, 2], [-0.1]), ([1, 2], [float("nan")])])
def test_wrong_numbers_are_refused(costs: list[float], rates: list[float]) -> None:
    """Without it a percentage given as 8 instead of 0.08 would pass."""
    with pytest.raises(ValueError, match=r"tier|escalation rates"):
        expected_cost(costs, rates)


@pytest.mark.parametrize("strong", [0.0, -1.0])
def test_a_free_strong_model_is_refused(strong: float) -> None:
    """Without it a missing price would be a ZeroDivisionError."""
    with pytest.raises(ValueError, match="must be positive"):
        break_even_escalation(0.1, strong)


def test_a_router_is_paid_by_every_item_and_moves_the_start() -> None:
    """Without it a router's own price, or the cheap calls it saves, would be missing: 0.1 + 0.8 * 1 + (0.2 + 0.8 * 0.5) * 10 = 6.9."""
    assert expected_cost([1, 10], [0.5], router=0.1, start=[0.8, 0.2]) == pytest.approx(6.9)
    assert expected_cost([1, 10], [0.5], router=0.0, start=[1, 0]) == expected_cost([1, 10], [0.5])


@pytest.mark.parametrize("start", [[1.0], [0.5, 0.4], [1.5, -0.5], [float("nan"), 1.0]])
def test_starting_shares_that_are_none_are_refused(start: list[float]) -> None:
    """Without it items could be counted twice or not at all."""
    with pytest.raises(ValueError, match="starting shares"):
        expected_cost([1, 10], [0.5], start=start)


@given(st.floats(0.01, 1), st.floats(2, 10), st.floats(0, 0.1), st.floats(0, 0.1))
def test_break_even_covers_gate_and_router(cheap: float, strong: float, gate: float, router: float) -> None:
    """Without it the formula shown and the cost computed could disagree once a judge and a router are paid."""
    rate = break_even_escalation(cheap, strong, gate, router)
    assert expected_cost([cheap, strong], [rate], gate, router=router) == pytest.approx(strong)


def test_latency_breaks_even_earlier_than_cost() -> None:
    """Without it the recorded figures, 674 and 3,362 ms at the median, would seem to allow any escalation: 1 - 674 / 3362 = 0.7995."""
    assert latency_break_even(674, 3362) == pytest.approx(0.79952, abs=1e-5)
    assert latency_break_even(674, 3362, gate_ms=2000, router_ms=1000) < 0
    with pytest.raises(ValueError, match="must be positive"):
        latency_break_even(1, 0)


def test_a_month_and_when_it_repays_the_work() -> None:
    """Without it a large percentage of a small bill would look like a business case: (0.01 - 0.004) * 1000 * 30 = 180 USD a month."""
    month = projection(0.004, 0.01, 1000, engineering_usd=1800)
    assert (month.items, month.cascade_usd, month.strong_usd) == (30_000, pytest.approx(120), pytest.approx(300))
    assert (month.saving_usd, month.payback_months) == (pytest.approx(180), pytest.approx(10))
    assert projection(0.02, 0.01, 1000, engineering_usd=1).payback_months == float("inf")
    assert projection(0.004, 0.01, 1000).payback_months is None
    with pytest.raises(ValueError, match="negative"):
        projection(0.004, 0.01, -1)
