"""Chat completions as OpenAI's API writes them, whole and as server-sent events."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask, Completion, Piece, TokenChoice
from workshop_lib.sandbox.chat import errors
from workshop_lib.sandbox.chat.models import CREATED
from workshop_lib.sandbox.faults import Failure

_FINISH = {
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "malformed_tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def response(asks: Sequence[Ask], done: Sequence[Completion]) -> dict[str, Any]:
    """Return the body of a chat completion."""
    return {
        "id": completion_id(asks[0]),
        "object": "chat.completion",
        "created": CREATED,
        "model": asks[0].model.id,
        "choices": [_choice(number, asked, one) for number, (asked, one) in enumerate(zip(asks, done, strict=True))],
        "usage": usage(done),
        "system_fingerprint": fingerprint(asks[0]),
    }


def _choice(number: int, asked: Ask, done: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": done.text if done.tool_name is None else None, "refusal": None}
    if done.tool_name is not None:
        function = {"name": done.tool_name, "arguments": done.tool_arguments}
        message["tool_calls"] = [{"id": call_id(asked), "type": "function", "function": function}]
    wanted = asked.logprobs is not None and done.tool_name is None  # there are none for a tool call
    return {
        "index": number,
        "message": message,
        "finish_reason": finish_reason(asked, done),
        "logprobs": logprobs(done.tokens) if wanted else None,
    }


class ChatWriter:
    """Writes pieces of one or more choices as `chat.completion.chunk` events, ended by [DONE]; usage comes last if it was asked for."""

    def __init__(self, asks: Sequence[Ask], *, include_usage: bool) -> None:
        self._asks = asks
        self._include_usage = include_usage
        self._opened: set[int] = set()
        self._calling: set[int] = set()

    def piece(self, piece: Piece) -> bytes:
        """Return the events of one piece."""
        number = piece.choice
        opening = self._open(number)
        if piece.tool_name is None:
            wanted = self._asks[number].logprobs is not None
            return opening + self._delta(number, {"content": piece.text}, logprobs(piece.tokens) if wanted else None)
        call: dict[str, Any] = {"index": 0, "function": {"arguments": piece.text}}
        if number not in self._calling:
            self._calling.add(number)
            call |= {"id": call_id(self._asks[number]), "type": "function", "function": {"name": piece.tool_name, "arguments": piece.text}}
        return opening + self._delta(number, {"tool_calls": [call]})

    def end(self, done: Sequence[Completion]) -> bytes:
        """Return the events after the last piece."""
        frames = b"".join(
            self._open(number) + self._delta(number, {}, finish=finish_reason(asked, one))
            for number, (asked, one) in enumerate(zip(self._asks, done, strict=False))
        )
        if self._include_usage:
            frames += self._event({"choices": [], "usage": usage(done)})
        return frames + b"data: [DONE]\n\n"

    def failed(self, failure: Failure) -> bytes:
        """Return the error that ends a stream early."""
        return _sse(errors.refusal(failure).body)

    def _open(self, number: int) -> bytes:
        if number in self._opened:
            return b""
        self._opened.add(number)
        return self._delta(number, {"role": "assistant", "content": "", "refusal": None})

    def _delta(self, number: int, delta: Mapping[str, Any], probabilities: Mapping[str, Any] | None = None, finish: str | None = None) -> bytes:
        choice = {"index": number, "delta": delta, "finish_reason": finish, "logprobs": probabilities}
        return self._event({"choices": [choice], **({"usage": None} if self._include_usage else {})})

    def _event(self, members: Mapping[str, Any]) -> bytes:
        asked = self._asks[0]
        head = {"id": completion_id(asked), "object": "chat.completion.chunk", "created": CREATED, "model": asked.model.id}
        return _sse({**head, "system_fingerprint": fingerprint(asked), **members})


def finish_reason(asked: Ask, done: Completion) -> str:
    """Return why an answer ended.

    A call of a function that the request named ends with "stop", one of the model's choosing with "tool_calls": so do OpenAI's service and
    vLLM, on which NIM is built, since its pull request 25054 of September 2025 (kept by 49496 in July 2026).
    """
    reason = _FINISH.get(done.stop_reason, "stop")
    return "stop" if reason == "tool_calls" and asked.choice == "tool" else reason


def logprobs(choices: Sequence[TokenChoice]) -> dict[str, Any]:
    """Return tokens with natural log-probabilities, their alternatives, and the bytes that write each."""
    content = [{**_token(one.token, one.logprob), "top_logprobs": [_token(*other) for other in one.top]} for one in choices]
    return {"content": content, "refusal": None}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}


def call_id(asked: Ask) -> str:
    """Return the id of the tool call in the answer to a request, or in one choice of it."""
    return f"call_{draw.name(asked.digest, f'tool use {asked.number}' if asked.number else 'tool use', 24)}"


def completion_id(asked: Ask) -> str:
    """Return the id of the answer to a request."""
    return f"chatcmpl-{draw.name(asked.digest, 'completion', 29)}"


def fingerprint(asked: Ask) -> str:
    """Return what identifies the configuration that computes: with the same one and the same seed, an answer is the same."""
    return f"fp_{draw.name(b'sandbox', asked.model.id, 10)}"


def usage(done: Sequence[Completion]) -> dict[str, Any]:
    """Return the usage member of a response: the prompt is counted once, however many choices it brought; cached tokens are part of it."""
    first = done[0]
    prompt = first.input_tokens + first.cache_read_tokens + first.cache_write_tokens
    written = sum(one.output_tokens for one in done)
    counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
    if first.cache_read_tokens:
        counts["prompt_tokens_details"] = {"cached_tokens": first.cache_read_tokens}
    return counts


def _sse(members: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n\n"
