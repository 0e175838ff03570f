"""`workshop bulk`, as a person types it: every option does what it says, and what is wrong is one line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from workshop_lib.commands import bulk as bulk_command
from workshop_lib.commands.bulk import Options, bulk
from workshop_lib.errors import DataError, SettingsError, UnknownModelError
from workshop_lib.paths import ROOT

BILL = "Two payments for one invoice this morning. Please refund one."


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a file of ten tickets."""
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps({"id": f"T-{number}", "subject": "Invoice", "body": BILL}) + "\n" for number in range(10)))
    return path


def rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of an output."""
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.usefixtures("sandbox")
def test_a_run_that_met_a_limit_goes_on_where_it_stopped(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a limit would lose what was paid for, or a person not know how to go on."""
    out, told = tmp_path / "out.ndjson", tmp_path / "summary.json"
    command = [str(source), "--out", str(out), "--restart"]
    assert bulk(Options(source, out, concurrency=1, max_calls=4, restart=True, summary=told), command) == 3
    said = capsys.readouterr()
    assert f"4 calls of --max-calls are made. Go on with: workshop bulk {source} --out {out}\n" in said.err
    first = json.loads(told.read_text())
    assert (first["end"], sum(first["calls"].values()), first["exit_status"]) == ("max_calls", 4, 3)
    assert bulk(Options(source, out, summary=told)) == 0
    assert len({row["ticket_id"] for row in rows(out)}) == 10
    second = json.loads(told.read_text())
    assert (second["end"], second["tickets"], second["tickets_before"]) == ("finished", 10, first["tickets"])
    assert capsys.readouterr().out.startswith("10 tickets, ")


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("limit", "words"), [({"max_usd": 0.0}, "--max-usd 0.0. Raise it"), ({"deadline_s": 0.0}, "0.0 seconds of --deadline")])
def test_a_limit_of_nothing_calls_nothing(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: dict[str, float], words: str) -> None:
    """Without it a limit would be looked at only after money was spent."""
    out = tmp_path / "out.ndjson"
    assert bulk(Options(source, out, **limit)) == 3  # type: ignore[arg-type]
    assert out.read_bytes() == b""
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("sandbox")
def test_bad_entries_are_rows_and_the_exit_status_says_so(tmp_path: Path) -> None:
    """Without it one bad line would cost the batch, or be lost without a word."""
    source, out = tmp_path / "in.csv", tmp_path / "out.ndjson"
    source.write_bytes(b"id,subject,body,note\nT-1,s,Please refund the second payment.,x\nT-2,s,\xff,x\nT-1,s,again,x\n")
    assert bulk(Options(source, out)) == 1
    errors = {row["line"]: row["error"]["message"] for row in rows(out) if "error" in row}
    assert errors == {2: "line 3: not UTF-8", 3: "line 4: an earlier ticket has the same id"}


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_several_processes_do_the_same_and_count_together(source: Path, tmp_path: Path) -> None:
    """Without it a second process would lose its share, or its calls not be counted."""
    one, two, told = tmp_path / "one.ndjson", tmp_path / "two.ndjson", tmp_path / "summary.json"
    assert bulk(Options(source, one)) == 0
    assert bulk(Options(source, two, processes=2, summary=told)) == 0

    def decided(out: Path) -> set[str]:
        return {json.dumps([row["ticket_id"], row["model"], row["decision"]]) for row in rows(out)}

    assert decided(one) == decided(two)
    assert sum(json.loads(told.read_text())["calls"].values()) == len(rows(two))


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("fast", ["0", "1"])
def test_a_guardrail_ends_a_ticket_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any], fast: str
) -> None:
    """Without it a guardrail that is set would not be attached, or its interventions look like broken models."""
    from workshop_lib.sandbox.bedrock import guardrails

    known = next(iter(guardrails.GUARDRAILS.values()))
    monkeypatch.setenv("BEDROCK_GUARDRAIL_ID", known.id)
    monkeypatch.setenv("BEDROCK_GUARDRAIL_VERSION", known.version)
    monkeypatch.setenv("WORKSHOP_FAST_CLIENT", fast)
    source, out, told = tmp_path / "in.ndjson", tmp_path / "out.ndjson", tmp_path / "summary.json"
    bodies = {"T-1": BILL, "T-2": f"{BILL} {known.topics[0].phrases[0]}"}
    source.write_text("".join(json.dumps({"id": name, "subject": "s", "body": body}) + "\n" for name, body in bodies.items()))
    assert bulk(Options(source, out, summary=told)) == 1
    errors = {row["ticket_id"]: row["error"]["type"] for row in rows(out) if "error" in row}
    assert errors == {"T-2": "guardrail"}
    summary = json.loads(told.read_text())
    assert summary["guardrail_units"] > 0
    assert summary["calls"]["guardrail"] > 0
    assert not summary["cost_complete"], "what a guardrail costs is not in the table"


