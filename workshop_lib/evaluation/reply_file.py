"""The file of recorded replies: a first line that says what they were recorded under, then one JSON line a reply.

Lines are of four kinds: the header (format, date, code, provenance), a reply, a provenance that adds models or tickets to the one before, and
`finished`, which says that the run which wishes for these replies has all of them. Without `finished` after the last reply a file is partial.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workshop_lib.errors import DataError, SettingsError
from workshop_lib.evaluation.provenance import Provenance, code_revision, settings, sha256, template
from workshop_lib.llm import Cost, Reply, Request, TokenLogprob, Usage
from workshop_lib.locking import claim

FORMAT = "cascade-workshop replies 2"
_ANY_FORMAT = "cascade-workshop replies "
Key = tuple[str, str]
"""The model's id and the hash of the request."""


@dataclass(frozen=True)
class Recording:
    """What a file holds: replies by key, their provenance (None if nobody stated one), the code's revision, and whether it is all that was wished for."""

    replies: Mapping[Key, Reply]
    provenance: Provenance | None
    code: str
    finished: bool


def read(path: Path) -> Recording | None:
    """Return what a file of replies holds, None if there is no such file; a last line that a crash tore is cut off.

    Raises DataError, and leaves the file as it is, if it is of an older format, no file of replies, or broken in the middle.
    """
    _must_be_a_file(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"The recorded replies {path} cannot be read ({error.strerror}). Check the name and its permissions.") from error
    if not data.endswith(b"\n"):
        data = _repaired(path, data)
        if not data:
            return None
    lines = data.decode("utf-8", "replace").split("\n")[:-1]
    header = _header(path, lines[0])
    replies: dict[Key, Reply] = {}
    stated, finished = header.get("provenance"), False
    for number, text in enumerate(lines[1:], start=2):
        try:
            line = json.loads(text)
            finished = "finished" in line
            if "provenance" in line:
                stated = line["provenance"]
            elif not finished:
                key, reply = _reply(line)
                replies.setdefault(key, reply)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path} line {number} is not a recorded reply. Delete that line; its reply will be asked for again.") from error
    try:
        known = None if stated is None else Provenance.model_validate(stated)
    except ValidationError as error:
        raise DataError(f"{path} does not say in full what it was recorded under ({error.errors()[0]['loc']}). Name another file, or move this one away.") from error
    return Recording(replies, known, str(header.get("code", "unknown")), finished)


def header_line(provenance: Provenance | None) -> dict[str, Any]:
    """Return the first line of a new file, with today's date and the code's revision; nothing in it names the machine."""
    return {"format": FORMAT, "date": _today(), "code": code_revision(), "provenance": None if provenance is None else provenance.model_dump(mode="json")}


def provenance_line(provenance: Provenance) -> dict[str, Any]:
    """Return the line that replaces the provenance stated before, after models or tickets were added."""
    return {"provenance": provenance.model_dump(mode="json"), "date": _today()}


def finished_line(replies: int) -> dict[str, Any]:
    """Return the line that marks the replies before it as all that were wished for."""
    return {"finished": {"replies": replies, "date": _today()}}


def reply_line(key: Key, request: Request, reply: Reply) -> dict[str, Any]:
    """Return a reply as a line: whose, to which request, what it said, and what it cost."""
    model_id, digest = key
    return {
        "model": model_id,
        "request": digest,
        "prompt_hash": sha256(template(request))[:12],
        "settings_hash": sha256(settings(request))[:12],
        "tags": dict(request.tags),
        "text": reply.text,
        "tool_input": None if reply.tool_input is None else dict(reply.tool_input),
        "usage": None if reply.usage is None else asdict(reply.usage),
        "cost": asdict(reply.cost),
        "latency_ms": reply.latency_ms,
        "stop_reason": reply.stop_reason,
        "attempts": reply.attempts,
        "source": reply.source,
        **({} if reply.logprobs is None else {"logprobs": [[token.token, token.logprob, token.alternatives] for token in reply.logprobs]}),
    }


def append(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write lines in one piece and wait until they are on disk, so that a crash loses nothing that was paid for.

    A write that fails half way (a full disk) is taken back before the OSError goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines).encode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        before = os.fstat(handle).st_size
        try:
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep a file of replies for this process while it asks for more, so that nothing is paid for twice; raise SettingsError if another has it.

    Raises DataError for what is no file. The lock is on FILE.lock, which stays behind empty; the system lets go of it when the process ends, however it ends.
    """
    _must_be_a_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("ab") as file:
        if not claim(file):
            raise SettingsError(f"Another run is asking for the replies in {path}. Wait for it to end, or name another file with --cache.")
        yield


def _must_be_a_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is no file, so no replies can be kept in it. Name a file, or none.")


def _header(path: Path, text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        line = None
    if not isinstance(line, dict) or not str(line.get("format", "")).startswith(_ANY_FORMAT):
        raise DataError(f"{path} is no file of recorded replies ({FORMAT}). Name another file, or move this one away.")
    if line["format"] != FORMAT:
        raise DataError(
            f"{path} is of the format {line['format']!r}, which does not say what its replies were recorded under; this version reads {FORMAT!r}. "
            "Move the file away and record anew."
        )
    return line


def _repaired(path: Path, data: bytes) -> bytes:
    """Cut off a last line that a crash tore, and return what is left."""
    begins = json.dumps({"format": _ANY_FORMAT}).rstrip('"}').encode()
    if data[: len(begins)] != begins[: len(data)]:
        raise DataError(f"{path} is no file of recorded replies ({FORMAT}). Name another file, or move this one away.")
    whole = data[: data.rfind(b"\n") + 1]
    if whole:
        _header(path, whole.split(b"\n", 1)[0].decode("utf-8", "replace"))  # an older format is refused, and not touched
    os.truncate(path, len(whole))
    return whole


def _reply(line: Mapping[str, Any]) -> tuple[Key, Reply]:
    reply = Reply(
        model=line["model"],
        text=line["text"],
        tool_input=line["tool_input"],
        usage=None if line["usage"] is None else Usage(**line["usage"]),
        cost=Cost(**line["cost"]),
        latency_ms=line["latency_ms"],
        stop_reason=line["stop_reason"],
        attempts=line["attempts"],
        source=line["source"],
        logprobs=_logprobs(line.get("logprobs")),
    )
    return (line["model"], line["request"]), reply


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _logprobs(stored: Any) -> tuple[TokenLogprob, ...] | None:
    if stored is None:
        return None
    return tuple(TokenLogprob(token, logprob, tuple((other, value) for other, value in rest)) for token, logprob, rest in stored)
