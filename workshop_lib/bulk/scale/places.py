"""Where the input of a scale-out lies: files of a folder, local or behind an address such as s3:// that pyarrow can open."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from workshop_lib.bulk.identity import input_digest
from workshop_lib.errors import DataError, SettingsError

SUFFIXES = (".ndjson", ".jsonl", ".json", ".csv", ".tsv", ".parquet")
_BUFFER = 1024 * 1024


@dataclass(frozen=True)
class File:
    """One file of an input: its name in the folder, where it is opened, its bytes, and what changes whenever its content does."""

    name: str
    address: str
    size: int
    digest: str


def is_remote(source: str) -> bool:
    """Say whether an input is an address, such as s3://bucket/folder, and not a path of this machine."""
    return "://" in source


def files(source: str) -> list[File]:
    """Return the files of a folder and those below it, or the one file named, by name; raise DataError or SettingsError if they cannot be used.

    Names that begin with a dot or an underscore are left out, as other engines leave marks under such names. A remote file is known by its size
    and the time it was written, a local one by its content.
    """
    found = sorted(_remote(source) if is_remote(source) else _local(Path(source)), key=lambda file: file.name)
    if not found:
        raise DataError(f"{source} holds no file of tickets ({', '.join(SUFFIXES)}).")
    for file in found:
        if len(found) > 1 and PurePosixPath(file.name).suffix.lower() not in SUFFIXES:
            raise SettingsError(f"{file.address} is none of {', '.join(SUFFIXES)}. Take it out of the folder, or give it the suffix of what it holds.")
    return found


@contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """Open a file of an input to read; raise DataError if it cannot be."""
    try:
        with _open(address) as file:
            yield file
    except OSError as error:
        raise _unreadable(address, error) from error


def _open(address: str) -> IO[bytes]:
    if not is_remote(address):
        return Path(address).open("rb")
    system, path = _system(address)
    return io.BufferedReader(system.open_input_file(path), _BUFFER)


def _local(source: Path) -> Iterator[File]:
    if not source.is_dir():
        yield File(source.name, str(source.resolve()), _size(source), input_digest(source))
        return
    for path in source.rglob("*"):
        name = path.relative_to(source).as_posix()
        if path.is_file() and not _hidden(name):
            yield File(name, str(path.resolve()), path.stat().st_size, input_digest(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _remote(source: str) -> Iterator[File]:
    import pyarrow.fs  # which _system has found

    address, _, query = source.partition("?")
    scheme = address.partition("://")[0]
    system, root = _system(source)
    try:
        at = system.get_file_info(root)
        inside = system.get_file_info(pyarrow.fs.FileSelector(root, recursive=True, allow_not_found=True)) if at.type != pyarrow.fs.FileType.File else [at]
        for info in inside:
            name = info.path.removeprefix(root).lstrip("/") or info.base_name
            if info.type == pyarrow.fs.FileType.File and not _hidden(name):
                yield File(name, f"{scheme}://{info.path}" + (f"?{query}" if query else ""), info.size, f"{info.size} bytes {info.mtime_ns}")
    except OSError as error:
        raise _unreadable(source, error) from error


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _system(address: str) -> tuple[Any, str]:
    """Return the file system behind an address and the path in it."""
    try:
        import pyarrow
        import pyarrow.fs
    except ImportError:
        raise SettingsError(f"{address}: reading it needs pyarrow. Install it with: pip install 'cascade-workshop[ray]'") from None
    try:
        system, path = pyarrow.fs.FileSystem.from_uri(address)
    except (pyarrow.ArrowInvalid, ValueError, OSError) as error:
        raise _unreadable(address, error) from error
    return system, path


def _unreadable(address: str, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    return DataError(f"{address} cannot be read ({reason}). Check the name and who may read it.")
