"""Converse on the wire: a request into an Ask, a completion into what AWS sends."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from workshop_lib.catalog import Model
from workshop_lib.sandbox import draw, shapes
from workshop_lib.sandbox.ask import Ask, Completion, ToolSpec, Turn
from workshop_lib.sandbox.bedrock.errors import Refusal, refusal
from workshop_lib.sandbox.bedrock.stream import ConverseWriter, tool_use_id, usage
from workshop_lib.sandbox.conversation import parts_of_converse
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Exchange

# Members of Converse that this sandbox does not act on; refusing them is better than ignoring them.
_LACKING = (
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "serviceTier",
    "promptVariables",
    "outputConfig",
)


@dataclass(frozen=True)
class Converse(Exchange):
    """One Converse or ConverseStream request."""

    stream_type: ClassVar[str] = "application/vnd.amazon.eventstream"
    request_id_header: ClassVar[str] = "x-amzn-requestid"

    def body(self, done: Sequence[Completion]) -> Mapping[str, Any]:
        """Return the body of a Converse response."""
        return response(self.asks[0], done[0])

    def writer(self) -> ConverseWriter:
        """Return what writes this answer as an event stream."""
        return ConverseWriter(self.asks[0])

    def refusal(self, failure: Failure) -> Refusal:
        """Return a failure as the service's error."""
        return refusal(failure)


def exchange(model: Model, body: Mapping[str, Any], seed: int, *, streaming: bool) -> Converse:
    """Return a Converse request understood, or refuse it as the service would."""
    return Converse((ask(model, body, seed),), streaming=streaming)


def scope_of(body: Mapping[str, Any]) -> str | None:
    """Return the `scope` tag of a request's metadata, if it has one."""
    metadata = body.get("requestMetadata")
    scope = metadata.get("scope") if isinstance(metadata, dict) else None
    return scope if isinstance(scope, str) else None


def ask(model: Model, body: Mapping[str, Any], seed: int) -> Ask:
    """Return what a Converse request asks, or refuse it as the service would."""
    wrong = shapes.problem("Converse", body)
    if wrong:
        raise Refusal("ValidationException", wrong)
    for name in _LACKING:
        if body.get(name) is not None:
            raise Refusal(
                "ValidationException",
                f"The sandbox does not implement '{name}' of Converse; it refuses what it cannot honour. Leave it out, or call the real service.",
            )
    turns = _turns(body.get("messages"), has_tools=body.get("toolConfig") is not None)
    tools = _tools(body.get("toolConfig"))
    choice, forced = _choice(body.get("toolConfig"), tools)
    inference = body.get("inferenceConfig") or {}
    if not model.accepts_temperature and (inference.get("temperature") is not None or inference.get("topP") is not None):
        refused = "temperature" if inference.get("temperature") is not None else "top_p"
        raise Refusal(
            "ValidationException", f"The model returned the following errors: `{refused}` is deprecated for this model."
        )
    content = {name: part for name, part in body.items() if name != "requestMetadata"}
    return Ask(
        model=model,
        turns=turns,
        digest=draw.digest(seed, model.id, content),
        system=_system(body.get("system") or []),
        tools=tools,
        choice=choice,
        forced=forced,
        max_tokens=inference.get("maxTokens"),
        temperature=inference.get("temperature") or 0.0,
        top_p=1.0 if inference.get("topP") is None else inference["topP"],
        stop=tuple(inference.get("stopSequences") or ()),
        tags=body.get("requestMetadata") or {},
    )


