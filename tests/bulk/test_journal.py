"""The journal: what is finished survives a crash, and nothing of another run is taken for it."""

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_lib.bulk.bitmap import Ids, Lines, key_of
from workshop_lib.bulk.journal import Journal, open_journal
from workshop_lib.errors import DataError, SettingsError

IDENTITY = {"policy": "p1", "prompt": "q1", "input": "i1"}


def _row(line: int) -> bytes:
    return f'{{"ticket_id":"T-{line}"}}\n'.encode()


def _written(out: Path, lines: range, identity: dict[str, str] = IDENTITY) -> Journal:
    journal = open_journal(out, identity)
    for line in lines:
        journal.add(line, _row(line), 0.25, key=key_of(f"T-{line}"), failed=line % 5 == 0, escalated=line % 2 == 0, cost_complete=line != 3)
    return journal


def test_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Without it an interrupted run would begin again and pay for everything twice."""
    out = tmp_path / "out.ndjson"
    _written(out, range(10)).close()
    again = open_journal(out, IDENTITY)
    assert len(again.finished) == 10
    assert 9 in again.finished
    assert 10 not in again.finished
    assert (again.totals.tickets, again.totals.failed, again.totals.escalated) == (10, 2, 5)
    assert again.totals.usd == 2.5
    assert not again.totals.cost_complete
    assert not again.ids.add(key_of("T-9")), "an id that is finished is known"
    assert again.ids.add(key_of("T-10"))
    again.add(10, _row(10), 0.25)
    again.close()
    assert out.read_bytes() == b"".join(map(_row, range(11)))


@settings(max_examples=60, deadline=None)
@given(cut_rows=st.integers(0, 200), cut_records=st.integers(0, 200), damage=st.booleans())
def test_whatever_is_torn_off_the_end_leaves_whole_rows(tmp_path_factory: pytest.TempPathFactory, cut_rows: int, cut_records: int, damage: bool) -> None:
    """Without it a torn last line could stay in the output, or a ticket count as finished whose rows are gone."""
    out = tmp_path_factory.mktemp("torn") / "out.ndjson"
    journal = _written(out, range(20))
    journal._rows.close()
    journal._records.close()  # as a lost machine leaves them: never synced
    sidecar = out.with_name(out.name + ".journal")
    os.truncate(out, max(0, out.stat().st_size - cut_rows))
    os.truncate(sidecar, max(0, sidecar.stat().st_size - cut_records))
    if damage and out.stat().st_size > 3:
        with out.open("r+b") as file:
            file.seek(-3, os.SEEK_END)
            file.write(b"\0\0\0")
    try:
        again = open_journal(out, IDENTITY)
    except SettingsError:
        assert not sidecar.read_bytes().endswith(b"\n") or not sidecar.stat().st_size
        return
    finished = [line for line in range(20) if line in again.finished]
    assert out.read_bytes() == b"".join(map(_row, finished))
    assert finished == list(range(len(finished)))
    again.close()


@pytest.mark.parametrize("changed", ["policy", "prompt", "input"])
def test_a_changed_run_is_refused_and_named(tmp_path: Path, changed: str) -> None:
    """Without it rows of two policies would stand in one file as if they were one measurement."""
    out = tmp_path / "out.ndjson"
    _written(out, range(3)).close()
    with pytest.raises(SettingsError, match=f"another {changed}"):
        open_journal(out, {**IDENTITY, changed: "other"})
    assert out.read_bytes() == b"".join(map(_row, range(3))), "nothing is lost by the refusal"
    fresh = open_journal(out, {**IDENTITY, changed: "other"}, restart=True)
    fresh.close()
    assert out.read_bytes() == b""


def test_two_runs_cannot_write_one_output(tmp_path: Path) -> None:
    """Without it two runs would interleave their rows and both think that they own the file."""
    out = tmp_path / "out.ndjson"
    first = open_journal(out, IDENTITY)
    with pytest.raises(SettingsError, match="Another run is writing"):
        open_journal(out, IDENTITY)
    first.close()
    open_journal(out, IDENTITY).close()


def test_a_file_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    """Without it a mistyped --out would destroy a file."""
    out = tmp_path / "thesis.txt"
    out.write_text("ten years of work")
    with pytest.raises(SettingsError, match="was not written by a run"):
        open_journal(out, IDENTITY)
    assert out.read_text() == "ten years of work"


def test_an_output_deleted_while_running_is_noticed(tmp_path: Path) -> None:
    """Without it a run would write for hours into a file that nobody can find."""
    out = tmp_path / "out.ndjson"
    journal = _written(out, range(3))
    out.unlink()
    with pytest.raises(DataError, match=r"out.ndjson was deleted or replaced"):
        journal.sync()
    journal.close()  # what was told is not told again, in other words


def _deleted(sidecar: Path) -> None:
    sidecar.unlink()


def _replaced(sidecar: Path) -> None:
    copy = sidecar.with_name("copy")
    copy.write_bytes(sidecar.read_bytes())
    copy.replace(sidecar)


@pytest.mark.parametrize("take_away", [_deleted, _replaced])
@pytest.mark.parametrize("noticed_by", [Journal.sync, Journal.close])
def test_a_journal_taken_away_while_running_is_noticed(tmp_path: Path, take_away: Callable[[Path], None], noticed_by: Callable[[Journal], None]) -> None:
    """Without it a run would pay for hours for rows that no run can go on with."""
    out, sidecar = tmp_path / "out.ndjson", tmp_path / "out.ndjson.journal"
    journal = _written(out, range(3))
    take_away(sidecar)
    with pytest.raises(DataError) as told:
        noticed_by(journal)
    journal.close()
    assert str(told.value) == (
        f"{sidecar} was deleted or replaced while the run was writing it. The rows in {out} are whole, but without it no run can go on from them: "
        "copy them if you want them, and run the command again with --restart, which asks every ticket again."
    )
    assert out.read_bytes() == b"".join(map(_row, range(3)))


def test_an_output_that_another_run_took_over_is_not_called_whole(tmp_path: Path) -> None:
    """Without it a person would copy rows that another run has cut off."""
    out, sidecar = tmp_path / "out.ndjson", tmp_path / "out.ndjson.journal"
    journal = _written(out, range(3))
    sidecar.unlink()
    other = open_journal(out, IDENTITY, restart=True)
    with pytest.raises(DataError, match=r"and .*out.ndjson was changed by something else too. Run the command again with --restart"):
        journal.sync()
    other.close()


def test_a_journal_is_looked_for_at_a_sync_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it every ticket would pay for a question to the file system."""
    journal = open_journal(tmp_path / "out.ndjson", IDENTITY)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)  # so that no sync is due
    monkeypatch.setattr(os, "stat", lambda *_: pytest.fail("the file system was asked"))
    for line in range(3):
        journal.add(line, _row(line), 0.25)


