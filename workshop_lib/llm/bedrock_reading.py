"""Reading what Bedrock answers, without trust in its form: what stands before the service, a proxy above all, may answer in its place."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.parsers import ResponseParserError

from workshop_lib.llm.types import RawReply, Screened, Usage, source

UNREADABLE = (ResponseParserError, AttributeError, TypeError, ValueError, OverflowError, RecursionError)
"""What botocore raises for a body with status 200 that is JSON of another form, as its parser trusts a body's types."""

_WORDS_OF_AN_ERROR = ("message", "Message", "__type")


def readable_error(response_dict: dict[str, Any], **_: Any) -> None:
    """Leave of an error's body only the text that says what happened: a handler for botocore's `before-parse`.

    Its parser would raise for a body that is no object, or whose message is no text, and status and delay would be lost with it.
    """
    if response_dict["status_code"] < 300:
        return
    text = response_dict["body"].decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = {"message": text}
    said = found if isinstance(found, dict) else {}
    response_dict["body"] = json.dumps({name: said[name] for name in _WORDS_OF_AN_ERROR if isinstance(said.get(name), str)}).encode()


def read(response: Mapping[str, Any]) -> RawReply:
    """Read a Converse response: the text blocks joined, the first tool call's arguments, usage and the server's latency.

    A body that is no Converse response (botocore does not check) becomes an empty reply that did not finish, so it is invalid.
    """
    message = _object(_object(response.get("output")).get("message"))
    blocks = [_object(block) for block in _items(message.get("content"))]
    texts = [block["text"] for block in blocks if "text" in block]
    calls = [_object(block["toolUse"]).get("input") for block in blocks if "toolUse" in block]
    latency_ms = _object(response.get("metrics")).get("latencyMs")
    stop_reason = response.get("stopReason")
    return RawReply(
        text="".join(text for text in texts if isinstance(text, str)),
        tool_input=calls[0] if calls and isinstance(calls[0], dict) else None,
        usage=_usage(_object(response.get("usage"))),
        latency_ms=latency_ms if type(latency_ms) in (int, float) else None,
        stop_reason=stop_reason if isinstance(stop_reason, str) else "malformed_model_output",
        source=source(response.get("ResponseMetadata", {}).get("HTTPHeaders", {})),
    )


def _usage(usage: Mapping[str, Any]) -> Usage | None:
    counts = [usage.get("inputTokens"), usage.get("outputTokens"), usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)]
    if any(type(count) is not int or count < 0 for count in counts):
        return None
    return Usage(*counts)


def read_screened(response: Mapping[str, Any], text: str) -> Screened:
    """Read an ApplyGuardrail response: a text that was only masked may pass as it was masked, anything else that was touched may not.

    An answer of another form lets nothing pass.
    """
    units = sum(count for name, count in _object(response.get("usage")).items() if name.endswith("Units") and isinstance(count, int))
    if response.get("action") == "NONE":
        return Screened(False, text, units)
    outputs = [_object(output).get("text") for output in _items(response.get("outputs"))]
    only = outputs[0] if len(outputs) == 1 else None
    if isinstance(only, str) and set(_actions(response.get("assessments", []))) - {"NONE"} == {"ANONYMIZED"}:
        return Screened(False, only, units, masked=True)
    return Screened(True, "", units)


def _actions(assessments: Any) -> Iterator[str]:
    """Yield every action that is named anywhere in a guardrail's assessments."""
    if isinstance(assessments, Mapping):
        yield from (action for action in [assessments.get("action")] if isinstance(action, str))
        assessments = list(assessments.values())
    if isinstance(assessments, list):
        for part in assessments:
            yield from _actions(part)


def _object(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}  # what JSON makes of one; to ask for a Mapping takes five times as long


def _items(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
