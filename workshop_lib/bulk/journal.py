"""The journal of a run: what is finished survives a crash, and the same command goes on from there.

Beside the output OUT lies OUT.journal: one line of JSON that says what was run, then a record of fixed size for each finished ticket
with its input line and where its rows end in OUT. Rows are written before their record, so rows without a record are cut off and paid
again; a record whose rows did not reach the disk is dropped. Both files are synced in groups, OUT first.
"""

import errno
import json
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from workshop_lib.bulk.bitmap import KEY, Ids, Lines
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.locking import claim

FORMAT = "cascade-workshop journal 1"
SYNC_S = 0.1
NO_KEY = bytes(KEY)
_RECORD = struct.Struct(f"<Q{KEY}sQdIB")  # input line, key of its id (zeros: none), end of its rows in OUT, USD, CRC-32 of the rows, flags
_FAILED, _ESCALATED, _COST_INCOMPLETE, _CLOSED = 1, 2, 4, 8
_SYNCED = 0xFFFF_FFFF_FFFF_FFFF  # in the place of a line: everything before this record was on disk
_SPENT = 0xFFFF_FFFF_FFFF_FFFE  # in the place of a line: money that went into tickets which are not finished
_CHUNK = 4096 * _RECORD.size


class InUse(SettingsError):
    """Another run has the output open."""


@dataclass
class Totals:
    """What the finished tickets of an output come to, and USD also of those begun in vain; a lower bound unless `cost_complete`."""

    tickets: int = 0
    failed: int = 0
    escalated: int = 0
    usd: float = 0.0
    cost_complete: bool = True

    def add(self, usd: float, *, failed: bool, escalated: bool, cost_complete: bool) -> None:
        """Count one ticket."""
        self.tickets += 1
        self.failed += failed
        self.escalated += escalated
        self.usd += usd
        self.cost_complete = self.cost_complete and cost_complete

    def merge(self, other: "Totals") -> None:
        """Count what another output comes to."""
        self.tickets += other.tickets
        self.failed += other.failed
        self.escalated += other.escalated
        self.usd += other.usd
        self.cost_complete = self.cost_complete and other.cost_complete


@dataclass
class _State:
    """What the records of a journal say: what is finished, and where its rows end in OUT."""

    finished: Lines = field(default_factory=Lines)
    ids: Ids = field(default_factory=Ids)
    totals: Totals = field(default_factory=Totals)
    end: int = 0
    closed: bool = False


