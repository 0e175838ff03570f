"""Pacing: how fast one model may be asked. Within stated limits if there are any; else as fast as it lets us, learned from its refusals.

A refusal (429) slows only the model that refused. What waits here is not sent, so it is neither refused nor charged, and it never
moves on to a dearer model.
"""

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from workshop_lib.bulk.evidence import Evidence

_WINDOW_S = 1.0
_FIRST_CUT = 0.7
_CUT = 0.9
_CUTS_APART_S = 0.5
_CUTS_APART = 6
_GROWTH_PER_S = 1.02
_QUICK_GROWTH_PER_S = 1.2
_BUSY = 0.8
_MARGIN = 0.99
_LATE_S = 0.1  # threads wake late, on a busy machine above all; a send so late does not hold back those after it
_SLOWEST = 0.2


@dataclass(frozen=True)
class Limit:
    """What an account may send to one model: requests and tokens per minute; None is not limited (or not known)."""

    rpm: float | None = None
    tpm: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("rpm", self.rpm), ("tpm", self.tpm)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value:g}")


class Rate:
    """When the next send may leave, in seconds of the caller's clock; not thread-safe.

    Without a stated rate it is free until the first refusal, then 0.7 times the sends of the last second; times 0.9 for further refusals,
    at most twice a second; for every busy second without one two percent more, and a fifth more until the second cut, as the first may rest on
    few sends. A stated limit is a ceiling on the same rule (0.99 of it, as clocks differ), with a bucket of tokens that each send reserves from.
    Sends are evenly spaced, but for those that make up for a delay of up to a tenth of a second. Refusals that come at any rate do not slow it down for long (see `Evidence`).
    """

    def __init__(self, limit: Limit | None = None) -> None:
        self._limit = limit or Limit()
        self._ceiling = None if self._limit.rpm is None else _MARGIN * self._limit.rpm / 60
        self.per_second = self._ceiling
        self._sends: deque[float] = deque()
        self._next = 0.0
        self._evidence = Evidence()
        self._refused_at = -1e9
        self._cut_at = -1e9
        self._since_cut = 0
        self._cuts = 0
        self._grown_at = 0.0
        self._tokens = self._limit.tpm or 0.0
        self._filled_at: float | None = None

    @property
    def counts_tokens(self) -> bool:
        """Say whether there is a limit on tokens."""
        return self._limit.tpm is not None

    def delay(self, now: float, tokens: float = 0.0) -> float:
        """Return how many seconds a send of so many tokens has to wait; 0 if it may leave now."""
        if self.per_second is None and self._limit.tpm is None:
            return 0.0  # most sends
        self._grow(now)
        slot = 0.0 if self.per_second is None else max(0.0, self._next - now)
        return max(slot, self._token_delay(now, tokens))

    def sent(self, now: float, tokens: float = 0.0) -> None:
        """Count a send that leaves now."""
        self._sends.append(now)
        self._forget(now)
        if self.per_second is not None:
            self._next = max(self._next, now - _LATE_S) + 1 / self.per_second
        self._tokens -= tokens

    def settled(self, reserved: float, used: float) -> None:
        """Give back what a send reserved and did not use, or take what it used beyond."""
        if self._limit.tpm is not None:
            self._tokens = min(self._limit.tpm, self._tokens + reserved - used)

    def restate(self, limit: Limit, full: float | None = None) -> None:
        """Keep to another limit from now on, what was learned below the old one in proportion; `full` fills the bucket so far (0 to 1)."""
        before, self._limit = self._ceiling, limit
        self._ceiling = None if limit.rpm is None else _MARGIN * limit.rpm / 60
        if self._ceiling is None or before is None or self.per_second is None:
            self.per_second = self._ceiling if self._ceiling is not None else self.per_second
        else:
            self.per_second = self._within(self.per_second * self._ceiling / before)
        self._tokens = min(self._tokens, limit.tpm or 0.0) if full is None else full * (limit.tpm or 0.0)

    def answered(self, left_at: float | None) -> None:
        """Take the answer to a send that left at that rate."""
        self._evidence.add(left_at, refused=False)
        self._since_cut += 1

    def refused(self, now: float, left_at: float | None = None) -> None:
        """Slow down after a refusal of a send that left at that rate, unless that was seen not to help."""
        self._evidence.add(left_at, refused=True)
        self._since_cut += 1
        if self.per_second is not None and now - self._cut_at >= _CUTS_APART_S:
            better = self._evidence.better_rate(now)
            if better is not None:
                self.per_second = self._within(better)
                return
        if self._evidence.tolerated is not None:
            return
        self._refused_at = now
        if now - self._cut_at < _CUTS_APART_S or (self.per_second is not None and self._since_cut < _CUTS_APART):
            return
        self._cut_at, self._since_cut = now, 0
        self._cuts += 1
        self._forget(now)
        if self.per_second is None:
            self.per_second = max(1.0, _FIRST_CUT * len(self._sends))
        else:
            self.per_second = self._within(_CUT * self.per_second)
        self._next = max(self._next, now)

    def _within(self, rate: float) -> float:
        """Return a rate that is not below the slowest, nor above the ceiling, which a small share of a quota may set lower still."""
        return max(_SLOWEST, rate) if self._ceiling is None else min(self._ceiling, max(_SLOWEST, rate))

    def _grow(self, now: float) -> None:
        rate = self.per_second
        if rate is None:
            return
        quiet_from = max(self._refused_at + _WINDOW_S, self._grown_at)
        if now - quiet_from < _WINDOW_S:
            return
        self._grown_at = now
        self._forget(now)
        if len(self._sends) >= _BUSY * rate * _WINDOW_S:
            quickly = self._evidence.growing or self._cuts == 1
            grown = rate * (_QUICK_GROWTH_PER_S if quickly else _GROWTH_PER_S)
            self.per_second = grown if self._ceiling is None else min(self._ceiling, grown)

    def _token_delay(self, now: float, tokens: float) -> float:
        limit = self._limit.tpm
        if limit is None:
            return 0.0
        if self._filled_at is not None:
            self._tokens = min(limit, self._tokens + (now - self._filled_at) * limit / 60)
        self._filled_at = now
        return max(0.0, (min(tokens, limit) - self._tokens) * 60 / limit)

    def _forget(self, now: float) -> None:
        while self._sends and self._sends[0] <= now - _WINDOW_S:
            self._sends.popleft()


