"""OpenAI chat completions on the wire, as NIM and Bedrock's /openai route speak them: requests into an Ask, and back."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workshop_lib import catalog
from workshop_lib.catalog import Model
from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask, Completion, ToolSpec, Turn
from workshop_lib.sandbox.faults import Failure

_CREATED = 1_767_225_600  # a fixed day, so that the same request gets the same bytes
_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}
_FAILURES = {
    "throttled": (429, "rate_limit_error", "rate_limit_exceeded"),
    "server": (500, "server_error", "internal_error"),
    "unavailable": (503, "server_error", "unavailable"),
    "validation": (400, "invalid_request_error", "invalid_input"),
}


class Refusal(Exception):
    """A request answered with an error in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.retry_after_ms = retry_after_ms


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
    stream: Literal[False] | None = None
    logprobs: Literal[False] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    store: Literal[False] | None = None


def check_authorization(header: str | None) -> None:
    """Refuse a request without a bearer key; any key will do."""
    if not header or not header.startswith("Bearer ") or not header[7:].strip():
        raise Refusal(
            401, "You didn't provide an API key. Send any key in an Authorization header: Bearer KEY.", code="missing_api_key"
        )


def models() -> dict[str, Any]:
    """Return the list of models."""
    data = [
        {"id": model.id, "object": "model", "created": _CREATED, "owned_by": model.provider}
        for model in catalog.models().values()
    ]
    return {"object": "list", "data": data}


def model_for(name: Any) -> Model:
    """Return the model of an id, or refuse as OpenAI does."""
    if not isinstance(name, str):
        raise Refusal(400, "You must provide a model parameter.", param="model")
    found = next((model for model in catalog.models().values() if model.id == name), None)
    if found is None:
        raise Refusal(
            404,
            f"The model `{name}` does not exist or you do not have access to it. GET /v1/models lists what the sandbox has.",
            code="model_not_found",
            param="model",
        )
    return found


def scope_of(body: Mapping[str, Any]) -> str | None:
    """Return the `scope` of a request's metadata, if it has one."""
    metadata = body.get("metadata")
    scope = metadata.get("scope") if isinstance(metadata, dict) else None
    return scope if isinstance(scope, str) else None


def ask(model: Model, raw: Mapping[str, Any], seed: int) -> Ask:
    """Return what a chat completion request asks, or refuse it in OpenAI's shape."""
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        raise _invalid(error) from None
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
    content = {name: part for name, part in raw.items() if name not in ("metadata", "user")}
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
    )


def _invalid(error: ValidationError) -> Refusal:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if where == "stream":
        return Refusal(400, "The sandbox does not stream yet; leave `stream` out.", code="unsupported_value", param="stream")
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
        Turn("user" if message.role == "tool" else message.role, _text(message), message.role == "tool")
        for message in messages
        if message.role not in ("system", "developer")
    )
    if not turns or turns[-1].role != "user":
        raise Refusal(400, "The conversation must end with a user message.", param="messages")
    return turns


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


def response(asked: Ask, done: Completion) -> dict[str, Any]:
    """Return the body of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": done.text if done.tool_name is None else None}
    if done.tool_name is not None:
        function = {"name": done.tool_name, "arguments": done.tool_arguments}
        message["tool_calls"] = [
            {"id": f"call_{draw.name(asked.digest, 'tool use', 24)}", "type": "function", "function": function}
        ]
    return {
        "id": f"chatcmpl-{draw.name(asked.digest, 'completion', 29)}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": asked.model.id,
        "choices": [{"index": 0, "message": message, "finish_reason": _FINISH[done.stop_reason], "logprobs": None}],
        "usage": {
            "prompt_tokens": done.input_tokens,
            "completion_tokens": done.output_tokens,
            "total_tokens": done.input_tokens + done.output_tokens,
        },
    }


def refusal(failure: Failure) -> Refusal:
    """Return a fault in OpenAI's shape."""
    status, kind, code = _FAILURES[failure.kind]
    return Refusal(status, failure.message, kind, code, retry_after_ms=failure.retry_after_ms)


def error(refused: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return status, headers and body of an error; a delay is given in both headers that the SDK reads."""
    headers = {}
    if refused.retry_after_ms is not None:
        headers = {"retry-after": f"{refused.retry_after_ms / 1000:.3f}", "retry-after-ms": str(refused.retry_after_ms)}
    return refused.status, headers, refused.body
