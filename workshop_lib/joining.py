"""Joining the instructor's sandbox and leaving it: two lines in .env.local, and one request that says whether the room is there."""

import json
import os
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workshop_lib.errors import SandboxError, SettingsError
from workshop_lib.settings import LEARNER, ROOM, Settings, load

_ANSWER_S = 5.0
_BACK = "Go back to a sandbox of your own with: workshop leave"


def join_room(room: str, name: str, file: Path | None = None) -> str:
    """Write room and name into .env.local once the room has let this name in, and return what to tell the learner.

    Raises SettingsError for an address or a name that cannot be one, SandboxError if the room does not answer or refuses; then nothing is written.
    """
    settings = load(backend="sandbox", room=room.strip(), learner=name.strip(), bedrock_endpoint=None, openai_base_url=None)
    if not name.strip() or not name.isprintable():  # a line break would end the line in .env.local and begin another setting
        raise SettingsError(f"The name {name!r} is empty or has a character that cannot be printed. Choose another.")
    known = greet(settings)
    if '"' in name or "\\" in name or "$" in name:
        raise SettingsError(f"The name {name!r} has a quote, a backslash or a dollar sign, which .env.local cannot hold. Choose another.")
    path = file or _env_file()
    _write(path, [*_without(path), f'{ROOM}="{settings.room}"', f'{LEARNER}="{settings.learner}"'])
    overruled = [variable for variable in (ROOM, LEARNER) if os.environ.get(variable)]
    notes = [" Somebody of this name is in the room already: if that is not you, join under another one."] if known else []
    notes += [f" {variable} in your environment overrules it; run: unset {variable}." for variable in overruled]
    return f"Joined as {settings.learner}. Open the labs as usual; restart kernels that run.{''.join(notes)} Back to a sandbox of your own: workshop leave"


def leave_room(file: Path | None = None) -> str:
    """Take room and name out of .env.local, and return what to tell the learner."""
    path = file or _env_file()
    kept = _without(path)
    if not path.exists() or len(kept) == len(_lines(path)):
        return "You are in no room: the labs use a sandbox of your own."
    _write(path, kept)
    return "Left the room. The labs use a sandbox of your own again; restart kernels that run."


def greet(settings: Settings) -> bool:
    """Say whether the room knew this learner's name before; raise SandboxError, one line with the way back, if it does not answer or refuses."""
    root = str(settings.room_root)
    where = f"The room at {urlsplit(root).netloc}"
    try:
        status, found = ask("GET", f"{root}/hello", timeout_s=_ANSWER_S)
    except (OSError, HTTPException, ValueError) as error:
        said = getattr(error, "strerror", None) or error or type(error).__name__
        raise SandboxError(f"{where} does not answer ({said}). Ask whether it is open and whether you are in the same network. {_BACK}") from error
    if status != 200:
        raise SandboxError(f"{where} refuses: {str(found.get('message') or f'status {status}')[:300]} {_BACK}")
    if found.get("service") != "cascade-workshop-room":
        raise SandboxError(f"{where} is no room of this workshop. Type the address again as the instructor shows it. {_BACK}")
    return bool(found.get("known"))


def ask(method: str, url: str, body: Any = None, timeout_s: float = _ANSWER_S) -> tuple[int, dict[str, Any]]:
    """Return status and JSON object of one request to a room, past any proxy; raise OSError, HTTPException or ValueError."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        connection.request(method, parts.path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read(65_536))
    finally:
        connection.close()
    return answer.status, found if isinstance(found, dict) else {}


def _env_file() -> Path:
    return Path(str(Settings.model_config["env_file"]))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read ({error}). Make it a UTF-8 text file that you may read, or delete it.") from error


def _without(file: Path) -> list[str]:
    """Return the lines of a file that set neither of the two."""
    return [line for line in _lines(file) if line.removeprefix("export ").partition("=")[0].strip() not in (ROOM, LEARNER)]


def _write(file: Path, lines: list[str]) -> None:
    try:
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file} cannot be written ({error.strerror}). Make it writable, or set {ROOM} and {LEARNER} yourself.") from error
