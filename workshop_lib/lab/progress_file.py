"""The progress file: one JSON file on this machine, changed whole or not at all, by one process at a time."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from workshop_lib import paths
from workshop_lib.lab.book import VERSION, Book
from workshop_lib.lab.errors import ProgressError
from workshop_lib.locking import claim

Edit = Callable[[Book], None]

_WAIT_S = 5.0
_POLL_S = 0.01


def default() -> Path:
    """Return where progress is kept: `.workshop/progress.json` in the checkout."""
    return paths.STATE / "progress.json"


def read(path: Path, tell: Callable[[str], None] = print) -> Book:
    """Return what the file holds, an empty book if there is none; raise ProgressError if it cannot be used, one line with the remedy."""
    return change(path, (), tell) if path.exists() else Book()


def change(path: Path, edits: Sequence[Edit], tell: Callable[[str], None] = print) -> Book:
    """Apply edits to what the file holds now, write it, and return it, while no other process does the same.

    A damaged file is kept beside it, told of in one line, and replaced. Raises ProgressError if the file cannot be read or written, is in
    use for longer than a few seconds, or is of a later version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock")):
            book = _loaded(path, tell)
            for edit in edits:
                edit(book)
            if edits:
                _write(path, book)
            return book
    except OSError as error:
        raise ProgressError(f"Progress is not kept: {error.filename or path} cannot be used ({error.strerror or error}). Everything else works.") from error


def forget(path: Path, lab: str | None = None) -> Path | None:
    """Forget one lab, or everything; return where the file as it was is kept, None if there was none.

    A file that is damaged or of a later version is put aside like any other.
    """
    if not path.exists():
        return None
    kept = path.with_name(f"{path.stem}.before-reset.json")
    if lab is not None:
        kept.write_bytes(path.read_bytes())
        change(path, [lambda book: _drop(book, lab)])
        return kept
    with _alone(path.with_suffix(".lock")):
        os.replace(path, kept)
    return kept


def _drop(book: Book, lab: str) -> None:
    book.labs.pop(lab, None)
    if book.last == lab:
        book.last = None


def _loaded(path: Path, tell: Callable[[str], None]) -> Book:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Book()
    except UnicodeDecodeError:
        text = ""
    try:
        found = json.loads(text)
        version = found["version"]
        if isinstance(version, int) and version > VERSION:
            raise ProgressError(
                f"Progress is not kept: {_shown(path)} is of version {version}, and this workshop knows version {VERSION}. Update the workshop, or run: workshop progress --reset"
            )
        return Book.model_validate(found)
    except (ValueError, ValidationError, TypeError, KeyError, RecursionError):
        aside = _aside(path)
        os.replace(path, aside)
        tell(f"The progress file was damaged. It is kept as {_shown(aside)}, and progress starts anew.")
        return Book()


def _aside(path: Path) -> Path:
    """Return a free name beside a file for what is wrong with it."""
    numbered = (path.with_name(f"{path.stem}.damaged{'' if number == 1 else f'-{number}'}.json") for number in range(1, 1000))
    return next((name for name in numbered if not name.exists()), path.with_name(f"{path.stem}.damaged.json"))


def _write(path: Path, book: Book) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(book.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the new name with nothing in it
    os.replace(part, path)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock between processes, which the system releases if its holder dies."""
    with lock.open("a+b") as handle:
        ends = time.monotonic() + _WAIT_S
        while not claim(handle):
            if time.monotonic() > ends:
                raise ProgressError(f"Progress is not kept: another process holds {_shown(lock)}. Everything else works.")
            time.sleep(_POLL_S)
        yield


def _shown(path: Path) -> str:
    return path.relative_to(paths.ROOT).as_posix() if path.is_relative_to(paths.ROOT) else str(path)
