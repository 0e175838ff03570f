"""Policies: which tiers in which order and which gates between them. A policy is data, shown and hashed in every result."""

from hashlib import sha256

from pydantic import BaseModel, ConfigDict, Field, field_validator

from workshop_lib import catalog
from workshop_lib.cascade.gates import CategoryGate, ConfidenceGate, Gate, StakesGate
from workshop_lib.tasks.triage import Category


class Policy(BaseModel):
    """The tiers, cheapest first, and the gates an answer must pass to be kept before the last tier."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    tiers: tuple[str, ...] = Field(min_length=1)
    gates: tuple[Gate, ...] = ()

    @field_validator("tiers")
    @classmethod
    def _known(cls, tiers: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(catalog.model(tier).key for tier in tiers)

    @property
    def digest(self) -> str:
        """Return twelve hex digits that change whenever a tier, a gate or a threshold does (the name does not count)."""
        return sha256(self.model_dump_json(exclude={"name"}).encode()).hexdigest()[:12]


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
