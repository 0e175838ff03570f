"""Walking the tiers: policies of gates, the walk, its trace, and the economics."""

from workshop_lib.cascade.economics import break_even_escalation, expected_cost, monthly
from workshop_lib.cascade.gates import CategoryGate, ConfidenceGate, StakesGate, reasons
from workshop_lib.cascade.policies import Policy, documented, published, self_rated, single
from workshop_lib.cascade.walk import Step, Trace, walk

__all__ = [
    "CategoryGate", "ConfidenceGate", "Policy", "StakesGate", "Step", "Trace", "break_even_escalation", "documented", "expected_cost",
    "monthly", "published", "reasons", "self_rated", "single", "walk",
]
