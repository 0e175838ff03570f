"""Chat completions as OpenAI's API writes them, whole and as server-sent events."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.chat import errors
from workshop_lib.sandbox.chat.models import CREATED
from workshop_lib.sandbox.faults import Failure

_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length", "malformed_tool_use": "tool_calls", "content_filtered": "content_filter"}


def response(asked: Ask, done: Completion) -> dict[str, Any]:
    """Return the body of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": done.text if done.tool_name is None else None}
    if done.tool_name is not None:
        function = {"name": done.tool_name, "arguments": done.tool_arguments}
        message["tool_calls"] = [
            {"id": call_id(asked), "type": "function", "function": function}
        ]
    return {
        "id": completion_id(asked),
        "object": "chat.completion",
        "created": CREATED,
        "model": asked.model.id,
        "choices": [{"index": 0, "message": message, "finish_reason": _FINISH[done.stop_reason], "logprobs": None}],
        "usage": usage(done),
    }


class ChatWriter:
    """Writes pieces of one answer as `chat.completion.chunk` events, ended by [DONE]; usage comes last if it was asked for."""

    def __init__(self, asked: Ask, *, include_usage: bool) -> None:
        self._asked = asked
        self._include_usage = include_usage
        self._started = False
        self._in_tool = False

    def piece(self, piece: Piece) -> bytes:
        """Return the events of one piece."""
        if piece.tool_name is None:
            return self._opened() + self._choice({"content": piece.text})
        call: dict[str, Any] = {"index": 0, "function": {"arguments": piece.text}}
        if not self._in_tool:
            self._in_tool = True
            call |= {"id": call_id(self._asked), "type": "function", "function": {"name": piece.tool_name, "arguments": piece.text}}
        return self._opened() + self._choice({"tool_calls": [call]})

    def end(self, done: Sequence[Completion]) -> bytes:
        """Return the events after the last piece."""
        frames = self._opened() + self._choice({}, _FINISH[done[0].stop_reason])
        if self._include_usage:
            frames += self._event({"choices": [], "usage": usage(done[0])})
        return frames + b"data: [DONE]\n\n"

    def failed(self, failure: Failure) -> bytes:
        """Return the error that ends a stream early."""
        return _sse(errors.refusal(failure).body)

    def _opened(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return self._choice({"role": "assistant", "content": ""})

    def _choice(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]})

    def _event(self, members: Mapping[str, Any]) -> bytes:
        head = {"id": completion_id(self._asked), "object": "chat.completion.chunk", "created": CREATED, "model": self._asked.model.id}
        return _sse({**head, **members})


def call_id(asked: Ask) -> str:
    """Return the id of the tool call in the answer to a request."""
    return f"call_{draw.name(asked.digest, 'tool use', 24)}"


def completion_id(asked: Ask) -> str:
    """Return the id of the answer to a request."""
    return f"chatcmpl-{draw.name(asked.digest, 'completion', 29)}"


def usage(done: Completion) -> dict[str, int]:
    """Return the usage member of a response."""
    return {
        "prompt_tokens": done.input_tokens,
        "completion_tokens": done.output_tokens,
        "total_tokens": done.input_tokens + done.output_tokens,
    }


def _sse(members: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n\n"
