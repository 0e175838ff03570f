"""What goes wrong before a reply arrives is told as a request that was not made, and never as a reply that nobody can read."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from workshop_lib import catalog
from workshop_lib.cascade import documented, walk
from workshop_lib.llm import CallError, Gateway, Guardrail, Request
from workshop_lib.llm.bedrock import Bedrock
from workshop_lib.llm.bedrock_fast import FastBedrock, _Form
from workshop_lib.llm.bedrock_light import LightBedrock
from workshop_lib.llm.lean_http import LeanSession
from workshop_lib.settings import Settings
from workshop_lib.tasks import TRIAGE, Ticket

Make = Callable[..., Settings]
NANO = catalog.model("nano")
GOOD = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 11, "outputTokens": 2, "totalTokens": 13},
    "metrics": {"latencyMs": 42},
}


def broken(*_: object, **__: object) -> None:
    """Fail as code of another version does."""
    raise AttributeError("'NoneType' object has no attribute 'encode'")


def assert_not_made(told: CallError, name: str = NANO.id) -> None:
    """Assert that an error is of a request that was not made, says what happened, and costs nothing."""
    assert (told.kind, told.retryable, told.maybe_billed) == ("validation", False, False)
    assert str(told).startswith(f"{name}: the request could not be made (AttributeError: 'NoneType' object has no attribute 'encode'). ")


@pytest.fixture(params=[LightBedrock, FastBedrock])
def provider(request: pytest.FixtureRequest, server: Any, sandboxed: Make) -> Bedrock:
    """Return each provider, to the scripted server."""
    server.then(type(server.answers[0])(200, GOOD))
    made: Bedrock = request.param(sandboxed())
    return made


@pytest.mark.parametrize("event", ["provide-client-params", "before-parameter-build", "before-call", "before-sign", "before-send"])
def test_a_handler_that_fails(server: Any, provider: Bedrock, event: str) -> None:
    """Without it an incompatible handler of botocore's would pass for a broken model, and the dearer one be asked."""
    provider._client.meta.events.register_first(f"{event}.bedrock-runtime.Converse", broken)
    with pytest.raises(CallError) as told:
        provider.send(NANO, Request("hi"))
    assert_not_made(told.value)
    assert server.seen == []


@pytest.mark.parametrize("after", [0, 1])
def test_a_session_that_fails(server: Any, provider: Bedrock, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Without it an incompatible urllib3 would make every reply of every call unreadable; a reply to an earlier call changes nothing."""
    for _ in range(after):
        assert provider.send(NANO, Request("hi")).text == "hello"
    monkeypatch.setattr(LeanSession, "_exchange", broken)
    with pytest.raises(CallError) as told:
        provider.send(NANO, Request("hi"))
    assert_not_made(told.value)
    assert len(server.seen) == after


def test_a_form_that_fails_is_not_excused_by_the_reply_it_was_learnt_from(server: Any, sandboxed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the stand-in reply, by which the lean path learns what a request looks like, would count as one of the service's."""
    monkeypatch.setattr(_Form, "request", broken)
    with pytest.raises(CallError) as told:
        FastBedrock(sandboxed()).send(NANO, Request("hi"))
    assert_not_made(told.value)
    assert server.seen == []


def test_a_reply_in_another_thread_is_none_of_this_call(server: Any, provider: Bedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it what a busy client's other calls received would hide what went wrong with this one."""
    here, exchange, replies = threading.current_thread(), LeanSession._exchange, []

    def fail_here(session: LeanSession, pool: Any, request: Any) -> Any:
        if threading.current_thread() is not here:
            return exchange(session, pool, request)
        other = threading.Thread(target=lambda: replies.append(provider.send(NANO, Request("hi"))))
        other.start()
        other.join()
        return broken()

    monkeypatch.setattr(LeanSession, "_exchange", fail_here)
    with pytest.raises(CallError) as told:
        provider.send(NANO, Request("hi"))
    assert_not_made(told.value)
    assert [reply.text for reply in replies] == ["hello"]


def test_what_fails_after_the_reply_is_a_reply_of_unknown_cost(server: Any, sandboxed: Make) -> None:
    """Without it a reply that is charged would be told as a request that was never made."""
    provider = Bedrock(sandboxed())
    provider._client.meta.events.register("after-call.bedrock-runtime", broken)
    server.then(type(server.answers[0])(200, GOOD))
    assert provider.send(NANO, Request("hi")).usage is None
    assert len(server.seen) == 1


def test_a_guardrail_that_cannot_be_asked_is_named(server: Any, provider: Bedrock) -> None:
    """Without it a text would be told as blocked although no guardrail had read it."""
    provider._client.meta.events.register_first("before-send.bedrock-runtime.ApplyGuardrail", broken)
    with pytest.raises(CallError) as told:
        provider.screen(Guardrail("gr-1", "1"), "text", "OUTPUT")
    assert_not_made(told.value, "guardrail gr-1")
    assert server.seen == []


@pytest.mark.parametrize("fast", [False, True])
def test_a_walk_does_not_ask_the_dearer_model(sandboxed: Make, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    """Without it a bug here would be paid for at the price of the strong model, ticket by ticket."""
    monkeypatch.setattr(LeanSession, "_exchange", broken)
    trace = walk(TRIAGE, Ticket(id="T-1", subject="s", body="b"), documented(), Gateway(sandboxed(), fast=fast, many=True))
    [step] = trace.steps
    assert step.error is not None
    assert_not_made(step.error)
    assert trace.cost.complete