class Journal:
    """An output that can be gone on with; use `open_journal`, and close it.

    `finished` holds the input lines that are done, `ids` the ids of their tickets, `totals` what they come to.
    """

    def __init__(self, out: Path, sidecar: Path, rows: IO[bytes], records: IO[bytes], state: "_State") -> None:
        self.out = out
        self._sidecar = sidecar
        self.finished = state.finished
        self.ids = state.ids
        self.totals = state.totals
        self._rows = rows
        self._records = records
        self._end = state.end
        for file in (rows, records):  # from here on written without their buffer, which is a second call for each
            os.lseek(file.fileno(), file.tell(), os.SEEK_SET)
        self._synced_at = time.monotonic()
        self._unsynced = False
        self._taken_away = False

    def add(
        self, line: int, rows: bytes, usd: float, *, key: bytes = NO_KEY, failed: bool = False, escalated: bool = False, cost_complete: bool = True
    ) -> None:
        """Write the rows of one finished ticket whose id has the `key`; raise DataError, one line with the remedy, if they cannot be kept."""
        try:
            _write(self._rows, rows)
            self._end += len(rows)
            self._record(line, key, usd, rows, _FAILED * failed | _ESCALATED * escalated | _COST_INCOMPLETE * (not cost_complete))
            if time.monotonic() - self._synced_at >= SYNC_S:
                self.sync()
        except OSError as error:
            raise _unwritable(self.out, error) from error
        self.finished.add(line)
        self.totals.add(usd, failed=failed, escalated=escalated, cost_complete=cost_complete)

    def spent(self, usd: float, *, cost_complete: bool = True) -> None:
        """Count money that went into tickets which are left for a later run."""
        try:
            self._record(_SPENT, NO_KEY, usd, b"", _COST_INCOMPLETE * (not cost_complete))
        except OSError as error:
            raise _unwritable(self.out, error) from error
        self.totals.usd += usd
        self.totals.cost_complete = self.totals.cost_complete and cost_complete

    def _record(self, line: int, key: bytes, usd: float, rows: bytes, flags: int) -> None:
        _write(self._records, _RECORD.pack(line, key, self._end, usd, zlib.crc32(rows), flags))
        self._unsynced = True

    def sync(self, *, last: bool = False) -> None:
        """Wait until everything written is on disk; raise DataError if the output or its journal was taken away meanwhile."""
        if not self._unsynced:
            return
        out_there = _there(self.out, self._rows)
        self._taken_away = not (out_there and _there(self._sidecar, self._records))
        os.fsync(self._rows.fileno())
        if self._taken_away:
            raise self._gone(out_there)
        self._record(_SYNCED, NO_KEY, 0.0, b"", _CLOSED * last)
        os.fsync(self._records.fileno())
        self._synced_at = time.monotonic()
        self._unsynced = False

    def _gone(self, out_there: bool) -> DataError:
        if not out_there:
            return DataError(f"{self.out} was deleted or replaced while the run was writing it. Run the command again with --restart.")
        what = f"{self._sidecar} was deleted or replaced while the run was writing it"
        if os.fstat(self._rows.fileno()).st_size != self._end:  # as by another run, which found the journal free
            return DataError(f"{what}, and {self.out} was changed by something else too. Run the command again with --restart.")
        return DataError(
            f"{what}. The rows in {self.out} are whole, but without it no run can go on from them: "
            "copy them if you want them, and run the command again with --restart, which asks every ticket again."
        )

    def close(self, *, nothing_in_work: bool = True) -> None:
        """Sync and let go of the files; the journal stays, so that a later run knows what is finished. What a sync found gone is not told again.

        Tickets that were in work may have been charged: the cost of an output that was not closed with `nothing_in_work` is a lower bound.
        """
        try:
            self._unsynced = not self._taken_away
            self.sync(last=nothing_in_work)
        except OSError as error:
            raise _unwritable(self.out, error) from error
        finally:
            for file in (self._rows, self._records):
                with suppress(OSError):
                    file.close()


def open_journal(out: Path, identity: Mapping[str, str], *, restart: bool = False, paid_elsewhere: bool = False) -> Journal:
    """Open an output to write or to go on with; `identity` says what is run, such as {"policy": digest, "input": digest}.

    Raises InUse, a SettingsError, if another run has it open; SettingsError if what was run differs (naming what), or if it is a file of something else;
    DataError if it cannot be written. `restart` throws away what is there; `paid_elsewhere` says that what was in work when a run was killed is known
    from elsewhere, so that its cost is not unknown.
    """
    target = Path(os.path.realpath(out))  # so that a link and what it points to have one journal
    try:
        if target.exists() and not target.is_file():
            raise DataError(f"{out} is a folder, a pipe or a device, and a run could not go on with what it wrote there. Name a file with --out.")
        sidecar = target.with_name(target.name + ".journal")
        records = _open(sidecar)
        _lock(records, out)
        try:
            return _resumed(out, sidecar, records, identity, restart=restart, paid_elsewhere=paid_elsewhere)
        except BaseException:
            records.close()
            raise
    except OSError as error:
        raise _unwritable(out, error) from error


def _resumed(out: Path, sidecar: Path, records: IO[bytes], identity: Mapping[str, str], *, restart: bool, paid_elsewhere: bool) -> Journal:
    known = None if restart else _header(records, sidecar)
    if known is None and not restart and out.exists() and out.stat().st_size:
        raise SettingsError(f"{out} exists and was not written by a run that can be gone on with. Name another --out, or say --restart to write over it.")
    if known is not None:
        differing = sorted(name for name in known.keys() | identity.keys() if known.get(name) != identity.get(name))
        if differing:
            raise SettingsError(f"{out} was begun with another {' and '.join(differing)}. Use what it was begun with, name another --out, or say --restart.")
    rows = _open(out)
    if known is None:
        rows.truncate(0)
        records.seek(0)
        records.truncate(0)
        records.write(json.dumps({"format": FORMAT, **identity}).encode() + b"\n")
        records.flush()
        return Journal(out, sidecar, rows, records, _State())
    state = _replay(records, rows)
    rows.truncate(state.end)
    rows.seek(state.end)
    journal = Journal(out, sidecar, rows, records, state)
    if not state.closed and not paid_elsewhere:  # tickets were in work when that run was killed, and what they cost is not known
        journal.spent(0.0, cost_complete=False)
    return journal


