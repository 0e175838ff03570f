"""Walking the tiers: policies of gates, routers and rules for trouble, the walk, its trace, and the economics."""

from workshop_lib.cascade.advice import Condition, Limits, Measured, when_not_to_cascade
from workshop_lib.cascade.asking import AgreementGate, JudgeGate
from workshop_lib.cascade.economics import (
    Projection,
    break_even_escalation,
    expected_cost,
    latency_break_even,
    monthly,
    projection,
)
from workshop_lib.cascade.gate import Call, Check, Learned, Seen, item_text
from workshop_lib.cascade.gates import (
    CalibratedGate,
    CategoryGate,
    ConfidenceGate,
    LogprobGate,
    MarginGate,
    ScorerGate,
    StakesGate,
    reasons,
)
from workshop_lib.cascade.near_texts import TextCache, TextVectors
from workshop_lib.cascade.policies import Policy, documented, published, self_rated, single
from workshop_lib.cascade.routing import Choice, ClassifierRouter, HeuristicRouter, LearnedRouter
from workshop_lib.cascade.semantic import CACHE, Hit, SemanticCache, cache_scope, cached_walk, worth_keeping
from workshop_lib.cascade.trace import Step, Trace
from workshop_lib.cascade.trouble import Note, Trouble
from workshop_lib.cascade.walk import Observe, walk

__all__ = [
    "CACHE", "AgreementGate", "CalibratedGate", "Call", "CategoryGate", "Check", "Choice", "ClassifierRouter", "Condition", "ConfidenceGate",
    "HeuristicRouter", "Hit", "JudgeGate", "Learned", "LearnedRouter", "Limits", "LogprobGate", "MarginGate", "Measured", "Note", "Observe",
    "Policy", "Projection", "ScorerGate", "Seen", "SemanticCache", "StakesGate", "Step", "TextCache", "TextVectors", "Trace", "Trouble",
    "break_even_escalation", "cache_scope", "cached_walk", "documented", "expected_cost", "item_text", "latency_break_even", "monthly",
    "projection", "published", "reasons", "self_rated", "single", "walk", "when_not_to_cascade", "worth_keeping",
]