def test_a_live_run_asks_before_it_spends(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a slip of the settings would send a million tickets to a paid service."""
    monkeypatch.setenv("WORKSHOP_BACKEND", "live")
    monkeypatch.setattr(bulk_command, "open_backend", lambda **_: pytest.fail("a backend was opened"))
    with pytest.raises(SettingsError, match="Add --yes"):
        bulk(Options(source, tmp_path / "out.ndjson"))
    assert "About 10 tickets, from about 0.00 USD" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    with pytest.raises(SettingsError, match="Nothing was called"):
        bulk(Options(source, tmp_path / "out.ndjson"))
    assert not (tmp_path / "out.ndjson").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rpm": ["nano"]}, "MODEL=NUMBER"),
        ({"tpm": ["nano=-1"]}, "nano=-1"),
        ({"tier_concurrency": ["nano=x"]}, "nano=x"),
        ({"processes": 32}, "32 processes"),
        ({"workers": 2}, "of --engine ray"),
        ({"part_mb": 2.0}, "of --engine ray"),
        ({"engine": "ray", "processes": 2}, "of the embedded engine"),
    ],
)
def test_a_wrong_option_is_blamed_on_the_option(source: Path, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """Without it a typing error would be taken for no limit at all."""
    with pytest.raises(typer.BadParameter, match=words):
        bulk(Options(source, tmp_path / "out.ndjson", **options))


def test_a_limit_for_a_model_that_is_not_there_is_refused(source: Path, tmp_path: Path) -> None:
    """Without it a limit with a wrong name would limit nothing."""
    with pytest.raises(UnknownModelError, match="nanno"):
        bulk(Options(source, tmp_path / "out.ndjson", rpm=["nanno=5"]))


@pytest.mark.slow
def test_a_wrong_option_exits_with_two(source: Path, tmp_path: Path) -> None:
    """Without it a script could not tell a wrong command from failed tickets."""
    command = [sys.executable, "-m", "workshop_lib.cli", "bulk", str(source), "--out", str(tmp_path / "out"), "--rpm", "nano"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 2
    assert "--rpm" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.journal", "in.ndjson"])
def test_a_summary_never_replaces_tickets_or_output(source: Path, tmp_path: Path, name: str) -> None:
    """Without it a slip would write a summary over what was paid for."""
    with pytest.raises(SettingsError, match="--summary"):
        bulk(Options(source, tmp_path / "out.ndjson", summary=tmp_path / name))


def test_a_summary_that_cannot_be_written_is_told_before_the_run(source: Path, tmp_path: Path) -> None:
    """Without it a run would be paid for and then end in an error."""
    with pytest.raises(DataError, match="Name another file with --summary"):
        bulk(Options(source, tmp_path / "out.ndjson", summary=tmp_path / "none" / "s.json"))


@pytest.mark.usefixtures("sandbox")
def test_a_summary_that_no_longer_fits_is_told_by_name_and_totals_stand(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a run that was paid for would end in a line that names no file and no total."""
    with pytest.raises(DataError, match="/dev/full cannot be written"):
        bulk(Options(source, tmp_path / "out.ndjson", summary=Path("/dev/full")))
    assert capsys.readouterr().out.startswith("10 tickets, ")


def test_what_can_be_read_once_or_not_gone_on_with_is_refused(source: Path, tmp_path: Path) -> None:
    """Without it a pipe would be waited for without end, and a device read without end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for once in (pipe, Path("/dev/zero"), Path("-")):
        with pytest.raises(SettingsError, match="Save them to a file first"):
            bulk(Options(once, tmp_path / "out.ndjson"))
    with pytest.raises(SettingsError, match="Name a file"):
        bulk(Options(source, Path("-")))


def test_the_documentation_names_every_option() -> None:
    """Without it an option could be added and nobody told, or the page name one that is gone."""
    import re

    from typer.main import get_command

    from workshop_lib.cli import app

    command = get_command(app).commands["bulk"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    text = (ROOT / "docs" / "bulk.md").read_text()
    table = text[text.index("## Options") : text.index("## How fast")]
    assert set(re.findall(r"(?<=`)--[a-z-]+(?=`)", table)) == options
