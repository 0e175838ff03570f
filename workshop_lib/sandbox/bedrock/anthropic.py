"""Anthropic's messages, as InvokeModel takes them for Claude: a body into a Converse request, and an answer back, whole and as events."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.bedrock import native
from workshop_lib.sandbox.bedrock.errors import Refusal
from workshop_lib.sandbox.faults import Failure


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _CacheControl(_Part):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class _Text(_Part):
    type: Literal["text"]
    text: str
    cache_control: _CacheControl | None = None


class _Use(_Part):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]
    cache_control: _CacheControl | None = None


class _Result(_Part):
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[_Text] = ""
    is_error: bool | None = None
    cache_control: _CacheControl | None = None


class _Message(_Part):
    role: Literal["user", "assistant"]
    content: str | list[Annotated[_Text | _Use | _Result, Field(discriminator="type")]]


class _Tool(_Part):
    type: Literal["custom"] | None = None
    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None
    cache_control: _CacheControl | None = None


class _Choice(_Part):
    type: Literal["auto", "any", "tool"]
    name: str | None = None


class _Format(_Part):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class _Output(_Part):
    format: _Format | None = None


class _Body(_Part):
    """The members that are honoured; any other is refused by name."""

    anthropic_version: Literal["bedrock-2023-05-31"]
    max_tokens: Annotated[int, Field(ge=1)]
    messages: list[_Message]
    system: str | list[_Text] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None
    tools: Annotated[list[_Tool], Field(min_length=1)] | None = None
    tool_choice: _Choice | None = None
    output_config: _Output | None = None


def translated(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Converse request that asks the same as a messages body; refuse what the sandbox does not take, by name."""
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        raise _invalid(error) from None
    inference = {"maxTokens": body.max_tokens, "temperature": body.temperature, "topP": body.top_p, "stopSequences": body.stop_sequences}
    asked: dict[str, Any] = {
        "messages": [{"role": message.role, "content": _blocks(message.content)} for message in body.messages],
        "inferenceConfig": {name: value for name, value in inference.items() if value is not None},
    }
    if body.system:
        asked["system"] = _blocks(body.system)
    if body.tools:
        asked["toolConfig"] = {"tools": [part for tool in body.tools for part in _tool(tool)]}
        if body.tool_choice is not None:
            asked["toolConfig"]["toolChoice"] = _choice(body.tool_choice)
    elif body.tool_choice is not None:
        raise Refusal("ValidationException", "tool_choice: may only be specified while providing tools.")
    if body.output_config is not None and body.output_config.format is not None:
        schema = {"jsonSchema": {"schema": json.dumps(body.output_config.format.schema_)}}
        asked["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": schema}}
    return asked


def _invalid(error: ValidationError) -> Refusal:
    first = max(error.errors(), key=lambda found: len(found["loc"]))  # of a union's errors the one that came furthest
    where = ".".join(str(part) for part in first["loc"] if part != "str" and not str(part).startswith("list["))
    if first["type"] == "extra_forbidden":
        return Refusal("ValidationException", f"{where}: the sandbox does not implement this member; it refuses what it cannot honour.")
    return Refusal("ValidationException", f"{where}: {first['msg']}")


def _blocks(content: str | Sequence[_Text | _Use | _Result]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}]
    found: list[dict[str, Any]] = []
    for block in content:
        if isinstance(block, _Text):
            found.append({"text": block.text})
        elif isinstance(block, _Use):
            found.append({"toolUse": {"toolUseId": block.id, "name": block.name, "input": block.input}})
        else:
            texts = [block.content] if isinstance(block.content, str) else [part.text for part in block.content]
            result = {"toolUseId": block.tool_use_id, "content": [{"text": text} for text in texts]}
            found.append({"toolResult": {**result, **({"status": "error"} if block.is_error else {})}})
        found += _point(block.cache_control)
    return found


def _tool(tool: _Tool) -> list[dict[str, Any]]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.input_schema}}
    if tool.description is not None:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return [{"toolSpec": spec}, *_point(tool.cache_control)]


def _point(control: _CacheControl | None) -> list[dict[str, Any]]:
    if control is None:
        return []
    return [{"cachePoint": {"type": "default", **({"ttl": control.ttl} if control.ttl else {})}}]


def _choice(choice: _Choice) -> dict[str, Any]:
    if choice.type != "tool":
        return {choice.type: {}}
    if choice.name is None:
        raise Refusal("ValidationException", "tool_choice.tool.name: Field required")
    return {"tool": {"name": choice.name}}


class MessagesWriter:
    """Writes pieces of one answer as Anthropic's server-sent events; usage is known at the end, so message_start says zero."""

    def __init__(self, asked: Ask) -> None:
        self._asked = asked
        self._block = -1
        self._tool: str | None = None
        self._started = False

    def piece(self, piece: Piece) -> bytes:
        """Return the events of one piece."""
        written = self._opened()
        if self._block < 0 or piece.tool_name != self._tool:
            written += self._closed() + self._begun(piece.tool_name)
        delta = {"type": "text_delta", "text": piece.text} if piece.tool_name is None else {"type": "input_json_delta", "partial_json": piece.text}
        return written + _sse({"type": "content_block_delta", "index": self._block, "delta": delta})

    def end(self, done: Sequence[Completion]) -> bytes:
        """Return the events after the last piece."""
        delta = {"type": "message_delta", "delta": native.ending(self._asked, done[0]), "usage": native.usage(done[0])}
        return self._opened() + self._closed() + _sse(delta) + _sse({"type": "message_stop"})

    def failed(self, failure: Failure) -> bytes:
        """Return the error that ends a stream early."""
        return _sse({"type": "error", "error": {"type": "api_error", "message": failure.message}})

    def _opened(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        nothing = {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 0, "output_tokens": 0}}
        return _sse({"type": "message_start", "message": {**native.head(self._asked), "content": [], **nothing}})

    def _begun(self, tool: str | None) -> bytes:
        self._block += 1
        self._tool = tool
        block: dict[str, Any] = {"type": "text", "text": ""}
        if tool is not None:
            block = {"type": "tool_use", "id": native.tool_id(self._asked), "name": tool, "input": {}}
        return _sse({"type": "content_block_start", "index": self._block, "content_block": block})

    def _closed(self) -> bytes:
        return b"" if self._block < 0 else _sse({"type": "content_block_stop", "index": self._block})


def _sse(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + text + b"\n\n"