def _turns(messages: Any, *, has_tools: bool) -> tuple[Turn, ...]:
    if not messages:
        raise Refusal("ValidationException", "A conversation must have at least one message. Add a user message and try again.")
    if messages[0]["role"] != "user":
        raise Refusal(
            "ValidationException",
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        )
    if messages[-1]["role"] != "user":
        raise Refusal(
            "ValidationException",
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    turns = []
    for number, message in enumerate(messages):
        if number and message["role"] == messages[number - 1]["role"]:
            raise Refusal(
                "ValidationException",
                f'messages.{number}: roles must alternate between "user" and "assistant", but found multiple "{message["role"]}" roles in a row.',
            )
        if message["role"] == "system":
            raise Refusal(
                "ValidationException", "The sandbox does not implement messages of role 'system'; use the system member."
            )
        called = _ids(messages[number - 1], "toolUse") if number else set()
        turns.append(_turn(number, message, called, has_tools=has_tools))
        missing = sorted(called - _ids(message, "toolResult"))
        if missing:
            raise Refusal(
                "ValidationException", f"Expected toolResult blocks at messages.{number}.content for the following Ids: {', '.join(missing)}"
            )
    return tuple(turns)


def _ids(message: Mapping[str, Any], kind: str) -> set[str]:
    return {block[kind]["toolUseId"] for block in message["content"] if block.get(kind) is not None}


def _turn(number: int, message: Mapping[str, Any], called: set[str], *, has_tools: bool) -> Turn:
    where = f"messages.{number}.content"
    if not message["content"]:
        raise Refusal(
            "ValidationException",
            f"The content field in the Message object at messages.{number} is empty. Add a ContentBlock object to the content field and try again.",
        )
    texts: list[str] = []
    after_tool = False
    for position, block in enumerate(message["content"]):
        kind, value = _content(block)
        if kind == "text":
            if not value.strip():
                raise Refusal(
                    "ValidationException",
                    f"The text field in the ContentBlock object at {where}.{position} is blank. Add text to the text field, and try again.",
                )
            texts.append(value)
        elif kind in ("toolUse", "toolResult"):
            sender = "assistant" if kind == "toolUse" else "user"
            if message["role"] != sender:
                raise Refusal(
                    "ValidationException", f"{where}.{position}: a {kind} block can only be in a message of role '{sender}'."
                )
            if not has_tools:
                raise Refusal(
                    "ValidationException",
                    "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
                )
            after_tool = after_tool or kind == "toolResult"
            texts.append(_tool_block(f"{where}.{position}", kind, value, called))
        else:
            raise Refusal(
                "ValidationException",
                f"The sandbox does not implement the content block '{kind}' at {where}.{position}; it takes text, toolUse and toolResult.",
            )
    return Turn(message["role"], "\n".join(texts), after_tool, parts_of_converse(message["content"]))


def _content(block: Mapping[str, Any]) -> tuple[str, Any]:
    return next(((name, part) for name, part in block.items() if part is not None), ("", None))


def _tool_block(where: str, kind: str, value: Mapping[str, Any], called: set[str]) -> str:
    if kind == "toolUse":
        return json.dumps(value["input"], ensure_ascii=False)
    if value["toolUseId"] not in called:
        raise Refusal(
            "ValidationException",
            f"{where}: unexpected tool_use_id found in tool_result blocks: {value['toolUseId']}. Each tool result must have a corresponding tool use block in the previous message.",
        )
    parts = []
    for part in value["content"]:
        if part.get("text") is not None:
            parts.append(part["text"])
        elif "json" in part:
            parts.append(json.dumps(part["json"], ensure_ascii=False))
        else:
            raise Refusal(
                "ValidationException",
                f"The sandbox does not implement this kind of tool result at {where}; it takes text and json.",
            )
    return "\n".join(parts)


def _system(blocks: Sequence[Mapping[str, Any]]) -> str:
    for position, block in enumerate(blocks):
        if block.get("text") is None:
            raise Refusal(
                "ValidationException",
                f"The sandbox does not implement the system block '{next(iter(block))}' at system.{position}; it takes text.",
            )
    return "\n".join(block["text"] for block in blocks)


def _tools(config: Mapping[str, Any] | None) -> tuple[ToolSpec, ...]:
    if config is None:
        return ()
    tools: list[ToolSpec] = []
    for position, entry in enumerate(config["tools"]):
        spec = entry.get("toolSpec")
        if spec is None:
            raise Refusal(
                "ValidationException",
                f"The sandbox does not implement '{next(iter(entry))}' at toolConfig.tools.{position}; it takes toolSpec.",
            )
        schema = spec["inputSchema"]["json"]
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise Refusal(
                "ValidationException",
                f"The value at toolConfig.tools.{position}.toolSpec.inputSchema.json.type must be one of the following: object.",
            )
        if any(tool.name == spec["name"] for tool in tools):
            raise Refusal(
                "ValidationException", f"The tool name {spec['name']} is already defined at toolConfig.tools.{position}."
            )
        tools.append(ToolSpec(spec["name"], spec.get("description") or "", schema, bool(spec.get("strict"))))
    return tuple(tools)


def _choice(config: Mapping[str, Any] | None, tools: Sequence[ToolSpec]) -> tuple[Literal["auto", "any", "tool"], str | None]:
    given = (config or {}).get("toolChoice") or {"auto": {}}
    if "any" in given:
        return "any", None
    if "tool" not in given:
        return "auto", None
    name = given["tool"]["name"]
    if name not in {tool.name for tool in tools}:
        raise Refusal(
            "ValidationException",
            f"The toolConfig.toolChoice.tool.name {name} is not among the tools of the request: {', '.join(tool.name for tool in tools)}.",
        )
    return "tool", name


def response(asked: Ask, done: Completion) -> dict[str, Any]:
    """Return the body of a Converse response."""
    content: list[dict[str, Any]] = []
    if done.tool_name is not None:
        content.append(
            {
                "toolUse": {
                    "toolUseId": tool_use_id(asked),
                    "name": done.tool_name,
                    "input": done.tool_input,
                }
            }
        )
    else:
        content.append({"text": done.text})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": done.stop_reason,
        "usage": usage(done),
        "metrics": {"latencyMs": done.latency_ms},
    }
