"""The table of what Bedrock's operations support, held to botocore's model and to what the sandbox does."""

import json
from pathlib import Path
from typing import Any

import pytest

from workshop_lib import catalog
from workshop_lib.sandbox import shapes, wire
from workshop_lib.sandbox.bedrock import operations
from workshop_lib.sandbox.bedrock.support import TABLE, markdown

NANO, SONNET = catalog.model("nano").id, catalog.model("sonnet").id
GUARD = {"guardrailIdentifier": "sandboxguardrail", "guardrailVersion": "1"}
TOOLS = {"tools": [{"toolSpec": {"name": "note", "inputSchema": {"json": {"type": "object"}}}}]}
SCHEMA = json.dumps({"type": "object", "properties": {}, "additionalProperties": False})
USE = {"toolUse": {"toolUseId": "t", "name": "note", "input": {}}}
BYTES = {"source": {"bytes": "eA=="}}


def said(*blocks: Any) -> dict[str, Any]:
    """Return a request of one user message."""
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def result(**part: Any) -> dict[str, Any]:
    """Return a request in which a tool was called and gave a result."""
    answer = {"toolResult": {"toolUseId": "t", "content": [part]}}
    turns = [*said({"text": "x"})["messages"], {"role": "assistant", "content": [USE]}, {"role": "user", "content": [answer]}]
    return {"messages": turns, "toolConfig": TOOLS}


