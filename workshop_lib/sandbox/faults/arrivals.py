"""Which arrival of the same content a request is, so that draws and scripts are the same on every run."""

from dataclasses import dataclass

_REMEMBERED = 100_000
_CALLS = 10_000


@dataclass(frozen=True)
class Arrival:
    """One request as faults see it: `key` identifies its content, `invocation` the call it belongs to, if the client's SDK names one."""

    key: bytes
    invocation: str | None = None
    attempt: int = 1


class Arrivals:
    """Numbers the calls with the same content; the attempts of one call, told by its invocation id, share its number. Bounded."""

    def __init__(self) -> None:
        self._arrived: dict[bytes, int] = {}
        self._numbers: dict[bytes, int] = {}
        self._calls: dict[tuple[str, bytes], int] = {}

    def number(self, arrival: Arrival) -> int:
        """Count one request and return the number of its call, from 1."""
        if len(self._arrived) >= _REMEMBERED:
            self._arrived.clear()
            self._numbers.clear()
        self._arrived[arrival.key] = self._arrived.get(arrival.key, 0) + 1
        if arrival.invocation is not None:
            known = self._calls.get((arrival.invocation, arrival.key))
            if known is not None:
                return known
        number = self._numbers[arrival.key] = self._numbers.get(arrival.key, 0) + 1
        if arrival.invocation is not None:
            if len(self._calls) >= _CALLS:
                del self._calls[next(iter(self._calls))]
            self._calls[arrival.invocation, arrival.key] = number
        return number

    def count(self, arrival: Arrival) -> int:
        """Return how many requests with this content have arrived, this one included."""
        return self._arrived.get(arrival.key, 0)
