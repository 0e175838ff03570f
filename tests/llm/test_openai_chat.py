"""The openai client and one chat completion call, hosted NIM or any compatible server."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from workshop_lib import catalog
from workshop_lib.errors import SettingsError
from workshop_lib.llm import CallError, Guardrail, Request, Tool, Usage, openai_chat
from workshop_lib.settings import Settings, load

SMALL = catalog.model("nim-8b")
TOOL = Tool("route_ticket", "Record it.", {"type": "object", "properties": {"category": {"type": "string"}}})
Make = Callable[..., Settings]


def completion(message: dict[str, Any], finish: str | None = "stop", **changed: Any) -> dict[str, Any]:
    """Return a chat completion."""
    usage = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": SMALL.id, "choices": [choice], "usage": usage, **changed}


def send(settings: Settings, request: Request = Request("hi")) -> Any:  # noqa: B008
    """Ask once."""
    return openai_chat.OpenAIChat(settings).send(SMALL, request)


@pytest.mark.parametrize(
    "trap",
    [
        {},
        {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"},
        {"OPENAI_API_KEY": "sk-real"},
        {"SSL_CERT_FILE": "/nowhere/at/all.pem"},
    ],
    ids=lambda trap: "+".join(trap) or "nothing set",
)
def test_the_sandbox_answers_whatever_the_machine_has_set(server: Any, sandboxed: Make, monkeypatch: pytest.MonkeyPatch, trap: dict[str, str]) -> None:
    """Ask once."""
    """Without it a company proxy would swallow loopback calls, or a real key would be sent to the sandbox."""
    for name, value in trap.items():
        monkeypatch.setenv(name, value)
    server.then(type(server.answers[0])(200, completion({"content": "hello"}), {openai_chat.LATENCY_HEADER: "512"}))
    reply = send(sandboxed())
    assert (reply.text, reply.latency_ms, reply.stop_reason, reply.usage) == ("hello", 512.0, "end_turn", Usage(30, 4))
    path, headers, body = server.seen[0]
    assert (path, headers["authorization"], len(server.seen)) == ("/v1/chat/completions", "Bearer sandbox", 1)
    assert body == {"model": SMALL.id, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 300, "temperature": 0.0}


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_one_call_is_one_http_request(server: Any, sandboxed: Make, status: int) -> None:
    """Without it the SDK's own retries would multiply with ours."""
    server.then(type(server.answers[0])(status, {"status": status, "title": "no"}))
    with pytest.raises(CallError):
        send(sandboxed())
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "validation"), (401, "access"), (403, "access"), (404, "not_found"), (408, "model"), (422, "validation"), (424, "model"),
     (429, "throttled"), (500, "server"), (502, "server"), (503, "server")],
)  # fmt: skip
def test_every_status_has_its_kind(server: Any, sandboxed: Make, status: int, kind: str) -> None:
    """Without it a throttled call might not be retried, or a forbidden one might be."""
    server.then(type(server.answers[0])(status, b"<html>\n<p>no\n</html>", {"Content-Type": "text/html"}))
    with pytest.raises(CallError) as caught:
        send(sandboxed())
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "delay"),
    [({"Retry-After": "2"}, 2.0), ({"Retry-After": "0.5"}, 0.5), ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25), ({"Retry-After": "later"}, None), ({}, None)],
)
def test_the_delay_the_server_asks_for(server: Any, sandboxed: Make, headers: dict[str, str], delay: float | None) -> None:
    """Without it a throttled run would come back too early and be throttled again."""
    server.then(type(server.answers[0])(429, {"status": 429, "title": "Too Many Requests"}, headers))
    with pytest.raises(CallError) as caught:
        send(sandboxed())
    assert caught.value.retry_after_s == delay


def test_a_dropped_connection(server: Any, sandboxed: Make) -> None:
    """Without it a call whose answer was lost would count as certainly free."""
    server.then(type(server.answers[0])(hang_up=True))
    with pytest.raises(CallError) as caught:
        send(sandboxed())
    assert (caught.value.kind, caught.value.maybe_billed) == ("disconnected", True)


def test_nothing_listens(sandboxed: Make) -> None:
    """Without it nobody would be told that the sandbox has to be restarted."""
    with pytest.raises(CallError, match=r"lab\.reconnect\(\)") as caught:
        send(sandboxed(openai_base_url="http://127.0.0.1:9/v1"))
    assert (caught.value.kind, caught.value.retryable) == ("unreachable", False)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [(httpx2.ConnectTimeout("t"), "connect_timeout"), (httpx2.PoolTimeout("t"), "connect_timeout"), (httpx2.ReadTimeout("t"), "read_timeout"), (httpx2.WriteTimeout("t"), "read_timeout")],
)
def test_a_timeout_before_sending_is_retried_and_one_after_is_not(cause: Exception, kind: str) -> None:
    """Without it a read timeout would be retried and paid twice."""
    error = openai.APITimeoutError(request=httpx2.Request("POST", "http://127.0.0.1/"))
    error.__cause__ = cause
    translated = openai_chat.translate(error, "m")
    assert translated.kind == kind
    assert translated.retryable is (kind == "connect_timeout")


