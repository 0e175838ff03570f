"""Patience above the retry loop: a call that was throttled out of its retries, or met nobody, is made again instead of costing its ticket."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from workshop_lib.llm import Ask, CallError, Cost, Reply, Request

Result = TypeVar("Result")
_SHORTEST_S = 0.001


@dataclass(frozen=True)
class Patience:
    """How long a call is made again after its retries are used up: `rounds` of calls that were throttled, and `unreachable_s` of nobody there.

    The second rides out a service that restarts: pauses grow to `longest_pause_s`. `sleep` ends early when the run is stopped.
    """

    rounds: int = 10
    unreachable_s: float = 60.0
    longest_pause_s: float = 5.0
    longest_directed_s: float = 600.0
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)


class _Round:
    """The failures of one call so far, and how long to wait after each; `ends` is when it is too late."""

    def __init__(self, patience: Patience, ends: float | None, *, rides_out: bool = True) -> None:
        self._rides_out = rides_out
        self.maybe_billed = False
        self.attempts = 0
        self._patience = patience
        self._ends = ends
        self._throttled = 0
        self._unreachable = 0
        self._alone_since: float | None = None

    def made(self, call: Callable[[], Result]) -> Result:
        """Make a call until it answers; raise the last CallError when it does not."""
        while True:
            try:
                return call()
            except CallError as error:
                self.wait_after(error)

    def wait_after(self, error: CallError) -> None:
        """Wait until the call is made again; raise the error, with what came before it, if it is not."""
        billed_before = self.maybe_billed
        self.attempts += error.attempts
        self.maybe_billed = billed_before or error.maybe_billed
        pause = self._pause(error)
        if pause is None or (self._ends is not None and self._patience.clock() + pause >= self._ends):
            error.attempts = self.attempts
            error.earlier_maybe_billed = error.earlier_maybe_billed or billed_before
            raise error
        self._patience.sleep(pause)

    def _pause(self, error: CallError) -> float | None:
        """Return how many seconds to wait before the next call, or None if it is not made."""
        if error.kind == "throttled":
            self._throttled += 1
            directed = error.retry_after_s or 0.0
            return directed if self._throttled < self._patience.rounds and directed <= self._patience.longest_directed_s else None
        if error.kind != "unreachable" or not self._rides_out:
            return None
        now = self._patience.clock()
        self._alone_since = now if self._alone_since is None else self._alone_since
        self._unreachable += 1
        longest = min(self._patience.longest_pause_s, 0.25 * 2**self._unreachable)
        return random.uniform(0.1, longest) if now - self._alone_since < self._patience.unreachable_s else None


class Patient:
    """An `Ask` around an `Ask`, with patience; safe to share between threads.

    Nobody there is waited for only once somebody was: an address that is wrong from the start is told at once.
    """

    def __init__(self, ask: Ask, patience: Patience) -> None:
        self._answered = False
        self._ask = ask
        self._patience = patience

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer one request; raise the last CallError once patience is used up, or the request's own time."""
        ends = None if request.timeout_s is None else self._patience.clock() + request.timeout_s
        try:
            reply = self._ask(model, request)
            self._answered = True
            return reply
        except CallError as error:
            rounds = _Round(self._patience, ends, rides_out=self._answered)
            rounds.wait_after(error)

        def ask() -> Reply:
            left = request if ends is None else replace(request, timeout_s=max(_SHORTEST_S, ends - self._patience.clock()))
            return self._ask(model, left)

        reply = rounds.made(ask)
        return replace(reply, attempts=reply.attempts + rounds.attempts, cost=Cost(reply.cost.usd, reply.cost.complete and not rounds.maybe_billed))


def patiently(call: Callable[[], Result], patience: Patience) -> Result:
    """Make any other call with the same patience."""
    return _Round(patience, None).made(call)
