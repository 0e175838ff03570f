"""An input in parts: the same files and the same part size give the same parts, each of which one worker reads alone."""

import io
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from workshop_lib.bulk import sources
from workshop_lib.bulk.bitmap import Ids
from workshop_lib.bulk.scale.places import File, opened
from workshop_lib.bulk.sources import Entry
from workshop_lib.errors import DataError
from workshop_lib.tasks import Ticket

PART_BYTES = 8 * 1024 * 1024
_PARTS_A_WORKER = 4
_LEAST_BYTES = 64 * 1024
_SAMPLE = 2000


@dataclass(frozen=True)
class Part:
    """One part: `begin` and `end` are bytes of whole lines, row groups of a Parquet file, or a whole file that cannot be divided."""

    number: int
    name: str
    address: str
    kind: Literal["lines", "groups", "whole"]
    begin: int
    end: int
    digest: str

    @property
    def id(self) -> str:
        """Return the name of its output without suffix."""
        return f"part-{self.number:05d}"


def part_bytes(files: Sequence[File], workers: int) -> int:
    """Return a part size for a first run: 8 MiB, or less if some workers would have nothing to do, but no less than 64 KiB."""
    share = sum(file.size for file in files) // (_PARTS_A_WORKER * workers)
    return min(PART_BYTES, max(_LEAST_BYTES, share))


def plan(files: Sequence[File], size: int) -> list[Part]:
    """Return the parts of about `size` bytes; raise DataError for a file that cannot be read at all, or if all of them are empty.

    JSON lines are cut after a line, Parquet after a row group. A quoted cell or a JSON array may hold a line break, so CSV, TSV and arrays stay whole.
    """
    if size < 1:
        raise ValueError(f"the size of a part must be at least 1 byte, got {size}")
    every = (part for file in files if file.size for part in _parts(file, size))
    found = [replace(part, number=number) for number, part in enumerate(every)]
    if not found:
        raise DataError("The files of the input are empty. Give them tickets with id, subject and body.")
    return found


def digest(parts: Sequence[Part]) -> str:
    """Return digits that change whenever a part does, or where it lies in the folder."""
    told = [(part.number, part.name, part.kind, part.begin, part.end, part.digest) for part in parts]
    return f"{len(parts)} parts {sha256(repr(told).encode()).hexdigest()[:16]}"


def entries(part: Part, skip: Container[int] = ()) -> Iterator[Entry]:
    """Yield the entries of a part, numbered from 0 within it, and told with the file they stand in; raise DataError if it cannot be read."""
    where = part.name if part.kind == "whole" or not part.begin else f"{part.name} from {'byte' if part.kind == 'lines' else 'row group'} {part.begin}"
    with opened(part.address) as file:
        for entry in _entries(part, file, skip):
            yield replace(entry, where=f"{where}, {entry.where}")


def sample(files: Sequence[File]) -> tuple[list[Ticket], int]:
    """Return the first tickets of the first file, and about how many entries all files hold if they are like it."""
    first = next(file for file in files if file.size)
    name = Path(first.name)
    with opened(first.address) as file:
        if name.suffix.lower() == ".parquet":
            found = list(islice(sources.parquet(name, file), _SAMPLE))
            count = sum(rows for rows, _ in sources.row_groups(name, file))
        else:
            begun = sources.opened(name, file)  # held: a reader of text closes its file when it goes
            found = list(islice(begun, _SAMPLE))
            count = len(found) if len(found) < _SAMPLE else round(_SAMPLE * first.size / file.tell())
    return [entry.ticket for entry in found if isinstance(entry.ticket, Ticket)], round(count * sum(file.size for file in files) / first.size)


def check(files: Sequence[File]) -> None:
    """Read all of the input and raise DataError for the first entry that is no ticket, or has the id of an earlier one in any file."""
    seen = Ids()
    for part in plan(files, PART_BYTES):
        for entry in entries(part):
            reason = sources.refused(entry, seen)
            if reason is not None:
                raise DataError(f"{entry.where}: {reason}. Correct it, or leave --strict out to have such entries told as error rows.")


def _entries(part: Part, file: IO[bytes], skip: Container[int]) -> Iterator[Entry]:
    if part.kind == "lines":
        return sources.lines(_window(file, part.begin, part.end), skip)
    name = Path(part.name)
    if part.kind == "whole":
        return sources.opened(name, file, skip)
    return (entry for entry in sources.parquet(name, file, range(part.begin, part.end)) if entry.number not in skip)


def _parts(file: File, size: int) -> Iterator[Part]:
    suffix = PurePosixPath(file.name).suffix.lower()
    whole = Part(0, file.name, file.address, "whole", 0, file.size, file.digest)
    with opened(file.address) as content:
        if suffix == ".parquet":
            yield from (replace(whole, kind="groups", begin=begin, end=end) for begin, end in _groups(file, content, size))
        elif suffix in {".csv", ".tsv"} or sources.first_byte(Path(file.name), content) == b"[":
            yield whole
        else:
            yield from (replace(whole, kind="lines", begin=begin, end=end) for begin, end in _cuts(content, content.tell(), file.size, size))


def _cuts(file: IO[bytes], begin: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of bytes that end with a line, the first one that ends at `size` bytes or later."""
    while begin < end:
        cut = min(begin + size, end)
        if cut < end:
            file.seek(cut - 1)
            while (rest := file.readline(sources.LARGEST_ENTRY)) and not rest.endswith(b"\n"):
                pass
            cut = min(file.tell(), end)
        yield begin, cut
        begin = cut


def _groups(file: File, content: IO[bytes], size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of row groups that together have about `size` bytes."""
    weights = [weight for _, weight in sources.row_groups(Path(file.name), content)]
    begin, held = 0, 0
    for group, weight in enumerate(weights):
        if held and held + weight > size:
            yield begin, group
            begin, held = group, 0
        held += weight
    if begin < len(weights):
        yield begin, len(weights)


def _window(file: IO[bytes], begin: int, end: int) -> IO[bytes]:
    """Return the bytes of an open file from `begin` up to `end` as a file of their own."""
    file.seek(begin)
    return io.BufferedReader(_Window(file, end - begin), 1024 * 1024)


class _Window(io.RawIOBase):
    """So many bytes of a file from where it stands."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # of any buffer
        """Fill a buffer with what comes next."""
        found = self._file.read(min(len(buffer), self._left))
        buffer[: len(found)] = found
        self._left -= len(found)
        return len(found)
