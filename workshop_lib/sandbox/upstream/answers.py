"""From a chat completion, whole or in chunks, to a Completion."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from workshop_lib.sandbox import tokens
from workshop_lib.sandbox.answering import AnswerFailed
from workshop_lib.sandbox.ask import Ask, Completion, Piece, StopReason, TokenChoice
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.reading import as_object
from workshop_lib.sandbox.upstream.asking import tool_by_schema
from workshop_lib.sandbox.upstream.config import Forced
from workshop_lib.sandbox.upstream.recording import clean

_FINISH: Mapping[str, StopReason] = {"length": "max_tokens", "content_filter": "content_filtered"}


@dataclass
class Answer:
    """An answer as it grows: `add` takes each chunk, or the whole completion, and `done` says what came of it.

    Text in the place of a tool's arguments is a call if it begins like an object, else text, as when a model answers in text although a
    tool is forced. Of several tool calls the first counts. Reasoning that a server returns apart is not passed on; its tokens are counted.
    """

    ask: Ask
    upstream_model: str
    forced: Forced
    text: str = ""
    arguments: str = ""
    tool_name: str | None = None
    finish: str | None = None
    stopped_by: Any = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    logprobs: list[TokenChoice] = field(default_factory=list)
    _blank: str = ""

    def add(self, chunk: Mapping[str, Any]) -> Iterator[Piece]:
        """Take in a chunk and yield the pieces it brings; raises AnswerFailed for one in no known shape."""
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        choices = chunk.get("choices")
        if not choices:
            return
        choice = choices[0] if isinstance(choices, list) else None
        said = (choice.get("delta") or choice.get("message") or {}) if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(said, dict):
            raise _shapeless(self.upstream_model)
        finish = choice.get("finish_reason")
        self.finish = finish if isinstance(finish, str) and finish else self.finish
        self.stopped_by = choice.get("stop_reason") or self.stopped_by
        found = _logprobs(choice.get("logprobs"))
        self.logprobs += found
        content, calls = said.get("content"), said.get("tool_calls")
        if content or found:
            yield from self._text(_string(content or "", self.upstream_model), found)
        if calls:
            yield from self._call(calls[0] if isinstance(calls, list) else None)

    def _text(self, text: str, found: Sequence[TokenChoice]) -> Iterator[Piece]:
        tool = tool_by_schema(self.ask, self.forced)
        if tool is None or self.text:
            self.text += text
            yield Piece(text, tokens=tuple(found))
            return
        if self.tool_name is None:
            self._blank += text
            text, self._blank = (self._blank, "") if self._blank.strip() else ("", self._blank)
            if not text:
                return  # white space does not say yet which it will be
            if not text.lstrip().startswith("{"):
                self.text = text
                yield Piece(text)
                return
            self.tool_name, text = tool.name, text.lstrip()
        self.arguments += text
        yield Piece(text, self.tool_name)

    def _call(self, call: Any) -> Iterator[Piece]:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(call.get("index", 0), int | None):
            raise _shapeless(self.upstream_model)
        if call.get("index"):
            return  # a second call, although one was asked for
        if self.tool_name is None:
            self.tool_name = _string(function.get("name") or "", self.upstream_model) or None
            if self.tool_name is None:
                raise _shapeless(self.upstream_model)
        arguments = function.get("arguments") or ""
        fragment = json.dumps(arguments) if isinstance(arguments, dict) else _string(arguments, self.upstream_model)
        self.arguments += fragment
        yield Piece(fragment, self.tool_name)

    def ended(self, latency_ms: int) -> Completion:
        """Return the answer of a stream that ended; raises AnswerFailed if it ended before the model did."""
        if self.finish is None:
            raise AnswerFailed(Failure("server", f"The upstream server's stream for {self.upstream_model} ended before the answer did. See its log."))
        return self.done(latency_ms)

    def done(self, latency_ms: int) -> Completion:
        """Return the answer; raises AnswerFailed if there is none."""
        if self.finish is None and not (self.text or self.tool_name):
            raise _shapeless(self.upstream_model)
        called = as_object(self.arguments or "{}") if self.tool_name else None
        written = self.arguments if self.tool_name else self.text
        found = tuple(self.logprobs) if self.tool_name is None else ()
        spelled = "".join(token.token for token in found)
        # llama.cpp takes a code fence off the text, but not off the tokens: the tokens are what the model wrote.
        text = spelled if found and self.text.strip() in spelled else self.text
        counted = _counts(self.usage)
        into, out = counted or (tokens.input_tokens(self.ask), tokens.counted(written, self.ask.model))
        return Completion(
            self._stop_reason(called),
            into,
            out,
            latency_ms,
            text=text,
            tool_name=self.tool_name,
            tool_arguments=(self.arguments or "{}") if self.tool_name else "",
            tool_input=tool_input(self.arguments),
            source="local",
            upstream_model=self.upstream_model,
            tokens=found if spelled == text else (),
            stop_sequence=self.stopped_by if self.stopped_by in self.ask.stop else None,
            usage_estimated=counted is None,
        )

    def _stop_reason(self, called: Mapping[str, Any] | None) -> StopReason:
        limited = _FINISH.get(self.finish or "")
        if limited is not None:
            return limited
        if self.tool_name is not None:
            return "malformed_tool_use" if called is None else "tool_use"
        # Most servers do not say whether a stop sequence ended the text; vLLM names it.
        return "stop_sequence" if self.stopped_by in self.ask.stop else "end_turn"


def _shapeless(upstream_model: str) -> AnswerFailed:
    return AnswerFailed(Failure("model_error", f"The upstream server's answer for {upstream_model} has not the shape of a chat completion."))


def _string(value: Any, upstream_model: str) -> str:
    if not isinstance(value, str):
        raise _shapeless(upstream_model)
    return clean(value)


def tool_input(arguments: str) -> Mapping[str, Any]:
    """Return the object that a tool call's arguments write: of a cut-off one the members written in full, of what is no JSON none."""
    whole = as_object(arguments)
    if whole is not None:
        return whole
    try:
        found = from_json(arguments or "{}", allow_partial=True)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _counts(usage: Mapping[str, Any]) -> tuple[int, int] | None:
    into, out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(into) is not int or type(out) is not int or into < 0 or out < 0:  # a bool is an int, but no count
        return None
    return into, out


def _logprobs(reported: Any) -> list[TokenChoice]:
    """Return the tokens with their log-probabilities, or none if they are not in the documented shape."""
    content = reported.get("content") if isinstance(reported, dict) else None
    try:
        return [
            TokenChoice(clean(str(one["token"])), float(one["logprob"]), tuple((clean(str(top["token"])), float(top["logprob"])) for top in one.get("top_logprobs") or ()))
            for one in content or ()
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
