"""The HTTP edges of the sandbox: what is refused before a model is asked."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import psutil
import pytest

from workshop_lib import catalog
from workshop_lib.sandbox.answering import StandIns
from workshop_lib.sandbox.ask import Ask, Completion
from workshop_lib.sandbox.process import Address
from workshop_lib.sandbox.server import Sandbox, app

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


def test_a_client_that_closes_its_side_is_let_go_at_once(sandbox: Address, call: Call) -> None:
    """Without it a half-closed socket could be held open for ever; the HTTP server takes it for a client that left, answered or not."""
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}]}).encode()
    head = f"POST {NANO_PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as client:
        client.sendall(head.encode() + body)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 200")
    assert call("GET", "/health")[0] == 200


def test_http_2_without_tls_is_spoken_to_those_who_know(sandbox: Address) -> None:
    """Without it SDKs that speak HTTP/2 to Bedrock Runtime by default could not use the sandbox."""
    body = {"messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}]}
    with httpx.Client(http1=False, http2=True, base_url=sandbox.root, trust_env=False) as client:
        answer = client.post(NANO_PATH, json=body, headers=KEY)
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
        profile = catalog.model("sonnet").id
        assert client.post(f"/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Ainference-profile%2F{profile}/converse", json=body, headers=KEY).status_code == 200
        with client.stream("POST", f"{NANO_PATH}-stream", json=body, headers=KEY) as stream:
            assert b"messageStop" in stream.read()
        assert client.get("/health", headers={"Host": "evil.example.com"}).status_code == 403


def test_an_http_1_0_client_gets_an_answer(sandbox: Address) -> None:
    """Without it an old tool or a simple script would wait for ever."""
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as client:
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"200" in answer.split(b"\r\n")[0]
    assert b'"status":"ok"' in answer


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_fifty_megabytes_are_refused_and_not_kept(sandbox: Address, announced: bool) -> None:
    """Without it a body without a length could fill the memory."""
    parts = (b"x" * 1024 * 1024 for _ in range(50))
    headers = {**KEY, "Content-Length": str(50 * 1024 * 1024)} if announced else KEY
    before = psutil.Process(sandbox.pid).memory_info().rss
    answer = httpx.post(f"{sandbox.root}{NANO_PATH}", content=parts, headers=headers, timeout=60, trust_env=False)
    assert answer.status_code == 413
    assert psutil.Process(sandbox.pid).memory_info().rss - before < 40 * 1024 * 1024
    assert httpx.get(f"{sandbox.root}/health", timeout=60, trust_env=False).status_code == 200


def test_slow_and_idle_clients_hold_nobody_up(sandbox: Address, call: Call) -> None:
    """Without it one client that sends a byte now and then, or many that send none, would stop the others."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with ExitStack() as held:
        for _ in range(300):
            held.enter_context(socket.create_connection(("127.0.0.1", sandbox.port)))
        slow = held.enter_context(socket.create_connection(("127.0.0.1", sandbox.port), timeout=30))
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request[:-4]:
            slow.sendall(bytes([byte]))
        assert call("GET", "/health")[0] == 200  # while the other request is still on its way
        for byte in request[-4:]:
            slow.sendall(bytes([byte]))
        assert b" 200 " in slow.recv(65536)


def test_a_client_that_leaves_a_stream_stops_it(sandbox: Address, call: Call, scope: str) -> None:
    """Without it every closed browser tab would go on being answered, and paid for, to the end."""
    call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "kind": "stall_in_body", "stall_ms": 600_000})
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}], "requestMetadata": {"scope": scope}}).encode()
    head = f"POST {NANO_PATH}-stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as client:
        client.sendall(head.encode() + body)
        assert client.recv(10)
    deadline = time.monotonic() + 30
    while not (counted := call("GET", f"/sandbox/ledger?scope={scope}")[2]["total"])["attempts"]:
        assert time.monotonic() < deadline, "the stream was never ended"
    assert (counted["aborted"], counted["ok"]) == (1, 0)


@pytest.mark.parametrize("path", ["/sandbox/faults", "/sandbox/quotas", "/sandbox/ledger/reset", "/sandbox/lease"])
def test_pages_of_other_sites_give_no_orders(call: Call, path: str) -> None:
    """Without it any web page could end a lab's faults or forget its ledger, with a form that needs no permission."""
    for headers in ({"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert call("POST", path, {}, headers)[0] == 403
    for headers in ({"Origin": "http://localhost:3000"}, {"Sec-Fetch-Site": "same-origin"}):
        assert call("POST", f"{path}?scope=nobody" if path.endswith("reset") else path, {}, headers)[0] != 403


class Failing(StandIns):
    """Fails in a way that nobody has foreseen."""

    async def complete(self, ask: Ask) -> Completion:
        """Fail."""
        raise KeyError("surprise")


@pytest.mark.parametrize("path", [NANO_PATH, "/v1/chat/completions"])
def test_a_mistake_of_ours_has_the_protocols_own_shape_and_one_line_in_the_log(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a client would get a text that no SDK understands, and nobody would find out why."""
    sandbox = Sandbox()
    sandbox.answerer = Failing()
    messages = [{"role": "user", "content": [{"type": "text", "text": "x"}] if path.startswith("/v1") else [{"text": "x"}]}]
    body = {"messages": messages, **({"model": catalog.model("nim-8b").id} if path.startswith("/v1") else {})}

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app(sandbox)), base_url="http://localhost") as client:
            return await client.post(path, json=body, headers=KEY)

    answer = asyncio.run(ask())
    assert answer.status_code == 500
    if path == NANO_PATH:
        assert answer.headers["x-amzn-errortype"].startswith("InternalServerException")
        assert answer.json()["message"]
    else:
        assert answer.json()["error"]["type"] == "server_error"
    logged = capsys.readouterr().err
    assert logged.count("\n") == 1
    assert "KeyError" in logged
    assert "surprise" in logged
