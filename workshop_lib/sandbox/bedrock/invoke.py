"""InvokeModel: bodies in the form of the model's own family, Anthropic's messages for Claude and OpenAI's chat completions for the others."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from workshop_lib.catalog import Model
from workshop_lib.sandbox import shapes, wire
from workshop_lib.sandbox.ask import Completion, Piece
from workshop_lib.sandbox.bedrock import anthropic, converse, errors, native
from workshop_lib.sandbox.bedrock.errors import Refusal, refusal
from workshop_lib.sandbox.bedrock.eventstream import event, exception
from workshop_lib.sandbox.bedrock.prompt_cache import PromptCaches
from workshop_lib.sandbox.chat import request as chat
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Exchange, Writer

_PREFIX = "x-amzn-bedrock-"
_METADATA = _PREFIX + "request-metadata"
# Headers of InvokeModel that the sandbox takes only at the value that changes nothing.
_PLAIN = {"trace": "DISABLED", "performanceconfig-latency": "standard", "service-tier": "default"}
_LACKING = ("guardrailidentifier", "guardrailversion")


@dataclass(frozen=True)
class Invoked(Exchange):
    """One InvokeModel or InvokeModelWithResponseStream request; `inner` is the Converse or chat request that asks the same."""

    inner: Exchange | None = None
    stream_type: ClassVar[str] = "application/vnd.amazon.eventstream"
    request_id_header: ClassVar[str] = "x-amzn-requestid"

    @property
    def _own(self) -> Exchange:
        assert self.inner is not None
        return self.inner

    def finished(self, done: Completion) -> Completion:
        """Return the answer with its cache usage."""
        return self._own.finished(done)

    def body(self, done: Sequence[Completion]) -> Mapping[str, Any]:
        """Return the body in the family's own form."""
        return native.message(self.asks[0], done[0]) if native.is_claude(self.asks[0].model) else self._own.body(done)

    def writer(self) -> "ChunkWriter":
        """Return what writes the family's own events as chunks of an event stream."""
        return ChunkWriter(anthropic.MessagesWriter(self.asks[0]) if native.is_claude(self.asks[0].model) else self._own.writer())

    def refusal(self, failure: Failure) -> Refusal:
        """Return a failure as the service's error."""
        return refusal(failure)


class ChunkWriter:
    """Wraps a writer of server-sent events: each event's data becomes a chunk, the last with the invocation's metrics."""

    def __init__(self, inner: Writer) -> None:
        self._inner = inner

    def piece(self, piece: Piece) -> bytes:
        """Return the chunks of one piece."""
        return b"".join(_chunk(data) for data in _events(self._inner.piece(piece)))

    def end(self, done: Sequence[Completion]) -> bytes:
        """Return the chunks after the last piece."""
        datas = _events(self._inner.end(done))
        last = done[0]
        datas[-1]["amazon-bedrock-invocationMetrics"] = {
            "inputTokenCount": last.input_tokens,
            "outputTokenCount": last.output_tokens,
            "invocationLatency": last.latency_ms,
            "firstByteLatency": last.latency_ms,
        }
        return b"".join(_chunk(data) for data in datas)

    def failed(self, failure: Failure) -> bytes:
        """Return the exception that ends a stream early."""
        return exception(*errors.in_stream(failure))


def exchange(
    model: Model, body: Mapping[str, Any], headers: Mapping[str, str], seed: int, *, streaming: bool, caches: PromptCaches | None = None
) -> Invoked:
    """Return an InvokeModel request understood, or refuse it as the service would."""
    tags = _tags(headers)
    scope = headers.get("x-workshop-scope") or tags.get("scope") or ""
    inner: Exchange
    if native.is_claude(model):
        inner = converse.exchange(model, anthropic.translated(body), seed, streaming=False, scope=scope, caches=caches)
    else:
        inner = _chat(model, body, seed, streaming=streaming)
    kind = {"x-amzn-bedrock-content-type" if streaming else "content-type": "application/json"}
    return Invoked(inner.asks, streaming=streaming, tags=tags, headers=kind, inner=inner)


def _chat(model: Model, body: Mapping[str, Any], seed: int, *, streaming: bool) -> Exchange:
    for name in ("stream", "stream_options"):
        if body.get(name) is not None:
            raise Refusal("ValidationException", f"The member '{name}' is not taken here: the operation says whether the answer is streamed.")
    if body.get("model") not in (None, model.id):
        raise Refusal("ValidationException", "The member 'model' of the body names another model than the address.")
    options = {"stream": True, "stream_options": {"include_usage": True}} if streaming else {}
    try:
        return chat.exchange(model, {**body, "model": model.id, **options}, seed)
    except wire.Refusal as refused:
        raise Refusal("ValidationException", refused.reply()[2]["error"]["message"]) from None


def _tags(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the request's metadata; refuse headers that the sandbox does not act on."""
    for name in _LACKING:
        if headers.get(_PREFIX + name):
            raise Refusal(
                "ValidationException", f"The sandbox does not implement the header {_PREFIX + name} of InvokeModel; use Converse for guardrails."
            )
    for name, plain in _PLAIN.items():
        if headers.get(_PREFIX + name) not in (None, plain):
            raise Refusal("ValidationException", f"The sandbox takes the header {_PREFIX + name} only as '{plain}'.")
    try:
        tags = json.loads(headers.get(_METADATA) or "null")
    except (ValueError, RecursionError):
        tags = ""
    if tags is None:
        return {}
    wrong = shapes.problem_of("Converse", "requestMetadata", tags)
    if wrong:
        raise Refusal("ValidationException", wrong)
    return {str(name): str(value) for name, value in tags.items()}


def _events(written: bytes) -> list[dict[str, Any]]:
    lines = (line[6:] for line in written.split(b"\n") if line.startswith(b"data: "))
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def _chunk(data: Mapping[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return event("chunk", {"bytes": base64.b64encode(text).decode()})
