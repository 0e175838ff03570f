"""Structured output, tiers, pointers, metadata and blocks of Converse; CountTokens."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from workshop_lib import catalog
from workshop_lib.sandbox.ask import Completion, Piece
from workshop_lib.sandbox.bedrock import converse, operations
from workshop_lib.sandbox.bedrock.structured import enforceable

NANO, SONNET, OPUS = (catalog.model(key).id for key in ("nano", "sonnet", "opus"))
TEXT = "<ticket>\nid: T-7\nsubject: charged twice\n\nYou billed my card twice for March. Please refund one payment.\n</ticket>"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"category": {"type": "string", "enum": ["billing", "other"]}, "confidence": {"type": "number"}},
    "required": ["category", "confidence"],
    "additionalProperties": False,
}


def user(text: str) -> list[dict[str, Any]]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": [{"text": text}]}]


def output(schema: Any, **more: Any) -> dict[str, Any]:
    """Return an outputConfig that asks for a schema."""
    written = schema if isinstance(schema, str) else json.dumps(schema)
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": written, **more}}}}


def test_a_json_schema_is_always_followed(bedrock: Any) -> None:
    """Without it structured output would now and then lack a field, as the small model's free text does."""
    for number in range(60):
        text = TEXT.replace("T-7", f"T-{number}")
        reply = bedrock.converse(modelId=NANO, messages=user(text), outputConfig=output(SCHEMA, name="route"))
        found = json.loads(reply["output"]["message"]["content"][0]["text"])
        assert set(found) == {"category", "confidence"}
        assert found["category"] in ("billing", "other")
        assert reply["stopReason"] == "end_turn"


def nested(part: dict[str, Any]) -> dict[str, Any]:
    """Return an object schema with one property."""
    return {"type": "object", "properties": {"a": part}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "JSON string"),
        ("[1]", "JSON string of an object"),
        ({"type": "object", "properties": {}}, "'additionalProperties' must be explicitly set to false"),
        ({"type": "string"}, "must be 'object'"),
        (nested({"type": "number", "minimum": 0}), "property 'minimum' is not supported"),
        (nested({"type": "string", "maxLength": 5}), "property 'maxLength' is not supported"),
        (nested({"type": "array", "items": {"type": "string"}, "minItems": 2}), "'minItems' values other than 0 or 1"),
        (nested({"type": "array", "items": {"type": "object", "properties": {}}}), "properties.a.items"),
        (nested({"oneOf": []}), "property 'oneOf'"),
        (nested({"colour": "red"}), "property 'colour'"),
        (nested({"type": "colour"}), "is not known"),
        (nested({"$ref": "https://example.com/x"}), "external $ref"),
        (nested({"$ref": "#/$defs/x"}), "points to nothing"),
        (nested({"$ref": "#"}), "external $ref"),
        ({**nested({"$ref": "#/$defs/x"}), "$defs": {"x": nested({"$ref": "#/$defs/x"})}}, "recursive"),
        ({**SCHEMA, "required": ["nothere"]}, "'required' must name"),
        (nested({"enum": [{}]}), "plain values"),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused_by_name(bedrock: Any, schema: Any, words: str) -> None:
    """Without it a schema that fails live would be half followed here."""
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        bedrock.converse(modelId=NANO, messages=user(TEXT), outputConfig=output(schema))
    assert words in caught.value.response["Error"]["Message"]


