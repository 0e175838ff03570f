"""Both leaner ways to Converse make the requests of boto3's client, read its replies and raise its errors."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.credentials import RefreshableCredentials
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.llm import CallError, Gateway, Guardrail, Request, Tool, bedrock, bedrock_fast, lean_http, lean_signing
from workshop_lib.llm.bedrock_fast import FastBedrock
from workshop_lib.llm.bedrock_light import LightBedrock
from workshop_lib.llm.lean_http import LeanSession, answered
from workshop_lib.settings import Settings, load
from workshop_lib.tasks import QUESTIONS, TRIAGE, Question, Ticket

NANO = catalog.model("nano")
TICKET = Ticket(id="T-1", subject="Two invoices", body="We were charged twice, für März 🙃.", customer_tier="pro")
REQUESTS = [TRIAGE.request(TICKET), QUESTIONS.request(Question(id="Q-1", question="2+2?")), Request("hi", guardrail=Guardrail("gr-1", "7"))]
Make = Callable[..., Settings]

_OF_ONE_CALL = re.compile(rb"(?im)^(authorization: .*signature=|x-amz-date: |amz-sdk-invocation-id: )[^\r]*")


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that keeps the bytes of every request and answers each the same."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    answer = b'{"stopReason":"end_turn"}'

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while head := b"".join(iter(reader.readline, b"\r\n")):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                assert length is not None
                seen.append(head + b"\r\n" + reader.read(int(length.group(1))))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    listener.close()


@pytest.fixture(scope="module", params=[LightBedrock, FastBedrock])
def ours(request: pytest.FixtureRequest) -> type[bedrock.Bedrock]:
    """Return each provider that is compared with the one by boto3's plain client."""
    kind: type[bedrock.Bedrock] = request.param
    return kind


@pytest.fixture(scope="module")
def both(wire: tuple[str, list[bytes]], ours: type[bedrock.Bedrock]) -> tuple[bedrock.Bedrock, bedrock.Bedrock]:
    """Return boto3's client and ours for the same server."""
    settings = load(backend="sandbox", region="us-west-2", bedrock_endpoint=wire[0])
    return bedrock.Bedrock(settings), ours(settings)


def on_the_wire(provider: bedrock.Bedrock, seen: list[bytes], model: catalog.Model, request: Request) -> bytes:
    """Send once and return the bytes, with what differs from call to call taken out."""
    seen.clear()
    provider.send(model, request)
    (sent,) = seen
    masked, changed = _OF_ONE_CALL.subn(rb"\1*", sent)
    assert changed == 3
    return masked


@pytest.mark.parametrize("request_", REQUESTS, ids=["triage", "question", "guardrail"])
@pytest.mark.parametrize("key", [key for key, model in catalog.models().items() if model.provider == "bedrock"])
def test_the_bytes_are_the_clients(wire: Any, both: Any, key: str, request_: Request) -> None:
    """Without it the lean path could send a request that the service reads differently, or an own user agent."""
    client, lean = both
    model = catalog.model(key)
    assert on_the_wire(lean, wire[1], model, request_) == on_the_wire(client, wire[1], model, request_)


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
requests = st.builds(
    Request,
    prompt=text,
    system=st.none() | text,
    tool=st.none() | st.builds(Tool, st.just("route"), text, st.fixed_dictionaries({"type": st.just("object"), "x": st.integers() | st.none() | text})),
    max_tokens=st.integers(1, 5000),
    temperature=st.floats(0, 1),
    tags=st.dictionaries(text, text, max_size=3),
    sample=st.integers(0, 3),
)


@property_settings(deadline=None, max_examples=50)
@given(request=requests)
def test_any_requests_bytes_are_the_clients(wire: Any, both: Any, request: Request) -> None:
    """Without it odd text, floats or nesting could be written differently than botocore writes them."""
    client, lean = both
    assert on_the_wire(lean, wire[1], NANO, request) == on_the_wire(client, wire[1], NANO, request)


