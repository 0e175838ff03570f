"""Has a rate gone up? A cumulative sum over yes-or-no observations, and how long it runs until an alarm, false or true."""

import math
from dataclasses import dataclass

import numpy as np

from workshop_lib.evaluation.metrics import Interval, wilson

_GRID = 400  # steps to 1 in which sums are counted, so that run lengths are exact for what runs
_HIGHEST = 60.0


@dataclass(frozen=True)
class Design:
    """A cumulative sum's setting: alarms when sum of (bad - rate - k), never below 0, exceeds h.

    `false_after` is the mean number of observations until a false alarm while the rate is `rate`; `found_after` until an alarm once it is `shifted`.
    """

    rate: float
    shifted: float
    k: float
    h: float
    false_after: float
    found_after: float


class Cusum:
    """The running sum of one signal, in constant memory; `add` takes whether an observation was bad.

    `since` is the number of the observation after which the sum last stood at 0, the usual estimate of when the rate changed; an alarm stays until `restart`.
    """

    def __init__(self, setting: Design) -> None:
        self.setting = setting
        self.seen = 0
        self.bad = 0
        self.restart()

    def restart(self) -> None:
        """Begin again at 0, as after an alarm that somebody dealt with."""
        self._steps = 0
        self.since = self.seen
        self.bad_since = 0
        self.alarm = False

    def add(self, bad: bool) -> None:
        """Take one observation."""
        self.seen += 1
        self.bad += bad
        self.bad_since += bad
        self._steps += (_GRID if bad else 0) - _on_grid(self.setting.rate + self.setting.k)
        if self._steps <= 0:
            self._steps = 0
            if not self.alarm:
                self.since, self.bad_since = self.seen, 0
        self.alarm = self.alarm or self._steps > _on_grid(self.setting.h)

    @property
    def value(self) -> float:
        """Return the sum."""
        return self._steps / _GRID

    @property
    def n(self) -> int:
        """Return how many observations were made since the sum last stood at 0."""
        return self.seen - self.since

    @property
    def interval(self) -> Interval:
        """Return the 95 % Wilson interval of the bad share since the sum last stood at 0; it is flattering to the alarm, which chose where to begin."""
        return wilson(self.bad_since, self.n)


def design(rate: float, shifted: float, run_length: float = 2000.0) -> Design:
    """Return the sum that finds a rise from `rate` to `shifted` soonest among those whose false alarms are `run_length` observations apart on average.

    rate + k is the slope of the likelihood ratio of the two rates: with a = ln((1 - rate) / (1 - shifted)), a / (a + ln(shifted / rate)).
    Source: M. Reynolds and Z. Stoumbos, Journal of Quality Technology 31 (1999). h is the smallest that keeps the run length. `rate` is taken as known: estimated from few observations, false alarms come sooner or later than said.
    """
    if not 0 < rate < shifted < 1:
        raise ValueError(f"a rise needs 0 < rate < shifted < 1, got {rate} and {shifted}")
    if run_length < 1:
        raise ValueError(f"run_length counts observations and is at least 1, got {run_length}")
    fall = math.log((1 - rate) / (1 - shifted))
    slope = max(1, min(_GRID - 1, round(_GRID * fall / (fall + math.log(shifted / rate))))) / _GRID
    k = slope - rate
    low, high = 0, round(_HIGHEST * _GRID)
    while low < high:  # the smallest h that keeps false alarms far enough apart
        middle = min((low + high) // 2, 2 * low + _GRID)  # a large h costs more to try than several small ones
        if average_run_length(rate, rate, k, middle / _GRID) >= run_length:
            high = middle
        else:
            low = middle + 1
    h = low / _GRID
    return Design(rate, shifted, k, h, average_run_length(rate, rate, k, h), average_run_length(shifted, rate, k, h))


def average_run_length(true_rate: float, rate: float, k: float, h: float) -> float:
    """Return the mean number of observations until the sum, starting at 0, exceeds h while the bad share is `true_rate`.

    The sum moves on a grid, so it is a finite Markov chain and the mean solves (I - Q) L = 1 exactly. Source: D. Brook and D. Evans, Biometrika 59 (1972).
    """
    from scipy.sparse import coo_array, eye_array
    from scipy.sparse.linalg import spsolve

    drop, highest = _on_grid(rate + k), _on_grid(h)
    down, up = drop, _GRID - drop
    shrink = math.gcd(down, up)  # only multiples of it are ever reached
    down, up, highest = down // shrink, up // shrink, highest // shrink
    states = np.arange(highest + 1)
    below, above = np.maximum(0, states - down), states + up
    stays = above <= highest
    rows = np.concatenate((states, states[stays]))
    columns = np.concatenate((below, above[stays]))
    chances = np.concatenate((np.full(len(states), 1 - true_rate), np.full(int(stays.sum()), true_rate)))
    moves = coo_array((chances, (rows, columns)), shape=(len(states), len(states)))
    return float(spsolve((eye_array(len(states)) - moves).tocsc(), np.ones(len(states)))[0])


def _on_grid(value: float) -> int:
    return round(value * _GRID)