def test_a_full_disk_is_one_line_and_leaves_a_file_that_can_be_gone_on_with(tmp_path: Path) -> None:
    """Without it a full disk would end in a traceback, or in a file that no run can use."""
    out = tmp_path / "out.ndjson"
    script = f"""
import resource, sys
from pathlib import Path
from workshop_lib.bulk.journal import open_journal
from workshop_lib.errors import DataError
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
journal = open_journal(Path({str(out)!r}), {IDENTITY!r})
try:
    for line in range(10_000):
        journal.add(line, b'{{"ticket_id":"T-%d"}}\\n' % line, 0.0)
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "Make room and run the same command again" in done.stdout, done.stderr
    again = open_journal(out, IDENTITY)
    count = len(again.finished)
    assert count > 50
    assert out.read_bytes() == b"".join(map(_row, range(count)))


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    """Without it a slip in the output's name would end in a traceback."""
    with pytest.raises(DataError, match="cannot be written"):
        open_journal(tmp_path / "missing" / "out.ndjson", IDENTITY)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Without it a folder that cannot be written would end in a traceback, or in advice to make room."""

    def refuse(path: Path, *_: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", refuse)  # root, who may run this, may write anywhere
    with pytest.raises(DataError, match=rf"out.ndjson cannot be written \({os.strerror(number)}\). Name another file with --out"):
        open_journal(tmp_path / "out.ndjson", IDENTITY)


def test_a_write_that_is_taken_in_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a system that takes half of a row would leave a torn one in the middle of the output."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, content: write(number, content[:7]))
    journal = open_journal(tmp_path / "out.ndjson", IDENTITY)
    for line in range(3):
        journal.add(line, _row(line), 0.0)
    journal.close()
    assert (tmp_path / "out.ndjson").read_bytes() == b"".join(map(_row, range(3)))
    assert len(open_journal(tmp_path / "out.ndjson", IDENTITY).finished) == 3


@given(st.lists(st.integers(0, 5000)))
def test_lines_are_a_set(lines: list[int]) -> None:
    """Without it a finished line could be forgotten, and be paid twice."""
    ours = Lines()
    for line in lines:
        ours.add(line)
    assert len(ours) == len(set(lines))
    assert all((line in ours) == (line in set(lines)) for line in range(0, 5001, 7))


def test_ids_are_a_set() -> None:
    """Without it a duplicate could pass, or a new id be refused."""
    draw = random.Random(0)
    ids = [f"T-{draw.randrange(15_000)}" for _ in range(30_000)]
    ours, seen = Ids(), set[str]()
    for text in ids:
        assert ours.add(key_of(text)) == (text not in seen)
        seen.add(text)


def test_ids_of_one_bucket_are_a_set_too() -> None:
    """Without it an id could be forgotten once hundreds of others share its place."""
    ours = Ids()
    keys = [bytes(2) + number.to_bytes(6, "big") for number in range(300)] + [b"\x01" + number.to_bytes(7, "big") for number in range(70)]
    assert [ours.add(key) for key in keys] == [True] * len(keys)
    assert [ours.add(key) for key in keys[::-1]] == [False] * len(keys)
    assert ours.add(bytes(2) + (300).to_bytes(6, "big"))


def test_a_link_to_an_output_has_the_journal_of_the_output(tmp_path: Path) -> None:
    """Without it two runs could write one file under two names, each over the rows of the other."""
    out, link = tmp_path / "out.ndjson", tmp_path / "link.ndjson"
    link.symlink_to(out)
    first = _written(link, range(3))
    with pytest.raises(SettingsError, match="Another run is writing"):
        open_journal(out, IDENTITY)
    first.close()
    again = open_journal(out, IDENTITY)
    assert len(again.finished) == 3
    again.close()


def test_an_output_that_is_no_file_is_refused_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """Without it the device or the folder would get a journal beside it and the user a traceback or the reason None."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe", "."):
        with pytest.raises(DataError, match="Name a file with --out"):
            open_journal(tmp_path / name, IDENTITY)
    with pytest.raises(DataError, match="Name a file with --out"):
        open_journal(Path(), IDENTITY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
