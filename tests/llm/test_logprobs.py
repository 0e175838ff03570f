"""Log-probabilities and repeated draws: what is sent, what is read, and who refuses."""

from collections.abc import Callable
from typing import Any

import pytest

from workshop_lib import catalog
from workshop_lib.evaluation.cache import ReplyCache, request_hash
from workshop_lib.llm import CallError, Cost, Gateway, Reply, Request, RetryPolicy, TokenLogprob, bedrock, openai_chat
from workshop_lib.settings import Settings

SMALL, NANO = catalog.model("nim-8b"), catalog.model("nano")
TOKENS = [
    {"token": '{"a": "', "logprob": -0.1, "bytes": None, "top_logprobs": []},
    {"token": "yes", "logprob": -0.5, "top_logprobs": [{"token": "yes", "logprob": -0.5}, {"token": "no", "logprob": -1.2}]},
]
READ = (TokenLogprob('{"a": "', -0.1), TokenLogprob("yes", -0.5, (("yes", -0.5), ("no", -1.2))))
Make = Callable[..., Settings]


def completion(logprobs: Any) -> dict[str, Any]:
    """Return a chat completion with these log-probabilities."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"a": "yes'}, "logprobs": logprobs}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": SMALL.id, "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def test_they_are_asked_for_and_read(server: Any, sandboxed: Make) -> None:
    """Without it a gate on the label's probability would have nothing to look at."""
    server.then(type(server.answers[0])(200, completion({"content": TOKENS})))
    reply = Gateway(sandboxed(), RetryPolicy(max_retries=0))("nim-8b", Request("hi", logprobs=5))
    assert reply.logprobs == READ
    assert {name: server.seen[0][2][name] for name in ("logprobs", "top_logprobs")} == {"logprobs": True, "top_logprobs": 5}


def test_nothing_is_sent_that_was_not_asked_for(server: Any, sandboxed: Make) -> None:
    """Without it servers that refuse these parameters would refuse every call."""
    server.then(type(server.answers[0])(200, completion(None)))
    assert openai_chat.OpenAIChat(sandboxed()).send(SMALL, Request("hi")).logprobs is None
    assert not {"logprobs", "top_logprobs", "seed"} & set(server.seen[0][2])


@pytest.mark.parametrize(
    "reported", [None, {}, {"content": None}, {"content": []}, {"content": [{"token": "x"}]}, {"content": ["x"]}, "x", {"content": [{"token": "x", "logprob": "much"}]}]
)
def test_what_is_no_list_of_tokens_is_none(reported: Any) -> None:
    """Without it a server with another idea of the field would be a traceback that loses the reply and its cost."""
    assert openai_chat.read(completion(reported)).logprobs is None


def test_converse_refuses_before_any_call(server: Any, sandboxed: Make) -> None:
    """Without it the call would be paid and the gate find nothing."""
    with pytest.raises(CallError, match="Converse has no field for log-probabilities") as caught:
        bedrock.Bedrock(sandboxed()).send(NANO, Request("hi", logprobs=1))
    assert (caught.value.kind, server.seen) == ("validation", [])
    assert "\n" not in str(caught.value)


def test_repeated_draws_are_told_apart() -> None:
    """Without it a cache or a server that repeats itself would make every sample the first one."""
    plain, drawn = Request("hi", temperature=0.7), [Request("hi", temperature=0.7, sample=number) for number in (1, 2)]
    assert len({request_hash(request) for request in (plain, *drawn, Request("hi", temperature=0.7, logprobs=5))}) == 4
    assert [openai_chat.chat_arguments(SMALL, request).get("seed") for request in (plain, *drawn)] == [None, 1, 2]
    assert [bedrock.converse_arguments(NANO, request).get("requestMetadata") for request in (plain, *drawn)] == [None, {"sample": "1"}, {"sample": "2"}]


def test_a_time_limit_does_not_hide_a_recording() -> None:
    """Without it a replay under a deadline would find nothing, as the seconds left differ every time."""
    assert request_hash(Request("hi", timeout_s=1.5)) == request_hash(Request("hi"))


def test_they_survive_a_recording(tmp_path: Any) -> None:
    """Without it a replayed walk would escalate everything for want of log-probabilities."""
    told = Reply(SMALL.id, "x", None, None, Cost(0.0), 1.0, "end_turn", logprobs=READ)
    ReplyCache(tmp_path / "replies.jsonl", lambda model, request: told)("nim-8b", Request("hi", logprobs=5))
    assert ReplyCache(tmp_path / "replies.jsonl")("nim-8b", Request("hi", logprobs=5)) == told
