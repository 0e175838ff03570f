"""`workshop bulk --engine ray` with threads in place of Ray: what the driver and the workers do, whatever starts them."""

import json
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import typer
from scaling import Connected

from workshop_lib.bulk.journal import InUse, open_journal
from workshop_lib.bulk.scale import cluster, run
from workshop_lib.bulk.scale.ledger import Ledger
from workshop_lib.bulk.scale.parts import Part
from workshop_lib.bulk.scale.worker import Task, Worker, waited
from workshop_lib.bulk.station import Pace
from workshop_lib.cascade import documented
from workshop_lib.commands import bulk as bulk_command
from workshop_lib.commands.bulk import Options, bulk
from workshop_lib.errors import DataError, SettingsError, WorkshopError
from workshop_lib.settings import load

BILL = "Two payments for one invoice this morning. Please refund one."
pytestmark = pytest.mark.usefixtures("sandbox")


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Connected:
    """Put threads in place of Ray."""
    found = Connected()
    monkeypatch.setattr(run, "connected", found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with 40 tickets in two files."""
    found = tmp_path / "in"
    found.mkdir()
    for name in "AB":
        tickets = ({"id": f"{name}-{number}", "subject": "Invoice", "body": BILL} for number in range(20))
        (found / f"{name}.ndjson").write_text("".join(json.dumps(ticket) + "\n" for ticket in tickets))
    return found


def options(folder: Path, out: Path, **more: Any) -> Options:
    """Return the options of a run in parts of about eight tickets."""
    return Options(folder, out, **{"engine": "ray", "folder": str(folder), "workers": 2, "part_mb": 0.0008, **more})


def rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of all parts."""
    return [json.loads(line) for part in sorted(out.glob("part-*.ndjson")) for line in part.read_text().splitlines()]


def assert_each_once(out: Path) -> None:
    """Assert that the output holds every ticket once."""
    groups = [name for name, _ in groupby(row["ticket_id"] for row in rows(out))]
    assert Counter(groups) == Counter(f"{letter}-{number}" for letter in "AB" for number in range(20))


def test_the_parts_together_hold_every_ticket_once(folder: Path, tmp_path: Path, connected: Connected, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a ticket would be lost or paid twice, or the summary not add the parts up."""
    out, told = tmp_path / "out", tmp_path / "s.json"
    assert bulk(options(folder, out, summary=told)) == 0
    assert_each_once(out)
    summary = json.loads(told.read_text())
    assert (summary["tickets"], summary["tickets_before"], summary["end"], summary["sources"]) == (40, 0, "finished", ["sandbox"])
    assert sum(summary["calls"].values()) == len(rows(out))
    assert summary["usd"] == pytest.approx(sum(row["cost"] for row in rows(out)))
    assert capsys.readouterr().out.startswith("40 tickets, ")
    assert bulk(options(folder, out, summary=told)) == 0
    assert len(connected.made) == 1, "nothing was left, so no cluster was started"
    assert json.loads(told.read_text())["tickets"] == 40


def test_the_decisions_are_those_of_the_embedded_engine(folder: Path, tmp_path: Path, connected: Connected) -> None:
    """Without it scaling out would be another cascade."""
    one = tmp_path / "one.ndjson"
    assert bulk(Options(folder / "A.ndjson", one)) == 0
    assert bulk(options(folder / "A.ndjson", tmp_path / "out")) == 0

    def decided(found: list[dict[str, Any]]) -> set[str]:
        return {json.dumps([row["ticket_id"], row["model"], row["decision"]]) for row in found}

    assert decided(rows(tmp_path / "out")) == decided([json.loads(line) for line in one.read_text().splitlines()])


@pytest.mark.parametrize(
    ("limit", "words"), [({"max_calls": 15}, "15 calls of --max-calls are made"), ({"max_usd": 0.0001}, "of --max-usd 0.0001"), ({"deadline_s": 0.0}, "of --deadline")]
)
def test_a_limit_holds_over_all_workers_and_the_same_command_goes_on(
    folder: Path, tmp_path: Path, connected: Connected, capsys: pytest.CaptureFixture[str], limit: dict[str, Any], words: str
) -> None:
    """Without it each worker would spend the limit, or what was paid for be lost when it is met."""
    out, told = tmp_path / "out", tmp_path / "s.json"
    assert bulk(options(folder, out, summary=told, concurrency=2, **limit)) == 3
    assert words in capsys.readouterr().err
    first = json.loads(told.read_text())
    assert first["end"] == next(iter(limit)).removesuffix("_s")
    assert sum(first["calls"].values()) <= limit.get("max_calls", 40)
    assert first["tickets"] < 40
    assert bulk(options(folder, out, summary=told)) == 0
    assert_each_once(out)
    second = json.loads(told.read_text())
    assert second["tickets_before"] == first["tickets"]
    assert second["usd"] == pytest.approx(sum(row["cost"] for row in rows(out)))


def test_the_part_that_was_begun_comes_first_and_is_counted(folder: Path, tmp_path: Path, connected: Connected) -> None:
    """Without it --max-usd would forget what a killed run had spent."""
    out = tmp_path / "out"
    assert bulk(options(folder, out, max_calls=0)) == 3
    begun = sorted(out.glob("part-*.ndjson"))
    assert begun
    assert bulk(options(folder, out, max_calls=0)) == 3
    assert connected.made[1].asked[: len(begun)] == sorted(int(path.stem[5:]) for path in begun)


@pytest.mark.parametrize(
    ("change", "words"), [({"policy": "published"}, "another policy"), ({"part_mb": 0.001}, "another input and part size")]
)
def test_a_changed_run_is_refused_unless_it_begins_anew(folder: Path, tmp_path: Path, connected: Connected, change: dict[str, Any], words: str) -> None:
    """Without it rows of two policies, or parts of two sizes, would stand in one output."""
    out = tmp_path / "out"
    assert bulk(options(folder, out)) == 0
    with pytest.raises(SettingsError, match=words):
        bulk(options(folder, out, **change))
    assert bulk(options(folder, out, restart=True, **change)) == 0
    assert_each_once(out)


def test_the_part_size_is_remembered(folder: Path, tmp_path: Path, connected: Connected) -> None:
    """Without it a second run on a machine with more processors would be refused."""
    out = tmp_path / "out"
    assert bulk(options(folder, out, max_calls=3)) == 3
    assert bulk(options(folder, out, part_mb=None, workers=1)) == 0
    assert_each_once(out)


def test_a_changed_input_is_refused(folder: Path, tmp_path: Path, connected: Connected) -> None:
    """Without it a run could go on with other tickets than it began with."""
    out = tmp_path / "out"
    assert bulk(options(folder, out)) == 0
    (folder / "C.ndjson").write_text(json.dumps({"id": "C", "subject": "s", "body": BILL}) + "\n")
    with pytest.raises(SettingsError, match="begun with another input"):
        bulk(options(folder, out))


def test_a_worker_that_cannot_write_ends_the_run_with_one_line(folder: Path, tmp_path: Path, connected: Connected) -> None:
    """Without it a run would go on at the other workers, or end in a traceback of another machine; and what was done must stay."""
    out = tmp_path / "out"
    assert bulk(options(folder, out, max_calls=0)) == 3
    in_the_way = out / "part-00005.ndjson.journal"
    in_the_way.mkdir()
    with pytest.raises(WorkshopError, match=r"part-00005\.ndjson cannot be written"):
        bulk(options(folder, out))
    in_the_way.rmdir()
    assert bulk(options(folder, out)) == 0
    assert_each_once(out)


def test_a_folder_that_workers_do_not_share_is_one_line(tmp_path: Path) -> None:
    """Without it each machine would write its parts into a folder of its own, and the output be incomplete without a word."""
    task = Task(tmp_path, {}, documented(), load(), Pace())
    result = Worker(task, Ledger({}, 1, 1)).work(Part(0, "a", "a", "lines", 0, 1, "d"))
    assert "does not see" in str(result.error)
    assert not list(tmp_path.iterdir())


def test_bad_entries_are_rows(tmp_path: Path, connected: Connected) -> None:
    """Without it one bad line would cost its part."""
    source, out = tmp_path / "in.csv", tmp_path / "out"
    source.write_bytes(b"id,subject,body\nT-1,s,Please refund the second payment.\nT-2,s,\xff\nT-1,s,again\n")
    assert bulk(options(source, out)) == 1
    errors = [row["error"]["message"] for row in rows(out) if "error" in row]
    assert sorted(errors) == ["in.csv, line 3: not UTF-8", "in.csv, line 4: an earlier ticket has the same id"]
    with pytest.raises(DataError, match="not UTF-8"):
        bulk(options(source, out, strict=True))


def test_a_part_that_another_process_holds_is_waited_for_and_then_told(tmp_path: Path) -> None:
    """Without it the part of a worker that was just killed would fail, or a part in work be written by two."""
    held = open_journal(tmp_path / "out", {})
    times = iter([0.0, 1.0, 99.0])
    with pytest.raises(InUse):
        waited(lambda: open_journal(tmp_path / "out", {}), clock=lambda: next(times))
    held.close()
    waited(lambda: open_journal(tmp_path / "out", {})).close()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"workers": 32}, "32 workers need a --concurrency"),
        ({"workers": 2, "tier_concurrency": ["sonnet=1"]}, "sonnet=1 cannot be divided among 2 workers"),
        ({"engine": "spark"}, "'spark' is none"),
    ],
)
def test_a_wrong_option_is_blamed_on_the_option(folder: Path, tmp_path: Path, more: dict[str, Any], words: str) -> None:
    """Without it workers would share out what cannot be shared, and together pass what was stated."""
    with pytest.raises(typer.BadParameter, match=words):
        bulk(options(folder, tmp_path / "out", **more))


def test_an_output_among_the_tickets_or_that_is_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    """Without it the next run would take its own rows for tickets."""
    with pytest.raises(SettingsError, match="lies among the tickets"):
        bulk(options(folder, folder / "out"))
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is a file"):
        bulk(options(folder, tmp_path / "file"))
    with pytest.raises(SettingsError, match="is the name of a file"):
        bulk(options(folder, tmp_path / "rows.ndjson"))
    assert not (tmp_path / "rows.ndjson").exists()
    with pytest.raises(SettingsError, match="is an address"):
        bulk(options(folder, Path("s3://bucket/out")))


def test_without_the_extra_one_line_says_how_to_install_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the first thing a user sees would be a ModuleNotFoundError."""
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'cascade-workshop\[ray\]'"):
        bulk(options(folder, tmp_path / "out"))


def test_a_live_run_asks_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a slip would send a folder of tickets to a paid service from a hundred workers."""
    for name in ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("WORKSHOP_BACKEND", "live")
    monkeypatch.setattr(bulk_command, "open_backend", lambda **_: pytest.fail("a backend was opened"))
    with pytest.raises(SettingsError, match="Add --yes"):
        bulk(options(folder, tmp_path / "out"))
    assert "About 40 tickets" in capsys.readouterr().err
