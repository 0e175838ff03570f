"""Calibration: fits against independent solvers, errors against hand-worked values, and the refusals that keep the test split out."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from workshop_lib.cascade.calibrators import Isotonic, Platt, Temperature
from workshop_lib.evaluation.calibration import (
    adaptive_ece,
    before_after,
    brier_parts,
    ece_if_calibrated,
    ece_interval,
    fit,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    fit_temperature_distribution,
)
from workshop_lib.evaluation.metrics import brier, ece

GRADED = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.7, 0.9, 0.95, 1.0]), st.booleans()), min_size=1, max_size=50)
MIXED = GRADED.filter(lambda rows: len({right for _, right in rows}) == 2)


@pytest.fixture
def over_confident() -> tuple[np.ndarray, np.ndarray]:
    """Return 3,000 answers of a model whose logits are twice what they should be."""
    generator = np.random.default_rng(3)
    logits = generator.normal(1.0, 1.0, 3000)
    right = generator.random(3000) < 1 / (1 + np.exp(-logits))
    return 1 / (1 + np.exp(-2 * logits)), right


@given(MIXED)
@settings(deadline=None, max_examples=40)
def test_isotonic_is_that_of_scikit_learn(graded: list[tuple[float, bool]]) -> None:
    """Without it the curve that a gate carries could differ from the one that was fitted."""
    stated, right = (np.array(column, dtype=float) for column in zip(*graded, strict=True))
    expected = IsotonicRegression(out_of_bounds="clip").fit(stated, right)
    anywhere = np.linspace(0, 1, 21)
    assert fit_isotonic(stated, right).apply_all(anywhere) == pytest.approx(expected.predict(anywhere))


@given(MIXED.filter(lambda rows: len({c for c, _ in rows}) > 1))
@settings(deadline=None, max_examples=30)
def test_platt_has_the_highest_likelihood(graded: list[tuple[float, bool]]) -> None:
    """Without it the solver could stop early where confidences lie close together."""
    stated, right = (np.array(column, dtype=float) for column in zip(*graded, strict=True))
    ups, downs = right.sum(), len(right) - right.sum()
    target = np.where(right == 1, (ups + 1) / (ups + 2), 1 / (downs + 2))

    def loss(ab: np.ndarray) -> float:
        z = ab[0] * stated + ab[1]
        return float((target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)).sum())

    found = fit_platt(stated, right)
    best = minimize(loss, [1.0, 0.0], method="L-BFGS-B", bounds=[(0, None), (None, None)], options={"ftol": 1e-14})
    assert loss(np.array([found.a, found.b])) <= best.fun + 1e-5


def test_platt_levels_out_where_confidence_misleads() -> None:
    """Without it a model that is surer of its errors would be given a falling curve."""
    found = fit_platt([0.9] * 20 + [0.5] * 20, [False] * 15 + [True] * 5 + [True] * 15 + [False] * 5)
    assert found.a == 0
    assert found.apply(0.9) == pytest.approx(0.5)
    assert fit_platt([0.9] * 10, [True] * 8 + [False] * 2).a == 0


def test_temperature_finds_what_was_done_to_the_logits(over_confident: tuple[np.ndarray, np.ndarray]) -> None:
    """Without it over-confidence could be answered with more of it."""
    assert fit_temperature(*over_confident).t == pytest.approx(2.0, abs=0.25)
    generator = np.random.default_rng(4)
    logits = generator.normal(0, 2, (3000, 4))
    true = np.array([generator.choice(4, p=p) for p in np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)])
    sharp = np.exp(3 * logits)
    assert fit_temperature_distribution(sharp / sharp.sum(axis=1, keepdims=True), true).t == pytest.approx(3.0, abs=0.3)


def test_distributions_and_labels_must_fit() -> None:
    """Without it labels of other items would be calibrated to."""
    with pytest.raises(ValueError, match="distributions of shape"):
        fit_temperature_distribution([[0.5, 0.5]], [0, 1])


@pytest.mark.parametrize("method", ["isotonic", "platt", "temperature"])
def test_fitting_brings_confidence_to_accuracy_on_other_answers(over_confident: tuple[np.ndarray, np.ndarray], method: str) -> None:
    """Without it a calibrator could help only on the answers it was fitted on."""
    stated, right = over_confident
    calibrator = {"isotonic": fit_isotonic, "platt": fit_platt, "temperature": fit_temperature}[method](stated[:1500], right[:1500])
    table = before_after(stated[1500:], right[1500:], calibrator, draws=100).set_index("confidence")
    assert table.loc["calibrated", "ece"] < table.loc["stated", "ece"] / 2
    assert table.loc["calibrated", "brier"] < table.loc["stated", "brier"]
    assert table.loc["calibrated", "n"] == 1500


@pytest.mark.parametrize("fitter", [fit_isotonic, fit_platt, fit_temperature])
@pytest.mark.parametrize("right", [[True, True], [False, False]])
def test_one_class_teaches_nothing(fitter: object, right: list[bool]) -> None:
    """Without it a small split without errors would be fitted to certainty."""
    with pytest.raises(ValueError, match=f"all 2 answers are {'right' if right[0] else 'wrong'}"):
        fitter([0.5, 0.9], right)  # type: ignore[operator]


def arm(n: int = 60, **change: object) -> pd.DataFrame:
    """Return a single-model arm of n answers, every third one wrong."""
    columns = {
        "outcome": ["answered"] * n, "confidence": [0.9 if i % 2 else 0.7 for i in range(n)], "correct": [i % 3 > 0 for i in range(n)],
        "joint": [i % 2 > 0 for i in range(n)], "model_used": ["nano"] * n, "escalated": [False] * n,
    }  # fmt: skip
    return pd.DataFrame({**columns, **change})


@pytest.mark.parametrize(("method", "kind"), [("isotonic", Isotonic), ("platt", Platt), ("temperature", Temperature)])
def test_an_arm_is_fitted_by_name(method: str, kind: type) -> None:
    """Without it a method could be fitted by another one."""
    assert isinstance(fit(arm(), method, split="calibration"), kind)  # type: ignore[arg-type]


def test_the_target_is_what_is_predicted() -> None:
    """Without it confidence in all three fields would be calibrated to the category."""
    category, joint = (fit(arm(), split="calibration", target=target) for target in ("correct", "joint"))
    assert category.apply(0.9) == pytest.approx(2 / 3)
    assert joint.apply(0.9) == 1


def test_invalid_answers_state_no_confidence() -> None:
    """Without it replies that could not be read would pull the curve down at 0."""
    broken = arm(61, outcome=["answered"] * 60 + ["invalid"], confidence=[0.9] * 60 + [0.0])
    assert isinstance(found := fit(broken, split="calibration"), Isotonic)
    assert found.x == (0.9,)


@pytest.mark.parametrize(
    ("frame", "split", "method", "message"),
    [
        (arm(), "test", "platt", "graded on its own answers"), (arm(29), "calibration", "platt", "29 valid answers are too few"),
        (arm(model_used=["nano"] * 30 + ["sonnet"] * 30), "calibration", "platt", "nano, sonnet"), (arm(escalated=[True] + [False] * 59), "calibration", "platt", "single-model"),
        (arm(correct=[True] * 60), "calibration", "platt", "all 60 answers are right"), (arm(), "calibration", "beta", "no method 'beta'"),
    ],
)  # fmt: skip
def test_a_fit_that_would_mislead_is_refused(frame: pd.DataFrame, split: str, method: str, message: str) -> None:
    """Without it a calibrator could be fitted on the split that grades it, on two models at once, or on a handful."""
    with pytest.raises(ValueError, match=message):
        fit(frame, method, split=split)  # type: ignore[arg-type]


@given(GRADED, st.sampled_from([None, 1, 3, 10]))
@settings(deadline=None)
def test_the_parts_of_the_brier_score_add_up(graded: list[tuple[float, bool]], bins: int | None) -> None:
    """Without it a part could be counted twice, or be negative."""
    stated, right = zip(*graded, strict=True)
    parts = brier_parts(stated, right, bins)
    assert parts.reliability - parts.resolution + parts.uncertainty + parts.within == pytest.approx(brier(stated, right))
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= 0
    if bins is None:
        assert parts.within == pytest.approx(0, abs=1e-12)


def test_the_brier_score_by_hand() -> None:
    """Without it reliability and resolution could be swapped."""
    parts = brier_parts([0.9, 0.9, 0.2, 0.2], [True, False, False, False])
    assert (parts.reliability, parts.resolution, parts.uncertainty) == pytest.approx(((0.16 + 0.04) / 2, 0.0625, 0.1875))


@given(GRADED)
@settings(deadline=None)
def test_one_bin_of_equal_mass_is_the_gap_of_the_means(graded: list[tuple[float, bool]]) -> None:
    """Without it equal confidences could be torn apart and their errors cancel or add up by order."""
    stated, right = (np.array(column, dtype=float) for column in zip(*graded, strict=True))
    assert adaptive_ece(stated, right, bins=1) == pytest.approx(abs(stated.mean() - right.mean()))
    shuffled = np.random.default_rng(0).permutation(len(stated))
    assert adaptive_ece(stated, right) == pytest.approx(adaptive_ece(stated[shuffled], right[shuffled]))
    assert adaptive_ece(stated, right) >= abs(stated.mean() - right.mean()) - 1e-12


def test_equal_mass_by_hand() -> None:
    """Without it bins could hold unequal shares."""
    assert adaptive_ece([0.6, 0.7, 0.8, 0.9], [1, 0, 1, 1], bins=2) == pytest.approx((abs(1.3 - 1) + abs(1.7 - 2)) / 4)


def test_the_interval_of_the_error_surrounds_it_and_stays_in_bounds() -> None:
    """Without it the bias of resampling would put the error below its own interval."""
    generator = np.random.default_rng(5)
    stated = generator.choice([0.7, 0.9, 0.95], size=120)
    for right in (generator.random(120) < stated, generator.random(120) < 0.5):
        found = ece_interval(stated, right, np.repeat(np.arange(24), 5), draws=400)
        assert found.value == pytest.approx(ece(stated, right))
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.families == 24


def test_a_perfect_model_shows_some_error_too() -> None:
    """Without it an error of a few points on a small sample would be taken for bad calibration."""
    stated = np.random.default_rng(6).choice([0.6, 0.8, 0.95], size=150)
    low, high = ece_if_calibrated(stated)
    drawn = [ece(stated, np.random.default_rng(seed).random(150) < stated) for seed in range(200)]
    assert low > 0
    assert 0.9 <= np.mean([low <= value <= high for value in drawn]) <= 1
    assert ece_if_calibrated(np.repeat(stated, 100)).high < high / 5
    with pytest.raises(ValueError, match="between 0 and 1"):
        ece_if_calibrated([4.0])


def test_a_confidence_that_is_no_number_is_refused() -> None:
    """Without it a missing confidence would be fitted as the highest."""
    with pytest.raises(ValueError, match="must be a number"):
        fit_platt([0.5, math.nan], [True, False])
