"""Answers as the model families write them themselves: what InvokeModel returns, and what Converse's additional fields are taken from."""

from collections.abc import Mapping
from typing import Any

from workshop_lib.catalog import Model
from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask, Completion
from workshop_lib.sandbox.chat.request import ChatCompletion


def is_claude(model: Model) -> bool:
    """Say whether a model speaks Anthropic's messages; the others of the catalogue speak OpenAI's chat completions."""
    return "anthropic." in model.id


def body(asked: Ask, done: Completion) -> Mapping[str, Any]:
    """Return an answer as the model's own family writes it."""
    return message(asked, done) if is_claude(asked.model) else ChatCompletion((asked,)).body([done])


def message(asked: Ask, done: Completion) -> dict[str, Any]:
    """Return an answer as an Anthropic message."""
    content: list[dict[str, Any]] = []
    if done.text or done.tool_name is None:
        content.append({"type": "text", "text": done.text})
    if done.tool_name is not None:
        content.append({"type": "tool_use", "id": tool_id(asked), "name": done.tool_name, "input": done.tool_input})
    return {**head(asked), "content": content, **ending(asked, done), "usage": usage(done)}


def head(asked: Ask) -> dict[str, Any]:
    """Return the members of an Anthropic message that are known before its first word."""
    name = f"msg_bdrk_{draw.name(asked.digest, 'message', 24)}"
    return {"id": name, "type": "message", "role": "assistant", "model": asked.model.id.rsplit("anthropic.", 1)[-1]}


def ending(asked: Ask, done: Completion) -> dict[str, Any]:
    """Return why an Anthropic message ended; the stop sequence is known if the answerer said it or the request had only one."""
    stop = done.stop_sequence or (asked.stop[0] if done.stop_reason == "stop_sequence" and len(asked.stop) == 1 else None)
    return {"stop_reason": done.stop_reason, "stop_sequence": stop}


def usage(done: Completion) -> dict[str, Any]:
    """Return the usage of an Anthropic message."""
    return {
        "input_tokens": done.input_tokens,
        "cache_creation_input_tokens": done.cache_write_tokens,
        "cache_read_input_tokens": done.cache_read_tokens,
        "output_tokens": done.output_tokens,
    }


def tool_id(asked: Ask) -> str:
    """Return the id of the tool call in an Anthropic message."""
    return f"toolu_bdrk_{draw.name(asked.digest, 'tool use', 24)}"
