"""An input in parts: together they are the input, each line once, whatever its size, and the same ones every time."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.bulk.scale import parts, places
from workshop_lib.bulk.scale.parts import Part
from workshop_lib.bulk.sources import Rejected
from workshop_lib.errors import DataError, SettingsError


def lines(path: Path, names: Sequence[str], body: str = "b") -> Path:
    """Write tickets as JSON lines."""
    path.write_text("".join(json.dumps({"id": name, "subject": "s", "body": body}) + "\n" for name in names))
    return path


def ids(plan: Sequence[Part]) -> list[str]:
    """Return the ids of all entries of some parts, in order."""
    found = []
    for part in plan:
        for number, entry in enumerate(parts.entries(part)):
            assert entry.number == number
            found.append(entry.ticket.ticket_id if isinstance(entry.ticket, Rejected) else entry.ticket.id)
    return found


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=40), size=st.integers(1, 700), begins=st.sampled_from([b"", b"\xef\xbb\xbf"]), ended=st.booleans())
def test_parts_of_lines_are_the_file(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], size: int, begins: bytes, ended: bool) -> None:
    """Without it a line on the border of two parts would be asked twice, or never."""
    path = tmp_path_factory.mktemp("in") / "in.ndjson"
    written = [json.dumps({"id": f"T-{number}", "subject": "s", "body": "b" * length}).encode() for number, length in enumerate(lengths)]
    path.write_bytes(begins + b"\n".join(written) + b"\n" * ended)
    found = parts.plan(places.files(str(path)), size)
    assert ids(found) == [f"T-{number}" for number in range(len(lengths))]
    assert [part.number for part in found] == list(range(len(found)))


def test_what_may_hold_a_line_break_stays_whole(tmp_path: Path) -> None:
    """Without it a quoted cell with a line break would be cut in two wrong tickets."""
    rows = "".join(f'T-{number},s,"first\nsecond"\n' for number in range(20))
    (tmp_path / "a.csv").write_text(f"id,subject,body\n{rows}")
    (tmp_path / "b.json").write_text(json.dumps([{"id": f"J-{number}", "subject": "s", "body": "b"} for number in range(20)], indent=1))
    found = parts.plan(places.files(str(tmp_path)), 50)
    assert [part.kind for part in found] == ["whole", "whole"]
    assert ids(found) == [f"{letter}-{number}" for letter in "TJ" for number in range(20)]


def test_parquet_is_cut_between_row_groups(tmp_path: Path) -> None:
    """Without it a large table would be one part, or a row group be read by two workers."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"id": [f"P-{number}" for number in range(100)], "subject": ["s"] * 100, "body": ["b"] * 100})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=10)
    files = places.files(str(tmp_path))
    found = parts.plan(files, 300)
    assert len(found) > 2
    assert ids(found) == [f"P-{number}" for number in range(100)]
    assert parts.sample(files)[1] == 100


def test_files_below_the_folder_are_read_and_marks_are_not(tmp_path: Path) -> None:
    """Without it half of an input would be left out, or another engine's mark be taken for tickets."""
    (tmp_path / "day=2").mkdir()
    lines(tmp_path / "day=2" / "b.jsonl", ["B"])
    lines(tmp_path / "a.ndjson", ["A"])
    (tmp_path / "empty.ndjson").touch()
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part.crc").write_text("x")
    files = places.files(str(tmp_path))
    assert ids(parts.plan(files, 1000)) == ["A", "B"]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """Without it a note in the folder would become error rows, or tickets in an unknown file be left out without a word."""
    lines(tmp_path / "a.ndjson", ["A"])
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(SettingsError, match=r"notes\.md is none of"):
        places.files(str(tmp_path))


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: (folder / "a.ndjson").touch()])
def test_nothing_to_do_is_one_line(tmp_path: Path, make: object) -> None:
    """Without it an empty folder would end as if all were done."""
    assert callable(make)
    make(tmp_path)
    with pytest.raises(DataError, match=r"holds no file of tickets|are empty"):
        parts.plan(places.files(str(tmp_path)), 10)


def test_an_address_that_cannot_be_opened_is_one_line() -> None:
    """Without it a slip in an address would be a traceback of pyarrow."""
    with pytest.raises(DataError, match=r"nowhere://x cannot be read"):
        places.files("nowhere://x")


