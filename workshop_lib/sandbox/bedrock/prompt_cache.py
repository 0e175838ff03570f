"""Prompt caches: which prefixes of requests were written, by whom, and for how long they stay.

A prefix is everything up to a cache point, in the order tools, system, messages. One that is shorter than the model's minimum is not
cached, and the request is answered as if the point were not there. A hit renews the time to live.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

_SECONDS = {"5m": 300.0, "1h": 3600.0}
_LOOK_BACK = 20  # blocks before a cache point at which an earlier prefix is still found, as AWS documents for Claude
_MOST = 10_000
MOST_POINTS = 4
# Anthropic's documented minimum for Sonnet 4.6; for Opus 4.7 that of Opus 4.5 and 4.6 is assumed.
_MINIMUM = {"opus": 4096}
_USUAL_MINIMUM = 1024


@dataclass(frozen=True)
class Point:
    """A cache point: the digests of the prefixes that end at or shortly before it (its own last), its tokens, and its time to live."""

    digests: tuple[bytes, ...]
    tokens: int
    ttl: str = "5m"


@dataclass(frozen=True)
class Use:
    """What one request read from the cache and wrote to it, in tokens; `written` by time to live, the longer first."""

    read: int = 0
    written: tuple[tuple[str, int], ...] = ()


@dataclass
class _Entry:
    tokens: int
    ttl: str
    until: float


class PromptCaches:
    """The caches of all scopes and models; `clock` counts seconds. The oldest entries go when there are more than `most`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._entries: OrderedDict[tuple[str, str, bytes], _Entry] = OrderedDict()

    def use(self, scope: str, model_id: str, points: Sequence[Point]) -> Use:
        """Read the longest known prefix of a request, and write those beyond it."""
        now = self._clock()
        least = minimum(model_id)
        read, rest = self._longest(scope, model_id, points, now)
        covered = read
        written: dict[str, int] = {}
        for point in rest:
            if point.tokens < least or point.tokens <= covered:
                continue
            self._put((scope, model_id, point.digests[-1]), _Entry(point.tokens, point.ttl, now + _SECONDS[point.ttl]))
            written[point.ttl] = written.get(point.ttl, 0) + point.tokens - covered
            covered = point.tokens
        return Use(read, tuple(sorted(written.items(), key=lambda item: -_SECONDS[item[0]])))

    def _longest(self, scope: str, model_id: str, points: Sequence[Point], now: float) -> tuple[int, Sequence[Point]]:
        """Return the tokens of the longest live prefix, and the points that lie beyond it."""
        for number in range(len(points) - 1, -1, -1):
            digests = points[number].digests
            for digest in reversed(digests):
                key = (scope, model_id, digest)
                entry = self._entries.get(key)
                if entry is None:
                    continue
                if entry.until <= now:
                    del self._entries[key]
                    continue
                entry.until = now + _SECONDS[entry.ttl]
                self._entries.move_to_end(key)
                return entry.tokens, points[number + (digest == digests[-1]) :]
        return 0, points

    def _put(self, key: tuple[str, str, bytes], entry: _Entry) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


def minimum(model_id: str) -> int:
    """Return the fewest tokens of a prefix that a model caches."""
    return next((least for name, least in _MINIMUM.items() if name in model_id), _USUAL_MINIMUM)


def look_back(digests: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the prefixes at which an earlier entry may be found, out of those of all blocks up to a cache point."""
    return tuple(digests[-_LOOK_BACK - 1 :])


@cache
def shared() -> PromptCaches:
    """Return the caches of this process, for a server that keeps none of its own."""
    return PromptCaches()
