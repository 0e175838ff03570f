"""The answerer that asks an upstream server."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.upstream import asking
from workshop_lib.sandbox.upstream.answers import Answer
from workshop_lib.sandbox.upstream.client import Client
from workshop_lib.sandbox.upstream.config import Forced


class Upstream:
    """Answers mapped models from a server; latencies are measured here, from the request to its last byte, in ms."""

    def __init__(self, client: Client, models: Mapping[str, str], forced: Forced) -> None:
        self._client = client
        self._models = models
        self._forced: Forced = forced

    def source(self, ask: Ask) -> str:
        """Say that an open-weight model answers."""
        return "local"

    async def complete(self, ask: Ask) -> Completion:
        """Return the server's answer."""
        answer = self._answer(ask)
        started = time.perf_counter()
        body = await self._client.complete(asking.body(ask, answer.upstream_model, self._forced, stream=False))
        for _ in answer.add(body):
            pass  # pieces are for streams; the answer keeps what they say
        return answer.done(_ms_since(started))

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece | Completion]:
        """Yield the server's answer as it comes."""
        answer = self._answer(ask)
        started = time.perf_counter()
        async with aclosing(self._client.stream(asking.body(ask, answer.upstream_model, self._forced, stream=True))) as chunks:
            async for chunk in chunks:
                for piece in answer.add(chunk):
                    yield piece
        yield answer.ended(_ms_since(started))

    def _answer(self, ask: Ask) -> Answer:
        return Answer(ask, self._models[ask.model.id], self._forced)


def _ms_since(started: float) -> int:
    return max(1, round((time.perf_counter() - started) * 1000))
