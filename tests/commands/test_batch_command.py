"""`workshop batch`, as a person types it: what is wrong is one line, and how to go on is said."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

sys.path.append(str(Path(__file__).parent / "batch"))
from batch_bench import Bench, Bucket, sandbox_over, tickets

from workshop_lib.cli import app
from workshop_lib.commands import batch as batch_command
from workshop_lib.commands.batch import Options, batch
from workshop_lib.errors import DataError, SettingsError, WorkshopError
from workshop_lib.paths import ROOT
from workshop_lib.settings import Settings

PLACE = "s3://bucket/runs"


class Ready(Bench):
    """A bench in the place of the service."""

    def ready(self) -> None:
        """Have the bucket."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> Ready:
    """Give the command a service in memory."""
    bucket = Bucket()
    found = Ready(sandbox_over(monkeypatch, bucket), bucket)
    monkeypatch.setattr(batch_command, "Service", lambda _settings, _place, _role: found)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a file of twenty tickets."""
    return tickets(tmp_path / "in.ndjson", 20)


def options(source: Path, **more: Any) -> Options:
    """Return what somebody typed."""
    return Options(source, source.with_name("out.ndjson"), PLACE, **{"min_records": 2, "max_records": 10, **more})


def test_a_batch_comes_to_a_summary_and_an_exit_status(bench: Ready, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a script would not know how the run ended, or at which price it was counted."""
    told = source.with_name("summary.json")
    assert batch(options(source, summary=told)) == 0
    found = json.loads(told.read_text())
    assert (found["end"], found["tickets"], found["failed"], found["exit_status"], found["source"]) == ("finished", 20, 0, 0, "sandbox")
    assert sum(job["records"] for job in found["jobs"]) == 20 + found["escalated"]
    assert all(job["successRecordCount"] == job["records"] for job in found["jobs"])
    said = capsys.readouterr()
    assert re.search(r"20 tickets, \d+ escalated, 0 failed, 0\.\d+ USD \(sandbox; nano at the batch price, sonnet at the list price", said.out)
    assert "w1-nano-0001: 10 records to nano, job arn:aws:bedrock" in said.err
    assert batch(options(source)) == 0  # again: nothing is left to do
    assert len(bench.made) == len(found["jobs"])


