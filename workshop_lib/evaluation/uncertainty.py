"""How sure a comparison is: bootstraps over whole families, non-inferiority with a margin, many arms at once, and how many items it takes.

A bootstrap here never copies rows. A draw is how often each family was picked; what a statistic needs is added up by family once, and a draw
is one product of matrices. So the time grows with families times draws, and reading the rows is linear.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workshop_lib.evaluation.intervals import Interval, newcombe_paired

Matrix = NDArray[np.float64]
Statistic = Callable[[Matrix], Matrix]

_CELLS = 4_000_000  # resampled counts held in memory at once
_SMALL = 256  # families up to which the multinomial generator draws, on whose numbers stored outputs rest; beyond it single picks are quicker
DRAWS = 5_000


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval, how many families were resampled, and the share of draws in which it was undefined (and left out)."""

    value: float
    low: float
    high: float
    confidence: float
    families: int
    draws: int
    undefined: float = 0.0

    @property
    def interval(self) -> Interval:
        """Return the two bounds."""
        return Interval(self.low, self.high)


@dataclass(frozen=True)
class NonInferiority:
    """Whether an arm is as good as a reference up to a margin stated beforehand.

    `difference` is arm minus reference; `verdict` is "parity" (the whole interval lies above -margin), "worse" (parity is not shown and
    the whole interval lies below 0) or "not shown" (the data leave both open).
    """

    difference: float
    low: float
    high: float
    margin: float
    confidence: float
    n: int
    families: int
    verdict: Literal["parity", "not shown", "worse"]

    @property
    def sentence(self) -> str:
        """Return the verdict in one plain sentence with its interval and margin."""
        found = f"difference {self.difference:+.3f}, {self.confidence:.0%} from {self.low:+.3f} to {self.high:+.3f}, margin {self.margin:g}, {self.n} items in {self.families} families"
        said = {
            "parity": "Parity within the margin is shown",
            "worse": "Worse: the whole interval lies below zero and reaches past the margin",
            "not shown": "Parity is not shown, and worse is not shown either",
        }  # fmt: skip
        return f"{said[self.verdict]} ({found})."


def bootstrap(
    columns: Sequence[ArrayLike], statistic: Statistic, families: Iterable[Any] | None = None, *, draws: int = DRAWS, seed: int = 0,
    confidence: float = 0.95, method: Literal["percentile", "basic"] = "percentile",
) -> Estimate:  # fmt: skip
    """Return a statistic of column totals with its interval, resampling whole families (single items without `families`).

    `columns` are k arrays of one entry an item; `statistic` takes totals of shape (m, k) and returns m values, so a mean is
    `bootstrap([x, np.ones(n)], lambda t: t[:, 0] / t[:, 1])`. "percentile" takes the quantiles of the draws, "basic" reflects them at the
    value, which removes the bias of a statistic that can only grow by noise. Below some thirty families both are too narrow: say how many there are.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Davison and Hinkley, Bootstrap Methods, 1997, section 5.2;
    Cameron, Gelbach and Miller, REStat 90 (2008), for families.
    """
    table = _table(columns)
    codes, groups = family_codes(families, len(table))
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw without any P0 has no recall; it is counted as undefined
        value = float(statistic(table.sum(axis=0, keepdims=True))[0])
        drawn = np.concatenate([statistic(block) for block in _totals(table, codes, groups, draws, seed)])
    return _estimate(value, drawn, groups, confidence, method)


def resampled_totals(columns: Sequence[ArrayLike], families: Iterable[Any] | None = None, *, draws: int = DRAWS, seed: int = 0) -> Matrix:
    """Return the totals of k columns in every draw, shape (draws, k): one resampling for many arms, so that their differences stay paired."""
    table = _table(columns)
    codes, groups = family_codes(families, len(table))
    return np.concatenate(list(_totals(table, codes, groups, draws, seed)))