class Stopped(Exception):
    """The run was stopped while a send waited for its turn."""


@dataclass(order=True)
class _Waiting:
    patient: bool
    number: int
    turn: threading.Event = field(default_factory=threading.Event, compare=False)


class Pacer:
    """A `Rate` shared by threads: they wait their turn, those that were refused before go first."""

    def __init__(self, limit: Limit | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.refusals = 0
        self._rate = Rate(limit)
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._numbers = itertools.count()
        self._stopped = False

    @property
    def per_second(self) -> float | None:
        """Return the sends a second that are allowed now; None while nothing was refused and nothing is stated."""
        return self._rate.per_second

    def acquire(self, tokens: float = 0.0, *, urgent: bool = False) -> float | None:
        """Wait until a send may leave, and count it; return the rate that it leaves at. Raises Stopped if the run ends first."""
        with self._lock:
            if not self._stopped and not self._queue and self._leave(tokens):
                return self._rate.per_second
            mine = _Waiting(not urgent, next(self._numbers))
            first = self._queue[0] if self._queue else None
            heapq.heappush(self._queue, mine)
            if first is not None and self._queue[0] is mine:
                first.turn.set()  # it no longer is the first: let it see that
        while (pause := self._pause(mine, tokens)) != 0.0:
            mine.turn.wait(pause)
        return self._rate.per_second

    def _pause(self, mine: _Waiting, tokens: float) -> float | None:
        """Return 0 if the send has left, else how long to wait; None means until woken."""
        with self._lock:
            if self._stopped:
                raise Stopped
            mine.turn.clear()
            if self._queue[0] is not mine:
                return None
            if not self._leave(tokens):
                return max(0.001, self._rate.delay(self._clock(), tokens))
            heapq.heappop(self._queue)
            if self._queue:
                self._queue[0].turn.set()
            return 0.0

    def _leave(self, tokens: float) -> bool:
        now = self._clock()
        if self._rate.delay(now, tokens) > 0:
            return False
        self._rate.sent(now, tokens)
        return True

    def answered(self, left_at: float | None) -> None:
        """Tell that a send, which left at that rate, was not refused for going too fast."""
        if left_at is not None:
            with self._lock:
                self._rate.answered(left_at)

    def refused(self, left_at: float | None = None) -> None:
        """Tell that a send, which left at that rate, was refused for going too fast."""
        with self._lock:
            self.refusals += 1
            self._rate.refused(self._clock(), left_at)

    def settled(self, reserved: float, used: float) -> None:
        """Tell what a send really used of what it reserved."""
        if used != reserved and self._rate.counts_tokens:
            with self._lock:
                self._rate.settled(reserved, used)

    def restate(self, limit: Limit, full: float | None = None) -> None:
        """Keep to another limit from now on, such as a share that grew; who waits sees it when the pause it was told is over."""
        with self._lock:
            self._rate.restate(limit, full)

    def stop(self) -> None:
        """Wake all that wait; they and all later ones raise Stopped."""
        with self._lock:
            self._stopped = True
            for waiting in self._queue:
                waiting.turn.set()
