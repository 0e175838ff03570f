"""The openai SDK in all its ways against a running sandbox: whole and streamed, synchronous and not, parsed by the SDK's own helpers."""

import asyncio
import json
import math
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from workshop_lib import catalog
from workshop_lib.sandbox.process import Address

SMALL, LARGE = (catalog.model(name).id for name in ("nim-8b", "nim-253b"))
TICKET = "<ticket>\nid: T-9\nsubject: double charge\n\nI was charged twice for the March invoice, and nobody answers.\n</ticket>"
MESSAGES: Any = [{"role": "user", "content": TICKET}]
VAGUE: Any = [{"role": "user", "content": "<ticket>\nid: T-10\nsubject: Question\n\nSomething is odd since Monday, can you look?\n</ticket>"}]
PARAMETERS = {
    "type": "object",
    "properties": {"category": {"type": "string", "enum": ["billing", "auth"]}, "priority": {"type": "string", "enum": ["P1", "P3"]}},
    "required": ["category", "priority"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "route", "parameters": PARAMETERS}}]
NAMED: Any = {"type": "function", "function": {"name": "route"}}


class Routing(BaseModel):
    """What the parse helpers are to return."""

    category: Literal["billing", "auth", "other"]
    priority: Literal["P0", "P1", "P2", "P3"]
    confidence: float = Field(ge=0, le=1)
    needs_human: bool
    reasoning: str


SHAPES: dict[str, dict[str, Any]] = {
    "text": {},
    "tool": {"tools": TOOLS, "tool_choice": NAMED},
    "logprobs": {"logprobs": True, "top_logprobs": 3},
    "schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": PARAMETERS, "strict": True}}},
    "several": {"n": 3, "temperature": 1.5, "logprobs": True, "top_logprobs": 1, "seed": 4},
    "several tools": {"n": 2, "temperature": 1.0, "tools": TOOLS, "tool_choice": "required"},
    "cut": {"max_tokens": 3},
    "stopped": {"stop": ["billing", "priority"]},
}


