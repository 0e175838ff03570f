"""From a request to a reply: what the stand-in answers, in which form, cut to the limits asked for, counted and timed."""

from collections.abc import Mapping, Sequence
from typing import Any

from workshop_lib.sandbox import logprobs, quirks, reading, schema, tokens
from workshop_lib.sandbox.ask import Ask, Completion, StopReason, ToolSpec
from workshop_lib.sandbox.latency import modelled_ms

_FREE_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}}}
_TOOL_CALL_TOKENS = 12


def complete(ask: Ask) -> Completion:
    """Answer one request with the model's stand-in."""
    read = reading.read(ask.turns)
    tool = _tool_to_call(ask, read)
    if tool is None:
        return _text(ask, *_answer(ask, read))
    thinking = _thinking(ask, read, tool.schema)
    fields = quirks.spoiled(schema.fill(tool.schema, thinking), ask, enforced=tool.strict)
    if quirks.answers_in_text(ask, strict=tool.strict):
        return _text(ask, quirks.in_text(fields, ask), _behind(ask, fields, tool.schema, thinking))
    return _call(ask, tool, fields)


def _thinking(ask: Ask, read: reading.Reading, wanted: Mapping[str, Any] | None) -> schema.Thinking:
    about_ticket = read.is_ticket or (wanted is not None and schema.is_triage(wanted))
    return schema.Thinking(ask.model.stand_in, read, ask.digest, about_ticket, ask.temperature, ask.top_p)


def _tool_to_call(ask: Ask, read: reading.Reading) -> ToolSpec | None:
    if not ask.tools or ask.choice == "none":
        return None
    if ask.choice == "tool":
        return next(tool for tool in ask.tools if tool.name == ask.forced)
    if ask.choice == "auto" and ask.turns[-1].after_tool:
        return None
    fitting = [tool for tool in ask.tools if _fits(tool, ask, read)]
    if ask.choice == "any":
        return (fitting or list(ask.tools))[0]
    return fitting[0] if fitting else None


def _fits(tool: ToolSpec, ask: Ask, read: reading.Reading) -> bool:
    """Say whether a model that may choose would choose this tool: the prompt names it, or it records what the text is."""
    return tool.name in ask.system or tool.name in ask.turns[-1].text or (read.is_ticket and schema.is_triage(tool.schema))


def _answer(ask: Ask, read: reading.Reading) -> tuple[str, Sequence[logprobs.Decision]]:
    """Return the text of an answer and, if its log-probabilities are wanted, the decisions behind it."""
    wanted: Mapping[str, Any] | None = ask.schema or reading.wanted_schema(ask.system, ask.turns)
    if wanted is None and not ask.json_mode:
        thinking = _thinking(ask, read, None)
        return schema.prose(thinking), () if ask.logprobs is None else logprobs.of_prose(thinking)
    wanted = wanted or _FREE_OBJECT
    thinking = _thinking(ask, read, wanted)
    fields = quirks.spoiled(schema.fill(wanted, thinking), ask, enforced=ask.schema_enforced)
    return schema.written(fields), _behind(ask, fields, wanted, thinking)


def _behind(
    ask: Ask, fields: Mapping[str, Any], wanted: Mapping[str, Any], thinking: schema.Thinking
) -> Sequence[logprobs.Decision]:
    return () if ask.logprobs is None else logprobs.of_fields(fields, wanted, thinking)


def _text(ask: Ask, text: str, decisions: Sequence[logprobs.Decision]) -> Completion:
    reason: StopReason = "end_turn"
    choices = () if ask.logprobs is None else logprobs.of_text(text, decisions, ask.logprobs, ask.digest)
    ends = [(text.find(stop), stop) for stop in ask.stop if stop and stop in text]
    ended_by: str | None = None
    if ends:
        at, ended_by = min(ends)
        text, reason = text[:at], "stop_sequence"
    count = tokens.counted(text, ask.model)
    if ask.max_tokens is not None and count > ask.max_tokens:
        text, reason, count = tokens.cut(text, ask.model, ask.max_tokens), "max_tokens", ask.max_tokens
        ended_by = None
    latency = modelled_ms(ask.model.latency, count, ask.digest)
    fitted = logprobs.fitted(choices, text)
    return Completion(reason, tokens.input_tokens(ask), count, latency, text=text, tokens=fitted, stop_sequence=ended_by)


def _call(ask: Ask, tool: ToolSpec, fields: Mapping[str, Any]) -> Completion:
    arguments = schema.written(fields)
    count = tokens.counted(arguments, ask.model) + _TOOL_CALL_TOKENS
    reason: StopReason = "tool_use"
    if ask.max_tokens is not None and count > ask.max_tokens:
        arguments = tokens.cut(arguments, ask.model, max(0, ask.max_tokens - _TOOL_CALL_TOKENS))
        reason, count, fields = "max_tokens", ask.max_tokens, _finished(fields, arguments)
    latency = modelled_ms(ask.model.latency, count, ask.digest)
    return Completion(
        reason, tokens.input_tokens(ask), count, latency, tool_name=tool.name, tool_arguments=arguments, tool_input=fields
    )


def _finished(fields: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    """Return the fields that were written in full before the text was cut."""
    done: dict[str, Any] = {}
    for name, value in fields.items():
        if not arguments.startswith(schema.written({**done, name: value})[:-1]):
            break
        done[name] = value
    return done
