"""The lean path to chat completions makes the client's requests, reads its replies and raises its errors."""

import gzip
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.llm import CallError, Gateway, Guardrail, Request, openai_chat
from workshop_lib.llm.lean_http import answered
from workshop_lib.llm.openai_chat import OpenAIChat
from workshop_lib.llm.openai_fast import FastOpenAIChat
from workshop_lib.settings import Settings, load
from workshop_lib.tasks import QUESTIONS, TRIAGE, Question, Ticket

SMALL = next(model for model in catalog.models().values() if model.provider == "nim")
TICKET = Ticket(id="T-1", subject="Two invoices", body="We were charged twice, für März 🙃.", customer_tier="pro")
REQUESTS = [
    TRIAGE.request(TICKET),
    QUESTIONS.request(Question(id="Q-1", question="2+2?")),
    Request("hi", logprobs=3),
    Request("hi", sample=2, temperature=0.7),
    Request("hi", timeout_s=7.5),
    Request("hi", timeout_s=1e6),
]
Make = Callable[..., Settings]



def sent_by_client(settings: Settings, request: Request) -> httpx2.Request:
    """Return the client's request at the point where it would leave."""
    caught: list[httpx2.Request] = []

    def catch(request: httpx2.Request) -> httpx2.Response:
        caught.append(request)
        return httpx2.Response(200, json={})

    provider = OpenAIChat(settings)
    provider._client = provider._client.with_options(http_client=httpx2.Client(transport=httpx2.MockTransport(catch)))
    provider.send(SMALL, request)
    return caught[0]


def sent_by_lean(settings: Settings, request: Request) -> Any:
    """Return the lean path's request at the point where it would leave."""
    caught: list[Any] = []

    def catch(request: Any) -> Any:
        caught.append(request)
        return answered(request.url, 200, {}, b"{}")

    provider = FastOpenAIChat(settings)
    provider._session.send = catch  # type: ignore[method-assign]
    provider.send(SMALL, Request("before"))
    provider.send(SMALL, request)
    return caught[1]


def assert_same(settings: Settings, request: Request) -> None:
    """Assert that both paths make the same request; only what coding of the answer is accepted differs."""
    client, lean = sent_by_client(settings, request), sent_by_lean(settings, request)
    assert (lean.method, lean.url, json.loads(lean.body)) == (client.method, str(client.url), json.loads(client.content))
    assert sorted(lean.body) == sorted(client.content)  # the client orders the members in its own way; the bytes are the same otherwise
    theirs = [(name.decode().lower(), value.decode()) for name, value in client.headers.raw if name != b"Host"]
    ours = [(name.lower(), value) for name, value in lean.headers.items()]
    assert sorted(ours) == sorted((name, "identity" if name == "accept-encoding" else value) for name, value in theirs)
    assert lean.context.get("read_timeout", settings.read_timeout_s) == client.extensions["timeout"]["read"]


@pytest.mark.parametrize("request_", REQUESTS, ids=["triage", "question", "logprobs", "sample", "deadline", "far deadline"])
def test_requests_are_the_clients(sandboxed: Make, request_: Request) -> None:
    """Without it the lean path could ask for something else, or for longer, than the client does."""
    assert_same(sandboxed(), request_)


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@property_settings(deadline=None, max_examples=25)
@given(prompt=text, system=st.none() | text, tokens=st.integers(1, 5000), temperature=st.floats(0, 2))
def test_any_body_is_the_clients(prompt: str, system: str | None, tokens: int, temperature: float) -> None:
    """Without it odd text or floats could be written differently than the client writes them."""
    settings = load(backend="sandbox", openai_base_url="http://127.0.0.1:9/v1")
    assert_same(settings, Request(prompt, system, max_tokens=tokens, temperature=temperature))


@pytest.mark.parametrize("overrides", [{}, {"openai_base_url": "https://nim.example:8443/v1/"}, {"read_timeout_s": 33}])
def test_live_requests_are_the_clients(overrides: dict[str, Any]) -> None:
    """Without it the lean path live would first be tried with somebody's key."""
    assert_same(load(backend="live", nvidia_api_key="nvapi-1", **overrides), REQUESTS[0])


def test_the_wire_is_the_clients(server: Any, sandboxed: Make) -> None:
    """Without it a header might be lost or doubled on the way from the request to the network."""
    server.then(type(server.answers[0])(200, completion()))
    for provider in (OpenAIChat(sandboxed()), FastOpenAIChat(sandboxed())):
        provider.send(SMALL, REQUESTS[0])
    (path, headers, body), ours = server.seen
    assert ours == (path, {**headers, "accept-encoding": "identity"}, body)


def completion(**changed: Any) -> dict[str, Any]:
    """Return a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}, **changed}


def outcome(provider: OpenAIChat, request: Request = REQUESTS[0]) -> object:
    """Return a reply, or what is said of a failure; the words of a failure to connect are each library's own."""
    try:
        return provider.send(SMALL, request)
    except CallError as error:
        words = str(error) if error.kind not in ("disconnected", "unreachable", "read_timeout") else ""
        return error.kind, words, error.retry_after_s, error.maybe_billed, error.retryable


