"""Faults that break connections, streams and answers, as the real clients meet them."""

import json
from collections.abc import Callable
from http.client import HTTPConnection, IncompleteRead
from typing import Any

import openai
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, ConnectionClosedError, EventStreamError
from urllib3.exceptions import ProtocolError

from workshop_lib import catalog
from workshop_lib.sandbox.process import Address

NANO = catalog.model("nano")
Call = Callable[..., tuple[int, dict[str, str], Any]]
TOOL = {
    "tools": [
        {
            "toolSpec": {
                "name": "route_ticket",
                "strict": True,
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"category": {"type": "string", "enum": ["billing", "auth"]}, "confidence": {"type": "number"}},
                        "required": ["category", "confidence"],
                        "additionalProperties": False,
                    }
                },
            }
        }
    ],
    "toolChoice": {"tool": {"name": "route_ticket"}},
}


def request(scope: str, text: str = "What is 3 + 4?", **more: Any) -> dict[str, Any]:
    """Return a Converse request in a scope."""
    return {"modelId": NANO.id, "messages": [{"role": "user", "content": [{"text": text}]}], "requestMetadata": {"scope": scope}, **more}


def raw(sandbox: Address, scope: str) -> HTTPConnection:
    """Return a connection on which a Converse request in a scope has been sent."""
    connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
    body = {"messages": [{"role": "user", "content": [{"text": "What is 3 + 4?"}]}], "requestMetadata": {"scope": scope}}
    connection.request("POST", f"/model/{NANO.id}/converse", json.dumps(body), {"Authorization": "Bearer x"})
    return connection


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttled", 429, "ThrottlingException"),
        ("server", 500, "InternalServerException"),
        ("unavailable", 503, "ServiceUnavailableException"),
        ("validation", 400, "ValidationException"),
        ("model_timeout", 408, "ModelTimeoutException"),
        ("model_error", 424, "ModelErrorException"),
        ("not_ready", 429, "ModelNotReadyException"),
        ("access_denied", 403, "AccessDeniedException"),
    ],
)
def test_every_kind_of_failure_is_the_services_own(bedrock: Any, chat: openai.OpenAI, call: Call, scope: str, kind: str, status: int, code: str) -> None:
    """Without it a client's handling of an error could be tested against something else."""
    call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "kind": kind})
    with pytest.raises(ClientError) as caught:
        bedrock.converse(**request(scope))
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    with pytest.raises(openai.APIStatusError) as refused:
        chat.chat.completions.create(model=catalog.model("nim-8b").id, messages=[{"role": "user", "content": "x"}], extra_headers={"x-workshop-scope": scope})
    assert refused.value.status_code == status


@pytest.mark.parametrize("status", [429, 503])
def test_a_status_without_a_body(sandbox: Address, call: Call, scope: str, status: int) -> None:
    """Without it nobody would see what a client makes of an answer that a proxy gave."""
    call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "kind": f"no_body_{status}"})
    answer = raw(sandbox, scope).getresponse()
    assert (answer.status, answer.read()) == (status, b"")


def test_a_connection_cut_before_the_headers(bedrock: Any, call: Call, scope: str) -> None:
    """Without it the commonest failure of a network could not be practised."""
    call("POST", "/sandbox/faults", {"scope": scope, "script": ["cut_before_headers"]})
    with pytest.raises(ConnectionClosedError):
        bedrock.converse(**request(scope))
    assert bedrock.converse(**request(scope))["stopReason"] == "end_turn"
    counted = call("GET", f"/sandbox/ledger?scope={scope}")[2]["total"]
    assert (counted["attempts"], counted["errors"], counted["ok"]) == (2, 1, 1)


def test_a_connection_cut_in_the_body_was_still_paid_for(sandbox: Address, call: Call, scope: str) -> None:
    """Without it the lesson that a lost answer is billed would not be true here."""
    call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "kind": "cut_in_body"})
    answer = raw(sandbox, scope).getresponse()
    with pytest.raises(IncompleteRead):
        answer.read()
    assert call("GET", f"/sandbox/ledger?scope={scope}")[2]["total"]["ok"] == 1


