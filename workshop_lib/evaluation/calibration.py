"""Fitting calibrators on the calibration split, and saying how far stated confidence is from the truth, before and after."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workshop_lib.cascade.calibrators import CERTAIN, Calibrator, Isotonic, Platt, Temperature, logit
from workshop_lib.evaluation.intervals import Interval
from workshop_lib.evaluation.metrics import auroc, brier, ece
from workshop_lib.evaluation.uncertainty import DRAWS, Estimate, bootstrap

Method = Literal["isotonic", "platt", "temperature"]
FEWEST = 30
"""Below so many answers a fitted curve says more about the sample than about the model."""


@dataclass(frozen=True)
class BrierParts:
    """The Brier score as reliability - resolution + uncertainty + within: how far off, how far apart, how hard, and what binning hides.

    `within` is 0 when every distinct confidence is a bin of its own.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def fit(arm: pd.DataFrame, method: Method = "isotonic", *, split: str, target: Literal["correct", "joint"] = "correct") -> Calibrator:
    """Return a calibrator of the one model behind a single-model arm (a frame of `arms.frame`), fitted on its valid answers.

    `split` says where the items come from; "test" is refused, and so are several models, fewer than 30 answers, or all right or all wrong,
    each with ValueError. `target` is what the confidence is to predict: the category (correct) or all three fields (joint).
    """
    refuse_test(split, "A calibrator")
    answered = arm[arm["outcome"] == "answered"]
    models = sorted({str(name) for name in answered["model_used"]})
    if len(models) > 1 or bool(arm["escalated"].any()):
        raise ValueError(f"a calibrator belongs to one model, this arm has answers of {', '.join(models)}; fit on a single-model arm")
    if len(answered) < FEWEST:
        raise ValueError(f"{len(answered)} valid answers are too few to fit a calibrator, it takes {FEWEST}; label more items of the calibration split")
    confidence, right = answered["confidence"].to_numpy(float), answered[target].to_numpy(bool)
    fitters: dict[str, Callable[[ArrayLike, ArrayLike], Calibrator]] = {"isotonic": fit_isotonic, "platt": fit_platt, "temperature": fit_temperature}
    if method not in fitters:
        raise ValueError(f"no method {method!r}; known: {', '.join(fitters)}")
    return fitters[method](confidence, right)


def refuse_test(split: str, what: str) -> None:
    """Raise ValueError if something is about to be chosen on the test split."""
    if split == "test":
        raise ValueError(f"{what} fitted on the test split would be graded on its own answers; use the calibration split")


def fit_isotonic(confidence: ArrayLike, correct: ArrayLike) -> Isotonic:
    """Return the never decreasing curve nearest to the outcomes in squared error; it assumes nothing else and needs the most items."""
    from sklearn.isotonic import IsotonicRegression

    stated, right = _outcomes(confidence, correct)
    curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(stated, right)
    x, y = curve.X_thresholds_.tolist(), np.clip(np.maximum.accumulate(curve.y_thresholds_), 0, 1).tolist()
    return Isotonic(x=tuple(x), y=tuple(y))


def fit_platt(confidence: ArrayLike, correct: ArrayLike) -> Platt:
    """Return the logistic curve of highest likelihood, its targets drawn in by Platt's (n + 1) / (n + 2) so that a clean split stays finite.

    If a higher confidence goes with more errors the curve is level at the share of right answers: turning it over would hide the finding.
    """
    from sklearn.linear_model import LogisticRegression

    stated, right = _outcomes(confidence, correct)
    ups = int(right.sum())
    target = np.where(right == 1, (ups + 1) / (ups + 2), 1 / (len(right) - ups + 2))
    centre, spread = float(stated.mean()), float(stated.std())
    if spread > 0:
        scaled = ((stated - centre) / spread)[:, None]  # the solver stops early on confidences that lie close together
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(np.concatenate([scaled, scaled]), np.repeat([1, 0], len(stated)), sample_weight=np.concatenate([target, 1 - target]))
        slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
        if slope > 0:
            return Platt(a=slope / spread, b=intercept - slope * centre / spread)
    share = float(target.mean())
    return Platt(a=0.0, b=math.log(share / (1 - share)))


