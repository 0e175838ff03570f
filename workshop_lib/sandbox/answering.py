"""Who answers a request: the stand-ins here, and anything else that keeps the same contract."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

from workshop_lib.sandbox import engine
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.faults import Failure

_WORD = re.compile(r"\s*\S+|\s+$")


class AnswerFailed(Exception):
    """No answer came, for example because an upstream server refused; the failure says how to tell the client."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Answerer(Protocol):
    """Answers requests, whole or piece by piece; raises AnswerFailed. Cancelling it, or closing the stream, ends what it waits for."""

    def source(self, ask: Ask) -> str:
        """Say who will answer a request: "stand-in", "local" or "replay"; a stream's header is sent before its first piece."""
        ...

    async def complete(self, ask: Ask) -> Completion:
        """Return the whole answer, after the time that it takes."""
        ...

    def stream(self, ask: Ask) -> AsyncGenerator[Piece | Completion]:
        """Yield the pieces of an answer as they come, and the completion last."""
        ...


class StandIns:
    """The stand-in models; `time_scale` is how much of the modelled latency is spent waiting (0: none)."""

    def __init__(self, time_scale: float = 0.0) -> None:
        self.time_scale = time_scale

    def source(self, ask: Ask) -> str:
        """Say that a stand-in answers."""
        return "stand-in"

    async def complete(self, ask: Ask) -> Completion:
        """Return the stand-in's answer."""
        done = engine.complete(ask)
        await self._wait(done.latency_ms)
        return done

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece | Completion]:
        """Yield the stand-in's answer word by word, spread over its modelled latency."""
        done = engine.complete(ask)
        parts = list(pieces(done))
        first = min(ask.model.latency.intercept_ms, done.latency_ms)
        pause = (done.latency_ms - first) / max(1, len(parts) - 1)
        for number, part in enumerate(parts):
            await self._wait(pause if number else first)
            yield part
        yield done

    async def _wait(self, ms: float) -> None:
        if self.time_scale > 0:
            await asyncio.sleep(ms / 1000 * self.time_scale)


def pieces(done: Completion) -> Iterator[Piece]:
    """Yield a finished answer word by word, as a model would have streamed it, or token by token where the tokens are wanted."""
    if done.tokens:
        yield from (Piece(token.token, tokens=(token,)) for token in done.tokens)
        return
    written = done.text if done.tool_name is None else done.tool_arguments
    for found in _WORD.finditer(written):
        yield Piece(found.group(), done.tool_name)
