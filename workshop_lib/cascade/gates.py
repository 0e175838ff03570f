"""Gates: when a valid answer is not good enough and the next tier is asked. A gate is data, so a policy can be shown and hashed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from workshop_lib.cascade.asking import AgreementGate, JudgeGate
from workshop_lib.cascade.calibrators import Calibrator
from workshop_lib.cascade.gate import Check, FreeGate, ModelKey, Seen
from workshop_lib.cascade.logprobs import label_probability
from workshop_lib.tasks.triage import Category

Threshold = Annotated[float, Field(allow_inf_nan=False)]


class ConfidenceGate(FreeGate):
    """Escalate when the model's own confidence is below a threshold (exactly at the threshold is kept).

    The threshold of the answer's category counts before that of the model, and that before `below`.
    """

    kind: Literal["confidence"] = "confidence"
    below: Threshold
    per_model: dict[ModelKey, Threshold] = Field(default_factory=dict)
    per_category: dict[Category, Threshold] = Field(default_factory=dict)

    def threshold(self, tier: str, category: str | None) -> float:
        """Return the threshold for a tier's answer of a category."""
        by_category: Mapping[Any, float] = self.per_category
        return by_category.get(category, self.per_model.get(tier, self.below))

    def check(self, seen: Seen) -> Check:
        """Return the verdict, with the confidence read."""
        confidence = _confidence(seen.answer)
        threshold = self.threshold(seen.tier, getattr(seen.answer, "category", None))
        return Check(self.kind, f"confidence {confidence:g} < {threshold:g}" if confidence < threshold else None, confidence)


class CalibratedGate(FreeGate):
    """Escalate when the calibrated confidence is below a threshold; the trace holds the raw and the calibrated one.

    `calibrators` by model. A model that has none escalates, or is judged by its raw confidence if `uncalibrated` says so.
    """

    kind: Literal["calibrated"] = "calibrated"
    below: float = Field(ge=0, le=1)
    calibrators: dict[ModelKey, Calibrator]
    uncalibrated: Literal["escalate", "raw"] = "escalate"

    def check(self, seen: Seen) -> Check:
        """Return the verdict, with the raw confidence and the calibrated one, None if the model has no calibrator."""
        raw = _confidence(seen.answer)
        calibrator = self.calibrators.get(seen.tier)
        if calibrator is None and self.uncalibrated == "escalate":
            return Check(self.kind, f"no calibrator for {seen.tier}", raw)
        calibrated = None if calibrator is None else calibrator.apply(raw)
        decides = raw if calibrated is None else calibrated
        return Check(self.kind, f"calibrated confidence {decides:.3g} < {self.below:g}" if decides < self.below else None, raw, calibrated)


class StakesGate(FreeGate):
    """Escalate when the answer itself says that much is at stake: a high priority or a person needed."""

    kind: Literal["stakes"] = "stakes"
    priorities: tuple[str, ...] = ("P0", "P1")
    needs_human: bool = True

    def check(self, seen: Seen) -> Check:
        """Return the verdict."""
        priority = getattr(seen.answer, "priority", None)
        if priority in self.priorities:
            return Check(self.kind, f"priority {priority}")
        return Check(self.kind, "needs_human" if self.needs_human and getattr(seen.answer, "needs_human", False) else None)


class CategoryGate(FreeGate):
    """Escalate every answer in certain categories."""

    kind: Literal["category"] = "category"
    categories: tuple[Category, ...]

    def check(self, seen: Seen) -> Check:
        """Return the verdict."""
        category = getattr(seen.answer, "category", None)
        return Check(self.kind, f"category {category}" if category in self.categories else None)


class MarginGate(FreeGate):
    """Escalate when the two likeliest labels of the answer's `distribution` are closer than a margin, or when it gave none.

    Margin = p(first) - p(second) after the probabilities are scaled to sum 1. See `workshop_lib.tasks.variants.with_distribution`.
    """

    kind: Literal["margin"] = "margin"
    below: float = Field(ge=0, le=1)

    def check(self, seen: Seen) -> Check:
        """Return the verdict, with the margin read."""
        distribution: Mapping[str, float] = getattr(seen.answer, "distribution", None) or {}
        total = sum(distribution.values())
        if total <= 0:
            return Check(self.kind, "no label distribution")
        first, second, *_ = [*sorted((share / total for share in distribution.values()), reverse=True), 0.0]
        margin = first - second
        return Check(self.kind, f"margin {margin:.3g} < {self.below:g}" if margin < self.below else None, margin)


class LogprobGate(FreeGate):
    """Escalate when the model gave its own label too low a probability, token by token, or when the reply has no log-probabilities.

    Only where the server reports them: OpenAI-compatible endpoints, and replies in text. `top` is how many alternatives are asked for.
    """

    kind: Literal["logprob"] = "logprob"
    below: float = Field(ge=0, le=1)
    field: str = "category"
    top: int = Field(default=5, ge=1, le=20)

    def check(self, seen: Seen) -> Check:
        """Return the verdict, with the label's probability."""
        label = getattr(seen.answer, self.field, None)
        probability = None if seen.reply is None or label is None else label_probability(seen.reply, self.field, label)
        if probability is None:
            return Check(self.kind, f"no log-probability of {self.field}")
        return Check(self.kind, f"probability of {self.field} {probability:.3g} < {self.below:g}" if probability < self.below else None, probability)


class ScorerGate(FreeGate):
    """Escalate when a learned scorer puts the probability that the answer is wrong above a threshold.

    The scorer is given to the walk by `name` and must have this `digest`, so that a policy's hash covers it.
    """

    kind: Literal["scorer"] = "scorer"
    name: str
    digest: str
    above: float = Field(ge=0, le=1)

    def check(self, seen: Seen) -> Check:
        """Return the verdict, with the probability; raise ValueError if the scorer was not given."""
        wrong = seen.learned_model(self.name, "scorer").probability(seen)
        return Check(self.kind, f"{self.name}: wrong with probability {wrong:.3g} > {self.above:g}" if wrong > self.above else None, wrong)


Gate = Annotated[
    ConfidenceGate | StakesGate | CategoryGate | CalibratedGate | MarginGate | LogprobGate | ScorerGate | AgreementGate | JudgeGate,
    Field(discriminator="kind"),
]


def _confidence(answer: BaseModel | None) -> float:
    return float(getattr(answer, "confidence", 0.0))


def checks(gates: tuple[Gate, ...], seen: Seen) -> tuple[Check, ...]:
    """Return the verdict of every gate that applies and needs no call, in their order."""
    return tuple(gate.check(seen) for gate in gates if isinstance(gate, FreeGate) and gate.applies(seen.tier))


def reasons(gates: tuple[Gate, ...], answer: BaseModel) -> tuple[str, ...]:
    """Return every gate's reason to escalate an answer, in the order of the gates; gates that would call a model are left out."""
    return tuple(reason for gate in gates if isinstance(gate, FreeGate) and (reason := gate.reason(answer)) is not None)
