"""OpenAI chat completions through a plain openai client against a really started sandbox process."""

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

from workshop_lib import catalog
from workshop_lib.sandbox.process import Address

SMALL, MIDDLE, LARGE = (catalog.model(name).id for name in ("nim-8b", "nim-70b", "nim-253b"))
OPUS = catalog.model("opus").id
ASKED = 'Answer the question. Reply with JSON only: {"answer": "<as short as possible>", "confidence": <1 to 5>}.'


def ask(chat: openai.OpenAI, question: str, model: str = LARGE, **more: Any) -> Any:
    """Ask one question with the labs' system prompt."""
    messages: Any = [{"role": "system", "content": ASKED}, {"role": "user", "content": question}]
    return chat.chat.completions.create(model=model, messages=messages, **more)


def test_json_asked_for_in_the_prompt_is_answered_with_json(chat: openai.OpenAI) -> None:
    """Without it lab 01's first question could not be parsed."""
    reply = ask(chat, "What is 17 * 23?")
    answer = json.loads(reply.choices[0].message.content)
    assert answer["answer"] == "391"
    assert answer["confidence"] in (1, 2, 3, 4, 5)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_question_without_a_form_is_answered_in_prose(chat: openai.OpenAI) -> None:
    """Without it a free question would get JSON that nobody asked for."""
    reply = chat.chat.completions.create(model=LARGE, messages=[{"role": "user", "content": "What is 17 * 23?"}])
    assert "391" in reply.choices[0].message.content
    assert "{" not in reply.choices[0].message.content


def test_a_json_schema_is_followed(chat: openai.OpenAI) -> None:
    """Without it response_format would be ignored, which NIM does not do."""
    schema = {
        "type": "object",
        "properties": {
            "answer": {"type": "integer"},
            "confidence": {"type": "number"},
            "working": {"type": "string", "maxLength": 10},
            "steps": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["answer", "confidence", "working", "steps"],
    }
    format_: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    reply = chat.chat.completions.create(
        model=LARGE, messages=[{"role": "user", "content": "What is 17 * 23?"}], response_format=format_
    )
    answer = json.loads(reply.choices[0].message.content or "")
    assert list(answer) == ["answer", "confidence", "working", "steps"]
    assert answer["answer"] == 391
    assert 0 <= answer["confidence"] <= 1
    assert len(answer["working"]) <= 10
    assert isinstance(answer["steps"], list)


def test_json_mode_answers_some_object(chat: openai.OpenAI) -> None:
    """Without it json_object would be ignored."""
    reply = chat.chat.completions.create(
        model=LARGE, messages=[{"role": "user", "content": "What is 17 * 23, as JSON?"}], response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(reply.choices[0].message.content or ""), dict)


def test_a_forced_function_is_called(chat: openai.OpenAI) -> None:
    """Without it triage on NIM would not work."""
    parameters = {
        "type": "object",
        "properties": {
            "category": {"type": "string", "enum": ["billing", "auth"]},
            "priority": {"type": "string", "enum": ["P1", "P3"]},
        },
    }
    tools: Any = [{"type": "function", "function": {"name": "route", "parameters": parameters}}]
    choice: Any = {"type": "function", "function": {"name": "route"}}
    messages: Any = [{"role": "user", "content": "I was charged twice for the March invoice."}]
    reply = chat.chat.completions.create(model=LARGE, messages=messages, tools=tools, tool_choice=choice)
    call: Any = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "stop"
    free = chat.chat.completions.create(model=LARGE, messages=messages, tools=tools, tool_choice="required")
    assert free.choices[0].finish_reason == "tool_calls"
    assert json.loads(call[0].function.arguments)["category"] == "billing"


def test_the_length_limit_and_stop_are_honoured(chat: openai.OpenAI) -> None:
    """Without it a truncated answer could never be seen."""
    cut = ask(chat, "What is 17 * 23?", max_tokens=4)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 4
    assert ask(chat, "What is 17 * 23?", max_completion_tokens=4).choices[0].finish_reason == "length"
    assert ask(chat, "What is 17 * 23?", stop=[","]).choices[0].message.content.count(",") == 0


def test_a_judge_compares_with_its_own_answer(chat: openai.OpenAI) -> None:
    """Without it the judge of lab 05 would approve everything or nothing."""
    wanted = 'Is the answer right? Reply with JSON only: {"verdict": "correct"|"incorrect", "score": <1 to 5>}.'
    for answer, verdict, score in (("391", "correct", 5), ("401", "incorrect", 1)):
        text = f"QUESTION: What is 17 * 23?\nANSWER: {answer}"
        reply = chat.chat.completions.create(
            model=OPUS, messages=[{"role": "system", "content": wanted}, {"role": "user", "content": text}]
        )
        assert json.loads(reply.choices[0].message.content or "") == {"verdict": verdict, "score": score}


def test_the_same_request_gets_the_same_bytes_on_both_routes(call: Callable[..., Any]) -> None:
    """Without it stored outputs of the labs would change from run to run."""
    body = {"model": SMALL, "messages": [{"role": "user", "content": "Who wrote Hamlet?"}]}
    headers = {"Authorization": "Bearer any"}
    replies = [
        call("POST", path, body, headers)
        for path in ("/v1/chat/completions", "/openai/v1/chat/completions", "/v1/chat/completions")
    ]
    assert all(status == 200 for status, _, _ in replies)
    assert replies[0][2] == replies[1][2] == replies[2][2]
    assert replies[0][1]["x-workshop-latency-ms"] == replies[2][1]["x-workshop-latency-ms"]


def test_models_are_listed_under_both_roots(chat: openai.OpenAI, sandbox: Address) -> None:
    """Without it a client could not find out which ids exist."""
    assert {model.id for model in chat.models.list()} == {model.id for model in catalog.models().values()}
    with openai.OpenAI(base_url=f"{sandbox.root}/openai/v1") as other:
        assert {model.id for model in other.models.list()} == {model.id for model in catalog.models().values()}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "meta/llama-9"}, openai.NotFoundError, "does not exist"),
        ({"n": 9}, openai.BadRequestError, "'n'"),
        ({"n": True}, openai.BadRequestError, "'n'"),
        ({"top_logprobs": 2}, openai.BadRequestError, "'logprobs' is enabled"),
        ({"logprobs": True, "top_logprobs": 21}, openai.BadRequestError, "'top_logprobs'"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, openai.BadRequestError, "at the same time"),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "the word 'json'"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"b": {"type": "string", "pattern": "x"}}}}}},
            openai.BadRequestError,
            "'pattern' (at b)",
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}}}, openai.BadRequestError, "type: \"object\""),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"not": {}}}}]}, openai.BadRequestError, "'not'"),
        ({"stop": ""}, openai.BadRequestError, "'stop"),
        ({"stream_options": {"include_usage": True}}, openai.BadRequestError, "only allowed when 'stream'"),
        ({"stream": True, "stream_options": {"continuous_usage_stats": True}}, openai.BadRequestError, "continuous_usage_stats"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, openai.BadRequestError, "'image_url'"),
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}, "tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "'other'"),
        ({"extra_body": {"guided_json": {}}}, openai.BadRequestError, "guided_json"),
        ({"model": OPUS, "temperature": 0}, openai.BadRequestError, "temperature"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"tool_choice": "required"}, openai.BadRequestError, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, openai.BadRequestError, "json_schema"),
        ({"max_tokens": "300"}, openai.BadRequestError, "max_tokens"),
        ({"temperature": "0"}, openai.BadRequestError, "temperature"),
        ({"model": None}, openai.BadRequestError, "model parameter"),
        ({"messages": [{"role": "user", "content": None}]}, openai.BadRequestError, "messages.0.content"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c1"}]}, openai.BadRequestError, "tool_call_id"),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                    {"role": "user", "content": "x"},
                ]
            },
            openai.BadRequestError,
            "responding to each 'tool_call_id'. Without one: c1",
        ),
    ],
)
def test_what_is_not_honoured_is_refused_in_openai_shape(
    chat: openai.OpenAI, change: dict[str, Any], error: type[openai.APIStatusError], words: str
) -> None:
    """Without it a parameter would be ignored silently, or the SDK could not type the error."""
    arguments: Any = {"model": LARGE, "messages": [{"role": "user", "content": "x"}], **change}
    with pytest.raises(error) as caught:
        chat.chat.completions.create(**arguments)
    assert words in caught.value.message


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer  "}])
def test_a_missing_key_is_unauthorized(call: Callable[..., Any], headers: dict[str, str]) -> None:
    """Without it a client without a key would work here and fail live."""
    status, _, answer = call("GET", "/v1/models", None, headers)
    assert (status, answer["error"]["code"]) == (401, "missing_api_key")
    status, _, answer = call("POST", "/v1/chat/completions", {"model": SMALL}, headers)
    assert (status, answer["status"], answer["title"]) == (401, 401, "Unauthorized")
    status, _, answer = call("POST", "/v1/chat/completions", {"model": OPUS}, headers)
    assert (status, answer["error"]["code"]) == (401, "missing_api_key")


