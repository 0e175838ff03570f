"""A worker's side of the shared quota: pacers that keep to a leased share, and the beat that renews it."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from workshop_lib.bulk.job import End
from workshop_lib.bulk.paced import CallLimitReached, Pacers
from workshop_lib.bulk.pacing import Limit, Pacer, Stopped
from workshop_lib.bulk.scale.ledger import Report, Share
from workshop_lib.bulk.station import Pace
from workshop_lib.errors import WorkshopError

BEAT_S = 0.5
_NEWCOMER_S = 0.2


class Quota(Protocol):
    """The ledger as a worker sees it, wherever it runs; any of it raises WorkshopError if it does not answer."""

    def renew(self, worker: str, report: Report | None = None) -> Share:
        """Report, and take a share for some seconds."""
        ...

    def leave(self, worker: str, report: Report | None, calls_left: int = 0, *, done: bool) -> None:
        """Report, and hand the share and unused calls back."""
        ...

    def more_calls(self) -> int:
        """Take a batch of calls."""
        ...

    def more_usd(self, part: int, usd: float) -> float:
        """Return how much a part may cost in all."""
        ...


class LeasedPacers(Pacers):
    """Pacers that hold a share of what is stated for all workers; nothing is sent with a lease that has run out."""

    def __init__(self, pace: Pace, more_calls: Callable[[], int] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the limits of all workers together, and what gives further calls if their number is limited."""
        super().__init__({}, pace.at_once, None if more_calls is None else 0)
        self._whole = dict(pace.limits)
        self._more_calls = more_calls
        self._clock = clock
        self._ends = clock()
        self._fraction = self._full = 0.0
        self._sending = threading.Lock()

    def take(self, share: Share, ends: float) -> None:
        """Go by a share until the lease ends; the first one says how full the buckets of tokens are when they are first drawn from."""
        with self._lock:
            self._ends = ends
            if not share.fraction or share.fraction == self._fraction:
                return
            self._full = max(self._full, min(1.0, share.burst / share.fraction))
            self._fraction = share.fraction
            self._limits = {key: _part(limit, share.fraction) for key, limit in self._whole.items()}
            for key in self._limits.keys() & self._pacers.keys():
                self._pacers[key].restate(self._limits[key])

    def _new(self, key: str) -> Pacer:
        pacer = super()._new(key)
        if key in self._limits:
            pacer.restate(self._limits[key], self._full)
        return pacer

    def sending(self, key: str) -> None:
        """Count a send; raise Stopped if the lease has run out, CallLimitReached if no calls are left for any worker."""
        if self._clock() >= self._ends:
            raise Stopped
        with self._sending:
            if self._more_calls is not None and not self._left:
                self._left = self._more_calls()
                if not self._left:
                    raise CallLimitReached
            super().sending(key)

    def unused(self) -> int:
        """Take out the calls that were not made, to be handed back."""
        with self._sending:
            left, self._left = self._left or 0, None if self._more_calls is None else 0
            return left


def _part(limit: Limit, fraction: float) -> Limit:
    return Limit(None if limit.rpm is None else limit.rpm * fraction, None if limit.tpm is None else limit.tpm * fraction)


class Lease:
    """A worker's lease while it is at one part: taken on entry, renewed by a thread, handed back on exit."""

    def __init__(
        self, quota: Quota, worker: str, pacers: LeasedPacers, report: Callable[[], Report], stop: Callable[[End], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take what tells how the part stands, and what is called when the run is to end."""
        self.done = False
        self._quota = quota
        self._worker = worker
        self._pacers = pacers
        self._report = report
        self._stop = stop
        self._clock = clock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="bulk-lease")

    def __enter__(self) -> "Lease":
        while not self._renewed():  # a newcomer: the others give up what is its share when they renew
            self._ended.wait(_NEWCOMER_S)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._quota.leave(self._worker, self._report(), self._pacers.unused(), done=self.done)

    def _renewed(self) -> bool:
        asked = self._clock()
        share = self._quota.renew(self._worker, self._report())
        self._pacers.take(share, asked + share.lasts_s)
        if share.end is not None:
            self._stop(share.end)
        return share.fraction > 0 or share.end is not None

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(WorkshopError):  # no answer: the lease goes on until it runs out, and then nothing is sent
                self._renewed()
