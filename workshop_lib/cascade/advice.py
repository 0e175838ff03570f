"""When not to cascade: the conditions under which one model is the better choice, each checked against measured numbers."""

import math
from dataclasses import dataclass

from workshop_lib.cascade.economics import break_even_escalation, projection


@dataclass(frozen=True)
class Measured:
    """What was measured on the same items, on the calibration split or in production. USD and ms per item, shares from 0 to 1.

    `auroc` is how well the gate's score ranks right answers of the cheap model above wrong ones (0.5: not at all; NaN: not known).
    `gate_usd` is paid per item for judges and routers.
    """

    n: int
    cheap_accuracy: float
    strong_accuracy: float
    cascade_accuracy: float
    cheap_usd: float
    strong_usd: float
    cascade_usd: float
    escalation_rate: float
    auroc: float
    cascade_p95_ms: float
    gate_usd: float = 0.0


@dataclass(frozen=True)
class Limits:
    """Where a number begins to speak against a cascade; the volume and latency limits apply only if they are given."""

    least_price_ratio: float = 3.0
    least_cheap_accuracy: float = 0.5
    least_auroc: float = 0.6
    least_gap: float = 0.02
    latency_budget_ms: float | None = None
    items_per_day: float | None = None
    engineering_usd: float | None = None
    payback_months: float = 12.0


@dataclass(frozen=True)
class Condition:
    """One reason not to cascade: whether it holds here (None: nothing was given to tell), its number, its limit, and both in words."""

    name: str
    holds: bool | None
    number: float
    limit: float
    sentence: str


def when_not_to_cascade(measured: Measured, limits: Limits | None = None) -> tuple[Condition, ...]:
    """Return every condition that speaks against a cascade, each with its number and whether it holds on this data."""
    limits = limits or Limits()
    return (
        _price(measured, limits), _cheap(measured, limits), _rate(measured), _confidence(measured, limits), _gap(measured, limits),
        _dominated(measured), _latency(measured, limits), _volume(measured, limits),
    )  # fmt: skip


def _below(name: str, number: float, limit: float, sentence: str) -> Condition:
    return Condition(name, None if math.isnan(number) else number < limit, number, limit, sentence)


def _price(m: Measured, limits: Limits) -> Condition:
    ratio = m.strong_usd / m.cheap_usd if m.cheap_usd > 0 else math.inf
    return _below(
        "price ratio too small", ratio, limits.least_price_ratio,
        f"The strong model costs {ratio:.1f} times the cheap one an item; below {limits.least_price_ratio:g} the cheap calls on escalated items eat much of the saving.",
    )  # fmt: skip


def _cheap(m: Measured, limits: Limits) -> Condition:
    return _below(
        "cheap model too weak", m.cheap_accuracy, limits.least_cheap_accuracy,
        f"The cheap model is right on {m.cheap_accuracy:.1%}; below {limits.least_cheap_accuracy:.0%} most items have to escalate.",
    )  # fmt: skip


def _rate(m: Measured) -> Condition:
    limit = break_even_escalation(m.cheap_usd, m.strong_usd, m.gate_usd) if m.strong_usd > 0 else math.nan
    holds = None if math.isnan(limit) else m.escalation_rate >= limit
    said = f"{m.escalation_rate:.1%} escalate, and the cascade is cheaper than the strong model only below {limit:.1%}."
    return Condition("too many escalate", holds, m.escalation_rate, limit, said)


def _confidence(m: Measured, limits: Limits) -> Condition:
    said = f"The gate's score ranks right above wrong answers with AUROC {m.auroc:.2f}; 0.5 is chance, and below {limits.least_auroc:g} a random choice does nearly as well."
    if math.isnan(m.auroc):
        said = "The AUROC of the gate's score is not known: all cheap answers were right, or all wrong."
    return _below("confidence carries no information", m.auroc, limits.least_auroc, said)


def _gap(m: Measured, limits: Limits) -> Condition:
    gap = m.strong_accuracy - m.cheap_accuracy
    return _below(
        "gap too small", gap, limits.least_gap,
        f"The strong model is {100 * gap:.1f} points better than the cheap one on {m.n} items; below {100 * limits.least_gap:g} there is nothing to recover, so ask the cheap one alone.",
    )  # fmt: skip


def _dominated(m: Measured) -> Condition:
    better = [
        name
        for name, accuracy, usd in (("cheap", m.cheap_accuracy, m.cheap_usd), ("strong", m.strong_accuracy, m.strong_usd))
        if accuracy >= m.cascade_accuracy and usd <= m.cascade_usd
    ]
    who = f"The {better[0]} model alone was at least as right and no dearer" if better else "Neither model alone was at least as right and no dearer"
    return Condition("one model dominates", bool(better), m.cascade_accuracy, m.cascade_usd, f"{who} than the cascade ({m.cascade_accuracy:.1%} at {m.cascade_usd:.6f} USD an item).")


def _latency(m: Measured, limits: Limits) -> Condition:
    budget = limits.latency_budget_ms
    if budget is None:
        return Condition("latency budget too tight", None, m.cascade_p95_ms, math.nan, f"The cascade's p95 is {m.cascade_p95_ms:.0f} ms; no latency budget was given.")
    said = f"The cascade's p95 is {m.cascade_p95_ms:.0f} ms, of a budget of {budget:.0f} ms; an escalated item waits for both models."
    return Condition("latency budget too tight", m.cascade_p95_ms > budget, m.cascade_p95_ms, budget, said)


def _volume(m: Measured, limits: Limits) -> Condition:
    name = "volume too small"
    if limits.items_per_day is None or limits.engineering_usd is None:
        return Condition(name, None, math.nan, limits.payback_months, "No volume and price of the work were given, so it is not known whether the saving repays it.")
    month = projection(m.cascade_usd, m.strong_usd, limits.items_per_day, limits.engineering_usd)
    months = month.payback_months
    assert months is not None  # the price of the work was given
    said = f"At {limits.items_per_day:g} items a day the cascade saves {month.saving_usd:.2f} USD a month, which repays {limits.engineering_usd:.2f} USD of work in {months:.1f} months; the limit is {limits.payback_months:g}."
    return Condition(name, months > limits.payback_months, months, limits.payback_months, said)
