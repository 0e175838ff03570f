"""Tickets from a file of any size, one at a time: JSON lines, a JSON array, CSV, Parquet. A broken entry is told, and costs only itself."""

import codecs
import csv
import io
import json
import os
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from workshop_lib.bulk.bitmap import Ids, key_of
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.tasks import Ticket
from workshop_lib.tasks.triage import ticket_fields

LARGEST_ENTRY = 4 * 1024 * 1024
"""Bytes of one entry; a longer one is refused without being held in memory."""

_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}
_DEEPEST = 100


@dataclass(frozen=True)
class Rejected:
    """An entry that is no ticket: the id it gave if it gave one, and why it is refused."""

    ticket_id: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """One entry of an input: its number from 0, where it stands in words, and the ticket or why it is none."""

    number: int
    where: str
    ticket: Ticket | Rejected


def read(path: Path, skip: Container[int] = ()) -> Iterator[Entry]:
    """Yield the entries of a file as they are read, never whole; the format is told by the suffix, JSON lines if by nothing else.

    Entries whose numbers are in `skip` are passed over, lines of JSON without being parsed.
    Raises DataError, one line, for a file that cannot be read at all: missing, empty, UTF-16, a CSV without the columns.
    """
    try:
        if path.suffix.lower() == ".parquet":
            yield from _others(parquet(path), skip)
            return
        with path.open("rb") as file:
            yield from opened(path, file, skip)
    except OSError as error:
        raise _unreadable(path, error) from error


def sample(path: Path, most: int = 2000) -> tuple[list[Ticket], int]:
    """Return the tickets among the first `most` entries of a file, and about how many entries it holds, exactly if no more than those.

    Raises DataError as `read` does.
    """
    try:
        if path.suffix.lower() == ".parquet":
            found = list(islice(parquet(path), most))
            return [entry.ticket for entry in found if isinstance(entry.ticket, Ticket)], sum(rows for rows, _ in row_groups(path))
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            begun = opened(path, file, ())  # held: a reader of text closes its file when it goes
            found = list(islice(begun, most))
            count = len(found) if len(found) < most else round(most * size / file.tell())
    except OSError as error:
        raise _unreadable(path, error) from error
    return [entry.ticket for entry in found if isinstance(entry.ticket, Ticket)], count


def _unreadable(path: Path, error: OSError) -> DataError:
    if error.strerror is None:  # pyarrow's, of what it met in the file
        return DataError(f"{path} is damaged and cannot be read ({' '.join(str(error).split())[:200]}). Make it anew.")
    return DataError(f"{path} cannot be read ({error.strerror}). Check the name and its permissions.")


def check(path: Path) -> None:
    """Read a whole file and raise DataError for the first entry that is no ticket, or has the id of an earlier one, and say how many there are."""
    seen, wrong, first = Ids(), 0, ""
    for entry in read(path):
        reason = refused(entry, seen)
        if reason is not None:
            wrong += 1
            first = first or f"{path} {entry.where}: {reason}"
    if wrong:
        raise DataError(f"{first}; {wrong} of its entries cannot be used. Correct the file, or leave --strict out to have them told as error rows.")


def refused(entry: Entry, seen: Ids) -> str | None:
    """Return why an entry cannot be used, if it is no ticket or its id was seen; None if it can, and then its id is seen."""
    if isinstance(entry.ticket, Rejected):
        return entry.ticket.reason
    return None if seen.add(key_of(entry.ticket.id)) else "an earlier ticket has the same id"


def opened(path: Path, file: IO[bytes], skip: Container[int] = ()) -> Iterator[Entry]:
    """Do as `read` does with a file that is open, wherever it lies; `path` only names it. Parquet is not read here."""
    first = first_byte(path, file)
    if path.suffix.lower() in {".csv", ".tsv"}:
        return _others(_csv(path, file), skip)
    return _others(_array(file), skip) if first == b"[" else lines(file, skip)


def entries(tickets: Iterable[Ticket]) -> Iterator[Entry]:
    """Yield the entries of tickets that are in memory already."""
    for number, ticket in enumerate(tickets):
        yield Entry(number, f"ticket {number + 1}", ticket)