def test_a_forced_tool_is_sent_and_read(server: Any, sandboxed: Make) -> None:
    """Without it NIM tiers could not answer with a typed decision."""
    call = {"id": "x", "type": "function", "function": {"name": "route_ticket", "arguments": '{"category": "auth"}'}}
    server.then(type(server.answers[0])(200, completion({"content": None, "tool_calls": [call]}, "tool_calls")))
    reply = send(sandboxed(), Request("hi", system="be brief", tool=TOOL))
    assert (reply.tool_input, reply.text, reply.stop_reason) == ({"category": "auth"}, "", "tool_use")
    body = server.seen[0][2]
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "route_ticket"}}
    assert body["tools"][0]["function"]["parameters"] == TOOL.schema


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", '{"a":' + "9" * 5000 + "}", '{"a":' * 5000, None])
def test_broken_tool_arguments_are_no_arguments(arguments: str | None) -> None:
    """Without it one malformed reply would be an exception that loses the item and its cost."""
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert openai_chat.read(completion({"content": None, "tool_calls": [call]})).tool_input is None


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": None}, {"choices": [{}]}, {"choices": [{"message": None, "finish_reason": None}]}])
def test_a_body_that_is_no_completion_is_an_unusable_reply(body: dict[str, Any]) -> None:
    """Without it an empty list of choices would be an IndexError."""
    reply = openai_chat.read(body)
    assert (reply.text, reply.tool_input, reply.usage, reply.stop_reason) == ("", None, None, "malformed_model_output")


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b'{"choices": ['])
def test_two_hundred_with_something_else(server: Any, sandboxed: Make, body: bytes) -> None:
    """Without it a captive portal's page would end a run with an AttributeError."""
    server.then(type(server.answers[0])(200, body, {"Content-Type": "text/html"}))
    assert send(sandboxed()).stop_reason == "malformed_model_output"


@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": 5}, {"prompt_tokens": 5, "completion_tokens": None}])
def test_missing_usage_is_none(server: Any, sandboxed: Make, usage: Any) -> None:
    """Without it a server that counts only totals would raise TypeError, or its replies would be free."""
    server.then(type(server.answers[0])(200, completion({"content": "x"}, usage=usage)))
    assert send(sandboxed()).usage is None


def test_cached_tokens_are_counted_once() -> None:
    """Without it cached prompt tokens, which OpenAI's count includes, would be charged twice."""
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}}
    assert openai_chat.read(completion({"content": "x"}, usage=usage)).usage == Usage(40, 5, cache_read_tokens=60)


@pytest.mark.parametrize(("finish", "ours"), [("length", "max_tokens"), ("content_filter", "content_filtered"), ("tool_calls", "tool_use"), ("odd", "odd")])
def test_stop_reasons_are_converses(finish: str, ours: str) -> None:
    """Without it a cut-off reply of a NIM tier would pass for a finished one."""
    assert openai_chat.read(completion({"content": "x"}, finish)).stop_reason == ours


def test_a_guardrail_is_refused(server: Any, sandboxed: Make) -> None:
    """Without it somebody would believe a NIM call was guarded."""
    with pytest.raises(CallError, match="Bedrock feature"):
        send(sandboxed(), Request("hi", guardrail=Guardrail("g", "1")))
    assert server.seen == []


def test_without_a_sandbox_the_remedy_is_named() -> None:
    """Without it sandbox mode would call api.openai.com with a dummy key."""
    with pytest.raises(SettingsError, match="workshop sandbox"):
        openai_chat.client(load())


def test_live_goes_to_hosted_nim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it live would call OpenAI, or send the wrong key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-this-one")
    monkeypatch.setenv("NVIDIA_API_KEY", "nvapi-1")
    live = openai_chat.client(load(backend="live"))
    assert (str(live.base_url), live.api_key, live.max_retries) == ("https://integrate.api.nvidia.com/v1/", "nvapi-1", 0)
    assert "nvapi-1" not in repr(live)


def test_live_makes_one_request_with_the_key() -> None:
    """Without it the live path would first be tried with somebody's key."""
    seen: list[httpx2.Request] = []

    def transport(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(429, json={"status": 429, "title": "Too Many Requests"})

    settings = load(backend="live", nvidia_api_key="nvapi-1")
    live = openai_chat.client(settings).with_options(http_client=httpx2.Client(transport=httpx2.MockTransport(transport)))
    with pytest.raises(openai.RateLimitError):
        live.chat.completions.create(**openai_chat.chat_arguments(SMALL, Request("hi")))
    assert [(str(request.url), request.headers["authorization"]) for request in seen] == [
        ("https://integrate.api.nvidia.com/v1/chat/completions", "Bearer nvapi-1")
    ]
    assert json.loads(seen[0].content)["model"] == "meta/llama-3.1-8b-instruct"


@pytest.mark.parametrize("variables", [{}, {"NVIDIA_API_KEY": ""}])
def test_live_without_a_key_is_one_line(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Without it the learner would see the SDK ask for OPENAI_API_KEY."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="NVIDIA_API_KEY is not set") as caught:
        openai_chat.client(load(backend="live"))
    assert "\n" not in str(caught.value)


def test_live_on_a_server_of_your_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a self-hosted NIM could not be used."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://nim.internal:8000/v1")
    assert str(openai_chat.client(load(backend="live")).base_url) == "http://nim.internal:8000/v1/"


@pytest.mark.parametrize(("seconds", "waits"), [(2.0, 2.0), (10_000.0, 60.0), (None, 60.0)])
def test_a_call_is_not_waited_for_longer_than_it_may_take(monkeypatch: pytest.MonkeyPatch, seconds: float | None, waits: float) -> None:
    """Without it an item with a deadline would sit out the usual read timeout."""
    seen: list[Any] = []

    def transport(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"]["read"])
        return httpx2.Response(200, json=completion({"content": "x"}))

    settings = load(backend="live", nvidia_api_key="nvapi-1", read_timeout_s=60)
    scripted = openai_chat.client(settings).with_options(http_client=httpx2.Client(transport=httpx2.MockTransport(transport)))
    monkeypatch.setattr(openai_chat, "client", lambda _: scripted)
    openai_chat.OpenAIChat(settings).send(SMALL, Request("hi", timeout_s=seconds))
    assert seen == [waits]