ASK = said({"text": "x"})
CHAT = {"messages": [{"role": "user", "content": "x"}]}
# By operation and member: a request that is taken, and one that is refused; None where there is none.
EXAMPLES: dict[tuple[str, str], tuple[dict[str, Any] | None, dict[str, Any] | None]] = {
    ("Converse", "messages"): (ASK, {"messages": [{"role": "system", "content": [{"text": "x"}]}]}),
    ("Converse", "system"): ({**ASK, "system": [{"text": "x"}, {"guardContent": {"text": {"text": "x"}}}]}, None),
    ("Converse", "inferenceConfig"): ({**ASK, "inferenceConfig": {"maxTokens": 5, "stopSequences": ["."], "temperature": 0.5, "topP": 0.5}}, None),
    ("Converse", "toolConfig"): ({**ASK, "toolConfig": TOOLS}, {**ASK, "toolConfig": {"tools": [{"systemTool": {"name": "x"}}]}}),
    ("Converse", "guardrailConfig"): ({**ASK, "guardrailConfig": {**GUARD, "trace": "enabled_full"}}, None),
    ("Converse", "additionalModelRequestFields"): (None, {**ASK, "additionalModelRequestFields": {"top_k": 5}}),
    ("Converse", "additionalModelResponseFieldPaths"): ({**ASK, "additionalModelResponseFieldPaths": ["/stop_sequence"]}, None),
    ("Converse", "promptVariables"): (None, {**ASK, "promptVariables": {"x": {"text": "y"}}}),
    ("Converse", "requestMetadata"): ({**ASK, "requestMetadata": {"team": "blue"}}, None),
    ("Converse", "performanceConfig"): ({**ASK, "performanceConfig": {"latency": "standard"}}, {**ASK, "performanceConfig": {"latency": "optimized"}}),
    ("Converse", "serviceTier"): ({**ASK, "serviceTier": {"type": "priority"}}, {**ASK, "serviceTier": {"type": "reserved"}}),
    ("Converse", "outputConfig.textFormat"): (
        {**ASK, "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": SCHEMA}}}}}, None,
    ),
    ("Converse", "outputConfig.effort"): (None, {**ASK, "outputConfig": {"effort": "low"}}),
    ("content block", "text"): (ASK, None),
    ("content block", "toolUse"): (result(text="x"), None),
    ("content block", "toolResult"): (result(json={}), result(image={"format": "png", **BYTES})),
    ("content block", "guardContent"): (
        said({"guardContent": {"text": {"text": "x"}}}), said({"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}}),
    ),
    ("content block", "cachePoint"): (said({"text": "x"}, {"cachePoint": {"type": "default"}}), None),
    ("content block", "image"): (None, said({"image": {"format": "png", **BYTES}})),
    ("content block", "document"): (None, said({"document": {"format": "txt", "name": "x", **BYTES}})),
    ("content block", "video"): (None, said({"video": {"format": "mp4", **BYTES}})),
    ("content block", "audio"): (None, said({"audio": {"format": "mp3", **BYTES}})),
    ("content block", "reasoningContent"): (None, said({"reasoningContent": {"reasoningText": {"text": "x"}}})),
    ("content block", "citationsContent"): (None, said({"citationsContent": {"content": [], "citations": []}})),
    ("content block", "searchResult"): (None, said({"searchResult": {"source": "x", "title": "x", "content": [{"text": "x"}]}})),
    ("content block", "toolAddition"): (None, said({"toolAddition": {"tool": {"name": "note"}}})),
    ("content block", "toolRemoval"): (None, said({"toolRemoval": {"tool": {"name": "note"}}})),
    ("ConverseStream", "events"): (ASK, None),
    ("ConverseStream", "guardrailConfig.streamProcessingMode"): ({**ASK, "guardrailConfig": {**GUARD, "streamProcessingMode": "async"}}, None),
    ("CountTokens", "input.converse"): ({"input": {"converse": ASK}}, None),
    ("CountTokens", "input.invokeModel"): ({"input": {"invokeModel": {"body": "eyJtZXNzYWdlcyI6W3sicm9sZSI6InVzZXIiLCJjb250ZW50IjoieCJ9XX0="}}}, None),
    ("ApplyGuardrail", "source"): ({"source": "INPUT", "content": [{"text": {"text": "x"}}]}, None),
    ("ApplyGuardrail", "content"): (
        {"source": "OUTPUT", "content": [{"text": {"text": "x"}}]}, {"source": "OUTPUT", "content": [{"image": {"format": "png", **BYTES}}]},
    ),
    ("ApplyGuardrail", "outputScope"): ({"source": "OUTPUT", "content": [{"text": {"text": "x"}}], "outputScope": "FULL"}, None),
    ("InvokeModel", "body"): (CHAT, {**CHAT, "top_k": 5}),
    ("InvokeModelWithResponseStream", "events"): (CHAT, None),
}  # fmt: skip
HEADERS = {
    "requestMetadata": ("request-metadata", '{"team": "blue"}', None),
    "guardrailIdentifier": ("guardrailidentifier", None, "sandboxguardrail"),
    "guardrailVersion": ("guardrailversion", None, "1"),
    "trace": ("trace", "DISABLED", "ENABLED"),
    "performanceConfigLatency": ("performanceconfig-latency", "standard", "optimized"),
    "serviceTier": ("service-tier", "default", "flex"),
}
# Shown by other tests: identifiers in test_address.py; headers that are not looked at; operations that have no route.
ELSEWHERE = {("Converse", "modelId"), ("InvokeModel", "contentType"), ("InvokeModel", "accept")}
PATHS = {
    "Converse": "converse", "content block": "converse", "ConverseStream": "converse-stream",
    "InvokeModel": "invoke", "InvokeModelWithResponseStream": "invoke-with-response-stream",
}  # fmt: skip


def taken(operation: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> bool:
    """Say whether a request is taken, and not refused with 400."""
    try:
        if operation == "CountTokens":
            operations.handle_direct(("model", NANO, "count-tokens"), body)
        elif operation == "ApplyGuardrail":
            operations.handle_direct(("guardrail", "sandboxguardrail", "version", "1", "apply"), body)
        else:
            key = "sonnet" if "cachePoint" in json.dumps(body) else "nano"
            operations.exchange(PATHS[operation], catalog.model(key), body, headers or {}, 0)
    except wire.Refusal as refusal:
        status, _, answer = refusal.reply()
        assert status == 400
        assert "sandbox" in answer["message"] or "not supported" in answer["message"]
        return False
    return True


@pytest.mark.parametrize("row", [row for row in TABLE if (row.operation, row.member) in EXAMPLES], ids=lambda row: f"{row.operation} {row.member}")
def test_what_the_table_says_is_what_happens(row: Any) -> None:
    """Without it the documentation could promise a member that is refused, or the other way round."""
    honoured, refused = EXAMPLES[row.operation, row.member]
    assert (honoured is not None, refused is not None) == {"honoured": (True, False), "in part": (True, True), "refused": (False, True)}[row.verdict]
    assert honoured is None or taken(row.operation, honoured)
    assert refused is None or not taken(row.operation, refused)


@pytest.mark.parametrize("member", HEADERS)
def test_what_the_table_says_of_headers_is_what_happens(member: str) -> None:
    """Without it a header of InvokeModel could be ignored silently."""
    name, good, bad = HEADERS[member]
    assert good is None or taken("InvokeModel", CHAT, {f"x-amzn-bedrock-{name}": good})
    assert bad is None or not taken("InvokeModel", CHAT, {f"x-amzn-bedrock-{name}": bad})


def test_every_row_is_shown_by_an_example() -> None:
    """Without it a row could say anything."""
    rows = {(row.operation, row.member) for row in TABLE if row.member != "operation"}
    assert rows == EXAMPLES.keys() | ELSEWHERE | {("InvokeModel", member) for member in HEADERS}
    assert len(rows) + 2 == len(TABLE)


def test_every_operation_member_and_block_of_the_service_is_in_the_table() -> None:
    """Without it what a new version of the service adds would be neither honoured nor refused knowingly."""
    model = shapes.operation("Converse").service_model
    assert {row.operation for row in TABLE} - {"content block"} == set(model.operation_names) - ASYNC
    for operation in ("Converse", "ApplyGuardrail", "InvokeModel"):
        members = set(model.operation_model(operation).input_shape.members) - {"guardrailIdentifier", "guardrailVersion"} - {"modelId"}
        assert members <= {row.member.split(".")[0] for row in TABLE if row.operation == operation}
    assert set(model.shape_for("ContentBlock").members) == {row.member for row in TABLE if row.operation == "content block"}
    assert set(model.shape_for("CountTokensInput").members) == {row.member.split(".")[1] for row in TABLE if row.operation == "CountTokens"}


ASYNC = {"GetAsyncInvoke", "ListAsyncInvokes", "StartAsyncInvoke"}


def test_the_documentation_has_the_table() -> None:
    """Without it the page and the data could differ."""
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert "\n".join(markdown()) in page
