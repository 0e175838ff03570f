"""Converse on the wire: a request into an Ask, a completion into what AWS sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from workshop_lib.catalog import Model
from workshop_lib.sandbox import draw, shapes
from workshop_lib.sandbox.ask import Ask, Completion
from workshop_lib.sandbox.bedrock import cache_points, conversation, guarding, native, prompt_cache, structured
from workshop_lib.sandbox.bedrock.cache_points import Cached
from workshop_lib.sandbox.bedrock.errors import Refusal, refusal
from workshop_lib.sandbox.bedrock.fields import Extras, extras
from workshop_lib.sandbox.bedrock.guarding import Guard
from workshop_lib.sandbox.bedrock.prompt_cache import PromptCaches
from workshop_lib.sandbox.bedrock.stream import ConverseWriter, tool_use_id, usage
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Exchange

# Members that have no part in what is asked of the model: the same request with and without them has the same answer.
_APART = frozenset(
    {
        "requestMetadata",
        "guardrailConfig",
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "performanceConfig",
        "serviceTier",
    }
)


@dataclass(frozen=True)
class Converse(Exchange):
    """One Converse or ConverseStream request."""

    extras: Extras = field(default_factory=Extras)
    guard: Guard | None = None
    cached: Cached | None = None
    stream_type: ClassVar[str] = "application/vnd.amazon.eventstream"
    request_id_header: ClassVar[str] = "x-amzn-requestid"

    def screened(self) -> Completion | None:
        """Return the guardrail's answer to a request that it blocks."""
        return None if self.guard is None else self.guard.screened()

    def finished(self, done: Completion) -> Completion:
        """Return the answer with its cache usage, as the guardrail lets it pass."""
        if self.cached is not None:
            done = self.cached.counted(self.asks[0], done)
        return done if self.guard is None else self.guard.read(done)

    def body(self, done: Sequence[Completion]) -> Mapping[str, Any]:
        """Return the body of a Converse response."""
        return response(self.asks[0], done[0], self.extras)

    def writer(self) -> ConverseWriter:
        """Return what writes this answer as an event stream."""
        return ConverseWriter(self.asks[0], self.extras)

    def refusal(self, failure: Failure) -> Refusal:
        """Return a failure as the service's error."""
        return refusal(failure)


def exchange(
    model: Model, body: Mapping[str, Any], seed: int, *, streaming: bool, scope: str = "", caches: PromptCaches | None = None
) -> Converse:
    """Return a Converse request understood, or refuse it as the service would; `scope` keeps prompt caches apart."""
    wrong = shapes.problem("ConverseStream" if streaming else "Converse", body)
    if wrong:
        raise Refusal("ValidationException", wrong)
    plain = ask(model, body, seed)
    shown = extras(body)
    guard, masked = guarding.guarded(body, streaming=streaming)
    asked = plain if masked is body else _reread(plain, masked)
    points = cache_points.points(asked, masked)
    return Converse(
        (asked,),
        streaming=streaming,
        buffered=guard is not None and not guard.at_once,
        tags=body.get("requestMetadata") or {},
        extras=shown,
        guard=guard,
        cached=Cached(points, caches or prompt_cache.shared(), scope) if points else None,
    )


def scope_of(body: Mapping[str, Any]) -> str | None:
    """Return the `scope` tag of a request's metadata, if it has one."""
    metadata = body.get("requestMetadata")
    scope = metadata.get("scope") if isinstance(metadata, dict) else None
    return scope if isinstance(scope, str) else None


def ask(model: Model, body: Mapping[str, Any], seed: int) -> Ask:
    """Return what a Converse request of the right shape asks, or refuse it as the service would."""
    _lacking(body)
    turns = conversation.turns(body.get("messages"), has_tools=body.get("toolConfig") is not None)
    system = conversation.system(body.get("system") or ())
    tools = conversation.tools(body.get("toolConfig"))
    choice, forced = conversation.choice(body.get("toolConfig"), tools)
    schema = structured.schema_of(body.get("outputConfig"))
    inference = body.get("inferenceConfig") or {}
    if not model.accepts_temperature and (inference.get("temperature") is not None or inference.get("topP") is not None):
        refused = "temperature" if inference.get("temperature") is not None else "top_p"
        raise Refusal(
            "ValidationException", f"The model returned the following errors: `{refused}` is deprecated for this model."
        )
    content = {name: part for name, part in cache_points.without(body).items() if name not in _APART}
    return Ask(
        model=model,
        turns=turns,
        digest=draw.digest(seed, model.id, content),
        system=system,
        tools=tools,
        choice=choice,
        forced=forced,
        schema=schema,
        schema_enforced=schema is not None,
        max_tokens=inference.get("maxTokens"),
        temperature=inference.get("temperature") or 0.0,
        top_p=1.0 if inference.get("topP") is None else inference["topP"],
        stop=tuple(inference.get("stopSequences") or ()),
        tags=body.get("requestMetadata") or {},
    )


def _lacking(body: Mapping[str, Any]) -> None:
    """Refuse the members that this sandbox does not act on; that is better than ignoring them."""
    if body.get("promptVariables") is not None:
        raise Refusal(
            "ValidationException",
            "The sandbox does not implement 'promptVariables' of Converse; it has no prompt management. Leave it out, or call the real service.",
        )
    more = body.get("additionalModelRequestFields")
    if more is None or more == {}:
        return
    if not isinstance(more, dict):
        raise Refusal("ValidationException", "The value at 'additionalModelRequestFields' must be an object.")
    raise Refusal(
        "ValidationException",
        f"The sandbox does not implement '{next(iter(more))}' of additionalModelRequestFields; its stand-ins have no such parameter. Leave it out, or call the real service.",
    )


def _reread(asked: Ask, body: Mapping[str, Any]) -> Ask:
    turns = tuple(conversation.turn(message["role"], message["content"]) for message in body["messages"])
    return replace(asked, turns=turns, system=conversation.system(body.get("system") or ()))


def response(asked: Ask, done: Completion, shown: Extras) -> dict[str, Any]:
    """Return the body of a Converse response."""
    content: list[dict[str, Any]] = []
    if done.text or done.tool_name is None:
        content.append({"text": done.text})
    if done.tool_name is not None:
        content.append({"toolUse": {"toolUseId": tool_use_id(asked), "name": done.tool_name, "input": done.tool_input}})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": done.stop_reason,
        "usage": usage(done),
        "metrics": {"latencyMs": done.latency_ms},
        **(shown.picked(native.body(asked, done)) if shown.paths else {}),
        **({"trace": {"guardrail": done.guardrail}} if done.guardrail else {}),
        **shown.echoed(),
    }
