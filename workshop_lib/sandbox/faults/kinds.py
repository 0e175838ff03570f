"""The names of what can go wrong, and the failures that a protocol tells its client."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["throttled", "server", "unavailable", "validation", "model_timeout", "model_error", "not_ready", "access_denied"]
"""Failures that are answered with the protocol's own error."""

Broken = Literal[
    "no_body_429",
    "no_body_503",
    "cut_before_headers",
    "cut_in_body",
    "stall_before_first_byte",
    "stall_in_body",
    "truncated_stream",
    "corrupted_stream",
    "stream_throttled",
    "stream_server",
    "stream_unavailable",
    "stream_validation",
    "stream_model_error",
]
"""What happens to the connection or to the stream; the last seven and no others need a streamed answer."""

Spoiled = Literal["malformed_tool", "broken_schema", "text_instead_of_tool", "wrong_enum", "truncated"]
"""What happens to the answer itself, by the names of `spoil.SPOILERS`."""

Outcome = Literal[Kind, Broken, Spoiled]
Step = Literal["ok", Outcome]
"""One entry of a script."""

REFUSED: frozenset[str] = frozenset(get_args(Kind))
BROKEN: frozenset[str] = frozenset(get_args(Broken))
STALLS = frozenset({"stall_before_first_byte", "stall_in_body"})


@dataclass(frozen=True)
class Failure:
    """How one request is to fail; `retry_after_ms` is set for throttling."""

    kind: Kind
    message: str
    retry_after_ms: int | None = None


_TEXTS: dict[Kind, str] = {
    "throttled": "Too many requests, please wait before trying again.",
    "server": "The system encountered an unexpected error during processing (a sandbox fault).",
    "unavailable": "The service is temporarily unavailable (a sandbox fault).",
    "validation": "The model returned the following errors: the input was rejected (a sandbox fault).",
    "model_timeout": "The model took too long to answer (a sandbox fault).",
    "model_error": "The model failed while it processed the request (a sandbox fault).",
    "not_ready": "The model is not ready for inference yet (a sandbox fault).",
    "access_denied": "You don't have access to the model with the specified model ID (a sandbox fault).",
}


def failure(kind: Kind, retry_after_ms: int | None = None) -> Failure:
    """Return a failure in the words of the service, as far as they are known."""
    return Failure(kind, _TEXTS[kind], retry_after_ms)


def in_stream(name: str) -> Failure | None:
    """Return the failure that an outcome such as stream_throttled sends in the middle of a stream, or None for any other outcome."""
    kinds: dict[str, Kind] = {f"stream_{kind}": kind for kind in _TEXTS}
    return failure(kinds[name]) if name in kinds else None
