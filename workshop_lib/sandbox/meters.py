"""Meters: answered calls, USD and modelled latency by the name that a client gives itself, apart from scopes and never reset with them."""

import re
from dataclasses import asdict, dataclass

HEADER = b"x-workshop-meter"
_APP = re.compile(r"\bapp/(lab[\w-]{1,40})")
_MOST = 1000


@dataclass
class Metered:
    """Sums over the answered calls of one meter: how many, their cost in USD, and their modelled latency in ms."""

    ok: int = 0
    usd: float = 0.0
    latency_ms: int = 0


class Meters:
    """The meters of one sandbox; past a thousand the oldest is forgotten, so that memory is bounded."""

    def __init__(self) -> None:
        self._meters: dict[str, Metered] = {}

    def count(self, name: str, usd: float, latency_ms: int) -> None:
        """Add one answered call."""
        if name not in self._meters and len(self._meters) >= _MOST:
            del self._meters[next(iter(self._meters))]
        one = self._meters.setdefault(name, Metered())
        one.ok += 1
        one.usd += usd
        one.latency_ms += latency_ms

    def reading(self, name: str) -> dict[str, object]:
        """Return the sums of a meter, zeros for an unknown one."""
        return {"name": name, **asdict(self._meters.get(name, Metered()))}


def named(given: str | None, user_agent: str | None) -> str | None:
    """Return the meter a request names, in a header or as the application id of an AWS SDK's user agent, or None."""
    if given:
        return given[:64]
    found = _APP.search(user_agent) if user_agent and "app/lab" in user_agent else None
    return found[1] if found else None
