"""Chat completion requests, as NIM and Bedrock's /openai route take them, into what is asked of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, ClassVar, Literal

from workshop_lib.catalog import Model
from workshop_lib.sandbox import draw, json_schema
from workshop_lib.sandbox.ask import Ask, Completion, ToolSpec
from workshop_lib.sandbox.chat import body as bodies
from workshop_lib.sandbox.chat import messages
from workshop_lib.sandbox.chat.body import Body, NamedTool
from workshop_lib.sandbox.chat.errors import Refusal, refusal
from workshop_lib.sandbox.chat.response import ChatWriter, response
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Exchange

# Members that do not belong to the content: the same question gets the same answer whoever asks, in whatever form it is sent.
_NOT_CONTENT = frozenset(
    ("metadata", "user", "safety_identifier", "prompt_cache_key", "stream", "stream_options", "n", "logprobs", "top_logprobs")
)


@dataclass(frozen=True)
class ChatCompletion(Exchange):
    """One chat completion request; it asks as often as it wants choices."""

    include_usage: bool = False
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    request_id_header: ClassVar[str] = "x-request-id"

    def body(self, done: Sequence[Completion]) -> Mapping[str, Any]:
        """Return the body of a chat completion."""
        return response(self.asks, done)

    def writer(self) -> ChatWriter:
        """Return what writes this answer as server-sent events."""
        return ChatWriter(self.asks, include_usage=self.include_usage)

    def refusal(self, failure: Failure) -> Refusal:
        """Return a failure as the service that hosts the model would tell it."""
        return refusal(failure, self.asks[0].model)


def exchange(model: Model, raw: Mapping[str, Any], seed: int) -> ChatCompletion:
    """Return a chat completion request understood, or refuse it in OpenAI's shape."""
    body = bodies.read(raw)
    asked = _ask(model, body, raw, seed)
    choices = tuple(_choice_of(asked, number) for number in range(body.n or 1))
    include_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return ChatCompletion(choices, streaming=bool(body.stream), tags=asked.tags, include_usage=include_usage)


def _choice_of(asked: Ask, number: int) -> Ask:
    """Return what is asked for one of several choices: the first is the only one of a plain request, the others have draws of their own."""
    if number == 0 or asked.temperature == 0:
        return replace(asked, number=number)
    return replace(asked, number=number, digest=blake2b(f"choice {number}".encode(), key=asked.digest, digest_size=16).digest())


def _ask(model: Model, body: Body, raw: Mapping[str, Any], seed: int) -> Ask:
    if not model.accepts_temperature and (body.temperature is not None or body.top_p is not None):
        param = "temperature" if body.temperature is not None else "top_p"
        raise Refusal(
            400, f"Unsupported parameter: '{param}' is not supported with this model.", code="unsupported_parameter", param=param
        )
    tools = _tools(body)
    choice, forced = _choice(body.tool_choice, tools)
    schema, json_mode = _form(body)
    left_out = _NOT_CONTENT if body.temperature else _NOT_CONTENT | {"seed"}
    content = {name: part for name, part in raw.items() if name not in left_out}
    return Ask(
        model=model,
        turns=messages.turns(body.messages),
        digest=draw.digest(seed, model.id, content),
        system=messages.system(body.messages),
        tools=tools,
        choice=choice,
        forced=forced,
        schema=schema,
        schema_enforced=schema is not None,
        json_mode=json_mode,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature or 0.0,
        top_p=body.top_p or 1.0,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        sampling_seed=body.seed,
        tags=body.metadata or {},
    )


def _form(body: Body) -> tuple[Mapping[str, Any] | None, bool]:
    """Return the schema that the answer must follow, if any, and whether it must be JSON."""
    form = body.response_format
    if form is None or form.type == "text":
        return None, False
    if form.type == "json_object":
        if not messages.mention_json(body.messages):
            raise Refusal(
                400,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                param="messages",
            )
        return None, True
    if form.json_schema is None:
        raise Refusal(400, "Missing required parameter: 'response_format.json_schema'.", param="response_format.json_schema")
    schema = form.json_schema.schema_
    _promised(schema, "response_format", form.json_schema.name)
    if json_schema.resolved(schema, schema).get("type") != "object":
        message = f"Invalid schema for response_format '{form.json_schema.name}': schema must be a JSON Schema of 'type: \"object\"'."
        raise Refusal(400, message, code="invalid_json_schema", param="response_format")
    return schema, True


def _promised(schema: Mapping[str, Any], param: str, name: str) -> None:
    """Refuse a schema that asks for what the stand-ins cannot promise; a current NIM enforces a schema whether it is called strict or not."""
    found = json_schema.unsupported(schema)
    if found is not None:
        message = f"Invalid schema for {param} '{name}': the sandbox does not implement {found[:200]}; it refuses what it cannot honour."
        raise Refusal(400, message, code="invalid_json_schema", param=param)


def _tools(body: Body) -> tuple[ToolSpec, ...]:
    found = []
    for tool in body.tools or ():
        function = tool.function
        if function.strict:
            _promised(function.parameters, "tools", function.name)
        found.append(ToolSpec(function.name, function.description or "", function.parameters, bool(function.strict)))
    return tuple(found)


def _choice(given: Any, tools: Sequence[ToolSpec]) -> tuple[Literal["auto", "any", "none", "tool"], str | None]:
    if given is not None and given != "none" and not tools:
        raise Refusal(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if isinstance(given, NamedTool):
        name = given.function.name
        if name not in {tool.name for tool in tools}:
            raise Refusal(400, f"Tool choice '{name[:100]}' not found in 'tools' parameter.", param="tool_choice")
        return "tool", name
    if given == "required":
        return "any", None
    return ("none", None) if given == "none" else ("auto", None)
