"""Models behind the sandbox's wire: a request through the whole sandbox to a scripted server, and back."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.eventstream import EventStreamBuffer
from scripted_upstream import KEY, LOCAL, NANO, NIM, Answer, Front, Scripted, chunks, completion

from workshop_lib.catalog import model
from workshop_lib.sandbox import upstream
from workshop_lib.sandbox.answering import AnswerFailed
from workshop_lib.sandbox.bedrock import converse

SCHEMA = {"type": "object", "properties": {"category": {"type": "string"}}, "required": ["category"]}
FORCED = {
    "tools": [{"toolSpec": {"name": "route_ticket", "inputSchema": {"json": SCHEMA}}}],
    "toolChoice": {"tool": {"name": "route_ticket"}},
}
Open = Callable[..., Front]


def events(content: bytes) -> list[tuple[str, Any]]:
    """Return the events of an event stream as pairs of type and payload."""
    buffer = EventStreamBuffer()
    buffer.add_data(content)
    found = []
    for event in buffer:
        headers = event.headers
        found.append((headers.get(":event-type") or headers[":exception-type"], json.loads(event.payload)))
    return found


def test_converse_is_answered_by_the_mapped_model(front: Open, scripted: Scripted) -> None:
    """Without it a learner with a model of their own would still talk to a stand-in."""
    scripted.then(Answer(completion("Seven.")))
    answer = front().converse()
    assert answer.json()["output"]["message"]["content"] == [{"text": "Seven."}]
    assert answer.json()["usage"] == {"inputTokens": 11, "outputTokens": 3, "totalTokens": 14}
    assert answer.json()["metrics"]["latencyMs"] >= 1
    assert answer.headers["x-workshop-source"] == "local"
    assert scripted.seen[0]["model"] == LOCAL


def test_a_model_that_is_not_mapped_stays_a_stand_in(front: Open, scripted: Scripted) -> None:
    """Without it a model without a mapping would fail, or a stand-in's figure pass for a local model's."""
    answer = front().converse(model="nvidia.nemotron-super-3-120b")
    assert answer.headers["x-workshop-source"] == "stand-in"
    assert scripted.seen == []


def test_a_forced_tool_and_chat_come_back_in_their_own_shapes(front: Open, scripted: Scripted) -> None:
    """Without it triage would not run on local models through one of the two clients."""
    scripted.then(Answer(completion('{"category": "auth"}')))
    opened = front()
    block = opened.converse(toolConfig=FORCED).json()
    assert block["stopReason"] == "tool_use"
    assert block["output"]["message"]["content"][0]["toolUse"]["input"] == {"category": "auth"}
    function = {"name": "route_ticket", "parameters": SCHEMA}
    chat = opened.chat(tools=[{"type": "function", "function": function}], tool_choice={"type": "function", "function": {"name": "route_ticket"}})
    call = chat.json()["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "route_ticket", "arguments": '{"category": "auth"}'}


def test_streams_come_in_pieces_with_usage_and_say_who_answers(front: Open, scripted: Scripted) -> None:
    """Without it a streamed local answer would be labelled as a stand-in's, or lose its usage."""
    scripted.then(Answer(events=[b": ping\n\n", *chunks({"content": "Sev"}, {"content": "en\u2028."})]))
    opened = front()
    answer = opened.converse(operation="converse-stream")
    assert answer.headers["x-workshop-source"] == "local"
    found = events(answer.content)
    assert [event["delta"]["text"] for kind, event in found if kind == "contentBlockDelta"] == ["Sev", "en\u2028."]
    assert found[-1][1]["usage"]["totalTokens"] == 14
    chat = opened.chat(stream=True, stream_options={"include_usage": True})
    data = [json.loads(line.removeprefix("data: ")) for line in chat.text.split("\n\n") if line.startswith("data: {")]
    assert "".join(choice["delta"].get("content") or "" for chunk in data for choice in chunk["choices"]) == "Seven\u2028."
    assert [chunk["usage"]["total_tokens"] for chunk in data if chunk.get("usage")] == [14]
    assert scripted.seen[1]["stream_options"] == {"include_usage": True}


