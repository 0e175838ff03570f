"""When a cascade pays: expected cost per item and the escalation rate at which it stops being cheaper."""

from collections.abc import Sequence

DAYS_PER_MONTH = 30


def expected_cost(costs: Sequence[float], escalation: Sequence[float], gate: float = 0.0) -> float:
    """Return the expected USD per item of a cascade.

    `costs[i]` is tier i's USD per call, `escalation[i]` the share of tier i's items that go on to tier i + 1 (one fewer than
    tiers), `gate` the USD per decision between tiers (a judge, a router). E = sum_i reach_i (c_i + gate if a gate follows).
    """
    if not costs:
        raise ValueError("a cascade needs at least one tier")
    if len(escalation) != len(costs) - 1:
        raise ValueError(f"{len(costs)} tiers need {len(costs) - 1} escalation rates, got {len(escalation)}")
    if not all(0 <= rate <= 1 for rate in escalation):
        raise ValueError(f"escalation rates are shares between 0 and 1, got {list(escalation)}")
    reach, total = 1.0, 0.0
    for index, cost in enumerate(costs):
        last = index == len(costs) - 1
        total += reach * (cost + (0.0 if last else gate))
        reach *= 1.0 if last else escalation[index]
    return total


def break_even_escalation(cheap: float, strong: float, gate: float = 0.0) -> float:
    """Return the escalation rate below which a two-tier cascade is cheaper than always asking the strong model.

    From cheap + gate + e * strong < strong: e < 1 - (cheap + gate) / strong. Negative means it never pays. All in USD per call.
    """
    if strong <= 0:
        raise ValueError(f"the strong model's cost must be positive, got {strong}")
    return 1 - (cheap + gate) / strong


def monthly(cost_per_item: float, items_per_day: float) -> float:
    """Return USD per month of 30 days."""
    return cost_per_item * items_per_day * DAYS_PER_MONTH