def fit_temperature(confidence: ArrayLike, correct: ArrayLike) -> Temperature:
    """Return the temperature of highest likelihood for confidences between 0 and 1; one number, so it needs the fewest items and cannot move 0.5."""
    stated, right = _outcomes(confidence, correct)
    logits = np.array([logit(value) for value in stated])
    signed = np.where(right == 1, logits, -logits)
    return Temperature(t=_likeliest(lambda t: float(np.logaddexp(0, -signed / t).mean())))


def fit_temperature_distribution(probabilities: ArrayLike, label: ArrayLike) -> Temperature:
    """Return the temperature of highest likelihood for distributions of shape (n, labels), with the index of the true label of each."""
    p, true = np.asarray(probabilities, dtype=float), np.asarray(label, dtype=int)
    if p.ndim != 2 or true.shape != (len(p),) or len(p) == 0:
        raise ValueError(f"distributions of shape (n, labels) and n labels are expected, got {p.shape} and {true.shape}")
    logs = np.log(np.maximum(p, CERTAIN**2))  # a share of 0 on the true label would make every temperature infinitely bad

    def loss(t: float) -> float:
        scaled = logs / t
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(p)), true]).mean())

    return Temperature(t=_likeliest(loss))


def adaptive_ece(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error over bins of equally many items instead of equal width; equal confidences stay in one bin.

    Equal width puts nearly all answers of an over-confident model in one bin. Source: Nguyen and O'Connor, EMNLP 2015, section 4.
    """
    stated, right, bin_of = _equal_mass(confidence, correct, bins)
    gaps = np.bincount(bin_of, weights=right - stated, minlength=bins)
    return float(np.abs(gaps).sum() / len(stated))


def ece_interval(
    confidence: ArrayLike, correct: ArrayLike, families: Iterable[Any] | None = None, *, bins: int = 10, draws: int = DRAWS, seed: int = 0, level: float = 0.95
) -> Estimate:
    """Return the expected calibration error (as `metrics.ece`) with its bootstrap interval by family.

    Noise can only raise an ECE, in each draw once more; the interval is therefore reflected at the value ("basic") and cut at 0.
    Read it beside `ece_if_calibrated`: what a perfect model would show with as many items.
    """
    value = ece(confidence, correct, bins)
    stated, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    bin_of = np.searchsorted(np.arange(1, bins) / bins, stated, side="left")
    inside = [bin_of == index for index in np.unique(bin_of)]
    columns = [np.ones_like(stated), *(np.where(chosen, right - stated, 0.0) for chosen in inside)]
    drawn = bootstrap(columns, _mean_gap, families, draws=draws, seed=seed, confidence=level, method="basic")
    low, high = max(0.0, drawn.low), min(1.0, max(drawn.high, value))
    return Estimate(value, low, high, level, drawn.families, drawn.draws)


def ece_if_calibrated(confidence: ArrayLike, *, bins: int = 10, draws: int = 2000, seed: int = 0) -> Interval:
    """Return the middle 95 % of the ECE that a perfectly calibrated model with these confidences would show by chance alone.

    Every answer is right with exactly the probability stated. Source: Bröcker and Smith, Weather and Forecasting 22 (2007) 651-661.
    """
    stated = np.asarray(confidence, dtype=float)
    values, counts = np.unique(stated, return_counts=True)
    if len(values) == 0 or values[0] < 0 or values[-1] > 1:
        raise ValueError("confidences between 0 and 1 are expected, at least one")
    bin_of = np.searchsorted(np.arange(1, bins) / bins, values, side="left")
    right = np.random.default_rng(seed).binomial(counts, values, size=(draws, len(values)))
    gaps = (right - counts * values) @ (bin_of[:, None] == np.arange(bins)).astype(float)
    low, high = np.percentile(np.abs(gaps).sum(axis=1) / len(stated), [2.5, 97.5])
    return Interval(float(low), float(high))


def brier_parts(confidence: ArrayLike, correct: ArrayLike, bins: int | None = None) -> BrierParts:
    """Return the Brier score in its parts, over distinct confidences, or over bins of equally many items.

    With n_b items, mean confidence c_b and share right r_b in bin b, and r overall: reliability sum n_b (c_b - r_b)^2 / n, resolution sum
    n_b (r_b - r)^2 / n, uncertainty r (1 - r). Source: A. H. Murphy, J. of Applied Meteorology 12 (1973) 595-600; Stephenson et al., Weather and Forecasting 23 (2008), for `within`.
    """
    score = brier(confidence, correct)
    stated, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    bin_of = np.unique(stated, return_inverse=True)[1] if bins is None else _equal_mass(confidence, correct, bins)[2]
    bin_of = np.unique(bin_of, return_inverse=True)[1]
    n = np.bincount(bin_of)
    claimed, share, overall = np.bincount(bin_of, weights=stated) / n, np.bincount(bin_of, weights=right) / n, float(right.mean())
    reliability = float((n * (claimed - share) ** 2).sum() / n.sum())
    resolution = float((n * (share - overall) ** 2).sum() / n.sum())
    uncertainty = overall * (1 - overall)
    return BrierParts(score, reliability, resolution, uncertainty, score - (reliability - resolution + uncertainty))


def before_after(
    confidence: ArrayLike, correct: ArrayLike, calibrator: Calibrator, families: Iterable[Any] | None = None, *, bins: int = 10, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return one row for the stated and one for the calibrated confidence of the same answers, which should not be those it was fitted on.

    Columns: confidence, n, mean_confidence, accuracy, ece with low and high, adaptive_ece, brier, auroc.
    """
    labels = None if families is None else list(families)
    stated = np.asarray(confidence, dtype=float)
    rows = []
    for name, claims in (("stated", stated), ("calibrated", calibrator.apply_all(stated))):
        error = ece_interval(claims, correct, labels, bins=bins, draws=draws, seed=seed)
        rows.append(
            {"confidence": name, "n": len(claims), "mean_confidence": float(claims.mean()), "accuracy": float(np.mean(np.asarray(correct, dtype=bool)))}
            | {"ece": error.value, "low": error.low, "high": error.high, "adaptive_ece": adaptive_ece(claims, correct, bins)}
            | {"brier": brier(claims, correct), "auroc": auroc(claims, correct)}
        )
    return pd.DataFrame(rows)


def _outcomes(confidence: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stated, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool)
    if stated.shape != right.shape:
        raise ValueError(f"two columns of different shape: {stated.shape} and {right.shape}")
    if not np.isfinite(stated).all():
        raise ValueError("every confidence must be a number")
    if right.all() or not right.any():
        raise ValueError(f"all {len(right)} answers are {'right' if right.all() and len(right) else 'wrong'}: a calibrator needs right and wrong ones")
    return stated, right.astype(float)


def _equal_mass(confidence: ArrayLike, correct: ArrayLike, bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    brier(confidence, correct)  # refuses what is no confidence
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    stated, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    _, group, sizes = np.unique(stated, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - (sizes + 1) / 2  # the mean rank of equal confidences, from 0
    bin_of = np.floor((middle + 0.5) * bins / len(stated)).astype(np.intp)
    return stated, right, bin_of[group]


def _mean_gap(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(totals[:, 1:]).sum(axis=1) / totals[:, 0])


def _likeliest(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    # over log t, from a fiftieth to fifty: beyond it the data ask for certainty or for nothing at all
    found = minimize_scalar(lambda log_t: loss(math.exp(log_t)), bounds=(-math.log(50), math.log(50)), method="bounded")
    return math.exp(float(found.x))
