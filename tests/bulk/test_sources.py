"""Reading tickets: every format streams, and a broken entry is told with its place and reason while the rest goes on."""

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workshop_lib.bulk.sources import LARGEST_ENTRY, Entry, Rejected, read
from workshop_lib.errors import DataError
from workshop_lib.tasks import Ticket

GOOD = {"id": "T-1", "subject": "Invoice", "body": "Charged twice,\nline two; \u2028 and \u00fc.", "customer_tier": "pro"}


def _told(entries: list[Entry]) -> list[tuple[str, str]]:
    return [(entry.where, "ok" if isinstance(entry.ticket, Ticket) else entry.ticket.reason) for entry in entries]


def _written(folder: Path, name: str) -> Path:
    path = folder / name
    second = {**GOOD, "id": "T-2"}
    if name.endswith(".csv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(GOOD), delimiter=";")
        writer.writeheader()
        writer.writerows([GOOD, second])
        path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    elif name.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([GOOD, second]), path)
    elif name.endswith(".json"):
        path.write_text(json.dumps([GOOD, second], indent=1), encoding="utf-8")
    else:
        path.write_text(f"\n{json.dumps(GOOD, ensure_ascii=False)}\n{json.dumps(second)}", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["t.ndjson", "t.jsonl", "t.json", "t.csv", "t.parquet", "t.txt"])
