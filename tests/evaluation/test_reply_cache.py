"""Recorded replies: asked once, durable, replayed without a call."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.errors import DataError
from workshop_lib.evaluation.cache import CacheMiss, ReplyCache, request_hash
from workshop_lib.llm import CallError, Cost, Guardrail, Reply, Request, Tool, Usage

REQUEST = Request("Where is the invoice?", "Route it.", Tool("route", "Routes.", {"type": "object"}), tags={"ticket": "E-007"})


def reply(text: str = "hello", **fields: object) -> Reply:
    """Return a reply as the gateway makes it."""
    given = {"tool_input": None, "usage": Usage(10, 2), "cost": Cost(0.25), "latency_ms": 12.5, "stop_reason": "end_turn", **fields}
    return Reply("nvidia.nemotron-nano-3-30b", text, **given)


def test_second_ask_is_served_from_the_file(tmp_path: Path) -> None:
    """Without it a replay would call the model again, and pay again."""
    path = tmp_path / "deep" / "replies.jsonl"
    first = ReplyCache(path, lambda model, request: reply(request.prompt))
    answered = first("nano", REQUEST)
    again = ReplyCache(path)
    assert again("nvidia.nemotron-nano-3-30b", REQUEST) == answered == first("nano", REQUEST)
    assert (first.calls, first.hits, again.calls, again.hits, len(again)) == (1, 1, 0, 1, 1)


@given(
    text=st.text(),
    tool_input=st.none() | st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.lists(st.floats(allow_nan=False))),
    usage=st.none() | st.builds(Usage, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 9), st.integers(0, 9)),
    cost=st.builds(Cost, st.floats(0, 1e6), st.booleans()),
    latency_ms=st.floats(0, 1e9),
    attempts=st.integers(1, 4),
)
def test_every_reply_survives_the_file(tmp_path_factory: pytest.TempPathFactory, **fields: object) -> None:
    """Without it a replayed run could differ from the recorded one in text, tokens, cost or latency."""
    path = tmp_path_factory.mktemp("cache") / "replies.jsonl"
    told = reply(fields.pop("text"), **fields, source="live")  # type: ignore[arg-type]
    ReplyCache(path, lambda model, request: told)("nano", REQUEST)
    assert ReplyCache(path)("nano", REQUEST) == told


def test_a_miss_names_model_item_and_remedy(tmp_path: Path) -> None:
    """Without it a learner who replays an incomplete file would not know what is missing."""
    with pytest.raises(CacheMiss, match=r"nvidia\.nemotron-nano-3-30b to ticket E-007\. Record it"):
        ReplyCache(tmp_path / "replies.jsonl")("nano", REQUEST)


@pytest.mark.parametrize(
    "other",
    [
        Request("Where is the invoice!", REQUEST.system, REQUEST.tool),
        Request(REQUEST.prompt, "Route it now.", REQUEST.tool),
        Request(REQUEST.prompt, REQUEST.system, Tool("route", "Routes.", {"type": "string"})),
        Request(REQUEST.prompt, REQUEST.system, None),
        Request(REQUEST.prompt, REQUEST.system, REQUEST.tool, max_tokens=301),
        Request(REQUEST.prompt, REQUEST.system, REQUEST.tool, temperature=0.5),
        Request(REQUEST.prompt, REQUEST.system, REQUEST.tool, guardrail=Guardrail("g", "1")),
    ],
)
def test_whatever_the_model_sees_changes_the_key(other: Request) -> None:
    """Without it a changed prompt or setting would be answered with the reply to another one."""
    assert request_hash(other) != request_hash(REQUEST)


def test_tags_do_not_change_the_key() -> None:
    """Without it the same prompt under another run's tag would be paid for twice."""
    assert request_hash(Request(REQUEST.prompt, REQUEST.system, REQUEST.tool, tags={"scope": "other"})) == request_hash(REQUEST)


