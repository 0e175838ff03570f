"""Whether the rate matters: refusals that come at any rate are no reason to slow down further."""

from collections import deque
from dataclasses import dataclass
from math import sqrt

_KEPT = 600
_ENOUGH = 30
_APART = 1.5
_MOST = 0.5
_SIGMAS = 3.0
_LOOKS_APART_S = 0.25
_FIRST_S = 60.0
_LONGEST_S = 3600.0


@dataclass(frozen=True)
class _Sends:
    """Some sends: how many, their mean rate a second, and the share of them that was refused."""

    number: int
    rate: float
    refused: float

    @property
    def accepted(self) -> float:
        """Return how many a second were accepted at that rate."""
        return self.rate * (1 - self.refused)


def _sends(outcomes: list[tuple[float, bool]]) -> _Sends:
    number = len(outcomes)
    if not number:
        return _Sends(0, 0.0, 0.0)
    return _Sends(number, sum(rate for rate, _ in outcomes) / number, sum(refused for _, refused in outcomes) / number)


class Evidence:
    """The outcomes of the latest sends with the rate, a second, at which they left; not thread-safe.

    A limit L accepts L a second whatever the rate above it. A service that refuses a share of all calls, because others use its capacity,
    accepts in proportion to the rate. So sends at two rates tell one from the other: the rate mattered if the answers, a second, changed by
    less than the square root of what the rate changed by. If it did not, that share of refusals is `tolerated` for a minute, then twice as
    long each time it is found again, and no longer cuts the rate, which may grow quickly, until there are clearly more of them or growing
    brings no more answers.
    """

    def __init__(self) -> None:
        self.tolerated: float | None = None
        self.growing = False
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=_KEPT)
        self._until = self._looked = 0.0
        self._lasts = _FIRST_S

    def add(self, rate: float | None, *, refused: bool) -> None:
        """Take the outcome of a send; those that left without a rate tell nothing."""
        if rate is not None:
            self._outcomes.append((rate, refused))

    def better_rate(self, now: float) -> float | None:
        """Return the rate to go on with although sends are refused; None to slow down."""
        if now - self._looked < _LOOKS_APART_S:
            return None
        self._looked = now
        return self._futile(now) if self.tolerated is None else self._still(now, self.tolerated)

    def _futile(self, now: float) -> float | None:
        """Return the rate to go back to if slowing down brought fewer answers and no fewer refusals, and tolerate those."""
        fast, slow = self._split()
        if min(fast.number, slow.number) < _ENOUGH or slow.accepted >= fast.accepted * sqrt(slow.rate / fast.rate):
            return None
        share = (fast.number * fast.refused + slow.number * slow.refused) / (fast.number + slow.number)
        if share > _MOST:
            return None
        self.tolerated, self.growing, self._until = share, True, now + self._lasts
        self._lasts = min(_LONGEST_S, 2 * self._lasts)
        self._outcomes.clear()
        return fast.rate

    def _still(self, now: float, tolerated: float) -> float | None:
        """Return the rate to go on with while no more is refused than is tolerated; else forget all of it."""
        refused = sum(refused for _, refused in self._outcomes)
        expected = tolerated * max(len(self._outcomes), _ENOUGH)
        clearly_more = refused > expected + _SIGMAS * sqrt(expected)
        if clearly_more:
            self._lasts = _FIRST_S
        if now <= self._until and not clearly_more:
            fast, slow = self._split()
            if min(fast.number, slow.number) < _ENOUGH or fast.accepted > slow.accepted * sqrt(fast.rate / slow.rate):
                return self._outcomes[-1][0] if self._outcomes else None
            self.growing = False
            self._outcomes.clear()
            return slow.rate
        self.tolerated, self.growing = None, False
        self._outcomes.clear()
        return None

    def _split(self) -> tuple[_Sends, _Sends]:
        """Return the sends at the higher and at the lower rates; none of either if the rates were too much alike."""
        rates = [rate for rate, _ in self._outcomes]
        if not rates or max(rates) < _APART * min(rates):
            return _sends([]), _sends([])
        border = sqrt(max(rates) * min(rates))
        return _sends([one for one in self._outcomes if one[0] >= border]), _sends([one for one in self._outcomes if one[0] < border])
