"""Answering from a recording: the same bytes every time, the recorded latency, and a clear word about what is not in it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from pydantic import ValidationError

from workshop_lib.errors import DataError
from workshop_lib.sandbox.answering import Answerer, AnswerFailed, pieces
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.upstream.answers import tool_input
from workshop_lib.sandbox.upstream.recording import Recorded, completion, request_hash


class Replies:
    """The replies of a recording by model and request; of several to the same request the last counts."""

    def __init__(self, path: Path, lines: list[Recorded]) -> None:
        self.path = path
        self._by_key = {line.key: line for line in lines}

    @property
    def models(self) -> set[str]:
        """Return the ids of the models that occur."""
        return {model for model, _ in self._by_key}

    def add(self, line: Recorded) -> None:
        """Take in a reply that was recorded just now."""
        self._by_key[line.key] = line

    def find(self, ask: Ask) -> Recorded | None:
        """Return the reply to a request, or None."""
        return self._by_key.get((ask.model.id, request_hash(ask)))

    def count(self, model: str) -> int:
        """Return how many replies of a model there are."""
        return sum(model == of for of, _ in self._by_key)


def load(path: Path) -> Replies:
    """Read a recording; raise DataError if it is missing or a line is broken, naming the line. A last line that a crash cut off is left out."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"--replay {path} cannot be read ({error.strerror or error}). Record it with --upstream URL --record {path}.") from error
    *whole, _torn = content.split(b"\n")
    return Replies(path, [_line(path, number, text) for number, text in enumerate(whole, 1) if text.strip()])


def _line(path: Path, number: int, text: bytes) -> Recorded:
    try:
        return Recorded.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        raise DataError(f"{path}, line {number}, is no line of a recording ({where}: {first['msg']}). Remove the line, or record anew.") from None


class Replay:
    """Answers from a recording, after the recorded latency times `time_scale`; what is not in it goes to `missed`, or is an error."""

    def __init__(self, replies: Replies, missed: Answerer | None, time_scale: float) -> None:
        self._replies = replies
        self._missed = missed
        self._time_scale = time_scale

    def source(self, ask: Ask) -> str:
        """Say that the reply is recorded, or who answers in its place."""
        return self._missed.source(ask) if self._missed is not None and self._replies.find(ask) is None else "replay"

    async def complete(self, ask: Ask) -> Completion:
        """Return the recorded reply."""
        line = self._replies.find(ask)
        if line is None:
            return await self._instead(ask).complete(ask)
        await self._wait(line.latency_ms)
        return _completion(line)

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece | Completion]:
        """Yield the recorded reply word by word, spread over its latency."""
        line = self._replies.find(ask)
        if line is None:
            async with aclosing(self._instead(ask).stream(ask)) as others:
                async for part in others:
                    yield part
            return
        done = _completion(line)
        parts = list(pieces(done))
        for part in parts:
            await self._wait(line.latency_ms / len(parts))
            yield part
        yield done

    def _instead(self, ask: Ask) -> Answerer:
        if self._missed is not None:
            return self._missed
        model, path = ask.model.id, self._replies.path
        raise AnswerFailed(
            Failure(
                "validation",
                f"{path} has no reply of {model} to this request (request_hash {request_hash(ask)}; it has {self._replies.count(model)} of this model). "
                f"Record it with --upstream URL --map {model}=MODEL --record {path}, or choose --on-miss stand-in.",
            )
        )

    async def _wait(self, ms: float) -> None:
        if self._time_scale > 0:
            await asyncio.sleep(ms / 1000 * self._time_scale)


def _completion(line: Recorded) -> Completion:
    return completion(line, tool_input(line.reply.tool.arguments) if line.reply.tool else {})
