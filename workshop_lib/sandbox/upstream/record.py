"""Appending exchanges to a recording: one writer, a line at a time, nothing half written."""

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from workshop_lib.errors import SettingsError
from workshop_lib.sandbox.answering import Answerer, AnswerFailed
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.upstream.client import Client
from workshop_lib.sandbox.upstream.identity import upstream_hash
from workshop_lib.sandbox.upstream.recording import Recorded, recorded


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class File:
    """A recording open for appending; a last line that a crash cut off is removed. Raises SettingsError if it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():
                raise SettingsError(f"--record {path} is no file. Name a file, which need not exist.")
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise SettingsError(f"--record {path} cannot be written ({error.strerror or error}). Name another file.") from error
        try:
            _claim(self._file)
        except OSError as error:
            self._file.close()
            raise SettingsError(f"--record {path} is in use by another sandbox. Stop that one, or name another file.") from error
        self._size = self._repaired()

    def append(self, line: Recorded) -> None:
        """Write one line in one piece; raises AnswerFailed, with the file as it was, if there is no room."""
        content = line.model_dump_json().encode() + b"\n"
        try:
            written = self._file.write(content)
            if written != len(content):
                raise OSError("no room")
        except OSError as error:
            self._file.truncate(self._size)
            what = f"The answer could not be recorded in {self._path} ({error.strerror or error}). Make room, or stop recording."
            raise AnswerFailed(Failure("server", what)) from error
        self._size += written

    def _repaired(self) -> int:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            self._file.truncate(whole)
        return whole


class Recording:
    """Passes requests on and records what comes back; failures are not recorded. `clock` gives the time in UTC as text."""

    def __init__(self, asked: Answerer, file: File, client: Client, learn: Callable[[Recorded], None] | None = None, clock: Callable[[], str] = _now) -> None:
        self._asked = asked
        self._file = file
        self._client = client
        self._learn = learn
        self._clock = clock
        self._hashes: dict[str, str | None] = {}

    def source(self, ask: Ask) -> str:
        """Say who answers."""
        return self._asked.source(ask)

    async def complete(self, ask: Ask) -> Completion:
        """Return the answer, once it is recorded."""
        done = await self._asked.complete(ask)
        await self._keep(ask, done)
        return done

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece | Completion]:
        """Yield the answer as it comes; it is recorded when it is whole."""
        async with aclosing(self._asked.stream(ask)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    await self._keep(ask, part)
                yield part

    async def _keep(self, ask: Ask, done: Completion) -> None:
        upstream = done.upstream_model or ""
        if upstream not in self._hashes:
            self._hashes[upstream] = await upstream_hash(self._client, upstream)
        line = recorded(ask, done, self._hashes[upstream], self._clock())
        self._file.append(line)
        if self._learn is not None:
            self._learn(line)


if sys.platform == "win32":

    def _claim(file: IO[bytes]) -> None:
        """Leave the file to whoever opens it: Windows locks bytes, which would keep readers out."""

else:
    import fcntl

    def _claim(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
