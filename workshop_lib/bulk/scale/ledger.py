"""The account of a run over many workers: shares of the quota, calls and money that are left, and what every part came to so far."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workshop_lib.bulk.job import End
from workshop_lib.bulk.journal import Totals
from workshop_lib.bulk.paced import Counts
from workshop_lib.bulk.scale.shares import Shares

_MOST_CALLS = 1000
"""Calls that a worker takes at once, at most: so many count as made if it dies."""


@dataclass(frozen=True)
class Limits:
    """What a run over all its workers may spend: known USD of the output over all runs, and HTTP requests of this one."""

    max_usd: float | None = None
    max_calls: int | None = None


@dataclass(frozen=True)
class Report:
    """What a worker tells: what the output of the part in hand holds, and what the worker sent since it started."""

    part: int
    totals: Totals
    counts: Mapping[str, Counts] = field(default_factory=dict)
    units: int = 0


@dataclass(frozen=True)
class Share:
    """What a worker may do for the next `lasts_s` seconds: its share of the stated limits, or an end."""

    fraction: float
    burst: float
    lasts_s: float
    end: End | None = None


@dataclass(frozen=True)
class Told:
    """What a run came to so far, over all its workers; `end` is None while it goes on."""

    totals: Totals
    counts: Mapping[str, Counts]
    units: int
    end: End | None = None


class Ledger:
    """One for a run, asked by every worker; safe to share between threads.

    Calls and money are handed out in batches of half a worker's share of what is left, so that the last of either is not stuck with one
    worker. Money is a ceiling for a part's cost: what tickets in work cost beyond it is told with the next report and comes off the others.
    """

    def __init__(self, known: Mapping[int, Totals], parts_left: int, workers: int, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what the parts hold already, by number, and how many of all parts are not done."""
        self._limits = limits or Limits()
        self._shares = Shares(workers, clock)
        self._workers = workers
        self._totals = dict(known)
        self._ceilings: dict[int, float] = {}
        self._parts_left = parts_left
        self._done: set[int] = set()
        self._calls_left = self._limits.max_calls
        self._counts: dict[str, Mapping[str, Counts]] = {}
        self._units: dict[str, int] = {}
        self._end: End | None = None
        self._lock = threading.Lock()

    def renew(self, worker: str, report: Report | None = None) -> Share:
        """Take a worker's report, and give it its share from now on; the first of a worker has none to tell."""
        with self._lock:
            self._take(worker, report)
            grant = self._shares.renew(worker, self._parts_left - len(self._done))
            return Share(grant.fraction, grant.burst, self._shares.lasts_s, self._end)

    def leave(self, worker: str, report: Report | None, calls_left: int = 0, *, done: bool) -> None:
        """Take back the share and the unused calls of a worker whose part is `done`, or left."""
        with self._lock:
            self._take(worker, report)
            self._shares.leave(worker)
            if self._calls_left is not None:
                self._calls_left += calls_left
            if report is not None:
                self._ceilings.pop(report.part, None)
                if done:
                    self._done.add(report.part)  # a set: a part whose end was not heard of is done again, and then is found done

    def more_calls(self) -> int:
        """Give a batch of the calls that are left; 0 if none are. Without a limit they are never asked for."""
        with self._lock:
            if self._calls_left is None or self._calls_left <= 0:
                return 0
            batch = min(_MOST_CALLS, -(-self._calls_left // (2 * self._workers)))
            self._calls_left -= batch
            return batch

    def more_usd(self, part: int, usd: float) -> float:
        """Return how much a part may cost in all, when it has cost so much; no more than that if no money is left."""
        with self._lock:
            if self._limits.max_usd is None:
                return float("inf")
            self._ceilings.pop(part, None)
            others = sum(max(totals.usd, self._ceilings.get(number, 0.0)) for number, totals in self._totals.items() if number != part)
            others += sum(ceiling for number, ceiling in self._ceilings.items() if number not in self._totals)
            left = self._limits.max_usd - others - usd
            if left <= 0:
                return usd
            self._ceilings[part] = usd + left / (2 * self._workers)
            return self._ceilings[part]

    def stop(self, end: End) -> None:
        """Let no worker begin a further ticket; the first end that is told stands."""
        with self._lock:
            self._end = self._end or end

    def told(self) -> Told:
        """Return what the run came to so far."""
        with self._lock:
            totals = Totals()
            for part in self._totals.values():
                totals.merge(part)
            counts: dict[str, Counts] = {}
            for worker in self._counts.values():
                for key, count in worker.items():
                    have = counts.setdefault(key, Counts())
                    counts[key] = Counts(have.sends + count.sends, have.throttled + count.throttled)
            return Told(totals, counts, sum(self._units.values()), self._end)

    def _take(self, worker: str, report: Report | None) -> None:
        if report is not None:
            self._totals[report.part] = report.totals
            self._counts[worker] = report.counts
            self._units[worker] = report.units
