"""Who may use which share of an account's quota: leases that end by themselves and never add up to more than the whole."""

import time
from collections.abc import Callable
from dataclasses import dataclass

LASTS_S = 10.0
STARTING_S = 60.0


@dataclass(frozen=True)
class Grant:
    """A share of the whole (0 to 1), and the share of a full bucket of tokens that may be used at once; 0 means ask again."""

    fraction: float
    burst: float = 0.0


@dataclass
class _Lease:
    fraction: float
    ends: float


class Shares:
    """Shares of one quota, leased to workers by name.

    Each worker is to have 1/n of the whole, where n is how many there are, or how many are awaited while the run starts, but no more than there
    are parts to work on. A newcomer gets only what is free: the others give it up when they renew, or when the lease of a worker that died
    runs out. So at no time do the leases add up to more than 1, and what nobody holds goes to those who are left.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic, *, lasts_s: float = LASTS_S, starting_s: float = STARTING_S) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self.lasts_s = lasts_s
        self._workers = workers
        self._clock = clock
        self._started_until = clock() + starting_s
        self._leases: dict[str, _Lease] = {}
        self._burst = 1.0

    def renew(self, worker: str, parts_left: int) -> Grant:
        """Give a worker its share from now on for `lasts_s` seconds; `parts_left` counts the parts that are not done, its own among them."""
        now = self._clock()
        self._leases = {name: lease for name, lease in self._leases.items() if lease.ends > now}
        others = sum(lease.fraction for name, lease in self._leases.items() if name != worker)
        awaited = min(self._workers, parts_left) if now < self._started_until else 1
        wanted = 1 / max(awaited, len(self._leases.keys() | {worker}))
        fraction = max(0.0, min(wanted, 1 - others))
        burst = min(fraction, self._burst) if worker not in self._leases else 0.0
        self._burst -= burst
        self._leases[worker] = _Lease(fraction, now + self.lasts_s)
        return Grant(fraction, burst)

    def leave(self, worker: str) -> None:
        """Take a worker's share back."""
        self._leases.pop(worker, None)

    def held(self) -> float:
        """Return what all leases that have not run out add up to."""
        now = self._clock()
        return sum(lease.fraction for lease in self._leases.values() if lease.ends > now)
