"""Has a distribution moved? The population stability index, what chance alone gives it, and its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workshop_lib.evaluation.metrics import Interval

BANDS = (0.10, 0.25)
"""Below the first little has moved, above the second much: a convention of credit scoring (N. Siddiqi, Credit Risk Scorecards, 2006), not a test.

The convention knows nothing of sample size: a small window exceeds 0.10 by chance alone, and a huge one can move for certain and stay below it.
"""

_SMOOTHING = 0.5


@dataclass(frozen=True)
class Drift:
    """One signal's reference against its current window.

    `alarm` is true if the index exceeds `threshold`, the larger of a band (large enough to matter) and `chance` (too large to be luck at level alpha).
    `moved` is the bin whose share changed most, from `before` to `after`. `n` counts the current window, `reference_n` the reference.
    """

    signal: str
    psi: float
    interval: Interval
    chance: float
    threshold: float
    n: int
    reference_n: int
    moved: str
    before: float
    after: float

    @property
    def alarm(self) -> bool:
        """Say whether the index is above the threshold."""
        return self.psi > self.threshold


def psi(reference: ArrayLike, current: ArrayLike) -> NDArray[np.float64]:
    """Return the population stability index of counts over the same bins (last axis): sum of (c - r) ln(c / r) over the bins' shares c and r.

    0 means alike. Half an item is added to every bin, so that an empty one gives a large and not an infinite index. Source: Siddiqi 2006, as for BANDS;
    it is the symmetrised Kullback-Leibler divergence of H. Jeffreys, Proc. Royal Society A 186 (1946).
    """
    shares = []
    for counts in (reference, current):
        smoothed = np.asarray(counts, dtype=float) + _SMOOTHING
        shares.append(smoothed / smoothed.sum(axis=-1, keepdims=True))
    before, after = shares
    return np.asarray(((after - before) * np.log(after / before)).sum(axis=-1), dtype=float)


def chance_level(bins: int, reference_n: int, n: int, alpha: float = 0.01) -> float:
    """Return the index that two samples of one distribution exceed with probability `alpha`: chi2(1 - alpha, bins - 1) (1 / reference_n + 1 / n).

    Source: B. Yurdakul and J. Naranjo, Journal of Risk Model Validation 14 (2020). It holds where bins expect about five items or more.
    """
    from scipy.stats import chi2

    if bins < 2:
        return 0.0
    return float(chi2.ppf(1 - alpha, bins - 1)) * (1 / reference_n + 1 / n)


def psi_interval(value: float, bins: int, reference_n: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the approximate interval of the index behind an observed one, which chance alone inflates.

    The observed index over (1 / reference_n + 1 / n) is taken as noncentral chi-square with bins - 1 degrees, and its noncentrality is bounded.
    """
    from scipy.optimize import brentq
    from scipy.stats import ncx2

    if bins < 2:
        return Interval(0.0, 0.0)
    scale = 1 / reference_n + 1 / n
    seen = max(value / scale, 1e-12)

    def bound(tail: float) -> float:
        def excess(far: float) -> float:
            return float(ncx2.cdf(seen, bins - 1, far)) - tail

        if excess(1e-9) <= 0:
            return 0.0  # even without any drift so small an index would be no surprise
        return float(brentq(excess, 1e-9, 4 * seen + 200.0)) * scale

    return Interval(bound((1 + confidence) / 2), bound((1 - confidence) / 2))


def drift(signal: str, names: Sequence[str], reference: Sequence[int], current: Sequence[int], alpha: float = 0.01, band: float = BANDS[0]) -> Drift:
    """Return how a signal's current counts stand against its reference counts over the same named bins; raise ValueError if either is empty.

    Bins of which the current window expects fewer than five are pooled for the index, because neither chance level nor index holds there.
    """
    before, after = np.asarray(reference, dtype=int), np.asarray(current, dtype=int)
    if before.shape != after.shape or before.shape != (len(names),):
        raise ValueError(f"{signal}: {len(names)} bins, but counts of shape {before.shape} and {after.shape}")
    reference_n, n = int(before.sum()), int(after.sum())
    if not reference_n or not n:
        raise ValueError(f"{signal}: a drift needs items in the reference and in the current window, got {reference_n} and {n}")
    pools = pooled(before, n)
    old, new = (np.bincount(pools, weights=counts, minlength=int(pools.max()) + 1) for counts in (before, after))
    value, bins = float(psi(old, new)), len(old)
    chance = chance_level(bins, reference_n, n, alpha)
    most = int(np.argmax(np.abs(after / n - before / reference_n)))
    return Drift(
        signal, value, psi_interval(value, bins, reference_n, n), chance, max(band, chance), n, reference_n, names[most], float(before[most] / reference_n), float(after[most] / n)
    )


def pooled(reference: NDArray[np.int_], n: int, expected: float = 5.0) -> NDArray[np.int_]:
    """Return for each bin the number of the pool it belongs to: bins that expect fewer than `expected` of `n` items share the last pool."""
    rare = reference / reference.sum() * n < expected
    pools = np.cumsum(~rare) - 1
    return np.where(rare, int((~rare).sum()), pools)
