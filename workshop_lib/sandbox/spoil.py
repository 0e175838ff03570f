"""Faults that change an answer: pure functions from a finished completion to one that a careless client trips over.

Which way an answer is spoiled is drawn from `key` and the answer itself, so the same answer is always spoiled in the same way. An answer
that a function has nothing to do to, such as a text where a tool call is to be spoiled, is returned as it was.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Completion

_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
_LIKELY = ("category", "priority", "verdict", "label")
_WRAPPERS = ("```json\n{}\n```", "Here is the result:\n\n{}", "I would call {} with these arguments:\n{}")
Spoiler = Callable[[Completion, bytes], Completion]


def malformed_tool(done: Completion, key: bytes = b"") -> Completion:
    """Return a tool call whose arguments are no JSON; as Bedrock says it, the stop reason is malformed_tool_use and the input what can be read."""
    if done.tool_name is None or not done.tool_arguments:
        return done
    written = done.tool_arguments
    broken = (written[:-1], written.replace('"', "'"), written[:-1].rstrip() + ",}", written.replace(":", "=", 1))
    arguments = _one_of(broken, done, key, "malformed tool")
    if _is_json(arguments):  # an empty object has neither quotes nor colons to break
        arguments = written[:-1]
    return replace(done, stop_reason="malformed_tool_use", tool_arguments=arguments, tool_input={})


def broken_schema(done: Completion, key: bytes = b"") -> Completion:
    """Return a tool call whose arguments are JSON but break the schema: one field is lost and another has the wrong type."""
    names = list(done.tool_input)
    if done.tool_name is None or not names:
        return done
    lost = _one_of(names, done, key, "lost field")
    fields = {name: value for name, value in done.tool_input.items() if name != lost}
    if fields:
        wrong = _one_of(list(fields), done, key, "wrong type")
        fields[wrong] = {"value": fields[wrong]}
    return replace(done, tool_input=fields, tool_arguments=_written(fields))


def text_instead_of_tool(done: Completion, key: bytes = b"") -> Completion:
    """Return a tool call as the text that small models write in its place: the arguments in a fence or in a sentence."""
    if done.tool_name is None:
        return done
    wrapper = _one_of(_WRAPPERS, done, key, "in text")
    text = wrapper.format(*([done.tool_name] if wrapper.count("{}") > 1 else []), done.tool_arguments)
    reason = "end_turn" if done.stop_reason == "tool_use" else done.stop_reason
    return replace(done, stop_reason=reason, text=text, tool_name=None, tool_arguments="", tool_input={}, tokens=())


def wrong_enum(done: Completion, key: bytes = b"") -> Completion:
    """Return an answer in which one label is a value that its schema does not have; works on tool calls and on JSON written as text."""
    fields = done.tool_input if done.tool_name is not None else _object(done.text)
    labels = [name for name, value in fields.items() if isinstance(value, str) and _LABEL.fullmatch(value) and not name.lower().endswith("id")]
    labels = [name for name in labels if name.lower() in _LIKELY] or labels
    if not labels:
        return done
    name = _one_of(labels, done, key, "which label")
    value = str(fields[name])
    other = _one_of((f"{value}_issue", f"not_{value}", f"{value}_or_other"), done, key, "wrong label")
    changed = {**fields, name: other}
    if done.tool_name is not None:
        return replace(done, tool_input=changed, tool_arguments=_written(changed))
    return replace(done, text=_written(changed), tokens=())


def truncated(done: Completion, key: bytes = b"") -> Completion:
    """Return an answer cut off somewhere in its middle half, as if the limit of tokens had been reached; fewer output tokens are counted."""
    share = 0.25 + draw.unit(_key(done, key), "cut") / 2
    written = done.text if done.tool_name is None else done.tool_arguments
    kept = written[: int(len(written) * share)]
    count = max(1, int(done.output_tokens * share))
    shorter = replace(done, stop_reason="max_tokens", output_tokens=count)
    if done.tool_name is not None:
        return replace(shorter, tool_arguments=kept, tool_input={})
    tokens, size = [], 0
    for token in done.tokens:
        size += len(token.token)
        if size > len(kept):
            break
        tokens.append(token)
    whole = "".join(token.token for token in tokens) if done.tokens else kept
    return replace(shorter, text=whole, tokens=tuple(tokens))


SPOILERS: Mapping[str, Spoiler] = {
    "malformed_tool": malformed_tool,
    "broken_schema": broken_schema,
    "text_instead_of_tool": text_instead_of_tool,
    "wrong_enum": wrong_enum,
    "truncated": truncated,
}
"""Every way to spoil an answer by name."""


def _one_of(options: Any, done: Completion, key: bytes, purpose: str) -> Any:
    return options[int(draw.unit(_key(done, key), purpose) * len(options))]


def _key(done: Completion, key: bytes) -> bytes:
    content = f"{done.tool_name}\n{done.text}\n{done.tool_arguments}".encode(errors="surrogatepass")
    return blake2b(content, key=key[:64], digest_size=16).digest()


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _written(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False)
