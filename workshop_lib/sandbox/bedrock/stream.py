"""ConverseStream: the events of one answer in the order of the service, usage last."""

from collections.abc import Mapping, Sequence
from typing import Any

from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.bedrock import errors, native
from workshop_lib.sandbox.bedrock.eventstream import event, exception
from workshop_lib.sandbox.bedrock.fields import Extras
from workshop_lib.sandbox.faults import Failure


class ConverseWriter:
    """Writes pieces of one answer as events: messageStart, blocks with their deltas, messageStop, metadata."""

    def __init__(self, asked: Ask, shown: Extras) -> None:
        self._asked = asked
        self._shown = shown
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
        last = done[0]
        picked = self._shown.picked(native.body(self._asked, last)) if self._shown.paths else {}
        trace = {"trace": {"guardrail": last.guardrail}} if last.guardrail else {}
        metadata = {"usage": usage(last), "metrics": {"latencyMs": last.latency_ms}, **trace, **self._shown.echoed()}
        return (
            self._opened()
            + self._closed_block()
            + event("messageStop", {"stopReason": last.stop_reason, **picked})
            + event("metadata", metadata)
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


def usage(done: Completion) -> dict[str, Any]:
    """Return the usage member of a response; what was read from or written to a cache is no part of the input tokens, but of the total."""
    total = done.input_tokens + done.output_tokens + done.cache_read_tokens + done.cache_write_tokens
    plain = {"inputTokens": done.input_tokens, "outputTokens": done.output_tokens, "totalTokens": total}
    if done.cache_details is None:
        return plain
    details = [{"ttl": ttl, "inputTokens": count} for ttl, count in done.cache_details]
    cached = {"cacheReadInputTokens": done.cache_read_tokens, "cacheWriteInputTokens": done.cache_write_tokens}
    return {**plain, **cached, **({"cacheDetails": details} if details else {})}
