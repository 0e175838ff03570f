"""Intervals in closed form: for one share, and for the difference of two shares on the same or on different items."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Interval(NamedTuple):
    """A lower and an upper bound."""

    low: float
    high: float


def wilson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of the share k/n; without any item it is (0, 1).

    With z the normal quantile and p = k/n: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
    Source: E. B. Wilson, JASA 22 (1927) 209-212; recommended for small n by Brown, Cai and DasGupta, Statistical Science 16 (2001).
    """
    if not 0 <= k <= n:
        raise ValueError(f"k must lie between 0 and n, got k={k}, n={n}")
    z = quantile(confidence)
    if n == 0:
        return Interval(0.0, 1.0)
    share, shrink = k / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    # At k = 0 and k = n one bound is exact; rounding must not move it past the share itself.
    return Interval(max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def clopper_pearson_upper(k: ArrayLike, n: ArrayLike, delta: float) -> NDArray[np.float64]:
    """Return the share that k of n exceeds with confidence 1 - delta at most: the exact one-sided upper bound, elementwise; 1 where n is 0.

    It is the 1 - delta quantile of Beta(k + 1, n - k), the largest p with P[Binomial(n, p) <= k] >= delta.
    Source: Clopper and Pearson, Biometrika 26 (1934) 404-413.
    """
    from scipy.special import betaincinv  # scipy takes a second to import, which the closed forms need not wait for

    counted, total = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    if not ((counted >= 0) & (counted <= total)).all():
        raise ValueError("k must lie between 0 and n")
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie between 0 and 1, got {delta}")
    open_ = counted < total
    bound = np.ones(counted.shape)
    bound[open_] = betaincinv(counted[open_] + 1, total[open_] - counted[open_], 1 - delta)
    return bound


def newcombe(k_first: int, n_first: int, k_second: int, n_second: int, confidence: float = 0.95) -> Interval:
    """Return the interval of k_first/n_first - k_second/n_second for two samples of different items.

    Use it for published totals, where the pairing of the items is not known. It joins the two Wilson intervals.
    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10.
    """
    return _joined(k_first, n_first, k_second, n_second, 0.0, confidence)


def newcombe_paired(both: int, only_first: int, only_second: int, neither: int, confidence: float = 0.95) -> Interval:
    """Return the interval of the difference of two shares on the same items, from how many items each alone, both or neither got right.

    Unlike a bootstrap it does not shrink to a point when the arms never differed in the sample: 10 of 10 against 10 of 10 leaves -0.28 to 0.28.
    It takes items as independent. Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650, method 10.
    """
    cells = (both, only_first, only_second, neither)
    if min(cells) < 0 or sum(cells) == 0:
        raise ValueError(f"the four counts must not be negative, and not all zero, got {cells}")
    n = sum(cells)
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    # a positive correlation is shrunk by n/2 for continuity, a negative one is taken as it is
    adjusted = max(product - n / 2, 0) if product > 0 else product
    correlation = adjusted / math.sqrt(margins) if margins else 0.0
    return _joined(both + only_first, n, both + only_second, n, correlation, confidence)


def quantile(confidence: float) -> float:
    """Return z so that a normal variable lies within -z and z with this probability; raise ValueError unless it lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _joined(k_first: int, n_first: int, k_second: int, n_second: int, correlation: float, confidence: float) -> Interval:
    if not (n_first and n_second):
        raise ValueError("a difference needs items on both sides")
    first, second = k_first / n_first, k_second / n_second
    (low_1, high_1), (low_2, high_2) = wilson(k_first, n_first, confidence), wilson(k_second, n_second, confidence)

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))

    difference = first - second
    return Interval(difference - reach(first - low_1, high_2 - second), difference + reach(high_1 - first, second - low_2))
