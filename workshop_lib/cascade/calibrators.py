"""Calibrators: from the confidence a model states to the share of such answers that are right. A calibrator is data, so a gate can carry and hash it.

They are fitted by `workshop_lib.evaluation.calibration` and never decrease: a higher confidence is never mapped to a lower one, so they change
where a threshold stands and not which answers rank first.
"""

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

CERTAIN = 0.001
"""A stated confidence of 0 or 1 is read as 0.001 or 0.999 where a logit is taken: it claims more than any sample shows."""

_FAR = 700.0  # exp(710) overflows
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Calibrator(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Isotonic(_Calibrator):
    """Interpolation between points (x, y) that never decreases; below the first and above the last point it stays level.

    `x` are stated confidences on any scale, strictly increasing; `y` shares from 0 to 1.
    Source: Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass Probability Estimates, KDD 2002.
    """

    kind: Literal["isotonic"] = "isotonic"
    x: tuple[Finite, ...] = Field(min_length=1)
    y: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"x and y need as many points, got {len(self.x)} and {len(self.y)}")
        if any(left >= right for left, right in zip(self.x, self.x[1:], strict=False)):
            raise ValueError("x must increase from point to point")
        if any(left > right for left, right in zip(self.y, self.y[1:], strict=False)):
            raise ValueError("y must not decrease from point to point")
        return self

    def apply(self, confidence: float) -> float:
        """Return the calibrated confidence of one answer."""
        right = bisect_right(self.x, _finite(confidence))
        if right == 0:
            return self.y[0]
        if right == len(self.x):
            return self.y[-1]
        x0, x1, y0, y1 = self.x[right - 1], self.x[right], self.y[right - 1], self.y[right]
        return min(y1, y0 + (y1 - y0) * (confidence - x0) / (x1 - x0))

    def apply_all(self, confidence: "ArrayLike") -> "NDArray[np.float64]":
        """Return the calibrated confidences of many answers, in the shape given."""
        import numpy as np  # walking the tiers one item at a time does without it

        return np.asarray(np.interp(_finite_all(confidence), self.x, self.y), dtype=float)


class Platt(_Calibrator):
    """The logistic curve 1 / (1 + exp(-(a c + b))) of the stated confidence c on any scale, with a >= 0.

    Source: J. Platt, Probabilistic Outputs for Support Vector Machines, in Advances in Large Margin Classifiers, MIT Press 1999.
    """

    kind: Literal["platt"] = "platt"
    a: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    b: Finite

    def apply(self, confidence: float) -> float:
        """Return the calibrated confidence of one answer."""
        return _logistic(self.a * _finite(confidence) + self.b)

    def apply_all(self, confidence: "ArrayLike") -> "NDArray[np.float64]":
        """Return the calibrated confidences of many answers, in the shape given."""
        return _logistic_all(self.a * _finite_all(confidence) + self.b)


class Temperature(_Calibrator):
    """Every logit divided by t > 0: above 1 takes confidence back, below 1 adds to it, and 0.5 stays 0.5.

    For one stated confidence from 0 to 1 the logit is log(c / (1 - c)); for a distribution over labels it is the log-probability.
    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """

    kind: Literal["temperature"] = "temperature"
    t: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def apply(self, confidence: float) -> float:
        """Return the calibrated confidence of one answer; raise ValueError unless it lies between 0 and 1."""
        return _logistic(logit(confidence) / self.t)

    def apply_all(self, confidence: "ArrayLike") -> "NDArray[np.float64]":
        """Return the calibrated confidences of many answers, in the shape given."""
        import numpy as np

        stated = np.asarray(confidence, dtype=float)
        for outside in stated[~((stated >= 0) & (stated <= 1))][:1]:
            logit(float(outside))  # raises
        held = np.clip(stated, CERTAIN, 1 - CERTAIN)
        return _logistic_all(np.log(held / (1 - held)) / self.t)

    def apply_distribution(self, probabilities: "ArrayLike") -> "NDArray[np.float64]":
        """Return distributions over labels, last axis one label each, with p^(1/t) scaled to add up to 1."""
        import numpy as np

        p = np.asarray(probabilities, dtype=float)
        if not ((p >= 0).all() and (p.sum(axis=-1) > 0).all()):
            raise ValueError("a distribution has no negative share and a positive sum")
        # dividing by the largest first keeps a power of a small share from vanishing
        powered = (p / p.max(axis=-1, keepdims=True)) ** (1 / self.t)
        scaled: NDArray[np.float64] = powered / powered.sum(axis=-1, keepdims=True)
        return scaled


Calibrator = Annotated[Isotonic | Platt | Temperature, Field(discriminator="kind")]


def logit(confidence: float) -> float:
    """Return log(c / (1 - c)) of a confidence between 0 and 1, the ends held back by `CERTAIN`; raise ValueError outside."""
    if not 0 <= confidence <= 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}; a scale from 1 to 5 has to be mapped to it first, for example (c - 1) / 4")
    held = min(max(confidence, CERTAIN), 1 - CERTAIN)
    return math.log(held / (1 - held))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(value, -_FAR)))


def _logistic_all(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    return np.asarray(1 / (1 + np.exp(-np.maximum(values, -_FAR))), dtype=float)


def _finite(confidence: float) -> float:
    if not math.isfinite(confidence):
        raise ValueError(f"confidence must be a number, got {confidence}")
    return confidence


def _finite_all(confidence: "ArrayLike") -> "NDArray[np.float64]":
    import numpy as np

    stated = np.asarray(confidence, dtype=float)
    if not np.isfinite(stated).all():
        raise ValueError("every confidence must be a number")
    return stated