def leaving(monkeypatch: pytest.MonkeyPatch, settings: Settings, ours: type[bedrock.Bedrock]) -> tuple[AWSPreparedRequest, AWSPreparedRequest]:
    """Return a live request of boto3's client and of ours at the point where they would leave."""
    caught: list[AWSPreparedRequest] = []

    def catch(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        caught.append(request)
        return answered(request.url, 200, {}, b"{}")

    monkeypatch.setattr(LeanSession, "send", lambda session, request: catch(request))
    plain, lean = bedrock.Bedrock(settings), ours(settings)
    plain._client.meta.events.register("before-send.bedrock-runtime.Converse", catch)
    plain.send(NANO, REQUESTS[0])
    lean.send(NANO, REQUESTS[0])
    assert len(caught) == 2
    return caught[0], caught[1]


def headers(request: AWSPreparedRequest) -> dict[str, str]:
    """Return a request's headers, with what differs from call to call taken out."""
    named = {name.lower(): value if isinstance(value, str) else value.decode() for name, value in request.headers.items()}
    named["authorization"] = re.sub("Signature=.*", "", named["authorization"])
    for name in ("x-amz-date", "amz-sdk-invocation-id"):
        named[name] = "*" if name in named else "missing"
    return named


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ACCESS_KEY_ID": "AKIADUMMY", "AWS_SECRET_ACCESS_KEY": "dummy"},
        {"AWS_ACCESS_KEY_ID": "AKIADUMMY", "AWS_SECRET_ACCESS_KEY": "dummy", "AWS_SESSION_TOKEN": "token"},
        {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-abc"},
        {"AWS_ACCESS_KEY_ID": "AKIADUMMY", "AWS_SECRET_ACCESS_KEY": "dummy", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_SDK_UA_APP_ID": "inbox"},
    ],
    ids=["keys", "session token", "bearer token", "fips"],
)
def test_live_requests_are_the_clients(monkeypatch: pytest.MonkeyPatch, ours: type[bedrock.Bedrock], variables: dict[str, str]) -> None:
    """Without it the lean path live would first be tried by somebody with an account: other endpoint, credentials or signer."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client, lean = leaving(monkeypatch, load(backend="live"), ours)
    assert (lean.method, lean.url, lean.body) == (client.method, client.url, client.body)
    assert headers(lean) == headers(client)


@pytest.mark.parametrize("token", [None, "a/session+token=="])
def test_signatures_are_botocores(monkeypatch: pytest.MonkeyPatch, ours: type[bedrock.Bedrock], token: str | None) -> None:
    """Without it every live call could be refused, or the lean path sign less than botocore does."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIADUMMY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    if token is not None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    for module in (botocore.auth, lean_signing):
        monkeypatch.setattr(module, "get_current_datetime", lambda: datetime(2026, 11, 22, 10, 0, 1))
    sent = leaving(monkeypatch, load(backend="live"), ours)
    theirs, lean = (value.decode() if isinstance(value, bytes) else value for value in (request.headers["Authorization"] for request in sent))
    assert lean == theirs


def test_botocore_signs_if_it_signs_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a botocore that signs another header would make every lean request one that is refused."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIADUMMY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    usual = SigV4Auth.string_to_sign
    monkeypatch.setattr(SigV4Auth, "string_to_sign", lambda self, request, text: usual(self, request, text if isinstance(request, AWSRequest) else "?"))
    client, fast = leaving(monkeypatch, load(backend="live"), FastBedrock)
    assert headers(fast) == headers(client)
    form = bedrock_fast.FastBedrock(load(backend="live"))._learn(bedrock.converse_arguments(NANO, REQUESTS[0]))
    assert form._signing is None
    monkeypatch.undo()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    form = bedrock_fast.FastBedrock(load(backend="live"))._learn(bedrock.converse_arguments(NANO, REQUESTS[0]))
    assert form._signing is not None, "as it does today, so that the lean path is lean"


def test_credentials_are_asked_for_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a run longer than a role's hour would end in ExpiredToken."""
    names = iter("ABCDEFGH")

    def fresh(self: Any) -> Any:
        return botocore.credentials.ReadOnlyCredentials(next(names), "secret", None)

    never = RefreshableCredentials("x", "x", None, None, dict, "test")
    monkeypatch.setattr(RefreshableCredentials, "get_frozen_credentials", fresh)
    monkeypatch.setattr(botocore.session.Session, "get_credentials", lambda *_: never)
    caught: list[str] = []
    fast = FastBedrock(load(backend="live"))

    def catch(request: AWSPreparedRequest) -> AWSResponse:
        caught.append(str(request.headers["Authorization"]))
        return answered(request.url, 200, {}, b'{"output":{"message":{"content":[]}},"usage":{"inputTokens":1,"outputTokens":1},"metrics":{"latencyMs":1},"stopReason":"x"}')

    monkeypatch.setattr(fast._session, "send", catch)
    for _ in range(3):
        fast.send(NANO, REQUESTS[0])
    assert len({re.search("Credential=([A-Z]+)/", one).group(1) for one in caught}) == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_CA_BUNDLE": "/etc/ours.pem"},
        {"REQUESTS_CA_BUNDLE": "/etc/theirs.pem"},
        {"HTTPS_PROXY": "http://proxy.example:3128"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "amazonaws.com"},
    ],
    ids=lambda found: "+".join(found) or "nothing set",
)
def test_it_connects_as_the_client_does(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Without it the lean path would pass a company's proxy by, or not know its certificates."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "abc")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    fast = FastBedrock(load(backend="live", max_connections=7, connect_timeout_s=3, read_timeout_s=9))
    theirs: Any = fast._client._endpoint.http_session  # type: ignore[attr-defined]  # what botocore does not publish is what is compared
    ours: Any = fast._session
    for name in ("_verify", "_cert_file", "_key_file", "_max_pool_connections", "_socket_options"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("connect_timeout", "read_timeout"):
        assert getattr(ours._timeout, name) == getattr(theirs._timeout, name)
    url = "https://bedrock-runtime.us-west-2.amazonaws.com/model/x/converse"
    assert ours._proxy_config.proxy_url_for(url) == theirs._proxy_config.proxy_url_for(url)
    assert (ours._direct(url) is None) is bool(theirs._proxy_config.proxy_url_for(url))


def test_the_sandbox_gets_no_proxy(sandboxed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it loopback calls would be shown to the proxy of the machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    fast = FastBedrock(sandboxed())
    assert fast._session._direct(f"{fast._client.meta.endpoint_url}/x") is not None


OK = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 11, "outputTokens": 2, "totalTokens": 13},
    "metrics": {"latencyMs": 42},
}
TOOL = {"toolUse": {"toolUseId": "t1", "name": "route_ticket", "input": {"category": "billing"}}}
THROTTLED = {"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/", "x-amz-retry-after": "1500"}


@pytest.fixture(scope="module")
def pair(running_server: Any, ours: type[bedrock.Bedrock]) -> tuple[bedrock.Bedrock, bedrock.Bedrock]:
    """Return boto3's client and ours for the scripted server."""
    settings = load(backend="sandbox", region="us-west-2", bedrock_endpoint=running_server.url)
    return bedrock.Bedrock(settings), ours(settings)


def outcome(provider: bedrock.Bedrock, request: Request = REQUESTS[0]) -> object:
    """Return a reply, or all that is said of a failure."""
    try:
        return provider.send(NANO, request)
    except CallError as error:
        return error.kind, str(error).replace("127.0.0.1", ""), error.retry_after_s, error.maybe_billed


@pytest.mark.parametrize(
    "answer",
    [
        {"body": OK},
        {"body": {**OK, "output": {"message": {"role": "assistant", "content": [TOOL]}}, "stopReason": "tool_use"}},
        {"body": {**OK, "output": {"message": {"content": [{"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "x"}, TOOL]}}}},
        {"body": {**OK, "usage": {**OK["usage"], "cacheReadInputTokens": 3, "cacheWriteInputTokens": None}}},
        {"body": {**OK, "usage": None}},
        {"body": {**OK, "output": None}},
        {"body": {**OK, "output": {"message": {"content": None}}}},
        {"body": {**OK, "output": {"message": {"content": [{"toolUse": {"name": "x", "input": None}}]}}}},
        {"body": {"output": {}}},
        {"body": OK, "headers": {"x-workshop-source": "stand-in"}},
        {"body": OK, "cut_at": 30},
        {"body": b"<html>Please log in</html>"},
        {"status": 429, "body": {"message": "slow"}, "headers": THROTTLED},
        {"status": 400, "body": {"message": "not so"}, "headers": {"x-amzn-ErrorType": "ValidationException"}},
        {"status": 403, "body": {"Message": "no"}},
        {"status": 502, "body": b"<html>\n" + b"<p>sorry\n" * 500},
        {"status": 503},
        {"status": 301, "headers": {"Location": "/elsewhere"}},
        {"hang_up": True},
    ],
    ids=lambda answer: ",".join(f"{name}={str(value)[:60]}" for name, value in answer.items()),
)
def test_replies_and_errors_are_the_clients(server: Any, pair: tuple[bedrock.Bedrock, bedrock.Bedrock], answer: dict[str, Any]) -> None:
    """Without it a reply or a failure would mean something else by a leaner way: another cost, kind, delay or retry."""
    server.then(type(server.answers[0])(**answer))
    client, lean = (outcome(provider) for provider in pair)
    assert lean == client


def test_guardrails_answer_as_by_the_client(server: Any, pair: tuple[bedrock.Bedrock, bedrock.Bedrock]) -> None:
    """Without it what a guardrail said, or how it failed, would be read otherwise by a leaner way."""
    found: list[list[object]] = [[], []]
    masked = {"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": "call {PHONE}"}], "assessments": [{"x": {"action": "ANONYMIZED"}}]}
    for answer in ({"body": {"action": "NONE"}}, {"body": masked}, {"status": 429, "headers": THROTTLED}, {"body": b"<p>"}, {"hang_up": True}):
        server.then(type(server.answers[0])(**answer))
        for provider, said in zip(pair, found, strict=True):
            try:
                said.append(provider.screen(Guardrail("g", "1"), "call 555", "OUTPUT"))
            except CallError as error:
                said.append((error.kind, error.retry_after_s))
    assert found[0] == found[1]
    assert found[0][2] == ("throttled", 1.5)


def test_streams_are_left_to_the_client(sandboxed: Make) -> None:
    """Without it a stream would come as one piece when it is over, or not at all."""
    events: Any = LightBedrock(sandboxed())._client.meta.events
    assert events.emit("before-send.bedrock-runtime.ConverseStream", request=None) == []


def test_a_pool_of_another_make_is_left_to_the_client(server: Any, sandboxed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a later urllib3 could make every reply of every call unreadable."""
    server.then(type(server.answers[0])(200, OK))
    monkeypatch.setattr(lean_http, "_NEEDED", ("_get_conn", "gone"))
    monkeypatch.delattr(LeanSession, "_exchange")
    assert LightBedrock(sandboxed()).send(NANO, REQUESTS[0]).text == "hello"


def test_a_stuck_server_is_a_read_timeout_and_one_call(sandboxed: Make, ours: type[bedrock.Bedrock]) -> None:
    """Without it a hung call would wait for ever, or be sent again and paid twice."""
    with socket.create_server(("127.0.0.1", 0)) as stuck:
        url = f"http://127.0.0.1:{stuck.getsockname()[1]}"
        lean = ours(sandboxed(bedrock_endpoint=url, read_timeout_s=0.05))
        with pytest.raises(CallError) as caught:
            lean.send(NANO, REQUESTS[0])
    assert (caught.value.kind, caught.value.retryable, caught.value.maybe_billed) == ("read_timeout", False, True)


def test_nothing_listens(sandboxed: Make) -> None:
    """Without it a dead sandbox would be retried, and nobody would be told to restart it."""
    with pytest.raises(CallError, match=r"lab\.reconnect\(\)") as caught:
        FastBedrock(sandboxed(bedrock_endpoint="http://127.0.0.1:9")).send(NANO, REQUESTS[0])
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("provider", [bedrock.Bedrock, LightBedrock, FastBedrock])
def test_wrong_arguments_are_found_before_the_first_call(server: Any, sandboxed: Make, provider: type[bedrock.Bedrock]) -> None:
    """Without it, with the client's own check off, a wrong type would be sent and be the server's to explain."""
    with pytest.raises(CallError, match="maxTokens") as caught:
        provider(sandboxed()).send(NANO, Request("hi", max_tokens="many"))  # type: ignore[arg-type]
    assert (caught.value.kind, server.seen) == ("validation", [])


def test_many_threads_share_it(server: Any, sandboxed: Make, ours: type[bedrock.Bedrock], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a reply could reach another thread's call, or connections be opened for every call."""
    server.then(type(server.answers[0])(200, OK))
    pools: list[Any] = []
    direct = LeanSession._direct
    monkeypatch.setattr(LeanSession, "_direct", lambda session, url: pools.append(direct(session, url)) or pools[-1])
    lean = ours(sandboxed(max_connections=8))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(lean.send(NANO, REQUESTS[0]).text for _ in range(10))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["hello"] * 80
    assert pools[0].num_connections <= 8


def test_log_probabilities_are_refused_and_guardrails_are_asked(server: Any, sandboxed: Make) -> None:
    """Without it the lean path would lack what the client path offers besides Converse."""
    fast = FastBedrock(sandboxed())
    with pytest.raises(CallError, match="log-probabilities"):
        fast.send(NANO, Request("hi", logprobs=1))
    server.then(type(server.answers[0])(200, {"action": "NONE", "outputs": [], "assessments": []}))
    assert fast.screen(Guardrail("g", "1"), "text", "OUTPUT").blocked is False
    assert [path for path, _, _ in server.seen] == ["/guardrail/g/version/1/apply"]


def test_it_is_off_unless_asked_for(sandboxed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a lab would show a client that is not boto3's, or the setting would do nothing."""
    assert type(Gateway(sandboxed()).provider("bedrock")) is bedrock.Bedrock
    assert type(Gateway(sandboxed(), fast=True).provider("bedrock")) is FastBedrock
    monkeypatch.setenv("WORKSHOP_FAST_CLIENT", "1")
    assert type(Gateway(sandboxed()).provider("bedrock")) is FastBedrock
    assert type(Gateway(sandboxed(), fast=False).provider("bedrock")) is bedrock.Bedrock


def test_boto3s_client_is_left_as_it_is_unless_many_calls_are_to_come(sandboxed: Make) -> None:
    """Without it a lab would show a client with another session, or a bulk run would pay for what each call does again."""
    events: Any = Gateway(sandboxed()).provider("bedrock")._client.meta.events  # type: ignore[attr-defined]
    assert events.emit("before-send.bedrock-runtime.Converse", request=None) == []
    assert type(Gateway(sandboxed(), many=True).provider("bedrock")) is LightBedrock
    assert type(Gateway(sandboxed(), many=True, fast=True).provider("bedrock")) is FastBedrock


def test_no_settings_of_the_sandbox_reach_a_real_credential(server: Any, sandboxed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the lean path would show a real key or token to another process."""
    server.then(type(server.answers[0])(200, OK))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real-session-token")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "real-bearer-token")
    FastBedrock(sandboxed()).send(NANO, REQUESTS[0])
    assert "real" not in json.dumps(server.seen[0][1])


def test_what_the_client_reads_is_only_the_unusual() -> None:
    """Without it every reply would be read twice, and the lean path would be the slower one."""
    usual = answered("u", 200, {}, json.dumps(OK).encode())
    assert bedrock_fast._usual(usual) is not None