def test_streams_break_as_streams_of_the_service_do(bedrock: Any, call: Call, scope: str) -> None:
    """Without it a reader of streams would be tested on streams that never fail."""

    def events(kind: str) -> list[str]:
        call("DELETE", f"/sandbox/faults?scope={scope}")
        call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "kind": kind})
        return [next(iter(event)) for event in bedrock.converse_stream(**request(scope))["stream"]]

    assert "messageStop" not in events("truncated_stream")
    with pytest.raises(ChecksumMismatch):
        events("corrupted_stream")
    for kind, code in (("throttled", "throttlingException"), ("server", "internalServerException"), ("unavailable", "serviceUnavailableException")):
        with pytest.raises(EventStreamError) as caught:
            events(f"stream_{kind}")
        assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(ProtocolError):  # of urllib3: botocore passes it on
        events("cut_in_body")
    assert events("stall_in_body")[-1] == "metadata"


def test_a_broken_chat_stream_is_an_error_at_the_client(chat: openai.OpenAI, call: Call, scope: str) -> None:
    """Without it a corrupted event would pass as a shorter answer."""
    for kind, error in (("stream_server", openai.APIError), ("corrupted_stream", ValueError)):
        call("DELETE", f"/sandbox/faults?scope={scope}")
        call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "kind": kind})
        with pytest.raises(error):
            list(
                chat.chat.completions.create(
                    model=catalog.model("nim-8b").id,
                    messages=[{"role": "user", "content": "What is 3 + 4?"}],
                    stream=True,
                    extra_headers={"x-workshop-scope": scope},
                )
            )


def test_answers_go_wrong_as_small_models_get_them_wrong(bedrock: Any, call: Call, scope: str) -> None:
    """Without it a fallback for text in place of a tool, or for a label nobody knows, could not be tested at will."""

    def content(kind: str) -> dict[str, Any]:
        call("DELETE", f"/sandbox/faults?scope={scope}")
        call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "kind": kind})
        answer: dict[str, Any] = bedrock.converse(**request(scope, "<ticket>Refund the invoice</ticket>", toolConfig=TOOL))
        events = bedrock.converse_stream(**request(scope, "<ticket>Refund the invoice</ticket>", toolConfig=TOOL))["stream"]
        reasons = [event["messageStop"]["stopReason"] for event in events if "messageStop" in event]
        assert reasons == [answer["stopReason"]]
        block: dict[str, Any] = answer["output"]["message"]["content"][0]
        return block

    assert "text" in content("text_instead_of_tool")
    assert content("wrong_enum")["toolUse"]["input"]["category"] not in ("billing", "auth")
    assert content("malformed_tool")["toolUse"]["input"] == {}


def test_a_script_throttles_twice_and_then_lets_through(bedrock: Any, call: Call, scope: str) -> None:
    """Without it a retry loop could only be tested against chance."""
    call("POST", "/sandbox/faults", {"scope": scope, "script": ["throttled", "throttled", "ok"]})
    for _ in range(2):
        with pytest.raises(bedrock.exceptions.ThrottlingException):
            bedrock.converse(**request(scope))
    for _ in range(2):
        assert bedrock.converse(**request(scope))["stopReason"] == "end_turn"
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        bedrock.converse(**request(scope, "another text"))


def test_a_script_per_invocation_begins_anew_with_each_call(call: Call, scope: str) -> None:
    """Without it two calls with the same content would share one script, and which is which would be chance."""
    call("POST", "/sandbox/faults", {"scope": scope, "script": ["throttled", "unavailable"], "per": "invocation"})
    body = {key: value for key, value in request(scope).items() if key != "modelId"}

    def attempt(invocation: str, number: int) -> int:
        sdk = {"amz-sdk-invocation-id": invocation, "amz-sdk-request": f"attempt={number}; max=3", "Authorization": "Bearer x"}
        return call("POST", f"/model/{NANO.id}/converse", body, sdk)[0]

    assert [attempt(name, number) for number in (1, 2, 3) for name in ("a", "b")] == [429, 429, 503, 503, 200, 200]
    counted = call("GET", f"/sandbox/ledger?scope={scope}")[2]["total"]
    assert (counted["calls"], counted["attempts"]) == (2, 6)