def _others(found: Iterator[Entry], skip: Container[int]) -> Iterator[Entry]:
    return (entry for entry in found if entry.number not in skip)


def first_byte(path: Path, file: IO[bytes]) -> bytes:
    """Return the first byte that is no space, with the file set back behind a byte order mark."""
    head = file.read(4096)
    if head.startswith((*_UTF32, *_UTF16)):
        raise DataError(f"{path} is {'UTF-32' if head.startswith(_UTF32) else 'UTF-16'}. Save it as UTF-8 and try again.")
    packed = next((name for begin, name in _PACKED.items() if head.startswith(begin)), None)
    if packed is not None:
        raise DataError(f"{path} is compressed ({packed}). Unpack it and try again.")
    if head.startswith(b"PAR1"):
        raise DataError(f"{path} is a Parquet file. Give it the suffix .parquet.")
    begin = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    file.seek(begin)
    found = head[begin:].lstrip()[:1]
    if not found and len(head) < 4096:
        raise DataError(f"{path} is empty. Give it tickets with id, subject and body, as JSON lines, a JSON array, CSV or Parquet.")
    return found


def lines(file: IO[bytes], skip: Container[int] = ()) -> Iterator[Entry]:
    """Yield the entries of JSON lines from where an open file stands to its end."""
    number = 0
    while line := file.readline(LARGEST_ENTRY):
        where = f"line {number + 1}"
        if len(line) >= LARGEST_ENTRY and not line.endswith(b"\n"):
            _skip_line(file)
            if number not in skip:
                yield Entry(number, where, _too_large())
        elif number not in skip and line.strip():
            yield Entry(number, where, _from_json(line))
        number += 1


def _skip_line(file: IO[bytes]) -> None:
    while (more := file.readline(LARGEST_ENTRY)) and not more.endswith(b"\n"):
        pass


def _too_large() -> Rejected:
    return Rejected("", f"larger than {LARGEST_ENTRY // 1024 // 1024} MB")


def _from_json(line: bytes) -> Ticket | Rejected:
    try:
        fields = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return Rejected("", "not UTF-8")
    except json.JSONDecodeError as error:
        return Rejected("", f"not JSON ({error.msg} at column {error.colno})")
    except RecursionError:
        return _too_deep()
    except ValueError:  # Python reads no integer of so many digits
        return Rejected("", "a number has too many digits")
    return ticket_of(fields)


def _too_deep() -> Rejected:
    return Rejected("", "nested too deeply")


