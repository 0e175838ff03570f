"""A real open-weight model through boto3 and openai: forms, usage and recordings. Never how right it is: 135M parameters guess."""

import json
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest

from workshop_lib import catalog
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.llm.bedrock import converse_arguments
from workshop_lib.tasks import TRIAGE

NANO, NIM = catalog.model("nano"), catalog.model("nim-8b")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "category": {"type": "string", "enum": ["billing", "auth", "other"]},
        "confidence": {"type": "integer", "minimum": 1, "maximum": 5},
        "needs_human": {"type": "boolean"},
    },
    "required": ["category", "confidence", "needs_human"],
    "additionalProperties": False,
}
TOOL = {"toolSpec": {"name": "route_ticket", "description": "Route a ticket.", "inputSchema": {"json": SCHEMA}}}
SHORT: dict[str, Any] = {"modelId": NANO.id, "inferenceConfig": {"maxTokens": 60, "temperature": 0}}
TEXTS = ("I was charged twice.", "I cannot log in.", "What is your office dog called?")


def said(text: str) -> list[dict[str, Any]]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": [{"text": text}]}]


def forced(text: str) -> dict[str, Any]:
    """Return a request that forces the tool."""
    return {**SHORT, "messages": said(text), "toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "route_ticket"}}}}


def test_converse_is_answered_with_usage_and_a_measured_latency(live: str, connect: Callable[[str], Any]) -> None:
    """Without it the wire could work with a scripted server only."""
    answer = connect(live).converse(**SHORT, messages=said("What is 3 + 4? Answer briefly."))
    assert answer["output"]["message"]["content"][0]["text"].strip()
    assert answer["stopReason"] in ("end_turn", "max_tokens")
    assert answer["usage"]["inputTokens"] > 10
    assert 0 < answer["usage"]["outputTokens"] <= 60
    assert answer["metrics"]["latencyMs"] > 0
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-workshop-source"] == "local"


def test_a_limit_cuts_the_answer(live: str, connect: Callable[[str], Any]) -> None:
    """Without it maxTokens could be lost on the way."""
    answer = connect(live).converse(**{**SHORT, "inferenceConfig": {"maxTokens": 4}}, messages=said("Tell a long story."))
    assert (answer["stopReason"], answer["usage"]["outputTokens"]) == ("max_tokens", 4)


@pytest.mark.parametrize("text", TEXTS)
def test_a_forced_tool_is_called_with_arguments_that_follow_its_schema(live: str, connect: Callable[[str], Any], text: str) -> None:
    """Without it the schema could be sent in a form that the server ignores."""
    answer = connect(live).converse(**forced(text))
    assert answer["stopReason"] == "tool_use"
    jsonschema.validate(answer["output"]["message"]["content"][0]["toolUse"]["input"], SCHEMA)


def test_a_stream_says_what_the_whole_answer_says(live: str, connect: Callable[[str], Any]) -> None:
    """Without it streams of a real server could be cut differently from those of a script, or lose their usage."""
    client = connect(live)
    whole = client.converse(**SHORT, messages=said("Name three colours."))
    events = list(client.converse_stream(**SHORT, messages=said("Name three colours."))["stream"])
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert len(deltas) > 1
    assert "".join(deltas) == whole["output"]["message"]["content"][0]["text"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    arguments = "".join(
        event["contentBlockDelta"]["delta"]["toolUse"]["input"] for event in client.converse_stream(**forced(TEXTS[0]))["stream"] if "contentBlockDelta" in event
    )
    jsonschema.validate(json.loads(arguments), SCHEMA)


def test_openai_gets_the_same_model(live: str) -> None:
    """Without it the NIM side of the sandbox could miss the local model; structured output and streaming included."""
    with openai.OpenAI(base_url=f"{live}/v1", api_key="any", max_retries=0, timeout=300) as client:
        messages: Any = [{"role": "user", "content": TEXTS[0]}]
        format_: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
        answer = client.chat.completions.create(model=NIM.id, messages=messages, response_format=format_, max_tokens=60, temperature=0)
        jsonschema.validate(json.loads(answer.choices[0].message.content or ""), SCHEMA)
        chunks = list(
            client.chat.completions.create(
                model=NIM.id, messages=messages, max_tokens=20, temperature=0, stream=True, stream_options={"include_usage": True}
            )
        )
    assert [chunk.usage.completion_tokens > 0 for chunk in chunks if chunk.usage] == [True]


def test_too_long_a_prompt_is_the_services_validation_error(live: str, connect: Callable[[str], Any]) -> None:
    """Without it a prompt beyond the model's window would look like a broken server, and be retried."""
    client = connect(live)
    with pytest.raises(client.exceptions.ValidationException, match=r"refused the request \(400\)"):
        client.converse(**SHORT, messages=said("word " * 6000))


def test_a_replay_is_byte_for_byte_what_was_recorded(
    live: str, connect: Callable[[str], Any], recording: Path, open_sandbox: Callable[..., AbstractContextManager[str]]
) -> None:
    """Without it a recording of a real model could differ from what the model said."""
    requests = [*map(forced, TEXTS), {**SHORT, "messages": said("What is 3 + 4? Answer briefly.")}]

    def bodies(root: str) -> list[Any]:
        client, found = connect(root), []
        client.meta.events.register("after-call.bedrock-runtime.Converse", lambda http_response, **_: found.append(http_response.content))
        for request in requests:
            client.converse(**request)
        return found

    recorded = bodies(live)
    with open_sandbox(replay=recording) as root:
        assert bodies(root) == recorded == bodies(root)
    lines = [json.loads(line) for line in recording.read_text().splitlines()]
    assert all(line["upstream_hash"].startswith("described:") for line in lines)


def test_triage_on_a_real_model_is_measured(live: str, connect: Callable[[str], Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Without it nobody would know how long a ticket takes on this machine, and how often the small model's decision is whole."""
    client = connect(live)
    times, whole = [], 0
    tickets = load_tickets("test")[:6]
    for labelled in tickets:
        request = TRIAGE.request(labelled.ticket)
        answer = client.converse(**converse_arguments(NANO, request))
        times.append(answer["metrics"]["latencyMs"] / 1000)
        block = answer["output"]["message"]["content"][0]
        assert request.tool is not None
        whole += answer["stopReason"] == "tool_use" and jsonschema.Draft202012Validator(request.tool.schema).is_valid(block["toolUse"]["input"])
        assert answer["stopReason"] in ("tool_use", "max_tokens")
    with capsys.disabled():
        print(f"\n{len(tickets)} tickets: {statistics.median(times):.1f} s a call (median), {max(times):.1f} s at most; {whole} decisions valid against the schema")
