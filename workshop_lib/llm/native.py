"""Requests and replies in the words of a model's own family: bodies of InvokeModel, and with them of batch jobs that may use tools.

Claude speaks Anthropic's messages, the open-weight models of the catalogue OpenAI's chat completions. What is asked is what Converse asks.
"""

from collections.abc import Mapping
from typing import Any

from workshop_lib.catalog import Model
from workshop_lib.errors import SettingsError
from workshop_lib.llm.types import RawReply, Request, Usage

_VERSION = "bedrock-2023-05-31"
_STOP_REASONS = frozenset({"end_turn", "tool_use", "max_tokens", "stop_sequence"})


def native_body(model: Model, request: Request) -> dict[str, Any]:
    """Return the body of InvokeModel for a request; raise SettingsError for what no such body can carry: a guardrail, log-probabilities of Claude."""
    if request.guardrail is not None:
        raise SettingsError("A guardrail is no part of a model's own body. Leave it out, or call by Converse.")
    if _is_claude(model):
        return _message(model, request)
    from workshop_lib.llm.openai_chat import chat_arguments  # its SDK takes 16 MiB

    return {name: value for name, value in chat_arguments(model, request).items() if name != "model"}


def read_native(model: Model, body: Mapping[str, Any]) -> RawReply:
    """Read the body that InvokeModel answers with; one of another form becomes an empty reply that did not finish, so it is invalid."""
    if _is_claude(model):
        return _read_message(body)
    from workshop_lib.llm.openai_chat import read

    return read(body)


def _is_claude(model: Model) -> bool:
    return "anthropic." in model.id


def _message(model: Model, request: Request) -> dict[str, Any]:
    if request.logprobs:
        raise SettingsError(f"{model.id} gives no log-probabilities. Use another gate.")
    body: dict[str, Any] = {
        "anthropic_version": _VERSION,
        "max_tokens": request.max_tokens,
        "messages": [{"role": "user", "content": [{"type": "text", "text": request.prompt}]}],
    }
    if request.system is not None:
        body["system"] = request.system
    if model.accepts_temperature:
        body["temperature"] = request.temperature
    if request.tool is not None:
        body["tools"] = [{"name": request.tool.name, "description": request.tool.description, "input_schema": dict(request.tool.schema)}]
        body["tool_choice"] = {"type": "tool", "name": request.tool.name}
    return body


def _read_message(body: Mapping[str, Any]) -> RawReply:
    content = body.get("content")
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    calls = [block.get("input") for block in blocks if block.get("type") == "tool_use"]
    texts = [block.get("text") for block in blocks if block.get("type") == "text"]
    reason = body.get("stop_reason")
    return RawReply(
        text="".join(text for text in texts if isinstance(text, str)),
        tool_input=calls[0] if calls and isinstance(calls[0], dict) else None,
        usage=_usage(body.get("usage")),
        latency_ms=None,
        stop_reason=reason if reason in _STOP_REASONS else "content_filtered" if reason == "refusal" else "malformed_model_output",
    )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, Mapping):
        return None
    counts = [usage.get(name, 0) for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")]
    if not {"input_tokens", "output_tokens"} <= usage.keys() or any(type(count) is not int or count < 0 for count in counts):
        return None
    return Usage(*counts)
