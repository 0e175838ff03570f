"""Chat completion requests, as NIM and Bedrock's /openai route take them, into an Ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workshop_lib.catalog import Model
from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask, Completion, Said, ToolCall, ToolResult, ToolSpec, Turn
from workshop_lib.sandbox.chat.errors import Refusal, refusal
from workshop_lib.sandbox.chat.response import ChatWriter, response
from workshop_lib.sandbox.conversation import parts_of_chat
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Exchange


@dataclass(frozen=True)
class ChatCompletion(Exchange):
    """One chat completion request."""

    include_usage: bool = False
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    request_id_header: ClassVar[str] = "x-request-id"

    def body(self, done: Sequence[Completion]) -> Mapping[str, Any]:
        """Return the body of a chat completion."""
        return response(self.asks[0], done[0])

    def writer(self) -> ChatWriter:
        """Return what writes this answer as server-sent events."""
        return ChatWriter(self.asks[0], include_usage=self.include_usage)

    def refusal(self, failure: Failure) -> Refusal:
        """Return a failure in OpenAI's shape."""
        return refusal(failure)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Part):
    type: Literal["text"]
    text: str


class _Function(_Part):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


class _Tool(_Part):
    type: Literal["function"]
    function: _Function


class _Named(_Part):
    name: str


class _Choice(_Part):
    type: Literal["function"]
    function: _Named


class _Call(_Part):
    id: str
    type: Literal["function"] = "function"
    function: dict[str, Any]


class _Message(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Text] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[_Call] | None = None
    refusal: None = None


class _JsonSchema(_Part):
    name: str
    description: str | None = None
    strict: bool | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class _Format(_Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _StreamOptions(_Part):
    include_usage: bool | None = None


class _Body(_Part):
    """The members that are honoured; what else a request carries is refused. Some are taken only at the value that changes nothing."""

    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: int | None = None
    response_format: _Format | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    logprobs: Literal[False] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    store: Literal[False] | None = None


def scope_of(body: Mapping[str, Any]) -> str | None:
    """Return the `scope` of a request's metadata, if it has one."""
    metadata = body.get("metadata")
    scope = metadata.get("scope") if isinstance(metadata, dict) else None
    return scope if isinstance(scope, str) else None


def exchange(model: Model, raw: Mapping[str, Any], seed: int) -> ChatCompletion:
    """Return a chat completion request understood, or refuse it in OpenAI's shape."""
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        raise _invalid(error) from None
    if body.stream_options is not None and not body.stream:
        raise Refusal(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")
    options = body.stream_options or _StreamOptions()
    return ChatCompletion((_ask(model, body, raw, seed),), streaming=bool(body.stream), include_usage=bool(options.include_usage))


def _ask(model: Model, body: _Body, raw: Mapping[str, Any], seed: int) -> Ask:
    if not model.accepts_temperature and (body.temperature is not None or body.top_p is not None):
        param = "temperature" if body.temperature is not None else "top_p"
        raise Refusal(
            400, f"Unsupported parameter: '{param}' is not supported with this model.", code="unsupported_parameter", param=param
        )
    tools = tuple(
        ToolSpec(tool.function.name, tool.function.description or "", tool.function.parameters, bool(tool.function.strict))
        for tool in body.tools or ()
    )
    choice, forced = _choice(body.tool_choice, tools)
    schema = body.response_format.json_schema if body.response_format else None
    if body.response_format and body.response_format.type == "json_schema" and schema is None:
        raise Refusal(400, "Missing required parameter: 'response_format.json_schema'.", param="response_format.json_schema")
    content = {name: part for name, part in raw.items() if name not in ("metadata", "user", "stream", "stream_options")}
    return Ask(
        model=model,
        turns=_turns(body.messages),
        digest=draw.digest(seed, model.id, content),
        system="\n".join(_text(message) for message in body.messages if message.role in ("system", "developer")),
        tools=tools,
        choice=choice,
        forced=forced,
        schema=schema.schema_ if schema else None,
        schema_enforced=schema is not None,
        json_mode=body.response_format is not None and body.response_format.type != "text",
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature or 0.0,
        top_p=body.top_p or 1.0,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        sampling_seed=body.seed,
        tags=body.metadata or {},
    )


def _invalid(error: ValidationError) -> Refusal:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return Refusal(
            400,
            f"The sandbox does not implement '{where}'; it refuses what it cannot honour. Leave it out.",
            code="unsupported_parameter",
            param=where,
        )
    return Refusal(400, f"Invalid value for '{where}': {first['msg']}.", code="invalid_value", param=where)


def _turns(messages: Sequence[_Message]) -> tuple[Turn, ...]:
    called: set[str] = set()
    for number, message in enumerate(messages):
        if message.content is None and message.role != "assistant":
            raise Refusal(400, f"Invalid value for 'messages.{number}.content': it is missing.", param=f"messages.{number}.content")
        if message.role == "tool" and message.tool_call_id not in called:
            raise Refusal(
                400,
                "Messages with role 'tool' must answer a preceding message with 'tool_calls', by its 'tool_call_id'.",
                param=f"messages.{number}.tool_call_id",
            )
        called.update(call.id for call in message.tool_calls or ())
    turns = tuple(
        Turn("user" if message.role == "tool" else message.role, _text(message), message.role == "tool", _parts(message))
        for message in messages
        if message.role not in ("system", "developer")
    )
    if not turns or turns[-1].role != "user":
        raise Refusal(400, "The conversation must end with a user message.", param="messages")
    return turns


def _parts(message: _Message) -> tuple[Said | ToolCall | ToolResult, ...]:
    return parts_of_chat(message.role, _text(message), message.tool_call_id, [(call.id, call.function) for call in message.tool_calls or ()])


def _text(message: _Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content)
    return message.content or ""


def _choice(given: Any, tools: Sequence[ToolSpec]) -> tuple[Literal["auto", "any", "none", "tool"], str | None]:
    if given is not None and given != "none" and not tools:
        raise Refusal(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if isinstance(given, _Choice):
        name = given.function.name
        if name not in {tool.name for tool in tools}:
            raise Refusal(400, f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
        return "tool", name
    if given == "required":
        return "any", None
    return ("none", None) if given == "none" else ("auto", None)
