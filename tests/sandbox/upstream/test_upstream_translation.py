"""A request on its way to an upstream server, and what comes back, without a network."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_upstream import chunks, completion

from workshop_lib import catalog
from workshop_lib.sandbox.answering import AnswerFailed
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.bedrock import converse
from workshop_lib.sandbox.chat import request as chat
from workshop_lib.sandbox.upstream import asking
from workshop_lib.sandbox.upstream.answers import Answer
from workshop_lib.sandbox.upstream.config import Forced

NANO = catalog.model("nano")
SCHEMA = {"type": "object", "properties": {"category": {"type": "string", "enum": ["billing", "auth"]}}, "required": ["category"]}
SPEC = {"toolSpec": {"name": "route_ticket", "description": "Route a ticket.", "inputSchema": {"json": SCHEMA}}}
FORCED = {"tools": [SPEC], "toolChoice": {"tool": {"name": "route_ticket"}}}
USER = {"role": "user", "content": [{"text": "I was charged twice."}]}
CALLED = {"role": "assistant", "content": [{"text": "I look."}, {"toolUse": {"toolUseId": "t1", "name": "route_ticket", "input": {"category": "auth"}}}]}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"json": {"ok": False}}]}}, {"text": "Again."}]}


def asked(seed: int = 0, **body: Any) -> Ask:
    """Return what a Converse request asks of Nano."""
    return converse.ask(NANO, {"messages": [USER], **body}, seed)


def sent(ask: Ask, forced: Forced = "json_schema", *, stream: bool = False) -> dict[str, Any]:
    """Return the body that is sent for it, as it goes over the wire."""
    found: dict[str, Any] = json.loads(json.dumps(asking.body(ask, "m", forced, stream=stream)))
    return found


def answered(ask: Ask, body: Any, forced: Forced = "json_schema") -> Completion:
    """Return what becomes of a whole completion."""
    answer = Answer(ask, "m", forced)
    list(answer.add(body))
    return answer.done(5)


def streamed(ask: Ask, events: list[Any], forced: Forced = "json_schema") -> tuple[list[Piece], Completion]:
    """Return what becomes of a stream."""
    answer = Answer(ask, "m", forced)
    pieces = [piece for event in events if event != "[DONE]" for piece in answer.add(event)]
    return pieces, answer.ended(5)


def test_every_setting_of_a_request_arrives() -> None:
    """Without it a limit or a stop sequence would be ignored silently."""
    body = sent(
        asked(
            system=[{"text": "Be brief."}],
            inferenceConfig={"maxTokens": 7, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        ),
        stream=True,
    )
    seed = body.pop("seed")
    assert 0 <= seed < 2**31
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "I was charged twice."}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "stop": ["END"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_same_request_is_drawn_alike_and_another_seed_otherwise() -> None:
    """Without it "same request and seed, same bytes" would not hold for local models."""
    assert sent(asked(1)) == sent(asked(1))
    assert sent(asked(1))["seed"] != sent(asked(2))["seed"]


def test_a_forced_tool_is_a_schema_that_the_model_is_shown() -> None:
    """Without it the grammar would force fields that the model was never told of."""
    body = sent(asked(toolConfig=FORCED))
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "tools" not in body
    system = body["messages"][0]["content"]
    assert all(word in system for word in ("route_ticket", "Route a ticket.", '"enum": ["billing", "auth"]'))
    only_one = sent(asked(toolConfig={"tools": [SPEC], "toolChoice": {"any": {}}}))
    assert only_one["response_format"] == body["response_format"]


@pytest.mark.parametrize(
    ("choice", "forced", "wanted"),
    [
        ({"auto": {}}, "json_schema", "auto"),
        ({"any": {}}, "tools", "required"),
        ({"tool": {"name": "route_ticket"}}, "tools", {"type": "function", "function": {"name": "route_ticket"}}),
    ],
)
def test_other_choices_go_by_the_servers_own_tools(choice: Any, forced: Forced, wanted: Any) -> None:
    """Without it a model that may choose would be forced, or one that is forced could choose."""
    body = sent(asked(toolConfig={"tools": [SPEC], "toolChoice": choice}), forced)
    assert body["tool_choice"] == wanted
    assert body["tools"][0]["function"] == {"name": "route_ticket", "description": "Route a ticket.", "parameters": SCHEMA}
    assert "response_format" not in body


def test_a_conversation_with_tools_keeps_its_calls_and_results() -> None:
    """Without it the model would not know what it called, or what came back."""
    messages = sent(asked(messages=[USER, CALLED, RESULT], toolConfig={"tools": [SPEC]}))["messages"]
    call = {"id": "t1", "type": "function", "function": {"name": "route_ticket", "arguments": '{"category": "auth"}'}}
    assert messages[1:] == [
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": '{"ok": false}'},
        {"role": "user", "content": "Again."},
    ]
    as_text = sent(asked(messages=[USER, CALLED, RESULT], toolConfig=FORCED))["messages"]
    assert [message["role"] for message in as_text] == ["system", "user", "assistant", "user"]
    assert as_text[2]["content"] == 'I look.\n{"category": "auth"}'
    assert as_text[3]["content"] == 'The function returned: {"ok": false}\nAgain.'


def test_a_chat_conversation_is_sent_as_the_converse_one() -> None:
    """Without it the two protocols would ask the same model different things."""
    call = {"id": "t1", "type": "function", "function": {"name": "route_ticket", "arguments": '{"category": "auth"}'}}
    body = {
        "model": NANO.id,
        "messages": [
            {"role": "user", "content": "I was charged twice."},
            {"role": "assistant", "content": "I look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t1", "content": '{"ok": false}'},
            {"role": "user", "content": "Again."},
        ],
        "tools": [{"type": "function", "function": {"name": "route_ticket", "description": "Route a ticket.", "parameters": SCHEMA}}],
    }
    (ask,) = chat.exchange(NANO, body, 0).asks
    converse_ask = asked(messages=[USER, CALLED, RESULT], toolConfig={"tools": [SPEC]})
    assert sent(ask)["messages"] == sent(converse_ask)["messages"]


def test_structured_answers_are_asked_for() -> None:
    """Without it response_format would be ignored on the way."""
    format_ = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    for given_, wanted in [(format_, "json_schema"), ({"type": "json_object"}, "json_object")]:
        body = {"model": NANO.id, "messages": [{"role": "user", "content": "JSON"}], "response_format": given_}
        (ask,) = chat.exchange(NANO, body, 0).asks
        assert sent(ask)["response_format"]["type"] == wanted


def test_a_schema_answer_becomes_the_tool_call() -> None:
    """Without it boto3 users would get JSON text where they forced a tool."""
    done = answered(asked(toolConfig=FORCED), completion('\n {"category": "auth"}'))
    assert (done.stop_reason, done.tool_name, done.tool_input) == ("tool_use", "route_ticket", {"category": "auth"})
    assert (done.input_tokens, done.output_tokens, done.latency_ms, done.source, done.upstream_model) == (11, 3, 5, "local", "m")


def test_a_tool_call_becomes_the_tool_call() -> None:
    """Without it servers with tool calls of their own would not work; Ollama writes arguments as an object now and then."""
    for arguments in ('{"category": "auth"}', {"category": "auth"}):
        call = {"id": "x", "type": "function", "function": {"name": "route_ticket", "arguments": arguments}}
        done = answered(asked(toolConfig=FORCED), completion(None, "tool_calls", tool_calls=[call]), "tools")
        assert (done.stop_reason, done.tool_name, done.tool_input) == ("tool_use", "route_ticket", {"category": "auth"})


def test_a_server_that_ignores_the_schema_answers_in_text() -> None:
    """Without it prose would be dressed up as a tool call, and the callers' own parsing never be used."""
    done = answered(asked(toolConfig=FORCED), completion('Sure! {"category": "auth"}'))
    assert (done.stop_reason, done.tool_name, done.text) == ("end_turn", None, 'Sure! {"category": "auth"}')


