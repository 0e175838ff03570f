"""ConverseStream: the events of one answer in the order of the service, usage last."""

from collections.abc import Mapping, Sequence
from typing import Any

from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.bedrock import errors
from workshop_lib.sandbox.bedrock.eventstream import event, exception
from workshop_lib.sandbox.faults import Failure


class ConverseWriter:
    """Writes pieces of one answer as events: messageStart, blocks with their deltas, messageStop, metadata."""

    def __init__(self, asked: Ask) -> None:
        self._asked = asked
        self._started = False
        self._block: int | None = None
        self._tool: str | None = None

    def piece(self, piece: Piece) -> bytes:
        """Return the events of one piece."""
        frames = self._opened()
        if self._block is None or piece.tool_name != self._tool:
            frames += self._closed_block() + self._opened_block(piece.tool_name)
        delta: Mapping[str, Any] = {"text": piece.text} if piece.tool_name is None else {"toolUse": {"input": piece.text}}
        return frames + event("contentBlockDelta", {"delta": delta, "contentBlockIndex": self._block})

    def end(self, done: Sequence[Completion]) -> bytes:
        """Return the events after the last piece."""
        return (
            self._opened()
            + self._closed_block()
            + event("messageStop", {"stopReason": done[0].stop_reason})
            + event("metadata", {"usage": usage(done[0]), "metrics": {"latencyMs": done[0].latency_ms}})
        )

    def failed(self, failure: Failure) -> bytes:
        """Return the exception that ends a stream early."""
        return exception(*errors.in_stream(failure))

    def _opened(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return event("messageStart", {"role": "assistant"})

    def _opened_block(self, tool: str | None) -> bytes:
        self._block = 0 if self._block is None else self._block + 1
        self._tool = tool
        if tool is None:
            return b""
        start = {"toolUse": {"toolUseId": tool_use_id(self._asked), "name": tool}}
        return event("contentBlockStart", {"start": start, "contentBlockIndex": self._block})

    def _closed_block(self) -> bytes:
        return b"" if self._block is None else event("contentBlockStop", {"contentBlockIndex": self._block})


def tool_use_id(asked: Ask) -> str:
    """Return the id of the tool call in the answer to a request."""
    return f"tooluse_{draw.name(asked.digest, 'tool use')}"


def usage(done: Completion) -> dict[str, int]:
    """Return the usage member of a response."""
    return {"inputTokens": done.input_tokens, "outputTokens": done.output_tokens, "totalTokens": done.input_tokens + done.output_tokens}
