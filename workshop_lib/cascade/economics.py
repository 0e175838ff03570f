"""When a cascade pays: expected cost per item, the escalation rate at which it stops being cheaper or quicker, and a month's bill."""

from collections.abc import Sequence
from dataclasses import dataclass

DAYS_PER_MONTH = 30


def expected_cost(
    costs: Sequence[float], escalation: Sequence[float], gate: float = 0.0, *, router: float = 0.0, start: Sequence[float] | None = None
) -> float:
    """Return the expected USD per item of a cascade.

    `costs[i]` is tier i's USD per call, `escalation[i]` the share of tier i's items that go on to tier i + 1 (one fewer than
    tiers), `gate` the USD per decision between tiers (a judge), `router` the USD per item for choosing where to start, `start[i]` the share of
    items that start at tier i (all at the first if left out). E = router + sum_i reach_i (c_i + gate if a gate follows), with
    reach_i = start_i + reach_(i-1) escalation_(i-1).
    """
    if not costs:
        raise ValueError("a cascade needs at least one tier")
    if len(escalation) != len(costs) - 1:
        raise ValueError(f"{len(costs)} tiers need {len(costs) - 1} escalation rates, got {len(escalation)}")
    if not all(0 <= rate <= 1 for rate in escalation):
        raise ValueError(f"escalation rates are shares between 0 and 1, got {list(escalation)}")
    starts = [1.0, *[0.0] * (len(costs) - 1)] if start is None else list(start)
    if len(starts) != len(costs) or not all(0 <= share <= 1 for share in starts) or abs(sum(starts) - 1) > 1e-9:
        raise ValueError(f"starting shares need one entry for each of {len(costs)} tiers and sum 1, got {starts}")
    reach, total = 0.0, router
    for index, cost in enumerate(costs):
        last = index == len(costs) - 1
        reach += starts[index]
        total += reach * (cost + (0.0 if last else gate))
        reach *= 1.0 if last else escalation[index]
    return total


def break_even_escalation(cheap: float, strong: float, gate: float = 0.0, router: float = 0.0) -> float:
    """Return the escalation rate below which a two-tier cascade is cheaper than always asking the strong model.

    From cheap + gate + router + e * strong < strong: e < 1 - (cheap + gate + router) / strong. Negative means it never pays. All in USD per call.
    """
    if strong <= 0:
        raise ValueError(f"the strong model's cost must be positive, got {strong}")
    return 1 - (cheap + gate + router) / strong


def latency_break_even(cheap_ms: float, strong_ms: float, gate_ms: float = 0.0, router_ms: float = 0.0) -> float:
    """Return the escalation rate below which a two-tier cascade is quicker on average than always asking the strong model.

    The same formula as for cost, in ms: e < 1 - (cheap + gate + router) / strong. An escalated item is always slower than the strong model
    alone, so a high percentile of latency can be worse while the mean is better.
    """
    if strong_ms <= 0:
        raise ValueError(f"the strong model's latency must be positive, got {strong_ms}")
    return 1 - (cheap_ms + gate_ms + router_ms) / strong_ms


def monthly(cost_per_item: float, items_per_day: float) -> float:
    """Return USD per month of 30 days."""
    return cost_per_item * items_per_day * DAYS_PER_MONTH


@dataclass(frozen=True)
class Projection:
    """A month of 30 days at a volume: the cascade's bill, the strong model's, what is saved (USD), and months until that repays the work.

    `payback_months` is infinite when nothing is saved, and None when no price of the work was given.
    """

    items: float
    cascade_usd: float
    strong_usd: float
    saving_usd: float
    payback_months: float | None


def projection(cascade: float, strong: float, items_per_day: float, engineering_usd: float | None = None) -> Projection:
    """Return a month's bills from USD per item of the cascade and of always asking the strong model; `engineering_usd` is paid once."""
    if items_per_day < 0:
        raise ValueError(f"items_per_day cannot be negative, got {items_per_day}")
    ours, theirs = monthly(cascade, items_per_day), monthly(strong, items_per_day)
    saving = theirs - ours
    payback = None if engineering_usd is None else engineering_usd / saving if saving > 0 else float("inf")
    return Projection(items_per_day * DAYS_PER_MONTH, ours, theirs, saving, payback)