@pytest.mark.parametrize(
    "answer",
    [
        {"body": completion()},
        {"body": completion(usage=None)},
        {"body": completion(), "headers": {"x-workshop-source": "stand-in", "x-workshop-latency-ms": "12.5"}},
        {"body": gzip.compress(json.dumps(completion()).encode(), mtime=0), "headers": {"Content-Encoding": "gzip"}},
        {"body": b'{"choices": [{"message": {"content": "caf\xe9"}}]}'},
        {"body": b"<html>Please log in</html>", "headers": {"Content-Type": "text/html"}},
        {"body": b"[1]"},
        {"body": completion(), "cut_at": 30},
        {"status": 429, "body": {"status": 429, "title": "Too Many Requests"}, "headers": {"retry-after": "2"}},
        {"status": 429, "body": {"error": {"message": "slow"}}, "headers": {"retry-after-ms": "1500"}},
        {"status": 400, "body": {"error": {"message": "not so", "type": "invalid_request_error"}}},
        {"status": 401, "body": {"detail": "no"}},
        {"status": 404, "body": b"nothing here"},
        {"status": 500, "body": b"<html>\n" + b"<p>sorry\n" * 500},
        {"status": 503},
        {"hang_up": True},
    ],
    ids=lambda answer: ",".join(f"{name}={str(value)[:60]}" for name, value in answer.items()),
)
def test_replies_and_errors_are_the_clients(server: Any, sandboxed: Make, answer: dict[str, Any]) -> None:
    """Without it a reply or a failure would mean something else by the lean path: another cost, kind, delay or retry."""
    server.then(type(server.answers[0])(**answer))
    assert outcome(FastOpenAIChat(sandboxed())) == outcome(OpenAIChat(sandboxed()))
    assert len(server.seen) == 2


def test_a_redirect_is_followed(server: Any, sandboxed: Make) -> None:
    """Without it a server that moved would be reached by the client and not by the lean path."""
    answer = type(server.answers[0])
    server.then(answer(307, headers={"Location": "/v2/chat/completions"}), answer(307, headers={"Location": "/v2/chat/completions"}), answer(200, completion()))
    assert FastOpenAIChat(sandboxed()).send(SMALL, REQUESTS[0]).text == "hello"


def test_a_stuck_server_is_a_read_timeout(sandboxed: Make) -> None:
    """Without it a hung call, or one with a deadline, would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as stuck:
        url = f"http://127.0.0.1:{stuck.getsockname()[1]}/v1"
        for settings, request in ((sandboxed(openai_base_url=url, read_timeout_s=0.05), REQUESTS[0]), (sandboxed(openai_base_url=url), Request("x", timeout_s=0.05))):
            with pytest.raises(CallError) as caught:
                FastOpenAIChat(settings).send(SMALL, request)
            assert (caught.value.kind, caught.value.maybe_billed) == ("read_timeout", True)


def test_nothing_listens(sandboxed: Make) -> None:
    """Without it a dead server would be retried for a minute."""
    assert outcome(FastOpenAIChat(sandboxed(openai_base_url="http://127.0.0.1:9/v1"))) == ("unreachable", "", None, False, False)


def test_a_guardrail_is_refused(server: Any, sandboxed: Make) -> None:
    """Without it somebody would believe a NIM call was guarded."""
    with pytest.raises(CallError, match="Bedrock feature"):
        FastOpenAIChat(sandboxed()).send(SMALL, Request("hi", guardrail=Guardrail("g", "1")))
    assert server.seen == []


@pytest.mark.parametrize("variables", [{"HTTPS_PROXY": "http://p.example:1"}, {"ALL_PROXY": "http://p.example:1"}, {"HTTPS_PROXY": "http://p.example:1", "NO_PROXY": "nvidia.com"}])
def test_live_goes_by_the_proxy_and_the_sandbox_does_not(monkeypatch: pytest.MonkeyPatch, sandboxed: Make, variables: dict[str, str]) -> None:
    """Without it the lean path would pass a company's proxy by, or show loopback calls to it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    live = FastOpenAIChat(load(backend="live", nvidia_api_key="nvapi-1"))._session
    assert live._proxy_config.proxy_url_for("https://integrate.api.nvidia.com/v1/x") == (None if "NO_PROXY" in variables else "http://p.example:1")
    assert FastOpenAIChat(sandboxed())._session._proxy_config.proxy_url_for("http://127.0.0.1/v1/x") is None


def test_it_is_off_unless_asked_for(sandboxed: Make) -> None:
    """Without it the setting would do nothing, or a lab would not show the openai client."""
    assert type(Gateway(sandboxed()).provider("nim")) is openai_chat.OpenAIChat
    assert type(Gateway(sandboxed(), fast=True).provider("nim")) is FastOpenAIChat


def test_the_key_is_in_no_repr() -> None:
    """Without it a log line of the provider could hold the key."""
    provider = FastOpenAIChat(load(backend="live", nvidia_api_key="nvapi-1"))
    assert re.search("nvapi", repr(provider)) is None
