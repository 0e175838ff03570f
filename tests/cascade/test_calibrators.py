"""Calibrators as data: never decreasing, the same one at a time and all at once, and refusing what is no confidence."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from workshop_lib.cascade.calibrators import Calibrator, Isotonic, Platt, Temperature

ADAPTER: TypeAdapter[Calibrator] = TypeAdapter(Calibrator)
KINDS = [
    Isotonic(x=(0.5, 0.7, 0.95), y=(0.2, 0.6, 0.8)),
    Isotonic(x=(0.9,), y=(0.7,)),
    Platt(a=5.0, b=-3.0),
    Platt(a=0.0, b=1.5),
    Platt(a=4000.0, b=-2000.0),
    Temperature(t=2.5),
    Temperature(t=0.2),
]


@pytest.mark.parametrize("calibrator", KINDS, ids=str)
@given(first=st.floats(0, 1), second=st.floats(0, 1))
@settings(deadline=None)
def test_a_higher_confidence_is_never_mapped_lower(calibrator: Calibrator, first: float, second: float) -> None:
    """Without it a calibrated gate could keep the less certain of two answers."""
    low, high = sorted((first, second))
    assert 0 <= calibrator.apply(low) <= calibrator.apply(high) <= 1


@pytest.mark.parametrize("calibrator", KINDS, ids=str)
@given(confidence=st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_one_at_a_time_and_all_at_once_agree(calibrator: Calibrator, confidence: list[float]) -> None:
    """Without it a gate could decide differently from the evaluation that chose its threshold."""
    assert calibrator.apply_all(confidence) == pytest.approx([calibrator.apply(value) for value in confidence], abs=1e-12)


@pytest.mark.parametrize("calibrator", KINDS, ids=str)
def test_a_calibrator_survives_json(calibrator: Calibrator) -> None:
    """Without it a policy with a calibrated gate could not be written down and hashed."""
    assert ADAPTER.validate_json(ADAPTER.dump_json(calibrator)) == calibrator


def test_isotonic_by_hand() -> None:
    """Without it the ends could be extrapolated out of the sample."""
    curve = KINDS[0]
    assert [curve.apply(c) for c in (0.0, 0.5, 0.6, 0.7, 0.95, 1.0)] == pytest.approx([0.2, 0.2, 0.4, 0.6, 0.8, 0.8])


def test_platt_and_isotonic_take_a_scale_from_one_to_five() -> None:
    """Without it the question cascade could not be calibrated."""
    assert Platt(a=1.0, b=-3.0).apply(5) == pytest.approx(1 / (1 + math.exp(-2)))
    assert Isotonic(x=(1, 5), y=(0.0, 1.0)).apply(4) == pytest.approx(0.75)


def test_temperature_by_hand() -> None:
    """Without it dividing and multiplying the logit could be confused."""
    warm = Temperature(t=2.0)
    assert warm.apply(0.9) == pytest.approx(0.75)
    assert warm.apply(0.5) == pytest.approx(0.5)
    assert warm.apply(1.0) == pytest.approx(1 / (1 + math.sqrt(0.001 / 0.999)))
    assert warm.apply_distribution([[0.9, 0.1], [0.5, 0.5]]) == pytest.approx(np.array([[0.75, 0.25], [0.5, 0.5]]))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda p: sum(p) > 0.01), st.floats(0.02, 50))
@settings(deadline=None)
def test_a_distribution_stays_one(shares: list[float], t: float) -> None:
    """Without it a small share could underflow and take the sum with it."""
    scaled = Temperature(t=t).apply_distribution(np.array(shares) / sum(shares))
    assert scaled.sum() == pytest.approx(1)
    assert int(np.argmax(scaled)) == int(np.argmax(shares)) or max(shares) == pytest.approx(shares[int(np.argmax(scaled))])


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Isotonic, {"x": (0.5, 0.5), "y": (0.1, 0.2)}, "x must increase"), (Isotonic, {"x": (0.5, 0.6), "y": (0.3, 0.2)}, "must not decrease"),
        (Isotonic, {"x": (0.5,), "y": (0.3, 0.4)}, "as many points"), (Isotonic, {"x": (), "y": ()}, "at least 1"), (Isotonic, {"x": (0.5,), "y": (1.2,)}, "less than or equal"),
        (Platt, {"a": -1.0, "b": 0.0}, "greater than or equal"), (Platt, {"a": 1.0, "b": math.inf}, "finite"), (Temperature, {"t": 0.0}, "greater than 0"),
    ],
)  # fmt: skip
def test_a_calibrator_that_could_decrease_cannot_be_built(kind: type, fields: dict[str, object], message: str) -> None:
    """Without it a policy file with a turned-over curve would escalate the best answers."""
    with pytest.raises(ValidationError, match=message):
        kind(**fields)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, 4.0, math.nan])
def test_temperature_refuses_another_scale(confidence: float) -> None:
    """Without it a confidence of 4 out of 5 would be read as certainty."""
    for apply in (Temperature(t=2.0).apply, Temperature(t=2.0).apply_all):
        with pytest.raises(ValueError, match="between 0 and 1"):
            apply(confidence)


@pytest.mark.parametrize("calibrator", [KINDS[0], KINDS[2]], ids=str)
def test_a_missing_confidence_is_refused(calibrator: Calibrator) -> None:
    """Without it NaN would be interpolated to the top of the curve."""
    with pytest.raises(ValueError, match="must be a number"):
        calibrator.apply(math.nan)
    with pytest.raises(ValueError, match="must be a number"):
        calibrator.apply_all([0.5, math.nan])