@pytest.fixture
def events(sandbox: Address, conforms: Callable[[int, dict[str, Any]], None]) -> Callable[..., list[dict[str, Any]]]:
    """Give a function that streams a request by hand and returns its chunks, each checked against the SDK's model."""

    def stream(**more: Any) -> list[dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
        body = json.dumps({"model": SMALL, "messages": MESSAGES, "stream": True, **more})
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer any"})
        frames = connection.getresponse().read().decode().split("\n\n")
        connection.close()
        assert frames[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
        for chunk in chunks:
            conforms(200, chunk)
        return chunks

    return stream


def joined(chunks: list[dict[str, Any]], number: int) -> dict[str, Any]:
    """Put one choice of a stream together by hand, as a client in another language would."""
    parts = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == number]
    calls = [call for part in parts for call in part["delta"].get("tool_calls", [])]
    probabilities = [token for part in parts if part["logprobs"] for token in part["logprobs"]["content"]]
    return {
        "content": "".join(part["delta"].get("content") or "" for part in parts),
        "arguments": "".join(call["function"]["arguments"] for call in calls),
        "calls": [(call["id"], call["function"]["name"]) for call in calls if "id" in call],
        "finish": [part["finish_reason"] for part in parts if part["finish_reason"]],
        "tokens": probabilities,
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_says_what_the_whole_answer_says(chat: openai.OpenAI, events: Callable[..., Any], shape: str) -> None:
    """Without it a client that streams would see another answer, count other tokens or miss a choice."""
    whole = chat.chat.completions.create(model=SMALL, messages=MESSAGES, **SHAPES[shape])
    chunks = events(**SHAPES[shape], stream_options={"include_usage": True})
    for choice in whole.choices:
        got, message = joined(chunks, choice.index), choice.message
        assert got["content"] == (message.content or "")
        assert got["arguments"] == "".join(call.function.arguments for call in message.tool_calls or () if call.type == "function")
        assert got["calls"] == [(call.id, call.function.name) for call in message.tool_calls or () if call.type == "function"]
        assert got["finish"] == [choice.finish_reason]
        tokens = (choice.logprobs and choice.logprobs.content) or []
        assert got["tokens"] == [token.model_dump() for token in tokens]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    assert whole.usage is not None
    assert chunks[-1]["usage"] == whole.usage.model_dump(exclude_unset=True)


def test_without_include_usage_no_chunk_has_usage(events: Callable[..., Any]) -> None:
    """Without it a client would find null where OpenAI sends nothing."""
    assert all("usage" not in chunk and chunk["choices"] for chunk in events())


def test_the_first_choice_is_the_only_one_of_a_plain_request(chat: openai.OpenAI) -> None:
    """Without it asking for more answers would change the first, and self-consistency would start from another one."""
    plain: dict[str, Any] = {"model": SMALL, "messages": VAGUE, "temperature": 1.5}
    one, many = (chat.chat.completions.create(**plain, n=n) for n in (1, 8))
    assert many.choices[0] == one.choices[0]
    assert [choice.index for choice in many.choices] == list(range(8))
    assert len({choice.message.content for choice in many.choices}) > 1
    assert one.usage is not None
    assert many.usage is not None
    assert many.usage.prompt_tokens == one.usage.prompt_tokens
    assert many.usage.completion_tokens > 4 * one.usage.completion_tokens


def test_at_temperature_zero_choices_are_alike_and_a_seed_changes_nothing(chat: openai.OpenAI) -> None:
    """Without it greedy decoding would look random, or a seed would seem to change the answer that was certain."""
    plain: dict[str, Any] = {"model": SMALL, "messages": MESSAGES}
    first, second = (chat.chat.completions.create(**plain, seed=seed, n=3) for seed in (1, 2))
    assert {choice.message.content for choice in (*first.choices, *second.choices)} == {first.choices[0].message.content}
    assert first.system_fingerprint == second.system_fingerprint


def test_a_seed_is_part_of_the_draws_above_temperature_zero(chat: openai.OpenAI) -> None:
    """Without it runs could not be repeated, or not be varied."""

    def answer(seed: int) -> str | None:
        sampled = chat.chat.completions.create(model=SMALL, messages=VAGUE, temperature=2.0, seed=seed)
        return sampled.choices[0].message.content

    assert answer(1) == answer(1)
    assert len({answer(seed) for seed in range(8)}) > 1


def test_asking_for_probabilities_does_not_change_the_answer(chat: openai.OpenAI) -> None:
    """Without it a gate on probabilities would judge another answer than the one that is used."""
    plain, with_them = (chat.chat.completions.create(model=SMALL, messages=MESSAGES, logprobs=wanted) for wanted in (False, True))
    assert plain.choices[0].logprobs is None
    assert with_them.choices[0].message == plain.choices[0].message
    tokens = with_them.choices[0].logprobs.content  # type: ignore[union-attr]
    assert tokens is not None
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode() == plain.choices[0].message.content
    assert all(token.top_logprobs == [] and token.logprob <= 0 for token in tokens)
    assert with_them.usage is not None
    assert len(tokens) == with_them.usage.completion_tokens


def test_probabilities_of_a_json_answer_single_out_the_label(chat: openai.OpenAI) -> None:
    """Without it the lab that reads a label's probability would have nothing to read."""
    reply = chat.chat.completions.create(model=LARGE, messages=MESSAGES, **SHAPES["schema"], logprobs=True, top_logprobs=5)
    tokens = reply.choices[0].logprobs.content  # type: ignore[union-attr]
    label = next(token for token in tokens or () if token.token == "billin")
    assert [other.token for other in label.top_logprobs] == ["billin", "auth"]
    assert sum(math.exp(other.logprob) for other in label.top_logprobs) == pytest.approx(1)


def test_a_forced_function_has_no_probabilities(chat: openai.OpenAI) -> None:
    """Without it they would belong to a content that is null."""
    reply = chat.chat.completions.create(model=LARGE, messages=MESSAGES, **SHAPES["tool"], logprobs=True)
    assert reply.choices[0].logprobs is None


def test_the_sdk_parses_an_answer_into_a_model(chat: openai.OpenAI) -> None:
    """Without it the shortest way to a typed answer that the SDK has would not work."""
    reply = chat.chat.completions.parse(model=LARGE, messages=MESSAGES, response_format=Routing)
    parsed = reply.choices[0].message.parsed
    assert parsed is not None
    assert parsed.category == "billing"
    assert 0 <= parsed.confidence <= 1


def test_the_sdk_parses_a_tool_call_into_a_model(chat: openai.OpenAI) -> None:
    """Without it strict functions made by the SDK would be refused."""
    tool = openai.pydantic_function_tool(Routing, name="route")
    reply = chat.chat.completions.parse(model=LARGE, messages=MESSAGES, tools=[tool], tool_choice=NAMED)
    (called,) = reply.choices[0].message.tool_calls or ()
    assert isinstance(called.function.parsed_arguments, Routing)


def test_the_sdk_streams_and_parses_at_once(chat: openai.OpenAI) -> None:
    """Without it the SDK's stream helper, which checks the order of events, would stumble."""
    with chat.chat.completions.stream(
        model=LARGE, messages=MESSAGES, response_format=Routing, logprobs=True, stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done", "logprobs.content.delta"} <= kinds
    assert final.choices[0].message.parsed is not None
    assert final.usage is not None
    tool = openai.pydantic_function_tool(Routing, name="route")
    with chat.chat.completions.stream(model=LARGE, messages=MESSAGES, tools=[tool], tool_choice="required") as stream:
        assert "tool_calls.function.arguments.done" in {event.type for event in stream}
        assert stream.get_final_completion().choices[0].finish_reason == "tool_calls"


def test_the_asynchronous_client_gets_the_same_answers(chat: openai.OpenAI, conforms: Callable[..., None]) -> None:
    """Without it bulk work, which is asynchronous, could meet another server than the labs do."""
    request: dict[str, Any] = {"model": SMALL, "messages": MESSAGES}
    expected = chat.chat.completions.create(**request)

    async def asked() -> tuple[Any, str, Any]:
        async with openai.AsyncOpenAI(max_retries=0) as client:
            raw = await client.chat.completions.with_raw_response.create(**request)
            conforms(200, json.loads(raw.text))
            streamed = await client.chat.completions.create(**request, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in streamed])
            parsed = await client.chat.completions.parse(**{**request, "model": LARGE}, response_format=Routing)
            return raw.parse(), text, parsed.choices[0].message.parsed

    whole, text, parsed = asyncio.run(asked())
    assert whole == expected
    assert text == expected.choices[0].message.content
    assert isinstance(parsed, Routing)


def test_a_conversation_with_a_tool_goes_on(chat: openai.OpenAI) -> None:
    """Without it an agent could call a tool but never get its result across, in any of the forms that the SDK sends."""
    conversation: Any = [
        {"role": "developer", "content": "Route the ticket."},
        {"role": "user", "content": [{"type": "text", "text": "Please route this."}, {"type": "text", "text": TICKET}]},
    ]
    first = chat.chat.completions.create(model=LARGE, messages=conversation, tools=TOOLS, tool_choice="required")
    message = first.choices[0].message
    (called,) = message.tool_calls or ()
    conversation += [message.model_dump(), {"role": "tool", "tool_call_id": called.id, "content": "routed to the billing team"}]
    second = chat.chat.completions.create(model=LARGE, messages=conversation, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens > first.usage.prompt_tokens