@pytest.mark.parametrize("root", ["/v1", "/openai/v1"])
@pytest.mark.parametrize("written", [SMALL, SMALL.replace("/", "%2F"), OPUS])
def test_one_model_is_described(call: Callable[..., Any], root: str, written: str) -> None:
    """Without it a client that looks a model up before use would get 404, as ids of NIM have a slash."""
    status, _, answer = call("GET", f"{root}/models/{written}", None, {"Authorization": "Bearer any"})
    assert status == 200
    assert (answer["id"], answer["object"]) == (written.replace("%2F", "/"), "model")


def test_an_unknown_model_has_no_description(chat: openai.OpenAI) -> None:
    """Without it a misspelt id would look like a model."""
    assert chat.models.retrieve(LARGE).id == LARGE
    with pytest.raises(openai.NotFoundError) as caught:
        chat.models.retrieve("meta/llama-9")
    assert caught.value.code == "model_not_found"


def test_throttling_is_told_as_the_hosting_service_tells_it(call: Callable[..., Any], scope: str) -> None:
    """Without it a client that reads error.message would work here and stumble over the hosted service's own body."""
    call("POST", "/sandbox/faults", {"scope": scope, "throttle_rps": 0.4, "burst": 1})
    answers = {}
    for model in (SMALL, OPUS):
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], "metadata": {"scope": scope}}
        answers[model] = [call("POST", "/v1/chat/completions", body, {"Authorization": "Bearer any"}) for _ in range(2)][-1]
    status, headers, answer = answers[SMALL]
    assert (status, answer) == (429, {"status": 429, "title": "Too Many Requests"})
    assert 1 <= int(headers["retry-after"]) <= 3
    status, headers, answer = answers[OPUS]
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    assert float(headers["retry-after-ms"]) > 0