def test_the_ledger_counts_the_tokens_that_the_server_counted(front: Open, scripted: Scripted) -> None:
    """Without it what was sent to a local model would not be accounted for."""
    scripted.then(Answer(completion()))
    opened = front()
    opened.converse()
    account: Any = opened.sandbox.ledger.summary()["models"]
    assert (account[NANO]["ok"], account[NANO]["input_tokens"], account[NANO]["output_tokens"]) == (1, 11, 3)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (Answer({"error": {"message": "context size exceeded"}}, 400), "ValidationException", "context size exceeded"),
        (Answer({"error": "model 'qwen2.5:7b' not found"}, 404), "ValidationException", "not found"),
        (Answer({"detail": "Unauthorized"}, 401), "ValidationException", "--api-key-env"),
        (Answer({"message": "slow\ndown"}, 429, {"retry-after": "1.5"}), "ThrottlingException", "slow down"),
        (Answer(b"<html>", 500), "InternalServerException", "500"),
        (Answer({}, 503), "ServiceUnavailableException", "503"),
        (Answer({}, 504), "ModelTimeoutException", "504"),
        (Answer({}, 307, {"location": "http://elsewhere.example.com"}), "ValidationException", "307"),
        (Answer(hang_up=True), "InternalServerException", "broke off"),
        (Answer(b"<html>not an API</html>"), "ModelErrorException", "no JSON object"),
        (Answer([1]), "ModelErrorException", "no JSON object"),
        (Answer({"choices": []}), "ModelErrorException", "shape of a chat completion"),
        (Answer({"choices": [{"message": {"content": 5}}]}), "ModelErrorException", "shape of a chat completion"),
        (Answer({"error": {"message": "out of memory"}}), "ModelErrorException", "out of memory"),
        (Answer(b" " * 9_000_000), "ModelErrorException", "more than 8 MB"),
    ],
)
def test_a_servers_failure_is_the_services_error(front: Open, scripted: Scripted, answer: Answer, code: str, said: str) -> None:
    """Without it a broken server would look like a broken sandbox, or be retried when it must not be."""
    scripted.then(answer)
    refused = front().converse()
    assert refused.headers["x-amzn-errortype"].split(":")[0] == code
    assert said in refused.json()["message"]
    assert "\n" not in refused.json()["message"]
    assert ("x-amz-retry-after" in refused.headers) == (code == "ThrottlingException")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer({"error": {"message": "no such model"}}, 404), "validationException"),
        (Answer(completion()), "modelStreamErrorException"),
        (Answer(events=chunks({"content": "Sev"}, finish=None, usage=False)[:-1]), "internalServerException"),
        (Answer(events=[*chunks({"content": "Sev"})[:1], {"error": {"message": "out of memory"}}]), "modelStreamErrorException"),
        (Answer(events=["not json"]), "modelStreamErrorException"),
        (Answer(events=[{"choices": [5]}]), "modelStreamErrorException"),
    ],
)
def test_a_failure_in_a_stream_is_an_exception_event(front: Open, scripted: Scripted, answer: Answer, kind: str) -> None:
    """Without it half an answer would end like a whole one."""
    scripted.then(answer)
    opened = front()
    found = events(opened.converse(operation="converse-stream").content)
    assert found[-1][0] == kind
    account: Any = opened.sandbox.ledger.summary()["models"]
    assert (account[NANO]["ok"], account[NANO]["errors"]) == (0, 1)


def test_a_server_that_is_not_there_is_named(front: Open) -> None:
    """Without it a forgotten server would cost an hour."""
    refused = front(url="http://127.0.0.1:9").converse()
    assert refused.headers["x-amzn-errortype"].startswith("ServiceUnavailableException")
    assert "http://127.0.0.1:9/v1" in refused.json()["message"]
    assert "--upstream" in refused.json()["message"]


def test_a_server_that_takes_too_long_is_a_model_timeout(front: Open, scripted: Scripted) -> None:
    """Without it a hanging server would hang the client."""
    scripted.then(Answer(hold=True))
    opened = front(timeout_s=0.05)
    assert opened.converse().status_code == 408
    assert opened.chat().status_code == 408
    assert scripted.left.wait(10)


