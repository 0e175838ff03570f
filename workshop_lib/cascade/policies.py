"""Policies: which tiers in which order and which gates between them. A policy is data, shown and hashed in every result."""

import json
from collections.abc import Mapping
from hashlib import sha256

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workshop_lib import catalog
from workshop_lib.cascade.gate import Learned, ModelKey
from workshop_lib.cascade.gates import CategoryGate, ConfidenceGate, Gate, LogprobGate, ScorerGate, StakesGate
from workshop_lib.cascade.routing import LearnedRouter, Router
from workshop_lib.cascade.trouble import Trouble
from workshop_lib.llm.bedrock import NO_LOGPROBS
from workshop_lib.tasks.triage import Category


class Policy(BaseModel):
    """The tiers, cheapest first, and the gates an answer must pass to be kept before the last tier.

    `router` chooses the starting tier, `trouble` says what happens when something fails. Gates that call a model are asked only when no free
    gate escalates already, unless `ask_every_gate`. Raises ValueError for a gate or router that names a tier which is not in the policy, and for
    a log-probability gate on a tier that cannot report any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    tiers: tuple[ModelKey, ...] = Field(min_length=1)
    gates: tuple[Gate, ...] = ()
    router: Router | None = None
    trouble: Trouble = Trouble()
    ask_every_gate: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "Policy":
        named = [tier for gate in self.gates for tier in gate.only_after] + ([self.router.start] if self.router else [])
        absent = [tier for tier in named if tier not in self.tiers]
        if absent:
            raise ValueError(f"{absent[0]} is named by a gate or the router but is no tier of this policy ({', '.join(self.tiers)})")
        for tier in self.tiers[:-1]:
            if self.logprobs_after(tier) and catalog.model(tier).provider == "bedrock":
                raise ValueError(f"a log-probability gate cannot look at {tier}: {NO_LOGPROBS}")
        return self

    def logprobs_after(self, tier: str) -> int:
        """Return how many alternatives to each token a gate wants to see of a tier's reply; 0 if none does."""
        return max((gate.top for gate in self.gates if isinstance(gate, LogprobGate) and gate.applies(tier)), default=0)

    def check_learned(self, learned: Mapping[str, Learned]) -> None:
        """Raise ValueError unless every learned model that a gate or the router names is given, with the digest this policy was written for."""
        for part in (*self.gates, self.router):
            if isinstance(part, ScorerGate | LearnedRouter):
                if part.name not in learned:
                    raise ValueError(f"policy {self.name!r} needs the learned model {part.name!r}; pass it to walk(..., learned={{{part.name!r}: model}})")
                if learned[part.name].digest != part.digest:
                    raise ValueError(f"the learned model {part.name!r} has digest {learned[part.name].digest}, and policy {self.name!r} was written for {part.digest}")

    @property
    def digest(self) -> str:
        """Return twelve hex digits that change whenever a tier, a gate, a threshold, the router or a rule does (the name does not count)."""
        decides = self.model_dump(mode="json", exclude={"name"})
        return sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


DISAGREED_BEFORE: tuple[Category, ...] = ("integration", "feature_request", "bug_report", "performance")
"""Categories in which the published workshop saw Nano and Sonnet disagree: fitted on the very sample it was evaluated on."""


def documented(tiers: tuple[str, ...] = ("nano", "sonnet")) -> Policy:
    """Return the documented policy: confidence below 0.7, P0 or P1, or a person needed."""
    return Policy(name="documented", tiers=tiers, gates=(ConfidenceGate(below=0.7), StakesGate()))


def published(tiers: tuple[str, ...] = ("nano", "sonnet")) -> Policy:
    """Return the policy behind the published 76.7 % escalation: the documented one plus abuse and four categories."""
    gates = (*documented().gates, CategoryGate(categories=("abuse", *DISAGREED_BEFORE)))
    return Policy(name="published", tiers=tiers, gates=gates)


def self_rated(below: float = 4, tiers: tuple[str, ...] = ("nim-8b", "nim-70b", "nim-253b")) -> Policy:
    """Return the question cascade: escalate while the model rates itself below `below` on a scale of 1 to 5."""
    return Policy(name=f"self-rated below {below:g}", tiers=tiers, gates=(ConfidenceGate(below=below),))


def single(tier: str) -> Policy:
    """Return the policy that asks one model and keeps what it says."""
    return Policy(name=f"always {catalog.model(tier).key}", tiers=(tier,))