def bootstrap_weighted(
    n: int, statistic: Statistic, families: Iterable[Any] | None = None, *, draws: int = DRAWS, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """Return any statistic with its percentile interval; it takes how often each item was picked, shape (m, n), and returns m values.

    For what totals cannot express, such as the area under a curve. It touches every item in every draw: draws times n operations.
    """
    codes, groups = family_codes(families, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(np.ones((1, n)))[0])
        blocks = picked_families(groups, draws, seed, n)
        drawn = np.concatenate([statistic(block[:, codes].astype(float)) for block in blocks])
    return _estimate(value, drawn, groups, confidence, "percentile")


def bootstrap_mean(values: ArrayLike, families: Iterable[Any] | None = None, *, draws: int = DRAWS, seed: int = 0, confidence: float = 0.95) -> Estimate:
    """Return the mean of a column with its interval: an accuracy, a cost in USD an item, an escalation rate."""
    column = np.asarray(values, dtype=float)
    return bootstrap([column, np.ones_like(column)], _ratio, families, draws=draws, seed=seed, confidence=confidence)


def bootstrap_ratio(
    numerator: ArrayLike, denominator: ArrayLike, families: Iterable[Any] | None = None, *, draws: int = DRAWS, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """Return sum(numerator) / sum(denominator) with its interval: a recall (flagged and due / due), USD per right answer, one arm's cost over another's."""
    return bootstrap([numerator, denominator], _ratio, families, draws=draws, seed=seed, confidence=confidence)


def bootstrap_paired(
    first: ArrayLike, second: ArrayLike, families: Iterable[Any] | None = None, *, draws: int = DRAWS, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """Return mean(first) - mean(second) on the same items with its interval, both resampled together."""
    one, other = _table([first, second]).T
    return bootstrap_mean(one - other, families, draws=draws, seed=seed, confidence=confidence)


def non_inferiority(
    arm: ArrayLike, reference: ArrayLike, families: Iterable[Any] | None = None, *, margin: float, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> NonInferiority:
    """Return whether `arm` is as good as `reference` on the same items up to `margin`, a share stated before looking (0.02 is two points).

    "No significant difference" is no parity: small samples differ from nothing. For right/wrong columns each bound is the wider one of the
    bootstrap by family, which sees that items depend on each other, and Newcombe's paired interval, which sees what never happened in
    the sample. At 95 % this is the usual one-sided test at 2.5 %. Source: Piaggio et al., JAMA 308 (2012) 2594-2604, for the reading.
    """
    if not margin > 0:
        raise ValueError(f"margin is the loss you would accept, a share above 0, got {margin}")
    one, other = _table([arm, reference]).T
    labels = None if families is None else list(families)
    estimate = bootstrap_paired(one, other, labels, draws=draws, seed=seed, confidence=confidence)
    low, high = estimate.interval
    if np.isin(one, (0, 1)).all() and np.isin(other, (0, 1)).all():
        mine, theirs = one.astype(bool), other.astype(bool)
        both, mine_only, theirs_only = (int(cell.sum()) for cell in (mine & theirs, mine & ~theirs, ~mine & theirs))
        score = newcombe_paired(both, mine_only, theirs_only, len(one) - both - mine_only - theirs_only, confidence)
        low, high = min(low, score.low), max(high, score.high)
    verdict: Literal["parity", "not shown", "worse"] = "parity" if low > -margin else "worse" if high < 0 else "not shown"
    return NonInferiority(estimate.value, low, high, margin, confidence, len(one), estimate.families, verdict)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p values corrected for having tested several arms, in the order given: compare each with your level as before.

    Sorted, the i-th of m is multiplied by m - i + 1, made non-decreasing and cut at 1. Source: S. Holm, Scandinavian J. of Statistics 6 (1979) 65-70.
    """
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p values lie between 0 and 1, got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return tuple(adjusted.tolist())


def items_to_show_difference(
    difference: float, discordant: float, *, confidence: float = 0.95, power: float = 0.8, design_effect: float = 1.0
) -> int:
    """Return how many items both arms must answer to show a difference of accuracy with this power, if it is as large as `difference`.

    `discordant` is the share of items that just one of the arms gets right. n = ((z_a sqrt(q) + z_b sqrt(q - d^2)) / d)^2, times the design
    effect 1 + (family size - 1) * correlation when items come in families. Source: R. J. Connor, Biometrics 43 (1987) 207-211.
    """
    d = abs(difference)
    _share_of_pairs(d, discordant)
    d = min(d, discordant)
    if d == 0:
        raise ValueError("no number of items shows a difference of 0; for parity use items_to_show_parity")
    z_level, z_power = NormalDist().inv_cdf(0.5 + confidence / 2), NormalDist().inv_cdf(power)
    return math.ceil(design_effect * ((z_level * math.sqrt(discordant) + z_power * math.sqrt(discordant - d * d)) / d) ** 2)


def items_to_show_parity(
    margin: float, discordant: float, *, difference: float = 0.0, confidence: float = 0.95, power: float = 0.8, design_effect: float = 1.0
) -> int:
    """Return how many items both arms must answer to show parity within `margin`, if the true difference (arm minus reference) is `difference`.

    n = (z_a + z_b)^2 (q - d^2) / (margin + d)^2 with q the discordant share, one-sided at half of 1 - confidence, times the design effect.
    Source: Liu et al., Statistics in Medicine 21 (2002) 231-245, in its large-sample form.
    """
    _share_of_pairs(abs(difference), discordant)
    if margin + difference <= 0:
        raise ValueError(f"a true difference of {difference} lies outside the margin {margin}: no number of items shows parity")
    z = NormalDist().inv_cdf(0.5 + confidence / 2) + NormalDist().inv_cdf(power)
    return max(1, math.ceil(design_effect * z * z * (discordant - difference * difference) / (margin + difference) ** 2))


def family_codes(families: Iterable[Any] | None, n: int) -> tuple[NDArray[np.intp], int]:
    """Return the family of each item as a number from 0, and how many families there are; without families each item is one."""
    if families is None:
        return np.arange(n), n
    names, codes = np.unique([str(family) for family in families], return_inverse=True)
    if len(codes) != n:
        raise ValueError(f"two columns of different shape: {n} items and {len(codes)} families")
    return codes, len(names)


def picked_families(groups: int, draws: int, seed: int, width: int = 1) -> Iterator[NDArray[np.int64]]:
    """Yield how often each family was picked, in blocks of shape (m, groups); every row adds up to `groups`.

    A block is small enough that m rows of `width` numbers, or of `groups`, fit in some thirty megabytes.
    """
    if groups < 1 or draws < 1:
        raise ValueError("the bootstrap needs at least one item and one draw")
    generator = np.random.default_rng(seed)
    shares = np.full(groups, 1 / groups)
    block = max(1, _CELLS // max(width, groups))
    for start in range(0, draws, block):
        m = min(block, draws - start)
        if groups <= _SMALL:
            yield generator.multinomial(groups, shares, size=m)
        else:
            slots = generator.integers(0, groups, size=(m, groups)) + groups * np.arange(m)[:, None]
            yield np.bincount(slots.ravel(), minlength=m * groups).reshape(m, groups)


def _totals(table: Matrix, codes: NDArray[np.intp], groups: int, draws: int, seed: int) -> Iterator[Matrix]:
    sums = np.stack([np.bincount(codes, weights=column, minlength=groups) for column in table.T], axis=1)
    for picked in picked_families(groups, draws, seed, table.shape[1]):
        yield picked.astype(float) @ sums


def _table(columns: Sequence[ArrayLike]) -> Matrix:
    arrays = [np.asarray(column, dtype=float) for column in columns]
    for array in arrays[1:]:
        if array.shape != arrays[0].shape:
            raise ValueError(f"two columns of different shape: {arrays[0].shape} and {array.shape}")
    table = np.stack(arrays, axis=1)
    if len(table) == 0:
        raise ValueError("the bootstrap needs at least one item and one draw")
    return table


def _ratio(totals: Matrix) -> Matrix:
    return totals[:, 0] / totals[:, 1]


def _estimate(value: float, drawn: Matrix, groups: int, confidence: float, method: str) -> Estimate:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    defined = drawn[np.isfinite(drawn)]
    undefined = 1 - len(defined) / len(drawn)
    if len(defined) == 0 or not math.isfinite(value):
        return Estimate(value, math.nan, math.nan, confidence, groups, len(drawn), undefined)
    tail = 50 * (1 - confidence)
    low, high = (float(bound) for bound in np.percentile(defined, [tail, 100 - tail]))
    if method == "basic":
        low, high = 2 * value - high, 2 * value - low
    return Estimate(value, low, high, confidence, groups, len(drawn), undefined)


def _share_of_pairs(difference: float, discordant: float) -> None:
    # two shares of the same items may differ in the last digit where all of one arm's gains are the difference
    if not 0 < discordant <= 1 or difference > discordant * (1 + 1e-9):
        raise ValueError(f"discordant is the share of items one arm alone gets right, above 0, at most 1 and at least the difference {difference}; got {discordant}")
