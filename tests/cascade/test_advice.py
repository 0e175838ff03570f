"""When not to cascade: every condition, on both sides of its limit."""

import dataclasses
import math
from typing import Any

import pytest

from workshop_lib.cascade import Limits, Measured, when_not_to_cascade

GOOD = Measured(
    n=1000, cheap_accuracy=0.8, strong_accuracy=0.95, cascade_accuracy=0.92, cheap_usd=0.001, strong_usd=0.01, cascade_usd=0.003, escalation_rate=0.2,
    auroc=0.8, cascade_p95_ms=3000,
)  # fmt: skip
TIGHT = Limits(latency_budget_ms=4000, items_per_day=10_000, engineering_usd=10_000)


def holds(measured: Measured, limits: Limits = TIGHT) -> dict[str, bool | None]:
    """Return which conditions hold."""
    return {condition.name: condition.holds for condition in when_not_to_cascade(measured, limits)}


def test_nothing_speaks_against_a_good_case() -> None:
    """Without it the check would warn of everything and be ignored."""
    assert set(holds(GOOD).values()) == {False}
    assert len(holds(GOOD)) == 8


@pytest.mark.parametrize(
    ("name", "bad", "border"),
    [
        ("price ratio too small", {"strong_usd": 0.002, "cascade_usd": 0.0015}, {"strong_usd": 0.003}),
        ("cheap model too weak", {"cheap_accuracy": 0.49}, {"cheap_accuracy": 0.5}),
        ("too many escalate", {"escalation_rate": 0.91}, {"escalation_rate": 0.89}),
        ("confidence carries no information", {"auroc": 0.52}, {"auroc": 0.6}),
        ("gap too small", {"strong_accuracy": 0.81}, {"strong_accuracy": 0.83}),
        ("one model dominates", {"cascade_accuracy": 0.79}, {"cascade_accuracy": 0.81}),
        ("latency budget too tight", {"cascade_p95_ms": 4001}, {"cascade_p95_ms": 4000}),
        ("volume too small", {"cascade_usd": 0.0099}, {"cascade_usd": 0.007}),
    ],
)
def test_each_condition_holds_on_its_own_number(name: str, bad: dict[str, Any], border: dict[str, Any]) -> None:
    """Without it a condition could look at another one's number, or at none."""
    assert holds(dataclasses.replace(GOOD, **bad))[name] is True
    assert holds(dataclasses.replace(GOOD, **border))[name] is False


def test_a_judge_lowers_the_rate_at_which_it_pays() -> None:
    """Without it a cascade whose judge eats the saving would be recommended."""
    assert holds(dataclasses.replace(GOOD, gate_usd=0.0071))["too many escalate"] is True


def test_what_is_not_known_is_not_claimed() -> None:
    """Without it a missing budget would count as a met one."""
    known = holds(dataclasses.replace(GOOD, auroc=math.nan), Limits())
    assert [name for name, value in known.items() if value is None] == ["confidence carries no information", "latency budget too tight", "volume too small"]


def test_each_sentence_carries_its_number() -> None:
    """Without it a reader would have to believe the verdict."""
    said = {condition.name: condition.sentence for condition in when_not_to_cascade(GOOD, TIGHT)}
    for name, number in (
        ("price ratio too small", "10.0 times"), ("cheap model too weak", "80.0%"), ("too many escalate", "90.0%"), ("confidence carries no information", "0.80"),
        ("gap too small", "15.0 points"), ("one model dominates", "92.0%"), ("latency budget too tight", "3000 ms"), ("volume too small", "2100.00 USD a month"),
    ):  # fmt: skip
        assert number in said[name]


def test_a_free_cheap_model_is_no_division_by_zero() -> None:
    """Without it a model on one's own machine would be a traceback."""
    assert holds(dataclasses.replace(GOOD, cheap_usd=0.0))["price ratio too small"] is False
    assert holds(dataclasses.replace(GOOD, cheap_usd=0.0, strong_usd=0.0))["too many escalate"] is None
