"""A provider behind pacers: every attempt waits its turn, tells what it used, and is counted by model."""

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from workshop_lib.bulk.pacing import Limit, Pacer
from workshop_lib.catalog import Model
from workshop_lib.llm import CallError, Request
from workshop_lib.llm.types import Provider, RawReply, Usage

_CHARACTERS_A_TOKEN = 3.0  # of English with JSON around it; too many is safe, the difference comes back when the call is settled


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
        self._stopped = False

    def pacer(self, model: Model) -> Pacer:
        """Return the pacer of a model."""
        with self._lock:
            if model.key not in self._pacers:
                self._pacers[model.key] = Pacer(self._limits.get(model.key))
                self.counts[model.key] = Counts()
                if self._stopped:
                    self._pacers[model.key].stop()
            return self._pacers[model.key]

    def slot(self, model: Model) -> AbstractContextManager[object]:
        """Return what is held while a call of a model is under way."""
        return self._at_once.get(model.key, nullcontext())

    def sending(self, model: Model) -> None:
        """Count a send; raise CallLimitReached if there may be no more."""
        with self._lock:
            if self._left is not None:
                if self._left <= 0:
                    raise CallLimitReached
                self._left -= 1
            self.counts[model.key].sends += 1

    def throttled(self, model: Model) -> None:
        """Count a send that was refused for going too fast."""
        with self._lock:
            self.counts[model.key].throttled += 1

    def stop(self) -> None:
        """End every wait; sends from now on raise `pacing.Stopped`."""
        with self._lock:
            self._stopped = True
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
        pacer = self._pacers.pacer(model)
        reserved = _reserved(model, request)
        with self._pacers.slot(model):
            pacer.acquire(reserved, urgent=getattr(self._mine, "refused", False))
            self._pacers.sending(model)
            used = reserved
            self._mine.refused = False
            try:
                reply = self._inner.send(model, request)
                used = _used(model, reply.usage, reserved)
                return reply
            except CallError as error:
                if error.kind == "throttled":
                    used = 0.0
                    self._mine.refused = True
                    pacer.refused()
                    self._pacers.throttled(model)
                raise
            finally:
                pacer.settled(reserved, used)


def _reserved(model: Model, request: Request) -> float:
    """Return the tokens that a service reserves when a call begins: those of the input, estimated, and all of maxTokens."""
    written = len(request.prompt) + len(request.system or "")
    if request.tool is not None:
        written += len(request.tool.description) + len(str(request.tool.schema))
    return written / _CHARACTERS_A_TOKEN * model.tokens + request.max_tokens


def _used(model: Model, usage: Usage | None, reserved: float) -> float:
    """Return what a call counts for once it has ended: input, cache writes, and output times the model's burndown; cache reads are free."""
    if usage is None:
        return reserved
    return usage.input_tokens + usage.cache_write_tokens + usage.output_tokens * model.burndown