def ticket_of(fields: Any) -> Ticket | Rejected:
    """Return the ticket that an entry describes, or why it is none; fields that a ticket does not have are left out."""
    if not isinstance(fields, dict):
        return Rejected("", f"an object with id, subject and body is expected, not {type(fields).__name__}")
    given = fields.get("id")
    ticket_id = given if isinstance(given, str) else ""
    present = ticket_fields(fields)
    if any(isinstance(value, str) and "\0" in value for value in present.values()):
        return Rejected(ticket_id.replace("\0", ""), "holds a NUL character")
    try:
        return Ticket.model_validate(present)
    except ValidationError as error:
        first = error.errors()[0]
        return Rejected(ticket_id, f"field {'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


def _array(file: IO[bytes]) -> Iterator[Entry]:
    import ijson  # only this format needs it

    number = 0
    try:
        for found in _values(ijson.basic_parse(file, use_float=True), ijson.ObjectBuilder):
            yield Entry(number, f"entry {number + 1}", found if isinstance(found, Rejected) else ticket_of(found))
            number += 1
    except (ijson.JSONError, UnicodeDecodeError) as error:
        told = error.args[0] if error.args else ""
        reason = " ".join((told.decode(errors="replace") if isinstance(told, bytes) else str(error)).split())[:200]
        yield Entry(number, f"entry {number + 1}", Rejected("", f"not JSON from here on ({reason}); nothing after it can be read"))


def _values(events: Iterator[tuple[str, Any]], builder: Callable[[], Any]) -> Iterator[Any]:
    """Yield what an array holds from its events; ijson's own way takes a time that grows with the square of the nesting."""
    next(events)  # the array's own bracket
    depth = deepest = 0
    value = builder()
    for event, part in events:
        depth += event.startswith("start_") - event.startswith("end_")
        deepest = max(deepest, depth)
        if depth >= 0 and deepest <= _DEEPEST:
            value.event(event, part)
        if depth == 0:
            yield value.value if deepest <= _DEEPEST else _too_deep()
            value, deepest = builder(), 0


def _csv(path: Path, file: IO[bytes]) -> Iterator[Entry]:
    csv.field_size_limit(LARGEST_ENTRY)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
    header = text.readline(LARGEST_ENTRY)
    if len(header) >= LARGEST_ENTRY:
        raise DataError(f"{path} line 1: the header is {_too_large().reason}. It must name id, subject and body.")
    delimiter = max(",;\t", key=header.count)  # a spreadsheet writes what its locale says
    reader = csv.reader(chain([header], text), delimiter=delimiter, strict=True)
    try:
        names = next(reader)
    except csv.Error as error:
        raise DataError(f"{path} line 1: not CSV ({error}). The header must name id, subject and body.") from None
    missing = {"id", "subject", "body"} - set(names)
    if missing:
        raise DataError(f"{path} line 1: no column {', '.join(sorted(missing))}. The header must name id, subject and body.")
    number = 0
    while True:
        where = f"line {reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Entry(number, where, Rejected("", f"not CSV ({error}); a quote that is not closed is the usual cause"))
        else:
            if row is None:
                return
            yield Entry(number, where, _from_row(names, row))
        number += 1


def _from_row(names: list[str], row: list[str]) -> Ticket | Rejected:
    if len(row) > len(names):
        return Rejected(row[names.index("id")], "more cells than the header has columns; quote a text that holds the delimiter")
    if any("\udc80" <= letter <= "\udcff" for cell in row for letter in cell):
        return Rejected("", "not UTF-8")
    return ticket_of(dict(zip(names, row, strict=False)))


def row_groups(path: Path, file: IO[bytes] | None = None) -> list[tuple[int, int]]:
    """Return rows and bytes of each row group of a Parquet file; of an open file if one is given, which `path` then only names."""
    with _table(path, file) as table:
        groups = [table.metadata.row_group(number) for number in range(table.num_row_groups)]
        return [(int(group.num_rows), int(group.total_byte_size)) for group in groups]


def parquet(path: Path, file: IO[bytes] | None = None, groups: range | None = None) -> Iterator[Entry]:
    """Yield the entries of a Parquet file, or of some of its row groups; of an open file if one is given, which `path` then only names."""
    with _table(path, file) as table:
        missing = {"id", "subject", "body"} - set(table.schema_arrow.names)
        if missing:
            raise DataError(f"{path}: no column {', '.join(sorted(missing))}. The table must have id, subject and body.")
        columns = [name for name in Ticket.model_fields if name in table.schema_arrow.names]
        batches = table.iter_batches(batch_size=1024, columns=columns, row_groups=groups)
        rows = (row for batch in batches for row in _rows(batch))
        for number, row in enumerate(rows):
            yield Entry(number, f"row {number + 1}", row if isinstance(row, Rejected) else ticket_of(row))


def _rows(batch: Any) -> Iterator[Any]:
    """Yield the rows of a batch; one whose text is not UTF-8, which pyarrow finds out only on reading it, is told by itself."""
    try:
        found = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            found = [Rejected("", "not UTF-8")]
        else:
            found = (row for number in range(batch.num_rows) for row in _rows(batch.slice(number, 1)))
    yield from found


@contextmanager
def _table(path: Path, file: IO[bytes] | None = None) -> Iterator[Any]:
    """Open a Parquet file while the block lasts; raise SettingsError without pyarrow, DataError if it is no such file."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SettingsError(f"{path}: reading Parquet needs pyarrow. Install it with: pip install 'cascade-workshop[parquet]'") from None
    try:
        with pyarrow.parquet.ParquetFile(file or path) as table:
            yield table
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file that can be read ({' '.join(str(error).split())[:200]}).") from error
