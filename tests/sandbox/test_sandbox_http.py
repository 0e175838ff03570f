"""The HTTP edges of the sandbox: what is refused before a model is asked."""

import socket
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from workshop_lib import catalog
from workshop_lib.sandbox.process import Address

NANO_PATH = f"/model/{catalog.model('nano').id}/converse"
KEY = {"Authorization": "Bearer any"}
Call = Callable[..., tuple[int, dict[str, str], Any]]


def test_malformed_json_is_a_serialization_error(call: Call) -> None:
    """Without it a broken body would be answered with a crash."""
    for body in (b"{", b"[1]", b'{"messages": ' + b"[" * 100_000, b"\xff\xfe", b'{"messages": NaN}', b'{"messages": 1e999}'):
        status, headers, answer = call("POST", NANO_PATH, body, KEY)
        assert (status, headers["x-amzn-errortype"].split(":")[0]) == (400, "SerializationException")
        assert answer["message"]
        assert call("POST", "/v1/chat/completions", body, KEY)[0] == 400


def test_bounds_that_no_number_reaches_are_no_bounds(call: Call) -> None:
    """Without it a schema could crash the server, or get an answer that is not JSON."""
    number = {"type": "integer", "minimum": -(10**400), "maximum": 10**400}
    schema = {"type": "object", "properties": {"confidence": number, "score": {"type": "number", "maximum": 1e308}}}
    tools = {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": schema}}}], "toolChoice": {"any": {}}}
    status, _, answer = call("POST", NANO_PATH, {"messages": [{"role": "user", "content": [{"text": "x"}]}], "toolConfig": tools}, KEY)
    assert status == 200
    assert answer["output"]


def test_deep_nesting_is_refused_and_leaves_the_server_serving(call: Call) -> None:
    """Without it a request could exhaust the interpreter's stack."""
    for depth in range(100, 1500, 50):
        schema = b'{"type":"object","x":' + b"[" * depth + b"]" * depth + b"}"
        tool = b'{"toolSpec":{"name":"t","inputSchema":{"json":' + schema + b"}}}"
        body = b'{"messages":[{"role":"user","content":[{"text":"x"}]}],"toolConfig":{"tools":[' + tool + b"]}}"
        assert call("POST", NANO_PATH, body, KEY)[0] in (200, 400)


def test_a_body_above_the_limit_is_refused(call: Call) -> None:
    """Without it one client could fill the memory."""
    status, headers, _ = call("POST", NANO_PATH, b"x" * (4 * 1024 * 1024 + 1), KEY)
    assert status == 413
    assert headers["x-amzn-errortype"].startswith("RequestEntityTooLarge")


def test_a_foreign_host_header_is_refused(call: Call) -> None:
    """Without it a web page could reach the sandbox by DNS rebinding."""
    for host in ("evil.example.com", "evil.example.com:80", "127.0.0.1.example.com", "10.0.0.1"):
        assert call("GET", "/health", headers={"Host": host})[0] == 403
    for host in ("localhost:1234", "127.0.0.1", "[::1]:99"):
        assert call("GET", "/health", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("POST", "/nothing"), ("POST", "/model/x/optimize"), ("GET", NANO_PATH), ("POST", "/model//converse")],
)
def test_an_unknown_route_is_a_404_in_json(call: Call, method: str, path: str) -> None:
    """Without it a mistyped path would look like a broken server."""
    status, _, answer = call(method, path, headers=KEY)
    assert status == 404
    assert "sandbox" in answer["message"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 403, "MissingAuthenticationTokenException"), ({"Authorization": "Basic eA=="}, 403, "IncompleteSignatureException")],
)
def test_anonymous_calls_get_the_error_that_aws_gives(call: Call, headers: dict[str, str], status: int, code: str) -> None:
    """Without it a client without credentials would work here and fail live."""
    got, answered, _ = call("POST", NANO_PATH, {"messages": []}, headers)
    assert (got, answered["x-amzn-errortype"].split(":")[0]) == (status, code)


def test_members_that_converse_does_not_know_are_refused(call: Call) -> None:
    """Without it a typo in a member's name would be ignored silently."""
    turn = {"role": "user", "content": [{"text": "x"}]}
    for body, word in [
        ({"messages": [turn], "maxTokens": 5}, "maxTokens"),
        ({"messages": [{**turn, "name": "me"}]}, "messages.0.name"),
        ({"messages": [turn], "inferenceConfig": {"max_tokens": 5}}, "inferenceConfig.max_tokens"),
        ({"messages": [turn], "inferenceConfig": {"maxTokens": True}}, "whole number"),
        ({"messages": [{"role": "robot", "content": []}]}, "enum"),
        ({"messages": [{"role": "user", "content": [{"text": "x", "image": {}}]}]}, "exactly one"),
        ({"messages": "hello"}, "a list"),
        ({"messages": [turn], "toolConfig": {}}, "toolConfig.tools"),
    ]:
        status, _, answer = call("POST", NANO_PATH, body, KEY)
        assert status == 400
        assert word in answer["message"]


def test_an_arn_is_understood_with_and_without_encoded_slash(call: Call) -> None:
    """Without it clients that encode the path differently from boto3 would get a 404."""
    body = {"messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}]}
    model = catalog.model("sonnet").id
    for arn in (
        f"arn:aws:bedrock:us-west-2:123456789012:inference-profile/{model}",
        f"arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Ainference-profile%2F{model}",
    ):
        assert call("POST", f"/model/{arn}/converse", body, KEY)[0] == 200


def test_it_listens_on_loopback_only(sandbox: Address) -> None:
    """Without it others on the network could use the sandbox."""
    listening = [at for at in psutil.Process(sandbox.pid).net_connections() if at.status == psutil.CONN_LISTEN]
    assert [(at.laddr.ip, at.laddr.port) for at in listening] == [("127.0.0.1", sandbox.port)]


def test_a_client_that_goes_away_leaves_the_server_serving(sandbox: Address, call: Call) -> None:
    """Without it half a request could take the server down."""
    for sent in (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", sandbox.port)) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
    assert call("GET", "/health")[2]["status"] == "ok"
