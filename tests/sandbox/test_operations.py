"""Bedrock's operations: whatever is sent is understood or refused, never answered with a crash."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.sandbox import shapes, wire
from workshop_lib.sandbox.bedrock import errors, operations
from workshop_lib.sandbox.faults import Failure, Kind

NANO = catalog.model("nano").id


def status(call: Callable[[], object]) -> int:
    """Return the status of a refusal, or 200."""
    try:
        call()
    except wire.Refusal as refusal:
        return refusal.reply()[0]
    return 200


NAMES = [
    "text", "role", "content", "toolUse", "toolResult", "toolUseId", "name", "input", "json", "cachePoint", "type", "ttl",
    "guardContent", "image", "tools", "toolSpec", "inputSchema", "strict", "toolChoice", "any", "auto", "tool", "textFormat",
    "structure", "jsonSchema", "schema", "guardrailIdentifier", "guardrailVersion", "trace", "latency",
]  # fmt: skip
TOP = [
    "messages", "system", "toolConfig", "inferenceConfig", "outputConfig", "guardrailConfig", "requestMetadata",
    "serviceTier", "performanceConfig", "additionalModelRequestFields", "additionalModelResponseFieldPaths",
    "promptVariables", "input", "source", "max_tokens", "anthropic_version",
]  # fmt: skip
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["", "user", "x", "1", "DRAFT"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(NAMES),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)
MEMBERS = st.sampled_from(TOP)


@given(
    operation=st.sampled_from(operations.ASKING),
    key=st.sampled_from(["nano", "sonnet", "opus"]),
    body=st.dictionaries(MEMBERS, JSON, max_size=4),
    valid=st.booleans(),
)
def test_any_body_is_understood_or_refused(operation: str, key: str, body: dict[str, Any], valid: bool) -> None:
    """Without it some shape of a request would be answered with a crash instead of a 4xx."""
    fields = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}], **body} if valid else body
    assert status(lambda: operations.exchange(operation, catalog.model(key), fields, {}, 0)) < 500


@given(fields=st.dictionaries(MEMBERS | st.just("content"), JSON, max_size=4), name=st.sampled_from(["count-tokens", "apply"]))
def test_any_body_of_a_direct_operation_is_answered_or_refused(fields: dict[str, Any], name: str) -> None:
    """Without it CountTokens or ApplyGuardrail could crash on an odd body."""
    parts = ("model", NANO, name) if name == "count-tokens" else ("guardrail", "sandboxguardrail", "version", "1", name)
    assert status(lambda: operations.handle_direct(parts, fields)) < 500


def test_an_unknown_operation_is_named(call: Callable[..., Any]) -> None:
    """Without it a client of another operation would not learn what the sandbox has."""
    status, headers, answer = call("POST", "/guardrail/x/version/1/check", {}, {"Authorization": "Bearer x"})
    assert (status, headers["x-amzn-errortype"].split(":")[0]) == (404, "UnknownOperationException")
    assert "count-tokens" in answer["message"]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_failure_has_a_form_in_the_middle_of_a_stream(kind: Kind) -> None:
    """Without it a stream could end with an exception that no client knows."""
    name, message = errors.in_stream(Failure(kind, "gone"))
    modelled = shapes.operation("ConverseStream").get_event_stream_output().members
    assert name in modelled
    assert message == "gone"
