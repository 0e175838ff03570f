"""Messages with their tool calls and results kept apart, from both wire formats; for models that take a conversation as it was."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workshop_lib.sandbox.ask import Said, ToolCall, ToolResult

Part = Said | ToolCall | ToolResult


def parts_of_converse(content: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Return the parts of a Converse message that was checked before; blocks without words, such as a cachePoint, have none."""
    return tuple(part for block in content if (part := _converse_part(block)) is not None)


def _converse_part(block: Mapping[str, Any]) -> Part | None:
    if block.get("toolUse") is not None:
        call = block["toolUse"]
        return ToolCall(call["toolUseId"], call["name"], json.dumps(call["input"], ensure_ascii=False))
    if block.get("toolResult") is not None:
        result = block["toolResult"]
        return ToolResult(result["toolUseId"], "\n".join(_result_text(part) for part in result["content"]))
    if block.get("guardContent") is not None:
        return Said(block["guardContent"].get("text", {}).get("text", ""))
    return Said(block["text"]) if block.get("text") is not None else None


def _result_text(part: Mapping[str, Any]) -> str:
    text: str | None = part.get("text")
    return json.dumps(part.get("json"), ensure_ascii=False) if text is None else text


def parts_of_chat(
    role: str, text: str, answers: str | None = None, calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
) -> tuple[Part, ...]:
    """Return the parts of a chat message: its text, the call that it answers, and its calls as pairs of id and function."""
    if role == "tool":
        return (ToolResult(answers or "", text),)
    made = (ToolCall(id_, str(function.get("name") or ""), str(function.get("arguments") or "{}")) for id_, function in calls)
    return (*((Said(text),) if text else ()), *made)
