"""Which parts of an output are done: OUT/manifest.ndjson, a line that says what is run, then a line for each part as it is finished."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from workshop_lib.bulk.journal import InUse, Totals
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.locking import claim

FORMAT = "cascade-workshop parts 1"
_PATTERNS = ("part-[0-9]*.ndjson", "part-[0-9]*.ndjson.journal")


def path(out: Path) -> Path:
    """Return where the manifest of an output lies."""
    return out / "manifest.ndjson"


class Manifest:
    """The manifest of one run, kept for it alone; use `open_manifest`, and close it. `done` holds what finished parts came to, by number."""

    def __init__(self, out: Path, file: IO[bytes], done: dict[int, Totals], sizes: dict[int, int]) -> None:
        self.out = out
        self.done = done
        self._file = file
        self._sizes = sizes

    def finish(self, part: int, name: str, totals: Totals, size: int) -> None:
        """Note that a part is done and its rows have so many bytes; on disk before it returns."""
        told = {"part": part, "rows": name, "bytes": size, **vars(totals)}
        try:
            self._file.write(json.dumps(told).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.out, error) from error
        self.done[part] = totals
        self._sizes[part] = size

    def drop_damaged(self, rows: Mapping[int, Path]) -> None:
        """Forget parts whose rows are gone or have another size: their journals tell what is left of them, and the rest is done again."""
        for part, size in self._sizes.items():
            found = rows.get(part)
            if found is None or not found.exists() or found.stat().st_size != size:
                self.done.pop(part, None)

    def close(self) -> None:
        """Let go of it; it stays, so that a later run knows what is done."""
        self._file.close()


def recorded(out: Path) -> dict[str, str]:
    """Return what the manifest of an output says is run; nothing if there is none yet."""
    try:
        with path(out).open("rb") as file:
            return _header(out, file) or {}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unwritable(out, error) from error


def open_manifest(out: Path, identity: Mapping[str, str], *, restart: bool = False) -> Manifest:
    """Open an output to write or to go on with; `restart` throws away its parts.

    Raises SettingsError if another run has it open, or if what was run differs (naming what); DataError if it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(path(out), os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except OSError as error:
        raise _unwritable(out, error) from error
    try:
        if not claim(file):
            raise InUse(f"Another run is writing {out}. Wait for it to end, or name another --out.")
        return _opened(out, file, identity, restart=restart)
    except OSError as error:
        file.close()
        raise _unwritable(out, error) from error
    except BaseException:
        file.close()
        raise


def _opened(out: Path, file: IO[bytes], identity: Mapping[str, str], *, restart: bool) -> Manifest:
    known = None if restart else _header(out, file)
    if known is not None:
        differing = sorted(name for name in known.keys() | identity.keys() if known.get(name) != identity.get(name))
        if differing:
            raise SettingsError(f"{out} was begun with another {' and '.join(differing)}. Use what it was begun with, name another --out, or say --restart.")
        return _replayed(out, file)
    there = [found for pattern in _PATTERNS for found in sorted(out.glob(pattern))]
    if there and not restart:
        raise SettingsError(f"{out} holds {there[0].name} of a run that cannot be gone on with. Name another --out, or say --restart to write over it.")
    for found in there:
        found.unlink()
    file.seek(0)
    file.truncate(0)
    file.write(json.dumps({"format": FORMAT, **identity}).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
    return Manifest(out, file, {}, {})


def _replayed(out: Path, file: IO[bytes]) -> Manifest:
    done: dict[int, Totals] = {}
    sizes: dict[int, int] = {}
    whole = file.tell()
    for line in file:
        told = _told(line)
        if told is None:
            break  # torn when a machine was lost; the part's own journal says that it is finished
        number, size = int(told.pop("part")), int(told.pop("bytes"))
        told.pop("rows")
        done[number], sizes[number] = Totals(**told), size
        whole += len(line)
    file.seek(whole)
    file.truncate(whole)
    return Manifest(out, file, done, sizes)


def _told(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        found = json.loads(line)
        if line.endswith(b"\n") and isinstance(found, dict) and found.keys() >= {"part", "rows", "bytes", "tickets"}:
            return found
    return None


def _header(out: Path, file: IO[bytes]) -> dict[str, str] | None:
    """Return what was run, or None if the manifest is new; raise SettingsError if it is none of ours."""
    file.seek(0)
    first = file.readline(1 << 20)
    if not first.endswith(b"\n"):
        return None
    with suppress(ValueError, AttributeError):
        found = json.loads(first)
        if found.pop("format", None) == FORMAT:
            return {str(name): str(value) for name, value in found.items()}
    raise SettingsError(f"{path(out)} is not a manifest of this version. Name another --out, or say --restart to begin anew.")


def _unwritable(out: Path, error: OSError) -> DataError:
    return DataError(f"{out} cannot be written ({error.strerror}). Name another folder with --out.")
