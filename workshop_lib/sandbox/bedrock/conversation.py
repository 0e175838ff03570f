"""The conversation of a Converse request: messages, system and tools into turns, text and tool specifications, with what the service refuses."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workshop_lib.sandbox.ask import ToolSpec, Turn
from workshop_lib.sandbox.bedrock import structured
from workshop_lib.sandbox.bedrock.errors import Refusal
from workshop_lib.sandbox.conversation import parts_of_converse

Block = Mapping[str, Any]


def turns(messages: Any, *, has_tools: bool) -> tuple[Turn, ...]:
    """Return the messages of a request as turns; refuse what the service or the sandbox does not take."""
    if not messages:
        raise _invalid("A conversation must have at least one message. Add a user message and try again.")
    for number, message in enumerate(messages):
        if message["role"] == "system":
            raise _invalid(f"The sandbox does not implement messages of role 'system' (messages.{number}); use the system member.")
    if messages[0]["role"] != "user":
        raise _invalid("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
    if messages[-1]["role"] != "user":
        raise _invalid("This model does not support assistant message prefill. The conversation must end with a user message.")
    understood = []
    for number, message in enumerate(messages):
        if number and message["role"] == messages[number - 1]["role"]:
            raise _invalid(
                f'messages.{number}: roles must alternate between "user" and "assistant", but found multiple "{message["role"]}" roles in a row.'
            )
        called = _ids(messages[number - 1], "toolUse") if number else set()
        understood.append(_turn(number, message, called, has_tools=has_tools))
        missing = sorted(called - _ids(message, "toolResult"))
        if missing:
            raise _invalid(f"Expected toolResult blocks at messages.{number}.content for the following Ids: {', '.join(missing)}")
    return tuple(understood)


def turn(role: str, blocks: Sequence[Block]) -> Turn:
    """Return a message, or the beginning of one, as a turn; its blocks were checked before."""
    texts = [text for block in blocks if (text := text_of(block)) is not None]
    return Turn(role, "\n".join(texts), any(content(block)[0] == "toolResult" for block in blocks), parts_of_converse(blocks))


def text_of(block: Block) -> str | None:
    """Return what the model reads of a block; a cache point has nothing to read."""
    kind, value = content(block)
    if kind == "text":
        return str(value)
    if kind == "guardContent":
        return str(value["text"]["text"])
    if kind == "toolUse":
        return json.dumps(value["input"], ensure_ascii=False)
    if kind == "toolResult":
        return "\n".join(part["text"] if part.get("text") is not None else json.dumps(part["json"], ensure_ascii=False) for part in value["content"])
    return None


def content(block: Block) -> tuple[str, Any]:
    """Return the kind of a block and its value."""
    return next(((name, part) for name, part in block.items() if part is not None), ("", None))


def system(blocks: Sequence[Block]) -> str:
    """Return the system prompt; refuse blocks that are neither text nor a cache point."""
    for position, block in enumerate(blocks):
        kind, value = content(block)
        if kind == "guardContent":
            _guarded(f"system.{position}", value)
        elif kind not in ("text", "cachePoint"):
            raise _invalid(
                f"The sandbox does not implement the system block '{kind}' at system.{position}; it takes text, guardContent and cachePoint."
            )
    return "\n".join(text for block in blocks if (text := text_of(block)) is not None)


def tools(config: Mapping[str, Any] | None) -> tuple[ToolSpec, ...]:
    """Return the tools of a request; a strict one must have a schema that can be enforced."""
    found: list[ToolSpec] = []
    for position, entry in enumerate((config or {}).get("tools") or ()):
        kind, spec = content(entry)
        where = f"toolConfig.tools.{position}"
        if kind == "cachePoint":
            continue
        if kind != "toolSpec":
            raise _invalid(f"The sandbox does not implement '{kind}' at {where}; it takes toolSpec and cachePoint.")
        schema = spec["inputSchema"].get("json")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise _invalid(f"The value at {where}.toolSpec.inputSchema.json.type must be one of the following: object.")
        if any(tool.name == spec["name"] for tool in found):
            raise _invalid(f"The tool name {spec['name']} is already defined at {where}.")
        if spec.get("strict"):
            structured.enforceable(schema, f"{where}.toolSpec.inputSchema.json")
        found.append(ToolSpec(spec["name"], spec.get("description") or "", schema, bool(spec.get("strict"))))
    if config is not None and not found:
        raise _invalid("toolConfig.tools must have at least one toolSpec.")
    return tuple(found)


def choice(config: Mapping[str, Any] | None, known: Sequence[ToolSpec]) -> tuple[Literal["auto", "any", "tool"], str | None]:
    """Return whether a tool must be called, and which."""
    kind, value = content((config or {}).get("toolChoice") or {"auto": {}})
    if kind == "any":
        return "any", None
    if kind != "tool":
        return "auto", None
    name = value["name"]
    if name not in {tool.name for tool in known}:
        raise _invalid(
            f"The toolConfig.toolChoice.tool.name {name} is not among the tools of the request: {', '.join(tool.name for tool in known)}."
        )
    return "tool", name


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)


def _ids(message: Mapping[str, Any], kind: str) -> set[str]:
    return {block[kind]["toolUseId"] for block in message["content"] if block.get(kind) is not None}


def _turn(number: int, message: Mapping[str, Any], called: set[str], *, has_tools: bool) -> Turn:
    where = f"messages.{number}.content"
    if not message["content"]:
        raise _invalid(
            f"The content field in the Message object at messages.{number} is empty. Add a ContentBlock object to the content field and try again."
        )
    if all(content(block)[0] == "cachePoint" for block in message["content"]):
        raise _invalid(f"The content field in the Message object at messages.{number} has nothing before its cachePoint to cache.")
    for position, block in enumerate(message["content"]):
        _check(f"{where}.{position}", block, message["role"], called, has_tools=has_tools)
    return turn(message["role"], message["content"])


def _check(where: str, block: Block, role: str, called: set[str], *, has_tools: bool) -> None:
    kind, value = content(block)
    if kind == "text":
        if not value.strip():
            raise _invalid(f"The text field in the ContentBlock object at {where} is blank. Add text to the text field, and try again.")
    elif kind == "guardContent":
        _guarded(where, value)
    elif kind in ("toolUse", "toolResult"):
        sender = "assistant" if kind == "toolUse" else "user"
        if role != sender:
            raise _invalid(f"{where}: a {kind} block can only be in a message of role '{sender}'.")
        if not has_tools:
            raise _invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        if value.get("type") is not None:
            raise _invalid(f"The sandbox does not implement '{kind}.type' at {where}; it has no tools of the server's.")
        if kind == "toolResult":
            _result(where, value, called)
    elif kind != "cachePoint":
        raise _invalid(
            f"The sandbox does not implement the content block '{kind}' at {where}; it takes text, guardContent, toolUse, toolResult and cachePoint."
        )


def _guarded(where: str, value: Mapping[str, Any]) -> None:
    text = value.get("text")
    if text is None:
        raise _invalid(f"The sandbox does not implement '{content(value)[0]}' of guardContent at {where}; it takes text.")
    if not text["text"].strip():
        raise _invalid(f"The text field in the guardContent block at {where} is blank. Add text to the text field, and try again.")
    other = sorted(set(text.get("qualifiers") or ()) - {"guard_content"})
    if other:
        raise _invalid(f"The sandbox does not implement the qualifier '{other[0]}' at {where}; it has no contextual grounding.")


def _result(where: str, value: Mapping[str, Any], called: set[str]) -> None:
    if value["toolUseId"] not in called:
        raise _invalid(
            f"{where}: unexpected tool_use_id found in tool_result blocks: {value['toolUseId']}. Each tool result must have a corresponding tool use block in the previous message.",
        )
    for part in value["content"]:
        if part.get("text") is None and "json" not in part:
            raise _invalid(f"The sandbox does not implement '{content(part)[0]}' in a tool result at {where}; it takes text and json.")
