"""When a cascade pays, worked with the table's prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.cascade import break_even_escalation, expected_cost, monthly

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
