"""Chat completion requests as they stand on the wire, checked member by member."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workshop_lib.sandbox.chat import support
from workshop_lib.sandbox.chat.errors import Refusal

_MOST_CHOICES = 8


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Content(BaseModel):
    """One part of a message; only parts of type text are understood, which `messages.read` says in its own words."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    text: str | None = None


class _Function(_Part):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


class Tool(_Part):
    """A function the model may call."""

    type: Literal["function"]
    function: _Function


class _Named(_Part):
    name: str


class NamedTool(_Part):
    """The function the model must call."""

    type: Literal["function"]
    function: _Named


class _Called(_Part):
    name: str
    arguments: str


class _Call(_Part):
    id: str
    type: Literal["function"] = "function"
    function: _Called


class Message(_Part):
    """One message; members that answers carry are taken back at the values that they have here."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Content] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[_Call] | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None


class _JsonSchema(_Part):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    strict: bool | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class Format(_Part):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class StreamOptions(_Part):
    """What a stream is to carry beside the answer; `continuous_usage_stats` of some servers is not among it."""

    include_usage: bool | None = None


Key = Annotated[str, Field(min_length=1, max_length=64)]
Value = Annotated[str, Field(max_length=512)]


class Body(_Part):
    """The members that are read; `support.FIELDS` says what becomes of the others."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=_MOST_CHOICES)] | None = None
    stop: Annotated[str, Field(min_length=1)] | Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: Format | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


def read(raw: Mapping[str, Any]) -> Body:
    """Return a request body, or refuse it in OpenAI's shape."""
    try:
        body = Body.model_validate(support.check(raw))
    except ValidationError as error:
        raise _invalid(error) from None
    if body.stream_options is not None and not body.stream:
        raise Refusal(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise Refusal(400, "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", param="max_tokens")
    if body.top_logprobs is not None and not body.logprobs:
        raise Refusal(400, "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    return body


def _invalid(error: ValidationError) -> Refusal:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])[:200]
    if first["type"] == "extra_forbidden":
        return Refusal(
            400,
            f"The sandbox does not implement '{where}'; it refuses what it cannot honour. Leave it out.",
            code="unsupported_parameter",
            param=where,
        )
    return Refusal(400, f"Invalid value for '{where}': {first['msg']}.", code="invalid_value", param=where)
