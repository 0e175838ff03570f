"""Whatever a server answers, a call ends in a reply or in a CallError: a body of another form is a call that failed, not a bug met."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.cascade import Policy, documented, walk
from workshop_lib.llm import CallError, Cost, Gateway, Guardrail, Request, Usage
from workshop_lib.llm.bedrock import Bedrock
from workshop_lib.llm.bedrock_fast import FastBedrock
from workshop_lib.llm.bedrock_light import LightBedrock
from workshop_lib.llm.errors import Kind
from workshop_lib.llm.openai_chat import OpenAIChat
from workshop_lib.llm.openai_fast import FastOpenAIChat
from workshop_lib.llm.types import Provider, RawReply
from workshop_lib.settings import Settings, load
from workshop_lib.tasks import TRIAGE, Ticket

Make = Callable[..., Settings]
KEY = {Bedrock: "nano", LightBedrock: "nano", FastBedrock: "nano", OpenAIChat: "nim-8b", FastOpenAIChat: "nim-8b"}
PATHS = list(KEY)
DECISION = {"category": "billing", "priority": "P3", "confidence": 0.9, "reasoning": "r", "needs_human": False}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}, {"toolUse": {"toolUseId": "t", "name": "x", "input": {"a": 1}}}]}},
    "stopReason": "tool_use",
    "usage": {"inputTokens": 11, "outputTokens": 2, "totalTokens": 13, "cacheReadInputTokens": 1},
    "metrics": {"latencyMs": 42},
}
CALLED = {"id": "c", "type": "function", "function": {"name": "x", "arguments": json.dumps(DECISION)}}
CHAT = {
    "choices": [{"message": {"content": "hello", "tool_calls": [CALLED]}, "finish_reason": "tool_calls", "logprobs": {"content": []}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
}
NOT_OBJECTS = [[], [CONVERSE], "hello", "", 0, 1.5, True, None, b"[" * 100_000, b'{"a":' * 100_000, b'{"output": "\xff"}', b"\xff\xfe", b"{", b""]
leaves = st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.text(max_size=5)
anything = leaves | st.lists(leaves | st.just({}), max_size=2) | st.dictionaries(st.text(max_size=4), leaves | st.just([]), max_size=2)


class Providers(dict[type, Any]):
    """Every way to call, by its class; its `repr` is short, as Hypothesis prints it."""

    __repr__ = object.__repr__


@pytest.fixture(scope="module")
def providers(running_server: Any) -> Providers:
    """Return every way to call, to the scripted server."""
    settings = load(backend="sandbox", region="us-west-2", bedrock_endpoint=running_server.url, openai_base_url=f"{running_server.url}/v1")
    return Providers({path: path(settings) for path in PATHS})


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    """Return a document with one of its parts replaced by anything."""
    if isinstance(whole, dict) and whole and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(whole)))
        return {**whole, name: draw(mutated(whole[name]))}
    if isinstance(whole, list) and whole and draw(st.booleans()):
        place = draw(st.integers(0, len(whole) - 1))
        return [*whole[:place], draw(mutated(whole[place])), *whole[place + 1 :]]
    return draw(anything)


def outcome(provider: Provider, key: str) -> RawReply | Kind:
    """Return a reply, or the kind of a failure."""
    try:
        return provider.send(catalog.model(key), Request("hi"))
    except CallError as error:
        return error.kind


def assert_sound(found: RawReply | Kind) -> None:
    """Assert that every part of a reply is what its type says."""
    if isinstance(found, RawReply):
        assert isinstance(found.text, str)
        assert isinstance(found.stop_reason, str)
        assert found.tool_input is None or isinstance(found.tool_input, dict)
        assert found.latency_ms is None or type(found.latency_ms) in (int, float)
        assert found.usage is None or all(type(count) is int and count >= 0 for count in vars_of(found.usage))


def vars_of(usage: Usage) -> tuple[int, ...]:
    """Return the counts of a usage."""
    return usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens


@pytest.mark.parametrize("body", NOT_OBJECTS, ids=lambda body: str(body)[:12])
@pytest.mark.parametrize("path", PATHS)
def test_two_hundred_with_no_object_is_an_unusable_reply(server: Any, providers: Providers, path: type, body: Any) -> None:
    """Without it a gateway that answers with a list would end a walk, and a lab, with an AttributeError."""
    server.then(type(server.answers[0])(200, body if isinstance(body, bytes) else json.dumps(body).encode()))
    found = outcome(providers[path], KEY[path])
    assert isinstance(found, RawReply)
    assert (found.text, found.tool_input, found.usage, found.stop_reason) == ("", None, None, "malformed_model_output")


@property_settings(deadline=None, max_examples=60)
@example(body={**CONVERSE, "usage": {**CONVERSE["usage"], "cacheReadInputTokens": float("inf")}})
@given(body=mutated(CONVERSE))
def test_any_converse_body(running_server: Any, providers: Providers, body: Any) -> None:
    """Without it one wrong type, anywhere in a reply, would be an error of Python's instead of a tier's."""
    running_server.seen.clear()
    running_server.then(type(running_server.answers[0])(200, json.dumps(body).encode()))
    client, fast = (outcome(providers[path], "nano") for path in (Bedrock, FastBedrock))
    assert_sound(client)
    assert_sound(fast)
    assert fast == client or client == NOTHING, "a part that neither reads may stop only the client's parser"


@property_settings(deadline=None, max_examples=30)
@given(body=mutated(CHAT))
def test_any_chat_body(running_server: Any, providers: Providers, body: Any) -> None:
    """Without it one wrong type, anywhere in a completion, would be an error of Python's instead of a tier's."""
    running_server.seen.clear()
    running_server.then(type(running_server.answers[0])(200, json.dumps(body).encode()))
    client, fast = (outcome(providers[path], "nim-8b") for path in (OpenAIChat, FastOpenAIChat))
    assert_sound(client)
    assert fast == client


NOTHING = RawReply("", None, None, None, "malformed_model_output")
ERRORS = [[], ["x"], "no", None, 7, {"message": ["no"]}, {"message": None}, {"message": 7, "__type": 7}, {"Message": {"a": 1}}, {"error": [1]}, b"\xff", b"[" * 100_000]


@pytest.mark.parametrize("body", ERRORS, ids=lambda body: str(body)[:20])
@pytest.mark.parametrize(("status", "kind"), [(429, "throttled"), (503, "server"), (400, "validation")])
@pytest.mark.parametrize("path", PATHS)
def test_an_error_of_any_form_has_the_kind_of_its_status(server: Any, providers: Providers, path: type, status: int, kind: Kind, body: Any) -> None:
    """Without it a throttled call behind a gateway with its own words would not be retried, but end its ticket."""
    server.then(type(server.answers[0])(status, body if isinstance(body, bytes) else json.dumps(body).encode()))
    assert outcome(providers[path], KEY[path]) == kind


@pytest.mark.parametrize("body", [[], "x", {"outputs": {}}, {"assessments": 3}, {"action": "NONE", "usage": [1]}, {"outputs": [{"text": 1}], "assessments": []}])
@pytest.mark.parametrize("path", [Bedrock, FastBedrock])
def test_a_guardrail_that_says_nothing_clear_lets_nothing_pass(server: Any, providers: Providers, path: type, body: Any) -> None:
    """Without it a text would pass a guardrail whose answer nobody could read."""
    server.then(type(server.answers[0])(200, body))
    assert providers[path].screen(Guardrail("g", "1"), "text", "OUTPUT").blocked


@pytest.mark.parametrize("fast", [False, True])
def test_a_walk_escalates_from_such_a_reply_and_asks_once(server: Any, sandboxed: Make, fast: bool) -> None:
    """Without it a reply that nobody can read would be asked for again, and paid each time, or end the ticket."""
    good = {**CONVERSE, "output": {"message": {"content": [{"toolUse": {"toolUseId": "t", "name": "route_ticket", "input": {**DECISION, "ticket_id": "T-1"}}}]}}}
    answer = type(server.answers[0])
    server.then(answer(200, b"[]"), answer(200, good))
    policy: Policy = documented()
    trace = walk(TRIAGE, Ticket(id="T-1", subject="s", body="b"), policy, Gateway(sandboxed(), fast=fast))
    first, second = trace.steps
    assert first.invalid
    assert second.answer is not None
    assert trace.cost == Cost(trace.cost.usd, complete=False)
    assert len(server.seen) == 2