def test_references_may_be_shared_without_being_walked_again_and_again() -> None:
    """Without it a small schema of nested references could keep the sandbox busy for ever."""
    definitions = {f"d{number}": nested({"anyOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 9}) for number in range(60)}
    enforceable({**nested({"$ref": "#/$defs/d0"}), "$defs": {**definitions, "d60": {"type": "null"}}}, "schema")


def test_a_strict_tool_needs_an_enforceable_schema(bedrock: Any) -> None:
    """Without it strict would be accepted for schemas that the service refuses."""
    spec = {"name": "note", "strict": True, "inputSchema": {"json": {"type": "object", "properties": {}}}}
    with pytest.raises(ClientError, match=r"toolConfig\.tools\.0.*additionalProperties"):
        bedrock.converse(modelId=NANO, messages=user("x"), toolConfig={"tools": [{"toolSpec": spec}]})


def test_tier_and_latency_are_echoed_and_change_no_answer(bedrock: Any) -> None:
    """Without it a client could not see which tier served it, or a tier would change what is answered."""
    plain = bedrock.converse(modelId=NANO, messages=user(TEXT))
    asked = {"serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "standard"}}
    reply = bedrock.converse(modelId=NANO, messages=user(TEXT), **asked)
    assert {name: reply[name] for name in asked} == asked
    assert [reply[name] for name in ("output", "usage", "metrics")] == [plain[name] for name in ("output", "usage", "metrics")]
    assert not asked.keys() & plain.keys()
    metadata = list(bedrock.converse_stream(modelId=NANO, messages=user(TEXT), **asked)["stream"])[-1]["metadata"]
    assert {name: metadata[name] for name in asked} == asked


@pytest.mark.parametrize(
    ("model", "path", "expected"),
    [
        (SONNET, "/stop_sequence", {"stop_sequence": "."}),
        (SONNET, "/usage/output_tokens", {"usage": {"output_tokens": ...}}),
        (SONNET, "/nothing", None),
        (NANO, "/choices/0/finish_reason", {"choices": {"0": {"finish_reason": "stop"}}}),
    ],
)
def test_fields_of_the_models_own_answer_are_added(bedrock: Any, model: str, path: str, expected: Any) -> None:
    """Without it the stop sequence that ended an answer could not be asked for."""
    request = {
        "modelId": model,
        "messages": user(TEXT),
        "inferenceConfig": {"stopSequences": ["."]},
        "additionalModelResponseFieldPaths": [path],
    }
    reply = bedrock.converse(**request)
    found = reply.get("additionalModelResponseFields")
    if path == "/usage/output_tokens":
        expected = {"usage": {"output_tokens": reply["usage"]["outputTokens"]}}
    assert found == expected
    stop = list(bedrock.converse_stream(**request)["stream"])[-2]["messageStop"]
    assert stop.get("additionalModelResponseFields") == expected


def test_a_broken_pointer_is_refused(bedrock: Any) -> None:
    """Without it a mistyped pointer would be a field that the model does not have."""
    with pytest.raises(bedrock.exceptions.ValidationException, match="JSON pointer"):
        bedrock.converse(modelId=NANO, messages=user("x"), additionalModelResponseFieldPaths=["stop"])


def test_metadata_becomes_tags_of_the_exchange() -> None:
    """Without it the ledger could not count by the request's own labels."""
    body = {"messages": user("x"), "requestMetadata": {"team": "blue"}}
    for operation in ("converse", "converse-stream"):
        assert operations.exchange(operation, catalog.model("nano"), body, {}, 0).tags == {"team": "blue"}
    invoked = {"messages": [{"role": "user", "content": "x"}]}
    headers = {"x-amzn-bedrock-request-metadata": '{"team": "blue"}'}
    assert operations.exchange("invoke", catalog.model("nano"), invoked, headers, 0).tags == {"team": "blue"}


def test_text_before_a_tool_call_is_a_block_of_its_own() -> None:
    """Without it a model that explains itself before it calls a tool would lose its words."""
    exchange = converse.exchange(catalog.model("nano"), {"messages": user("x")}, 0, streaming=True)
    done = Completion("tool_use", 1, 1, 1, text="Well.", tool_name="note", tool_arguments="{}", tool_input={})
    assert [next(iter(block)) for block in exchange.body([done])["output"]["message"]["content"]] == ["text", "toolUse"]
    writer = exchange.writer()
    written = writer.piece(Piece("Well.")) + writer.piece(Piece("{}", "note")) + writer.end([done])
    assert [written.count(name) for name in (b"contentBlockStart", b"contentBlockStop", b'"contentBlockIndex":1')] == [1, 2, 3]


def test_counted_tokens_are_those_that_converse_reports(bedrock: Any) -> None:
    """Without it a prompt could be counted one way and charged another."""
    tools = {"tools": [{"toolSpec": {"name": "note", "inputSchema": {"json": {"type": "object"}}}}]}
    for request in ({"messages": user(TEXT)}, {"messages": user(TEXT), "system": [{"text": "Be brief."}], "toolConfig": tools}):
        counted = bedrock.count_tokens(modelId=NANO, input={"converse": request})
        assert counted["inputTokens"] == bedrock.converse(modelId=NANO, **request)["usage"]["inputTokens"]
    body = json.dumps({"messages": [{"role": "user", "content": TEXT}]})
    counted = bedrock.count_tokens(modelId=NANO, input={"invokeModel": {"body": body}})
    assert counted["inputTokens"] == json.loads(bedrock.invoke_model(modelId=NANO, body=body)["body"].read())["usage"]["prompt_tokens"]


@pytest.mark.parametrize("model", [SONNET, SONNET.removeprefix("us."), OPUS])
def test_models_behind_profiles_are_not_counted(bedrock: Any, model: str) -> None:
    """Without it code that counts Claude's tokens would work here and fail live."""
    with pytest.raises(bedrock.exceptions.ValidationException, match="doesn't support counting tokens"):
        bedrock.count_tokens(modelId=model, input={"converse": {"messages": user("x")}})
