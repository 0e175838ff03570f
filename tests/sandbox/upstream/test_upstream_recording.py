"""Replies recorded once and replayed: without the server, the same bytes, and nothing made up."""

import asyncio
import errno
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
from scripted_upstream import LOCAL, NANO, NIM, Answer, Front, Scripted, chunks, completion

from workshop_lib.catalog import model
from workshop_lib.errors import SettingsError
from workshop_lib.sandbox import upstream
from workshop_lib.sandbox.answering import StandIns
from workshop_lib.sandbox.ask import Piece
from workshop_lib.sandbox.bedrock import converse
from workshop_lib.sandbox.chat import request as chat
from workshop_lib.sandbox.upstream.recording import request_hash

Open = Callable[..., Front]
SCHEMA = {"type": "object", "properties": {"category": {"type": "string"}}, "required": ["category"]}
FORCED = {"tools": [{"toolSpec": {"name": "route", "inputSchema": {"json": SCHEMA}}}], "toolChoice": {"tool": {"name": "route"}}}


def lines(file: Path) -> list[dict[str, Any]]:
    """Return a recording's lines."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def replaying(runner: asyncio.Runner, file: Path, **options: Any) -> Front:
    """Open a sandbox that has a recording and no server."""
    return Front(runner, replay=file, **options)


def test_what_was_recorded_is_replayed_without_the_server(runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a bake-off on a local model could not be repeated by anybody else."""
    file = tmp_path / "new" / "r.jsonl"
    scripted.then(Answer(completion('{"category": "auth"}')), Answer(completion("Se\u2028ven 7€.")), Answer(completion("", "length", usage=False)))
    live = front(record=file)
    requests: list[Callable[[Front], Any]] = [
        lambda opened: opened.converse(toolConfig=FORCED),
        lambda opened: opened.chat("seven?"),
        lambda opened: opened.converse("cut", inferenceConfig={"maxTokens": 1}),
    ]
    recorded = [ask(live) for ask in requests]
    again = replaying(runner, file)
    for before, after in zip(recorded, [ask(again) for ask in requests], strict=True):
        assert before.headers["x-workshop-source"] == "local"
        assert after.headers["x-workshop-source"] == "replay"
        assert after.content == before.content
        assert after.headers["x-workshop-latency-ms"] == before.headers["x-workshop-latency-ms"]
    assert len(scripted.seen) == 3


