"""Recorded replies: asked once, durable, replayed without a call."""

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.errors import DataError
from workshop_lib.evaluation.cache import CacheMiss, ProvenanceError, ReplyCache, once, request_hash
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.evaluation.provenance import Provenance, provenance
from workshop_lib.evaluation.reply_file import alone
from workshop_lib.llm import CallError, Cost, Guardrail, Reply, Request, Tool, Usage
from workshop_lib.tasks import TRIAGE

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
    assert set(header) == {"format", "date", "code", "provenance"}
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


def stated(*models: str, **fields: object) -> Provenance:
    """Return the provenance of asking some models about the samples in the sandbox."""
    tickets = load_tickets("samples")
    return provenance(TRIAGE, tickets[0].ticket, models or ("nano",), {"samples": tickets}, backend="sandbox", seed=0).model_copy(update=fields)


def test_the_first_line_says_what_was_recorded(tmp_path: Path) -> None:
    """Without it nobody could tell later which prompt, prices and tickets a recording is of."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply(), stated())("nano", REQUEST)
    header = json.loads(path.read_text().splitlines()[0])["provenance"]
    assert (header["prompt_version"], header["models"]["nano"]["input"], header["datasets"]["samples"]["items"]) == ("triage-1", 0.06, 20)
    assert (header["settings"]["max_tokens"], header["backend"], header["seed"]) == (300, "sandbox", 0)


def test_another_use_is_refused_by_field_before_any_call(tmp_path: Path) -> None:
    """Without it old replies could be taken for those to a new prompt, or prices be mixed."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply(), stated())("nano", REQUEST)
    before = path.read_bytes()
    with pytest.raises(ProvenanceError, match=r"prompt hash was .* is 000000000000 now; seed was 0, is 7 now\. Record anew") as refused:
        ReplyCache(path, lambda model, request: pytest.fail("called"), stated(prompt_hash="0" * 64, seed=7))
    assert [one.field for one in refused.value.differences] == ["prompt hash", "seed"]
    assert path.read_bytes() == before


def test_a_recording_without_provenance_is_not_trusted(tmp_path: Path) -> None:
    """Without it replies of unknown origin could enter a table."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply())("nano", REQUEST)
    with pytest.raises(ProvenanceError, match="does not say"):
        ReplyCache(path, provenance=stated())


def test_stand_ins_replies_do_not_count_as_live(tmp_path: Path) -> None:
    """Without it a live run could go on from a sandbox's replies and report them as live."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply(), stated(backend=None, seed=None))("nano", REQUEST)
    with pytest.raises(ProvenanceError, match="backend was 'sandbox', is 'live' now"):
        ReplyCache(path, provenance=stated(backend="live", seed=None))


def test_a_model_is_added_to_a_recording(tmp_path: Path) -> None:
    """Without it a third tier would mean paying for the first two again, or prices of it would not be checked later."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply(), stated("nano"))("nano", REQUEST)
    grown = ReplyCache(path, lambda model, request: reply(), stated("nano", "super"))
    grown("super", REQUEST)
    grown("super", Request("another"))
    assert [next(iter(json.loads(line))) for line in path.read_text().splitlines()] == ["format", "model", "provenance", "model", "model"]
    again = ReplyCache(path)
    assert again.provenance is not None
    assert set(again.provenance.models) == {"nano", "super"}


def test_a_file_is_partial_until_it_is_finished(tmp_path: Path) -> None:
    """Without it a run that was stopped could pass for a complete one."""
    path = tmp_path / "replies.jsonl"
    cache = ReplyCache(path, lambda model, request: reply(), stated())
    assert not cache.partial
    cache("nano", REQUEST)
    assert cache.partial
    assert ReplyCache(path).partial
    with pytest.raises(CacheMiss, match="whose run did not finish, holds no reply"):
        ReplyCache(path)("nano", Request("another"))
    cache.finish()
    cache.finish()
    assert path.read_text().count("finished") == 1
    assert not ReplyCache(path).partial
    more = ReplyCache(path, lambda model, request: reply(), stated())
    more("nano", REQUEST)
    assert not more.partial
    more("nano", Request("another"))
    assert more.partial
    assert ReplyCache(path).partial


def test_a_replay_marks_nothing(tmp_path: Path) -> None:
    """Without it looking at a partial file would make it a finished one."""
    path = tmp_path / "replies.jsonl"
    ReplyCache(path, lambda model, request: reply())("nano", REQUEST)
    before = path.read_bytes()
    ReplyCache(path).finish()
    assert path.read_bytes() == before


@pytest.mark.parametrize("rest", ["\n", '\n{"model": "x"', ""], ids=["whole", "torn later", "torn"])
def test_an_older_format_is_refused_untouched(tmp_path: Path, rest: str) -> None:
    """Without it replies of unknown prompt and prices would be read as if they were of today's."""
    path = tmp_path / "replies.jsonl"
    text = '{"format": "cascade-workshop replies 1", "date": "2026-11-01"}' + rest
    path.write_text(text)
    if rest:
        with pytest.raises(DataError, match=r"format 'cascade-workshop replies 1'.*record anew"):
            ReplyCache(path)
        assert path.read_text() == text
    else:  # nothing but a torn header: there is no reply to lose
        assert len(ReplyCache(path)) == 0


def test_a_device_is_refused_and_stays(tmp_path: Path) -> None:
    """Without it `--cache /dev/null`, typed by an administrator, would replace the device by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(DataError, match="is no file"):
            ReplyCache(path)
        with pytest.raises(DataError, match="is no file"), alone(path):
            pass
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_an_empty_file_is_begun_and_keeps_its_owner(tmp_path: Path) -> None:
    """Without it a file that somebody made ready, with permissions of its own, would be taken away."""
    path = tmp_path / "replies.jsonl"
    path.touch(mode=0o600)
    before = path.stat().st_ino
    ReplyCache(path, lambda model, request: reply(request.prompt))("nano", REQUEST)
    assert path.stat().st_ino == before
    assert len(ReplyCache(path)) == 1


def test_a_write_that_fails_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a full disk would leave half a line in the middle, and the rest of the recording unreadable."""
    path = tmp_path / "replies.jsonl"
    cache = ReplyCache(path, lambda model, request: reply(request.prompt))
    cache("nano", REQUEST)
    real = os.write

    def full(handle: int, data: bytes) -> int:
        real(handle, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        cache("nano", Request("another"))
    monkeypatch.setattr(os, "write", real)
    cache("nano", Request("a third"))
    assert len(ReplyCache(path)) == 2


def test_once_repeats_failures_it_is_told_of() -> None:
    """Without it a call that failed in the labelled run would be made again, and might succeed, in one arm only."""
    late = CallError("read_timeout", "nano", "late.")
    ask = once(lambda model, request: pytest.fail("called"), {(reply().model, request_hash(REQUEST)): late})
    with pytest.raises(CallError, match="late"):
        ask("nano", REQUEST)
