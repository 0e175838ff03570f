"""Gates: when a valid answer is not good enough and the next tier is asked. A gate is data, so a policy can be shown and hashed."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from workshop_lib.tasks.triage import Category


class _Gate(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConfidenceGate(_Gate):
    """Escalate when the model's own confidence is below a threshold (exactly at the threshold is kept)."""

    kind: Literal["confidence"] = "confidence"
    below: float

    def reason(self, answer: BaseModel) -> str | None:
        """Return why the answer escalates, or None."""
        confidence = float(getattr(answer, "confidence", 0.0))
        return f"confidence {confidence:g} < {self.below:g}" if confidence < self.below else None


class StakesGate(_Gate):
    """Escalate when the answer itself says that much is at stake: a high priority or a person needed."""

    kind: Literal["stakes"] = "stakes"
    priorities: tuple[str, ...] = ("P0", "P1")
    needs_human: bool = True

    def reason(self, answer: BaseModel) -> str | None:
        """Return why the answer escalates, or None."""
        priority = getattr(answer, "priority", None)
        if priority in self.priorities:
            return f"priority {priority}"
        return "needs_human" if self.needs_human and getattr(answer, "needs_human", False) else None


class CategoryGate(_Gate):
    """Escalate every answer in certain categories."""

    kind: Literal["category"] = "category"
    categories: tuple[Category, ...]

    def reason(self, answer: BaseModel) -> str | None:
        """Return why the answer escalates, or None."""
        category = getattr(answer, "category", None)
        return f"category {category}" if category in self.categories else None


Gate = Annotated[ConfidenceGate | StakesGate | CategoryGate, Field(discriminator="kind")]


def reasons(gates: tuple[Gate, ...], answer: BaseModel) -> tuple[str, ...]:
    """Return every gate's reason to escalate, in the order of the gates; empty means keep the answer."""
    return tuple(reason for gate in gates if (reason := gate.reason(answer)) is not None)