def test_a_line_says_what_answered_and_nothing_of_the_request(front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a recording could not be told from another model's, or would carry customers' words."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion()))
    scripted.pages = {"/v1/models": {"data": [{"id": "other", "meta": {"n_params": 135}}]}, "/props": {"model_path": "/models/m.gguf"}}
    opened = front(record=file)
    opened.converse("My secret is 4711.", requestMetadata={"prompt_version": "triage-3", "scope": "x"})
    opened.chat("My secret is 4711.", metadata={"prompt_version": "v\u00e9"})
    (line, second) = lines(file)
    assert "4711" not in file.read_text()
    assert {name: line[name] for name in ("model", "upstream_model", "prompt_version", "stop_reason")} == {
        "model": NANO,
        "upstream_model": LOCAL,
        "prompt_version": "triage-3",
        "stop_reason": "end_turn",
    }
    assert line["upstream_hash"].startswith("described:")
    assert line["usage"] == {"input_tokens": 11, "output_tokens": 3, "estimated": False}
    assert line["recorded_at"].endswith("+00:00")
    assert line["request_hash"] == second["request_hash"]
    assert second["model"] == NIM


def test_the_weights_are_named_where_the_server_tells_their_digest(front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it two quantizations under one name would pass for the same model; a bare name says nothing of the weights."""
    scripted.then(Answer(completion()))
    for number, (pages, wanted) in enumerate(
        [({"/api/tags": {"models": [{"name": LOCAL, "digest": "abc"}]}}, "weights:abc"), ({"/v1/models": {"data": [{"id": LOCAL}]}}, None), ({"/v1/models": 5}, None)]
    ):
        scripted.pages = pages
        front(record=tmp_path / f"{number}.jsonl").converse()
        assert lines(tmp_path / f"{number}.jsonl")[0]["upstream_hash"] == wanted


def test_streams_are_recorded_and_replayed_in_pieces(runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it an interface that streams could not be shown from a recording."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(events=chunks({"content": "One two"}, {"content": " three."})))
    front(record=file).converse(operation="converse-stream")
    again = replaying(runner, file)
    assert again.converse().json()["output"]["message"]["content"] == [{"text": "One two three."}]
    streamed = again.converse(operation="converse-stream")
    assert streamed.headers["x-workshop-source"] == "replay"
    ask = converse.ask(model("nano"), {"messages": [{"role": "user", "content": [{"text": "What is 3 + 4?"}]}]}, 0)

    async def parts() -> list[Any]:
        return [part async for part in again.sandbox.answerer.stream(ask)]

    assert [part.text for part in runner.run(parts()) if isinstance(part, Piece)] == ["One", " two", " three."]


def test_failures_are_not_recorded(front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a passing outage would be replayed for ever."""
    file = tmp_path / "r.jsonl"
    opened = front(record=file)
    scripted.then(Answer({}, 500))
    opened.converse()
    scripted.then(Answer(events=chunks({"content": "Sev"}, finish=None, usage=False)))
    opened.converse(operation="converse-stream")
    assert file.read_bytes() == b""


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
def test_a_miss_names_the_request_the_model_and_the_way_out(
    runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path, operation: str
) -> None:
    """Without it a changed prompt would look like a broken recording; no call is made up."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion()))
    front(record=file).converse()
    missed = replaying(runner, file).converse("Something else?", operation=operation)
    for word in (NANO, "request_hash", "it has 1 of this model", "--record", "--on-miss stand-in"):
        assert word.encode() in missed.content
    if operation == "converse":
        assert missed.headers["x-amzn-errortype"].startswith("ValidationException")


def test_a_miss_can_go_to_the_stand_in_which_says_so(runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a stand-in's answer would be labelled as the recorded model's."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion()))
    front(record=file).converse()
    again = replaying(runner, file, on_miss="stand-in")
    for operation in ("converse", "converse-stream"):
        sources = [again.converse(text, operation=operation).headers["x-workshop-source"] for text in ("What is 3 + 4?", "What is 2 + 2?")]
        assert sources == ["replay", "stand-in"]


def test_a_miss_can_fill_the_gap(front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a long recording could not be continued after a break, or would pay twice for what it has."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion("first")), Answer(completion("second")))
    options = {"record": file, "replay": file, "on_miss": "upstream"}
    opened = front(**options)
    got = [opened.converse(text).headers["x-workshop-source"] for text in ("a", "a", "b", "a", "b")]
    assert got == ["local", "replay", "local", "replay", "replay"]
    del opened
    gc.collect()  # closes the file
    assert len(lines(file)) == 2
    assert front(**options).converse("b").json()["output"]["message"]["content"] == [{"text": "second"}]
    assert len(scripted.seen) == 2


def test_a_recorded_model_that_is_not_mapped_is_never_asked_for(runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a miss of a model without a server would crash."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion()))
    front(record=file).converse()
    opened = Front(runner, url=scripted.url, map=[f"{NIM}={LOCAL}"], replay=file, on_miss="upstream")
    assert opened.converse("else").status_code == 400
    assert opened.chat("else").headers["x-workshop-source"] == "local"


def test_a_line_that_a_crash_cut_off_is_removed(runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a crash would make the whole recording unreadable, or glue two lines together."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion()))
    front(record=file).converse()
    gc.collect()  # closes the file
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:20])
    assert replaying(runner, file).converse().status_code == 200
    assert file.read_bytes() == whole + whole[:20]
    front(record=file).converse("second")
    assert lines(file)[0]["request_hash"] == json.loads(whole)["request_hash"]
    assert len(lines(file)) == 2


@pytest.mark.skipif("sys.platform == 'win32'", reason="files are not claimed on Windows")
def test_a_recording_has_one_writer(front: Open, tmp_path: Path) -> None:
    """Without it two sandboxes would write into each other's lines."""
    file = tmp_path / "r.jsonl"
    first = front(record=file)
    with pytest.raises(SettingsError, match="is no file"):
        front(record="/dev/null")
    with pytest.raises(SettingsError, match="in use by another sandbox"):
        front(record=file)
    assert first.sandbox


class Full:
    """A file on a disk that is full after ten more bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write(self, content: bytes) -> int:
        """Write what fits."""
        self.file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    def truncate(self, size: int) -> None:
        """Give room back."""
        self.file.truncate(size)


def test_a_full_disk_is_told_and_leaves_the_file_as_it_was(front: Open, scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a recording would have a hole that nobody knows of, or half a line in its middle."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion()))
    opened = front(record=file)
    opened.converse("first")
    before = file.read_bytes()
    kept = opened.sandbox.answerer._routes[NANO]._file  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(kept, "_file", Full(kept._file))
        refused = opened.converse("second")
    assert refused.status_code == 500
    assert "could not be recorded" in refused.json()["message"]
    assert file.read_bytes() == before
    assert opened.converse("third").status_code == 200
    assert len(lines(file)) == 2


def test_of_two_replies_to_one_request_the_last_counts(runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path) -> None:
    """Without it a correction could not be recorded over a mistake."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion("old")), Answer(completion("new")))
    opened = front(record=file)
    opened.converse()
    opened.converse()
    assert replaying(runner, file).converse().json()["output"]["message"]["content"] == [{"text": "new"}]


def hashed(seed: int = 0, **body: Any) -> str:
    """Return the hash of a Converse request of Nano."""
    return request_hash(converse.ask(model("nano"), {"messages": [{"role": "user", "content": [{"text": "x"}]}], **body}, seed))


def test_the_hash_follows_what_is_asked_and_nothing_else() -> None:
    """Without it a recording would miss after a change of seed or tag, or hit for another prompt."""
    assert hashed(0) == hashed(7) == hashed(requestMetadata={"scope": "a"}) == hashed(inferenceConfig={"temperature": 0})
    others = [
        {"system": [{"text": "s"}]},
        {"toolConfig": FORCED},
        {"inferenceConfig": {"maxTokens": 5}},
        {"inferenceConfig": {"temperature": 0.5}},
        {"inferenceConfig": {"temperature": 0.5}, "requestMetadata": {"sample": "2"}},
        {"inferenceConfig": {"stopSequences": ["x"]}},
        {"messages": [{"role": "user", "content": [{"text": "y"}]}]},
    ]
    assert len({hashed(), *(hashed(**body) for body in others)}) == len(others) + 1


def test_draws_of_a_chat_request_are_told_apart_by_its_seed() -> None:
    """Without it a vote of several samples would replay one of them several times."""

    def of(**more: Any) -> str:
        body = {"model": NIM, "messages": [{"role": "user", "content": "x"}], **more}
        return request_hash(chat.exchange(model(NIM), body, 0).asks[0])

    assert of(temperature=1, seed=1) != of(temperature=1, seed=2)
    assert of(temperature=0, seed=1) == of(temperature=0, seed=2)


def test_the_ids_of_tool_calls_do_not_count() -> None:
    """Without it a conversation with tools could not be replayed under another seed, which makes other ids."""

    def of(id_: str, seed: int) -> str:
        call = {"role": "assistant", "content": [{"toolUse": {"toolUseId": id_, "name": "route", "input": {}}}]}
        result = {"role": "user", "content": [{"toolResult": {"toolUseId": id_, "content": [{"text": "done"}]}}]}
        return hashed(seed, messages=[{"role": "user", "content": [{"text": "x"}]}, call, result], toolConfig={"tools": FORCED["tools"]})

    assert of("a", 0) == of("b", 1)


def test_replayed_latency_is_slept_at_the_time_scale(
    runner: asyncio.Runner, front: Open, scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a replay would answer at once where the stand-ins take their time."""
    file = tmp_path / "r.jsonl"
    scripted.then(Answer(completion("One two three four.")))
    front(record=file).converse()
    content = file.read_text()
    file.write_text(content.replace(f'"latency_ms":{lines(file)[0]["latency_ms"]}', '"latency_ms":8000'))
    answerer = upstream.open_answerer(upstream.read({"replay": file}), StandIns(0.5))
    ask = converse.ask(model("nano"), {"messages": [{"role": "user", "content": [{"text": "What is 3 + 4?"}]}]}, 0)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def both() -> None:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        assert (await answerer.complete(ask)).latency_ms == 8000
        assert [part async for part in answerer.stream(ask)]

    runner.run(both())
    assert slept == [4.0, 1.0, 1.0, 1.0, 1.0]