def test_asked_twice_at_once_calls_once(tmp_path: Path) -> None:
    """Without it two workers with the same ticket would both pay for it."""
    asked, release = threading.Event(), threading.Event()

    def slow(model: str, request: Request) -> Reply:
        asked.set()
        assert release.wait(10)
        return reply()

    cache = ReplyCache(tmp_path / "replies.jsonl", slow)
    got: list[Reply] = []
    workers = [threading.Thread(target=lambda: got.append(cache("nano", REQUEST))) for _ in range(4)]
    workers[0].start()
    assert asked.wait(10)
    for worker in workers[1:]:
        worker.start()
    release.set()
    for worker in workers:
        worker.join(10)
    assert got == [reply()] * 4
    assert (cache.calls, cache.hits) == (1, 3)


def test_many_threads_leave_whole_lines(tmp_path: Path) -> None:
    """Without it concurrent writers could interleave and spoil the file."""
    path = tmp_path / "replies.jsonl"
    cache = ReplyCache(path, lambda model, request: reply(request.prompt * 50))

    def ask(worker: int) -> None:
        for item in range(20):
            cache("nano", Request(f"{worker}-{item}"))

    workers = [threading.Thread(target=ask, args=(worker,)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(ReplyCache(path)) == cache.calls == 160


def test_a_failed_call_is_not_recorded(tmp_path: Path) -> None:
    """Without it one throttled call would be a failure for ever."""
    answers = iter([CallError("throttled", "nano", "slow down."), reply()])

    def inner(model: str, request: Request) -> Reply:
        answer = next(answers)
        if isinstance(answer, CallError):
            raise answer
        return answer

    cache = ReplyCache(tmp_path / "replies.jsonl", inner)
    with pytest.raises(CallError):
        cache("nano", REQUEST)
    assert cache("nano", REQUEST) == reply()


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    """Without it a run killed while writing could never be resumed."""
    path = tmp_path / "replies.jsonl"
    cache = ReplyCache(path, lambda model, request: reply(request.prompt))
    for prompt in "ab":
        cache("nano", Request(prompt))
    whole = path.read_bytes()
    for cut in range(1, len(whole), 5):
        path.write_bytes(whole[:-cut])
        resumed = ReplyCache(path, lambda model, request: reply(request.prompt))
        for prompt in "ab":
            assert resumed("nano", Request(prompt)).text == prompt
        assert len(ReplyCache(path)) == 2


@pytest.mark.parametrize("text", ["subject,body\n", '{"model": "x"}\n', "[1, 2]", "\x00\n", "PK\x03\x04 no newline", "id,body\n1,no newline at the end"])
def test_another_file_is_refused_untouched(tmp_path: Path, text: str) -> None:
    """Without it naming the wrong file would spoil it."""
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        ReplyCache(path)
    assert path.read_text(encoding="utf-8") == text


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    """Without it a spoiled line would be a traceback."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply())("nano", REQUEST)
    path.write_text(path.read_text() + '{"model": "x"}\n')
    with pytest.raises(DataError, match="line 3 is not a recorded reply"):
        ReplyCache(path)


def test_the_file_says_nothing_of_the_machine(tmp_path: Path) -> None:
    """Without it a committed recording could carry a path, a host name or a time of day."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply())("nano", REQUEST)
    header, line = (json.loads(text) for text in path.read_text().splitlines())
    assert set(header) == {"format", "date"}
    assert len(header["date"]) == len("2026-01-01")
    assert set(line) == {
        "model", "request", "prompt_hash", "settings_hash", "tags", "text", "tool_input", "usage", "cost", "latency_ms", "stop_reason",
        "attempts", "source",
    }


def test_memory_only_keeps_nothing_on_disk() -> None:
    """Without it a throw-away comparison would need a file."""
    cache = ReplyCache(None, lambda model, request: reply())
    assert cache("nano", REQUEST) is cache("nano", REQUEST)
    assert (cache.calls, cache.hits) == (1, 1)