def test_every_format_gives_the_same_tickets(tmp_path: Path, name: str) -> None:
    """Without it a ticket could change with the format of the file it comes in."""
    entries = list(read(_written(tmp_path, name)))
    assert list(read(tmp_path / name, {entries[0].number})) == entries[1:], "an entry that is finished is passed over"
    tickets = [entry.ticket for entry in entries]
    assert tickets == [Ticket.model_validate(GOOD), Ticket.model_validate({**GOOD, "id": "T-2"})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{not json", "not JSON (Expecting property name enclosed in double quotes at column 2)"),
        (b"[]", "an object with id, subject and body is expected, not list"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"id": "T-9", "subject": "x", "body": ""}', "field body: String should have at least 1 character"),
        (b'{"id": "T-9", "subject": "x", "body": "a\\u0000b"}', "holds a NUL character"),
        (b'{"id": "T 9", "subject": "x", "body": "b"}', "field id: String should match pattern"),
        (b'{"id": 9, "subject": "x", "body": "b"}', "field id: Input should be a valid string"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"id": "T-9", "subject": "x", "body": "b", "n": ' + b"9" * 5000 + b"}", "a number has too many digits"),
        (b'{"id": "T-9", "subject": "x", "body": "' + b"a" * 10_000_000 + b'"}', "larger than 4 MB"),
    ],
)
def test_a_broken_line_costs_only_itself(tmp_path: Path, line: bytes, reason: str) -> None:
    """Without it one bad line would cost the batch, or be lost without a word."""
    path = tmp_path / "t.ndjson"
    good = json.dumps(GOOD).encode()
    path.write_bytes(good + b"\n" + line + b"\n" + good)
    told = _told(list(read(path)))
    assert [place for place, _ in told] == ["line 1", "line 2", "line 3"]
    assert [said for _, said in told][::2] == ["ok", "ok"]
    assert told[1][1].startswith(reason)


def test_unknown_fields_are_left_out(tmp_path: Path) -> None:
    """Without it an export with one column more could not be routed."""
    path = tmp_path / "t.ndjson"
    path.write_text(json.dumps({**GOOD, "channel": "mail", "label": {"category": "billing"}}))
    assert [entry.ticket for entry in read(path)] == [Ticket.model_validate(GOOD)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.ndjson", b"", "is empty"),
        ("t.ndjson", b" \n \n", "is empty"),
        ("t.csv", "id,subject,body\n".encode("utf-16"), "UTF-16"),
        ("t.csv", "id,subject,body\n".encode("utf-32"), "UTF-32"),
        ("t.csv", b"id,subject,body," + b"x" * 5_000_000, "line 1: the header is larger than 4 MB"),
        ("t.csv", b'id,subject,"body', "line 1: not CSV"),
        ("t.ndjson.gz", gzip.compress(b"{}\n" * 9, mtime=0), "is compressed .gzip."),
        ("t.ndjson", b"PAR1 and more", "suffix .parquet"),
        ("t.csv", b"id,title\nT-1,x\n", "no column body, subject"),
        ("t.parquet", b"not parquet at all", "not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    """Without it a wrong file would run to the end and route nothing."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        list(read(path))
    with pytest.raises(DataError, match="cannot be read"):
        list(read(tmp_path / "missing.ndjson"))


def test_a_broken_array_tells_where_it_breaks(tmp_path: Path) -> None:
    """Without it the entries before the break would be lost, or those after it silently."""
    path = tmp_path / "t.json"
    path.write_text(f"[{json.dumps(GOOD)}, {json.dumps(GOOD)}, oops]")
    told = _told(list(read(path)))
    assert [said for _, said in told[:2]] == ["ok", "ok"]
    assert told[2][0] == "entry 3"
    assert "nothing after it can be read" in told[2][1]


def test_an_entry_of_an_array_that_is_nested_too_deeply_costs_only_itself(tmp_path: Path) -> None:
    """Without it a hundred kilobytes of brackets would take minutes of CPU, once to estimate and once to route."""
    path = tmp_path / "t.json"
    good = json.dumps(GOOD)
    path.write_text(f"[{good}, {'[' * 100_000}{']' * 100_000}, [3], {good}]")
    assert [said for _, said in _told(list(read(path)))] == ["ok", "nested too deeply", "an object with id, subject and body is expected, not list", "ok"]


def test_a_header_with_a_line_break_is_one_header(tmp_path: Path) -> None:
    """Without it the second half of a header that a spreadsheet wrote would be told as a broken ticket."""
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,subject,body,"a note\nof ours"\nT-1,a,b,c\n')
    assert [(entry.where, entry.number, entry.ticket) for entry in read(path)] == [("line 3", 0, Ticket(id="T-1", subject="a", body="b"))]


def test_a_parquet_text_that_is_not_utf8_costs_only_itself(tmp_path: Path) -> None:
    """Without it one wrong byte would end the run with a traceback."""
    import pyarrow
    import pyarrow.parquet

    path, bodies = tmp_path / "t.parquet", pyarrow.array([b"b", b"\xff\xfe", b"b"], pyarrow.binary())
    columns = {"id": ["T-1", "T-2", "T-3"], "subject": ["a", "a", "a"], "body": bodies.view(pyarrow.string())}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert [said for _, said in _told(list(read(path)))] == ["ok", "not UTF-8", "ok"]


def test_a_damaged_parquet_file_is_told_with_what_is_wrong(tmp_path: Path) -> None:
    """Without it the line would say that the file cannot be read for the reason None."""
    path = _written(tmp_path, "t.parquet")
    content = bytearray(path.read_bytes())
    content[10:31:10] = bytes(byte ^ 0xFF for byte in content[10:31:10])
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged and cannot be read \(.*\w+.*\)"):
        list(read(path))


def test_broken_csv_rows_cost_only_themselves(tmp_path: Path) -> None:
    """Without it a cell too many or a wrong byte would end the file."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,subject,body\nT-1,a,b\nT-2,a,b,c\nT-3,a,\xff\nT-4,a,b\n")
    said = [reason for _, reason in _told(list(read(path)))]
    assert said[0] == said[3] == "ok"
    assert said[1].startswith("more cells than the header")
    assert said[2] == "not UTF-8"


VALUES = st.none() | st.text(max_size=30) | st.integers() | st.lists(st.text(max_size=3), max_size=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.sampled_from(["id", "subject", "body", "customer_tier"]), VALUES), max_size=8))
def test_no_content_of_a_line_ends_the_reading(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    """Without it some odd value would raise out of the reader and cost the batch."""
    path = tmp_path_factory.mktemp("odd") / "t.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in [GOOD, *rows]))
    entries = list(read(path))
    assert len(entries) == 1 + len(rows)
    assert all(isinstance(entry.ticket, Ticket | Rejected) for entry in entries)


@pytest.mark.parametrize("name", ["big.ndjson", "big.json", "big.csv"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    """Without it a large inbox would be read whole."""
    path = tmp_path / name
    body = "x" * 2000
    rows = [{"id": f"T-{number}", "subject": "s", "body": body} for number in range(5000)]
    with path.open("w") as file:
        if name.endswith(".json"):
            json.dump(rows, file)
        elif name.endswith(".csv"):
            file.write("id,subject,body\n" + "".join(f"{row['id']},s,{body}\n" for row in rows))
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    del rows
    tracemalloc.start()
    try:
        assert sum(1 for _ in read(path)) == 5000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000, "bytes at the peak, of a file of ten million"
    finally:
        tracemalloc.stop()
    assert LARGEST_ENTRY > 20_000, "the largest body a ticket may have fits in"