def test_arguments_that_are_no_json_are_called_malformed() -> None:
    """Without it a broken call would look like one without arguments."""
    for forced, body in [
        ("json_schema", completion('{"category": auth}')),
        ("tools", completion(None, tool_calls=[{"function": {"name": "route_ticket", "arguments": "{'category'"}}])),
    ]:
        done = answered(asked(toolConfig=FORCED), body, forced)  # type: ignore[arg-type]
        assert (done.stop_reason, done.tool_name, done.tool_input) == ("malformed_tool_use", "route_ticket", {})


def test_a_cut_off_call_keeps_what_was_written_in_full() -> None:
    """Without it a truncated answer would pass for an empty or a broken one."""
    done = answered(asked(toolConfig=FORCED), completion('{"category": "auth", "reason": "the pass', "length"))
    assert (done.stop_reason, done.tool_input) == ("max_tokens", {"category": "auth"})


@pytest.mark.parametrize(
    ("finish", "wanted"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "content_filtered"), (None, "end_turn"), ({}, "end_turn")],
)
def test_stop_reasons_are_converses(finish: Any, wanted: str) -> None:
    """Without it a filtered or cut-off answer would count as finished."""
    assert answered(asked(), completion(finish=finish)).stop_reason == wanted


def test_a_stop_sequence_is_named_if_the_server_names_it() -> None:
    """Without it vLLM's own word on why a text ended would be lost."""
    body = completion()
    body["choices"][0]["stop_reason"] = "END"
    done = answered(asked(inferenceConfig={"stopSequences": ["END"]}), body)
    assert (done.stop_reason, done.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize("usage", [False, {}, {"prompt_tokens": 3}, {"prompt_tokens": True, "completion_tokens": 1}, {"prompt_tokens": -1, "completion_tokens": 1}])
def test_missing_usage_is_estimated_and_says_so(usage: Any) -> None:
    """Without it a call would be free that was not, or an estimate pass for a count."""
    done = answered(asked(), completion(usage=usage))
    assert done.usage_estimated
    assert done.input_tokens > 0
    assert done.output_tokens > 0
    assert not answered(asked(), completion()).usage_estimated


def test_log_probabilities_are_passed_on_and_fit_the_text() -> None:
    """Without it the token gate would not work on local models, or read tokens that are not the text's."""
    body = {"model": NANO.id, "messages": [{"role": "user", "content": "x"}]}
    (ask,) = chat.exchange(NANO, body, 0).asks
    ask = Ask(**{**vars(ask), "logprobs": 2})
    assert (sent(ask)["logprobs"], sent(ask)["top_logprobs"]) == (True, 2)
    fenced = completion("yes")
    tokens = [{"token": token, "logprob": -0.5, "top_logprobs": [{"token": "no", "logprob": -1.5}]} for token in ("```\n", "yes", "\n```")]
    fenced["choices"][0]["logprobs"] = {"content": tokens}
    done = answered(ask, fenced)
    assert "".join(token.token for token in done.tokens) == done.text == "```\nyes\n```"
    assert done.tokens[1].top == (("no", -1.5),)
    fenced["choices"][0]["logprobs"] = {"content": tokens[:1]}
    assert answered(ask, fenced).tokens == ()


@given(st.lists(st.integers(0, 40), max_size=6), st.sampled_from(['{"category": "auth"}', " \n{}", "Prose.", "", '{"categ']), st.booleans())
def test_a_stream_says_what_the_whole_answer_says(cuts: list[int], text: str, by_schema: bool) -> None:
    """Without it an answer would depend on how the server cuts it."""
    ask = asked(toolConfig=FORCED) if by_schema else asked()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [{"content": text[start:stop]} for start, stop in pairwise(edges)]
    pieces, done = streamed(ask, chunks({"role": "assistant", "content": ""}, *parts))
    assert done == answered(ask, completion(text))
    assert "".join(piece.text for piece in pieces) == (done.tool_arguments if done.tool_name else done.text)
    assert {piece.tool_name for piece in pieces if piece.text} <= {done.tool_name}


def test_a_streamed_tool_call_comes_in_fragments() -> None:
    """Without it a server's own tool calls would not stream; a second call is left out, as the whole answer leaves it out."""
    ask = asked(toolConfig={"tools": [SPEC]})
    first = {"tool_calls": [{"index": 0, "id": "x", "function": {"name": "route_ticket", "arguments": ""}}]}
    more = [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in ('{"category"', ': "auth"}')]
    second = {"tool_calls": [{"index": 1, "id": "y", "function": {"name": "route_ticket", "arguments": "{}"}}]}
    pieces, done = streamed(ask, chunks(first, *more, second, finish="tool_calls"))
    assert [piece.text for piece in pieces] == ["", '{"category"', ': "auth"}']
    assert (done.stop_reason, done.tool_input) == ("tool_use", {"category": "auth"})


def test_a_stream_that_ends_before_the_answer_is_no_answer() -> None:
    """Without it half an answer would be taken for a whole one when the server dies."""
    with pytest.raises(AnswerFailed) as failed:
        streamed(asked(), chunks({"content": "Sev"}, finish=None, usage=False))
    assert failed.value.failure.kind == "server"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "stop", "\ud800", "{}"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["choices", "message", "delta", "content", "tool_calls", "function", "name", "arguments", "usage", "index", "logprobs", "finish_reason", "token"]), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON, st.booleans())
def test_any_answer_is_an_answer_or_a_failure(choice: Any, usage: Any, by_schema: bool) -> None:
    """Without it a strange server could crash the sandbox."""
    ask = asked(toolConfig=FORCED) if by_schema else asked()
    for body in ({"choices": [choice], "usage": usage}, {"choices": choice}, {"choices": [{"message": choice}]}):
        try:
            done = answered(ask, body, "json_schema" if by_schema else "tools")
        except AnswerFailed:
            continue
        assert done.output_tokens >= 0
        (done.text + done.tool_arguments).encode()
