"""InvokeModel in the forms of the models' own families, whole and as a stream."""

import json
from typing import Any

import pytest

from workshop_lib import catalog

NANO, SONNET, OPUS = (catalog.model(key).id for key in ("nano", "sonnet", "opus"))
TEXT = "<ticket>\nid: T-7\nsubject: charged twice\n\nYou billed my card twice for March. Please refund one payment.\n</ticket>"
PROPERTIES = {"category": {"type": "string", "enum": ["billing", "other"]}, "confidence": {"type": "number"}}


def claude(**more: Any) -> dict[str, Any]:
    """Return a messages body."""
    return {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 300, "messages": [{"role": "user", "content": TEXT}], **more}


def invoked(bedrock: Any, model: str, body: dict[str, Any]) -> Any:
    """Call InvokeModel and read the body."""
    return json.loads(bedrock.invoke_model(modelId=model, body=json.dumps(body))["body"].read())


def test_invoke_model_says_what_converse_says(bedrock: Any) -> None:
    """Without it code written for InvokeModel could not run against the sandbox."""
    tool = {"name": "note", "input_schema": {"type": "object", "properties": PROPERTIES}}
    choice = {"type": "tool", "name": "note"}
    body = claude(system="Sort it.", tools=[tool], tool_choice=choice)
    message = invoked(bedrock, SONNET, body)
    spec = {"toolSpec": {"name": "note", "inputSchema": {"json": tool["input_schema"]}}}
    same = bedrock.converse(
        modelId=SONNET,
        messages=[{"role": "user", "content": [{"text": TEXT}]}],
        system=[{"text": "Sort it."}],
        inferenceConfig={"maxTokens": 300},
        toolConfig={"tools": [spec], "toolChoice": {"tool": {"name": "note"}}},
    )
    assert message["content"][0]["input"] == same["output"]["message"]["content"][0]["toolUse"]["input"]
    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("tool_use", same["usage"]["outputTokens"])
    turns = [
        *body["messages"],
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": message["content"][0]["id"], "content": "done"}]},
    ]
    assert invoked(bedrock, SONNET, claude(messages=turns, tools=[tool]))["stop_reason"] == "end_turn"
    chat = invoked(bedrock, NANO, {"messages": [{"role": "user", "content": TEXT}]})
    assert chat["choices"][0]["message"]["content"]


@pytest.mark.parametrize("model", [SONNET, NANO])
def test_an_invoked_stream_says_what_the_whole_answer_says(bedrock: Any, model: str) -> None:
    """Without it streamed and whole answers of InvokeModel could differ."""
    body = claude() if model == SONNET else {"messages": [{"role": "user", "content": TEXT}]}
    whole = invoked(bedrock, model, body)
    stream = bedrock.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"]
    chunks = [json.loads(event["chunk"]["bytes"]) for event in stream]
    if model == SONNET:
        kinds = [chunk["type"] for chunk in chunks]
        assert [kinds[0], kinds[1], *kinds[-3:]] == [
            "message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop",
        ]  # fmt: skip
        text = "".join(chunk["delta"]["text"] for chunk in chunks if chunk["type"] == "content_block_delta")
        assert (text, chunks[-2]["usage"]) == (whole["content"][0]["text"], whole["usage"])
    else:
        text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
        assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] > 0


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (SONNET, {"messages": []}, "anthropic_version"),
        (SONNET, claude(top_k=5), "top_k"),
        (SONNET, claude(thinking={"type": "enabled"}), "thinking"),
        (SONNET, claude(messages=[{"role": "user", "content": [{"type": "image"}]}]), "image"),
        (SONNET, claude(tool_choice={"type": "any"}), "tool_choice"),
        (OPUS, claude(temperature=0.5), "deprecated"),
        (NANO, {"prompt": "x"}, "prompt"),
        (NANO, {"messages": [{"role": "user", "content": "x"}], "stream": True}, "stream"),
        (NANO, {"messages": [{"role": "user", "content": "x"}], "model": "other"}, "another model"),
    ],
)
def test_an_invoked_body_is_refused_by_the_name_of_what_is_wrong(bedrock: Any, model: str, body: dict[str, Any], words: str) -> None:
    """Without it a parameter of a model's own would be ignored silently."""
    with pytest.raises(bedrock.exceptions.ValidationException) as caught:
        invoked(bedrock, model, body)
    assert words in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    "header",
    [
        {"guardrailIdentifier": "sandboxguardrail", "guardrailVersion": "1"},
        {"trace": "ENABLED"},
        {"serviceTier": "flex"},
        {"performanceConfigLatency": "optimized"},
        {"requestMetadata": "[1]"},
    ],
)
def test_headers_that_the_sandbox_does_not_act_on_are_refused(bedrock: Any, header: dict[str, str]) -> None:
    """Without it a guardrail named in a header would be no guardrail."""
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.invoke_model(modelId=NANO, body=json.dumps({"messages": [{"role": "user", "content": "x"}]}), **header)


def test_an_answer_names_the_sequence_that_ended_it(bedrock: Any) -> None:
    """Without it a client with several stop sequences could not tell which of them ended the text."""
    body = claude(messages=[{"role": "user", "content": "What is 3 + 4?"}])
    whole = invoked(bedrock, SONNET, body)["content"][0]["text"]
    late, early = whole[4:7], whole[1:4]
    ended = invoked(bedrock, SONNET, {**body, "stop_sequences": ["never said", late, early]})
    assert (ended["stop_reason"], ended["stop_sequence"]) == ("stop_sequence", early)
    assert ended["content"][0]["text"] == whole[: whole.index(early)]