def test_leaving_says_how_to_come_back(bench: Ready, source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it `--no-wait` would leave a person with jobs and no way to their results."""
    standing = bench.standing
    monkeypatch.setattr(bench, "standing", lambda arn: type(standing(arn))("InProgress"))
    assert batch(options(source, wait=False), ["in", "--no-wait", "--restart"]) == 3
    said = capsys.readouterr()
    assert "2 jobs are under way. Go on with: workshop batch in\n" in said.err
    assert "at least 0.000000 USD" in said.out  # what the jobs under way cost is not known yet


def test_ctrl_c_leaves_the_jobs_and_loses_nothing(bench: Ready, source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a person who stops waiting would lose what the jobs bring, or be told that the cost is not known."""

    def interrupted(_arn: str) -> Any:
        raise KeyboardInterrupt

    standing = bench.standing
    bench.standing = interrupted  # type: ignore[method-assign]
    with pytest.raises(typer.Exit) as left:
        batch(options(source), ["in"])
    assert left.value.exit_code == 3
    assert "jobs under way go on without this command. Go on with: workshop batch in" in capsys.readouterr().err
    bench.standing = standing  # type: ignore[method-assign]
    assert batch(options(source)) == 0
    assert "at least" not in capsys.readouterr().out


def test_a_bound_that_may_be_passed_stops_before_the_wave(bench: Ready, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it `--max-usd` would be an empty word."""
    assert batch(options(source, max_usd=0.00001), ["in"]) == 3
    assert "Stopped before anything more is asked: it may bring the output to 0.0" in capsys.readouterr().err
    assert bench.made == []


def test_the_state_is_that_of_the_run_that_held_the_output_last(bench: Ready, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a command that was begun while another one was ending would not know of its jobs, and pay for them a second time."""
    opened = batch_command.open_journal
    standing = bench.standing

    def other_first(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(batch_command, "open_journal", opened)
        monkeypatch.setattr(bench, "standing", lambda arn: type(standing(arn))("InProgress"))
        assert batch(options(source, wait=False)) == 3  # between the look at the state and the lock
        monkeypatch.setattr(bench, "standing", standing)
        return opened(*args, **more)

    monkeypatch.setattr(batch_command, "open_journal", other_first)
    assert batch(options(source)) == 0
    assert sum(token.endswith("w1-nano-0001") for token in bench.made) == 1


def test_records_that_no_job_answered_are_said_with_the_way_to_ask_again(bench: Ready, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a job that was stopped would look like one that is done."""
    fetch = bench.fetch
    bench.fetch = lambda arn, out, file: (file.write_bytes(b""), {})[1]  # type: ignore[method-assign]
    assert batch(options(source), ["in"]) == 3
    said = capsys.readouterr().err
    assert "without 10 of 10 records" in said
    assert "add --resubmit to: workshop batch in\n" in said
    bench.fetch = fetch  # type: ignore[method-assign]
    assert batch(options(source, resubmit=True)) == 0
    assert "at least" in capsys.readouterr().out  # jobs that are said to be complete have been charged, wherever their outputs are


def test_a_beginning_anew_that_was_killed_leaves_nothing_of_the_run_before(bench: Ready, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the replies of the old policy's jobs would be told, and priced, as those of the new one."""
    assert batch(options(source)) == 0
    before = len(bench.made)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(batch_command, "_forget", killed)  # the output is emptied already, and what belongs to it is not
        with pytest.raises(Killed):
            batch(options(source, policy="published", restart=True))
    assert batch(options(source, policy="published")) == 0
    assert len(bench.made) >= before + 2  # the first wave is asked again
    assert {json.loads(row)["ticket_id"] for row in source.with_name("out.ndjson").read_text().splitlines()} == {json.loads(row)["id"] for row in source.read_text().splitlines()}


def test_beginning_anew_names_jobs_that_may_still_run(bench: Ready, source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it somebody would pay for jobs that nobody reads."""
    standing = bench.standing
    monkeypatch.setattr(bench, "standing", lambda arn: type(standing(arn))("InProgress"))
    batch(options(source, wait=False))
    monkeypatch.setattr(bench, "standing", standing)
    assert batch(options(source, restart=True)) == 0
    assert "stop-model-invocation-job --job-identifier arn:aws:bedrock" in capsys.readouterr().err
    (source.with_name("out.ndjson.batch") / "state.json").write_text("torn")
    with pytest.raises(DataError, match="--restart"):
        batch(options(source))
    assert batch(options(source, restart=True)) == 0
    (source.with_name("out.ndjson.batch") / "state.json").unlink()
    with pytest.raises(DataError, match="is gone"):
        batch(options(source))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"form": "converse"}, "another form"),
        ({"policy": "published"}, "another policy"),
        ({"bucket": "s3://other"}, "another bucket"),
    ],
)
def test_an_output_of_something_else_is_not_gone_on_with(bench: Ready, source: Path, changes: dict[str, Any], words: str) -> None:
    """Without it two runs would be mixed in one output."""
    batch(options(source, max_usd=0.0))
    with pytest.raises(SettingsError, match=words):
        batch(Options(**{**vars(options(source)), **changes}))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"form": "chat"}, typer.BadParameter), ({"min_records": 6}, typer.BadParameter), ({"max_mb": float("inf")}, typer.BadParameter), ({"bucket": "here"}, SettingsError), ({"policy": "none"}, SettingsError),
        ({"source": Path("none.ndjson")}, DataError), ({"summary": Path("none/at/all.json")}, DataError),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_sent(bench: Ready, source: Path, changes: dict[str, Any], error: type[Exception]) -> None:
    """Without it a typing mistake could cost money first."""
    with pytest.raises(error):
        batch(Options(**{**vars(options(source)), **changes}))
    assert bench.steps == 0


def test_the_output_is_not_the_tickets(bench: Ready, source: Path) -> None:
    """Without it the tickets would be written over."""
    with pytest.raises(SettingsError, match="holds the tickets"):
        batch(Options(source, source, PLACE))


@pytest.mark.parametrize("name", ["in.ndjson", "out.ndjson", "out.ndjson.journal", "out.ndjson.batch/state.json"])
def test_the_summary_is_none_of_the_other_files(bench: Ready, source: Path, name: str) -> None:
    """Without it the tickets or the rows would be written over by the summary, and with them what the run paid for."""
    before = source.read_bytes()
    with pytest.raises(SettingsError, match="another file with --summary"):
        batch(options(source, summary=source.parent / name))
    assert (source.read_bytes(), bench.steps) == (before, 0)


def test_a_guardrail_is_refused(bench: Ready, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a batch would be taken for screened."""
    monkeypatch.setenv("BEDROCK_GUARDRAIL_ID", "g")
    monkeypatch.setenv("BEDROCK_GUARDRAIL_VERSION", "1")
    with pytest.raises(SettingsError, match="not screened"):
        batch(options(source))


def test_a_live_batch_is_agreed_to_first(bench: Ready, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a batch could be paid that nobody agreed to, or one that is under way be asked about again."""
    asked: list[str] = []
    monkeypatch.setattr(batch_command, "open_backend", lambda: Settings(backend="live"))
    monkeypatch.setattr(typer, "confirm", lambda text, **_: asked.append(text) or False)
    with pytest.raises(SettingsError, match="Add --yes"):
        batch(options(source))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(SettingsError, match="Nothing was asked"):
        batch(options(source))
    assert "About 20 tickets, from about" in capsys.readouterr().err
    assert (len(asked), bench.steps) == (1, 0)
    assert batch(options(source, yes=True)) == 0
    assert batch(options(source)) == 0
    assert len(asked) == 1


def test_the_command_line_hands_everything_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it an option could be there and do nothing."""
    from typer.testing import CliRunner

    seen: list[Options] = []
    monkeypatch.setattr(batch_command, "batch", lambda given, _command: seen.append(given) or 3)
    words = [
        "batch", "in", "--out", "o", "--bucket", "s3://b-b", "--policy", "published", "--form", "converse", "--role", "r", "--no-wait", "--max-usd", "2",
        "--min-records", "5", "--max-records", "50", "--max-mb", "7", "--hours", "30", "--resubmit", "--restart", "--summary", "s", "--yes",
    ]  # fmt: skip
    assert CliRunner().invoke(app, words).exit_code == 3
    assert seen == [Options(Path("in"), Path("o"), "s3://b-b", "published", "converse", "r", False, 2.0, 5, 50, 7.0, 30, True, True, Path("s"), True)]


def test_the_documentation_names_every_option() -> None:
    """Without it an option could be added and nobody told, or the page name one that is gone."""
    command = get_command(app).commands["batch"]  # type: ignore[attr-defined]
    declared = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")}
    text = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    table = text[text.index("## Options") : text.index("## What survives")]
    assert set(re.findall(r"(?<=`)--[a-z-]+(?=`)", table)) == declared


def test_a_service_that_is_gone_is_one_line(bench: Ready, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a sandbox that was restarted would end in a traceback."""

    def gone(arn: str) -> Any:
        raise WorkshopError(f"the job {arn}: not known. Begin anew with --restart.")

    monkeypatch.setattr(bench, "standing", gone)
    with pytest.raises(WorkshopError, match="--restart"):
        batch(options(source))
