"""A provider behind pacers: every attempt waits its turn, tells what it used, and is counted by model."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeVar

from workshop_lib.bulk.pacing import Limit, Pacer
from workshop_lib.catalog import Model
from workshop_lib.llm import CallError, Request
from workshop_lib.llm.tokens import reserved_tokens
from workshop_lib.llm.types import Guardrail, Provider, RawReply, Screened, Screener, Usage

Sent = TypeVar("Sent")

GUARDRAIL = "guardrail"
_ANY_NUMBER = nullcontext()


class CallLimitReached(Exception):
    """The run has made as many calls as it may; nothing was sent."""


@dataclass
class Counts:
    """What was sent to one model: HTTP requests, and those of them that were refused for going too fast."""

    sends: int = 0
    throttled: int = 0


class Pacers:
    """One pacer a model, shared by every provider and thread of a run; `limits` are by model key, what has none is learned.

    `at_once` bounds the calls of a model that are under way at the same time, by model key. `max_calls` bounds all of them together.
    """

    def __init__(self, limits: Mapping[str, Limit] | None = None, at_once: Mapping[str, int] | None = None, max_calls: int | None = None) -> None:
        self.counts: dict[str, Counts] = {}
        self._limits = dict(limits or {})
        self._pacers: dict[str, Pacer] = {}
        self._at_once = {key: threading.BoundedSemaphore(most) for key, most in (at_once or {}).items()}
        self._left = max_calls
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def pacer(self, key: str) -> Pacer:
        """Return the pacer of a model."""
        known = self._pacers.get(key)
        if known is not None:
            return known
        with self._lock:
            if key not in self._pacers:
                self.counts[key] = Counts()
                pacer = self._new(key)
                if self._stopped.is_set():
                    pacer.stop()
                self._pacers[key] = pacer  # last, as it is then found without the lock
            return self._pacers[key]

    def _new(self, key: str) -> Pacer:
        return Pacer(self._limits.get(key))

    def slot(self, key: str) -> AbstractContextManager[object]:
        """Return what is held while a call of a model is under way."""
        return self._at_once.get(key, _ANY_NUMBER)

    def sending(self, key: str) -> None:
        """Count a send; raise CallLimitReached if there may be no more."""
        with self._lock:
            if self._left is not None:
                if self._left <= 0:
                    raise CallLimitReached
                self._left -= 1
            self.counts[key].sends += 1

    def throttled(self, key: str) -> None:
        """Count a send that was refused for going too fast."""
        with self._lock:
            self.counts[key].throttled += 1

    def snapshot(self) -> dict[str, Counts]:
        """Return the counts as they are now, to be read while calls go on."""
        with self._lock:
            return {key: Counts(count.sends, count.throttled) for key, count in self.counts.items()}

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until `stop`."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """End every wait; sends from now on raise `pacing.Stopped`."""
        with self._lock:
            self._stopped.set()
            for pacer in self._pacers.values():
                pacer.stop()


class Paced:
    """A provider that asks the pacers before each send; safe to share between threads."""

    def __init__(self, inner: Provider, pacers: Pacers) -> None:
        self._inner = inner
        self._pacers = pacers
        self._mine = threading.local()

    def send(self, model: Model, request: Request) -> RawReply:
        """Send one request when it is its turn; one that was refused before goes first."""
        reserved = reserved_tokens(model, request)
        return self._paced(model.key, reserved, lambda: self._inner.send(model, request), lambda reply: _used(model, reply.usage, reserved))

    def screen(self, guardrail: Guardrail, text: str, source: Literal["INPUT", "OUTPUT"]) -> Screened:
        """Ask a guardrail about a text when it is its turn; it is paced and counted under GUARDRAIL, as a model of its own."""
        inner = self._inner
        if not isinstance(inner, Screener):
            raise TypeError(f"the provider {type(inner).__name__} cannot ask a guardrail about a text")
        return self._paced(GUARDRAIL, 0.0, lambda: inner.screen(guardrail, text, source), lambda _: 0.0)

    def _paced(self, key: str, reserved: float, send: Callable[[], Sent], used: Callable[[Sent], float]) -> Sent:
        pacer = self._pacers.pacer(key)
        refused = self._refused()
        with self._pacers.slot(key):
            left_at = pacer.acquire(reserved, urgent=key in refused)
            self._pacers.sending(key)
            spent = reserved
            refused.discard(key)
            try:
                reply = send()
                spent = used(reply)
                return reply
            except CallError as error:
                if error.kind == "throttled":
                    spent = 0.0
                    refused.add(key)
                raise
            finally:
                pacer.settled(reserved, spent)
                if key in refused:
                    pacer.refused(left_at)
                    self._pacers.throttled(key)
                else:
                    pacer.answered(left_at)

    def _refused(self) -> set[str]:
        """Return the models that refused this thread's last send, which may now go first."""
        try:
            refused: set[str] = self._mine.refused
        except AttributeError:
            refused = self._mine.refused = set()
        return refused


def _used(model: Model, usage: Usage | None, reserved: float) -> float:
    """Return what a call counts for once it has ended: input, cache writes, and output times the model's burndown; cache reads are free."""
    if usage is None:
        return reserved
    return usage.input_tokens + usage.cache_write_tokens + usage.output_tokens * model.burndown