def _replay(records: IO[bytes], rows: IO[bytes]) -> _State:
    """Read the records, cut off what is torn or whose rows did not reach the disk, and return what is finished."""
    begin = records.tell()
    size = os.fstat(rows.fileno()).st_size
    doubtful = _doubtful(records, begin)
    state, kept = _State(), begin
    records.seek(begin)
    for place, (line, key, end, usd, checksum, flags) in _records(records, begin):
        if line == _SPENT:
            state.totals.usd += usd
            state.totals.cost_complete = state.totals.cost_complete and not flags & _COST_INCOMPLETE
        elif line != _SYNCED:
            if end > size or (place >= doubtful and zlib.crc32(_slice(rows, state.end, end)) != checksum):
                break
            if state.finished.add(line):
                state.totals.add(usd, failed=bool(flags & _FAILED), escalated=bool(flags & _ESCALATED), cost_complete=not flags & _COST_INCOMPLETE)
            if key != NO_KEY:
                state.ids.add(key)
            state.end = end
        state.closed = bool(flags & _CLOSED)
        kept = place + _RECORD.size
    records.seek(kept)
    records.truncate(kept)
    return state


def _doubtful(records: IO[bytes], begin: int) -> int:
    """Return where the records begin that were written after the last sync."""
    after = begin
    records.seek(begin)
    for place, record in _records(records, begin):
        if record[0] == _SYNCED:
            after = place + _RECORD.size
    return after


def _records(records: IO[bytes], place: int) -> Iterator[tuple[int, tuple[int, bytes, int, float, int, int]]]:
    while chunk := records.read(_CHUNK):
        whole = len(chunk) - len(chunk) % _RECORD.size
        for record in _RECORD.iter_unpack(chunk[:whole]):
            yield place, record
            place += _RECORD.size


def _slice(rows: IO[bytes], begin: int, end: int) -> bytes:
    rows.seek(begin)
    return rows.read(end - begin)


def _header(records: IO[bytes], sidecar: Path) -> dict[str, str] | None:
    """Return what was run, or None if the journal is new; raise SettingsError if it is none of ours."""
    records.seek(0)
    first = records.readline(1 << 20)
    if not first.endswith(b"\n"):
        return None  # new, or the machine was lost before the first line was whole
    with suppress(ValueError, AttributeError):
        found = json.loads(first)
        if found.pop("format", None) == FORMAT:
            return {str(name): str(value) for name, value in found.items()}
    raise SettingsError(f"{sidecar} is not a journal of this version. Name another --out, or say --restart to begin anew.")


def _write(file: IO[bytes], content: bytes) -> None:
    """Give bytes to the system at once; a full disk may take a part of them before it refuses the rest."""
    written = os.write(file.fileno(), content)
    while written < len(content):
        written += os.write(file.fileno(), content[written:])


def _there(path: Path, file: IO[bytes]) -> bool:
    """Say whether an open file is still what its path names."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except OSError:
        return False


def _open(path: Path) -> IO[bytes]:
    """Open a file to read and write without emptying it."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")


def _lock(file: IO[bytes], out: Path) -> None:
    """Take the file for this run alone."""
    if not claim(file):
        file.close()
        raise InUse(f"Another run is writing {out}. Wait for it to end, or name another --out.")


def _unwritable(out: Path, error: OSError) -> DataError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "Make room and run the same command again; it goes on where it stopped." if full else "Name another file with --out."
    return DataError(f"{out} cannot be written ({error.strerror or error}). {remedy}")