def test_an_address_is_read_as_a_folder_is(tmp_path: Path) -> None:
    """Without it the parts of an object store would differ from those of the same files in a folder."""
    lines(tmp_path / "a.ndjson", [f"A-{number}" for number in range(50)])
    lines(tmp_path / "b.ndjson", [f"B-{number}" for number in range(50)])
    remote = parts.plan(places.files(f"file://{tmp_path}"), 400)
    assert ids(remote) == [f"{letter}-{number}" for letter in "AB" for number in range(50)]
    local = parts.plan(places.files(str(tmp_path)), 400)
    assert [(part.name, part.begin, part.end) for part in remote] == [(part.name, part.begin, part.end) for part in local]


def test_a_change_of_the_input_or_the_part_size_is_seen(tmp_path: Path) -> None:
    """Without it a run could go on with other tickets than it began with, or with other parts under the same names."""
    path = lines(tmp_path / "a.ndjson", [f"A-{number}" for number in range(50)])
    first = parts.digest(parts.plan(places.files(str(tmp_path)), 400))
    assert parts.digest(parts.plan(places.files(str(tmp_path)), 400)) == first
    assert parts.digest(parts.plan(places.files(str(tmp_path)), 500)) != first
    path.write_text(path.read_text().replace("A-9", "A-8"))
    assert parts.digest(parts.plan(places.files(str(tmp_path)), 400)) != first


def test_the_place_of_a_wrong_entry_is_told_from_its_part(tmp_path: Path) -> None:
    """Without it nobody could find a line that was refused."""
    path = lines(tmp_path / "a.ndjson", ["A-1", "A-2"])
    begin = path.stat().st_size
    path.write_text(path.read_text() + '{"id": 3}\n')
    found = parts.plan(places.files(str(tmp_path)), begin)
    assert [entry.where for entry in parts.entries(found[1])] == [f"a.ndjson from byte {begin}, line 1"]
    with pytest.raises(DataError, match=r"a\.ndjson, line 3"):
        parts.check(places.files(str(tmp_path)))


def test_strict_finds_an_id_of_another_file(tmp_path: Path) -> None:
    """Without it --strict would pass an input in which two workers answer the same ticket."""
    lines(tmp_path / "a.ndjson", ["A", "B"])
    lines(tmp_path / "b.ndjson", ["B"])
    with pytest.raises(DataError, match=r"b\.ndjson, line 1: an earlier ticket has the same id"):
        parts.check(places.files(str(tmp_path)))


def test_part_sizes_give_every_worker_some() -> None:
    """Without it a small input would be one part, and all workers but one idle."""
    small = [places.File("a", "a", 4 * 1024 * 1024, "d")]
    large = [places.File("a", "a", 400 * 1024**3, "d")]
    assert parts.part_bytes(small, 4) == 256 * 1024
    assert parts.part_bytes(small, 1000) == 64 * 1024
    assert parts.part_bytes(large, 4) == parts.PART_BYTES


@pytest.mark.slow
def test_an_object_store_is_read_in_the_same_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it s3:// would be a promise that nobody has tried, or be cut into other parts than the folder it was copied from."""
    import boto3
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    lines(tmp_path / "a.ndjson", [f"A-{number}" for number in range(50)])
    lines(tmp_path / "b.ndjson", [f"B-{number}" for number in range(50)])
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        store.create_bucket(Bucket="inbox")
        for path in tmp_path.glob("*.ndjson"):
            store.put_object(Bucket="inbox", Key=f"day/{path.name}", Body=path.read_bytes())
        files = places.files(f"s3://inbox/day?scheme=http&endpoint_override={host}:{port}&region=us-east-1")
        remote = parts.plan(files, 400)
        assert ids(remote) == [f"{letter}-{number}" for letter in "AB" for number in range(50)]
        local = parts.plan(places.files(str(tmp_path)), 400)
        assert [(part.name, part.begin, part.end) for part in remote] == [(part.name, part.begin, part.end) for part in local]
        with pytest.raises(DataError, match=r"holds no file of tickets|cannot be read"):
            places.files(f"s3://inbox/nowhere?scheme=http&endpoint_override={host}:{port}&region=us-east-1")
    finally:
        server.stop()
