"""From an Ask to the body of a chat completion, as OpenAI-compatible servers take it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workshop_lib.sandbox.ask import Ask, Said, ToolCall, ToolResult, ToolSpec, Turn
from workshop_lib.sandbox.upstream.config import Forced

Message = dict[str, Any]


def body(ask: Ask, upstream_model: str, forced: Forced, *, stream: bool) -> dict[str, Any]:
    """Return the request body; the seed is made from the request and the sandbox's seed, so that the same request is drawn alike."""
    tool = tool_by_schema(ask, forced)
    asked: dict[str, Any] = {"model": upstream_model, "messages": list(_messages(ask, tool)), "temperature": ask.temperature, "seed": _seed(ask)}
    if ask.top_p != 1.0:
        asked["top_p"] = ask.top_p
    if ask.max_tokens is not None:
        asked["max_tokens"] = ask.max_tokens
    if ask.stop:
        asked["stop"] = list(ask.stop)
    if ask.logprobs is not None:
        asked |= {"logprobs": True, **({"top_logprobs": ask.logprobs} if ask.logprobs else {})}
    asked |= _form(ask, tool)
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return asked


def tool_by_schema(ask: Ask, forced: Forced) -> ToolSpec | None:
    """Return the tool whose arguments are asked for as text that follows its schema, or None if tools are asked for as tools.

    That is a forced tool, or the only one when any must be called. Where the model may choose, only the server's own tool calls will do.
    """
    if forced != "json_schema":
        return None
    if ask.choice == "tool":
        return next(tool for tool in ask.tools if tool.name == ask.forced)
    return ask.tools[0] if ask.choice == "any" and len(ask.tools) == 1 else None


def _seed(ask: Ask) -> int:
    return int.from_bytes(ask.digest[:4], "big") >> 1  # 31 bits, which every server takes


def _form(ask: Ask, tool: ToolSpec | None) -> dict[str, Any]:
    """Return the members that say which form the answer has: a schema, some JSON, or tools to choose from."""
    if tool is not None:
        return {"response_format": _format(tool.name, tool.schema)}
    form: dict[str, Any] = {}
    if ask.schema is not None:
        form["response_format"] = _format("answer", ask.schema)
    elif ask.json_mode:
        form["response_format"] = {"type": "json_object"}
    if ask.tools and ask.choice != "none":
        form["tools"] = [_function(one) for one in ask.tools]
        form["parallel_tool_calls"] = False
        named = {"type": "function", "function": {"name": ask.forced}}
        form["tool_choice"] = {"auto": "auto", "any": "required", "tool": named}[ask.choice]
    return form


def _format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": dict(schema), "strict": True}}


def _function(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    return {"type": "function", "function": {**function, "strict": True} if tool.strict else function}


def _messages(ask: Ask, tool: ToolSpec | None) -> Iterator[Message]:
    system = "\n\n".join(part for part in (ask.system, "" if tool is None else _instruction(tool)) if part)
    if system:
        yield {"role": "system", "content": system}
    for turn in ask.turns:
        if tool is None and ask.tools and ask.choice != "none":
            yield from _structured(turn)
        else:
            yield {"role": turn.role, "content": _plain(turn)}


def _instruction(tool: ToolSpec) -> str:
    """Return what a model must be told that is not offered the tool itself: a grammar keeps it to the schema, but does not show it."""
    what = f" ({tool.description.strip()})" if tool.description.strip() else ""
    schema = json.dumps(tool.schema, ensure_ascii=False)
    return f"Call the function {tool.name}{what}: answer with its arguments only, as one JSON object that follows this JSON schema: {schema}"


def _structured(turn: Turn) -> Iterator[Message]:
    """Yield a turn as messages with tool calls and results of their own; results come first, as the protocol wants them."""
    parts = turn.parts or (Said(turn.text),)
    for result in parts:
        if isinstance(result, ToolResult):
            yield {"role": "tool", "tool_call_id": result.id, "content": result.text}
    text = "\n".join(part.text for part in parts if isinstance(part, Said))
    calls = [
        {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
        for part in parts
        if isinstance(part, ToolCall)
    ]
    if calls:
        yield {"role": turn.role, "content": text or None, "tool_calls": calls}
    elif text:
        yield {"role": turn.role, "content": text}


def _plain(turn: Turn) -> str:
    """Return a turn as text, for a model that is offered no tools: what it called reads like its answer to the instruction."""
    said = [f"The function returned: {part.text}" if isinstance(part, ToolResult) else _words(part) for part in turn.parts]
    return "\n".join(said) or turn.text


def _words(part: Said | ToolCall) -> str:
    return part.text if isinstance(part, Said) else part.arguments