def test_a_stream_that_drips_for_ever_ends(front: Open, scripted: Scripted) -> None:
    """Without it a server could hold a client with a byte now and then."""
    scripted.then(Answer(events=chunks({"content": "x"})[:1], hold=True))
    found = events(front(timeout_s=0.05).converse(operation="converse-stream").content)
    assert found[-1][0] == "modelStreamErrorException"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_goes_away_ends_the_servers_work(runner: asyncio.Runner, scripted: Scripted, streaming: bool) -> None:
    """Without it a model would go on computing for nobody."""
    scripted.then(Answer(events=chunks({"content": "x"})[:1], hold=True) if streaming else Answer(hold=True))
    answerer = upstream.open_answerer(upstream.read({"url": scripted.url, "map": ["nano=m"]}), None)  # type: ignore[arg-type]
    ask = converse.ask(model("nano"), {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, 0)

    async def leave() -> None:
        if streaming:
            parts = answerer.stream(ask)
            await anext(parts)
            await parts.aclose()
            return
        asked = asyncio.create_task(answerer.complete(ask))
        await asyncio.to_thread(scripted.asked.wait, 10)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    runner.run(leave())
    assert scripted.left.wait(10)


def test_a_key_is_sent_to_the_server_and_to_no_other(front: Open, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a NIM or a protected server could not be used, or the client's own key be passed on."""
    scripted.then(Answer(completion()))
    monkeypatch.setenv("SOME_UPSTREAM_KEY", "k-123")
    front(api_key_env="SOME_UPSTREAM_KEY").converse()
    front().converse()
    assert scripted.headers[0]["authorization"] == "Bearer k-123"
    assert KEY["Authorization"] not in scripted.headers[1].values()


def test_a_proxy_is_not_asked_for_what_stays_on_the_machine(front: Open, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a company's proxy setting would break every local server."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    scripted.then(Answer(completion()))
    assert front().converse().status_code == 200


def test_the_failure_of_a_retried_request_is_not_remembered(front: Open, scripted: Scripted) -> None:
    """Without it one broken connection would break the next request."""
    scripted.then(Answer(hang_up=True), Answer(completion()))
    opened = front()
    assert [opened.converse().status_code for _ in range(2)] == [500, 200]


def test_answers_to_many_at_once_are_not_mixed_up(runner: asyncio.Runner, scripted: Scripted, front: Open) -> None:
    """Without it two learners could get each other's answers."""
    scripted.then(*[Answer(completion(f"answer {number}")) for number in range(8)])
    opened = front()

    async def all_() -> list[httpx.Response]:
        body = {"messages": [{"role": "user", "content": [{"text": "x"}]}]}
        return await asyncio.gather(*(opened._post(f"/model/{NANO}/converse", body) for _ in range(8)))

    texts = [answer.json()["output"]["message"]["content"][0]["text"] for answer in runner.run(all_())]
    assert sorted(texts) == [f"answer {number}" for number in range(8)]


def test_the_two_protocols_reach_the_same_upstream_model(front: Open, scripted: Scripted) -> None:
    """Without it a mapped NIM id would not be answered."""
    scripted.then(Answer(completion("Seven.")))
    answer = front().chat(model=NIM)
    assert answer.json()["choices"][0]["message"]["content"] == "Seven."
    assert answer.json()["model"] == NIM
    assert answer.headers["x-workshop-source"] == "local"


def test_half_a_surrogate_pair_gets_an_answer(front: Open, scripted: Scripted) -> None:
    """Without it an emoji that was cut in two, in a prompt or in an answer, would crash the sandbox."""
    scripted.then(Answer(b'{"choices": [{"message": {"content": "\\ud83d!"}, "finish_reason": "stop"}]}'))
    answer = front().converse("half \ud83d")
    assert answer.json()["output"]["message"]["content"] == [{"text": "?!"}]
    assert scripted.seen[0]["messages"][-1]["content"] == "half ?"


def test_an_answer_that_failed_says_why_to_a_caller_in_code(runner: asyncio.Runner, scripted: Scripted) -> None:
    """Without it the server could not tell which error to send."""
    scripted.then(Answer({}, 429, {"retry-after-ms": "20", "retry-after": "9"}))
    answerer = upstream.open_answerer(upstream.read({"url": scripted.url, "map": ["nano=m"]}), None)  # type: ignore[arg-type]
    ask = converse.ask(model("nano"), {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, 0)
    with pytest.raises(AnswerFailed) as failed:
        runner.run(answerer.complete(ask))
    assert failed.value.failure.retry_after_ms == 20
