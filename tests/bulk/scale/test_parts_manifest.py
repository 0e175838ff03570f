"""The manifest of an output: what it says is done is done, and nothing of another run is mixed in."""

from pathlib import Path

import pytest

from workshop_lib.bulk.journal import InUse, Totals
from workshop_lib.bulk.scale.manifest import open_manifest, path, recorded
from workshop_lib.errors import DataError, SettingsError

WHO = {"policy": "p", "part size": "100"}


def test_what_was_finished_is_known_to_the_next_run(tmp_path: Path) -> None:
    """Without it a second run would open every part again."""
    first = open_manifest(tmp_path, WHO)
    first.finish(3, "part-00003.ndjson", Totals(5, 1, 2, 0.25, False), 10)
    first.close()
    second = open_manifest(tmp_path, WHO)
    assert second.done == {3: Totals(5, 1, 2, 0.25, False)}
    second.close()
    assert recorded(tmp_path)["part size"] == "100"
    assert recorded(tmp_path / "none") == {}


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    """Without it a machine that was lost while a line was written would leave a manifest that no run can read, or that lies."""
    first = open_manifest(tmp_path, WHO)
    first.finish(1, "part-00001.ndjson", Totals(5), 10)
    first.finish(2, "part-00002.ndjson", Totals(5), 10)
    first.close()
    content = path(tmp_path).read_bytes()
    path(tmp_path).write_bytes(content[:-cut])
    second = open_manifest(tmp_path, WHO)
    assert set(second.done) == {1}
    second.finish(2, "part-00002.ndjson", Totals(5), 10)
    second.close()
    assert path(tmp_path).read_bytes() == content


def test_two_runs_on_one_output_are_refused(tmp_path: Path) -> None:
    """Without it two runs would share parts out twice."""
    first = open_manifest(tmp_path, WHO)
    with pytest.raises(InUse, match="Another run is writing"):
        open_manifest(tmp_path, WHO)
    first.close()
    open_manifest(tmp_path, WHO).close()


def test_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    """Without it rows of two policies would stand in one output."""
    open_manifest(tmp_path, WHO).close()
    with pytest.raises(SettingsError, match="begun with another part size and policy"):
        open_manifest(tmp_path, {"policy": "q", "part size": "7"})
    open_manifest(tmp_path, {"policy": "q", "part size": "7"}, restart=True).close()


def test_parts_without_a_manifest_are_not_written_over(tmp_path: Path) -> None:
    """Without it a deleted manifest would cost all that was paid for; with --restart only parts go, and nothing else of the folder."""
    for name in ("part-00000.ndjson", "part-00000.ndjson.journal", "notes.txt"):
        (tmp_path / name).write_text("x")
    with pytest.raises(SettingsError, match=r"part-00000\.ndjson of a run that cannot be gone on with"):
        open_manifest(tmp_path, WHO)
    path(tmp_path).unlink()
    open_manifest(tmp_path, WHO, restart=True).close()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["manifest.ndjson", "notes.txt"]


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Without it a file that happens to have the name would be written over."""
    path(tmp_path).write_text('{"mine": 1}\n')
    with pytest.raises(SettingsError, match="not a manifest of this version"):
        open_manifest(tmp_path, WHO)


def test_a_part_whose_rows_are_damaged_is_done_again(tmp_path: Path) -> None:
    """Without it a part that was deleted or cut off would be missing from an output that says it is complete."""
    rows = {number: tmp_path / f"part-{number:05d}.ndjson" for number in range(3)}
    manifest = open_manifest(tmp_path, WHO)
    for number, found in rows.items():
        found.write_bytes(b"x" * 10)
        manifest.finish(number, found.name, Totals(1), 10)
    rows[0].unlink()
    rows[1].write_bytes(b"x" * 9)
    manifest.drop_damaged(rows)
    assert set(manifest.done) == {2}
    manifest.close()


def test_an_output_that_cannot_be_a_folder_is_one_line(tmp_path: Path) -> None:
    """Without it a wrong --out would be a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="Name another folder"):
        open_manifest(tmp_path / "file" / "out", WHO)
