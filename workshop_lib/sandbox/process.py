"""Starting, finding and stopping the sandbox of this checkout: one process for everybody who wants the same seed, pace and data."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

import psutil

from workshop_lib import paths
from workshop_lib.errors import SandboxError
from workshop_lib.sandbox import ONE_THREAD
from workshop_lib.sandbox.leases import Owner
from workshop_lib.settings import Settings

SERVICE = "cascade-workshop-sandbox"
_HOST = "127.0.0.1"
_START_S = 60.0
_PROBE_S = 5.0
_POLL_S = 0.03
_FORGET_S = 7 * 24 * 3600.0
_LARGEST_PORT = 65535


@dataclass(frozen=True)
class Address:
    """Where a sandbox answers: `root` for boto3, `openai` for the openai SDK."""

    port: int
    pid: int

    @property
    def root(self) -> str:
        """Return the Bedrock Runtime endpoint."""
        return f"http://{_HOST}:{self.port}"

    @property
    def openai(self) -> str:
        """Return the OpenAI base URL."""
        return f"{self.root}/v1"


def key(settings: Settings) -> str:
    """Return what tells sandboxes apart: twelve digits over seed, time scale, the sandbox's code and the data it answers from."""
    return sha256(f"{settings.seed} {settings.time_scale} {_digest()}".encode()).hexdigest()[:12]


def ensure(settings: Settings, port: int = 0, state: Path | None = None) -> Address:
    """Return the sandbox of this checkout for these settings, started if it does not run, and register the calling process as a user.

    After a crash it is started on the port it had, or on `port`, if that is free. Raises SandboxError with the log's last line, or
    with the folder if that cannot be written.
    """
    state = state or paths.STATE
    name = key(settings)
    file = state / f"sandbox-{name}.json"
    owner = Owner.current()
    try:
        state.mkdir(parents=True, exist_ok=True)
        with _locked(state / "sandbox.lock"):
            known = _known(file)
            if known is not None and _leased(known.port, name, owner):
                return known
            wanted = port or (known.port if known else 0)
            return _start(settings, name, file, wanted, owner)
    except OSError as error:
        raise SandboxError(
            f"The sandbox could not be started with its state in {state} ({error.strerror or error}). Make that folder writable and see that the disk is not full."
        ) from error


def join(port: int, timeout_s: float = _PROBE_S) -> dict[str, Any] | None:
    """Return the health report of a sandbox on a port, with the calling process registered as its user; None if there is none."""
    health = probe(port, timeout_s)
    if health is not None:
        _lease(port, Owner.current())
    return health


def serves(port: int, settings: Settings) -> bool:
    """Say whether the sandbox on a port is the one for these settings, with the calling process registered as its user."""
    return _leased(port, key(settings), Owner.current())


def probe(port: int, timeout_s: float = _PROBE_S) -> dict[str, Any] | None:
    """Return the health report of a sandbox on a port, or None if no sandbox answers there."""
    found = _call(port, "GET", "/health", timeout_s=timeout_s)
    return found if found is not None and found.get("service") == SERVICE else None


def started_here(port: int, state: Path | None = None) -> bool:
    """Say whether a sandbox of this checkout runs or ran on a port."""
    files = (state or paths.STATE).glob("sandbox-*.json")
    return any(known is not None and known.port == port for known in map(_known, files))


def stop(settings: Settings, state: Path | None = None) -> bool:
    """Stop the sandbox of these settings, whoever uses it; return whether one ran."""
    name = key(settings)
    file = (state or paths.STATE) / f"sandbox-{name}.json"
    known = _known(file)
    health = probe(known.port) if known else None
    if known is None or health is None or health.get("key") != name:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(health["pid"]))
        process.terminate()
        try:
            process.wait(_PROBE_S)
        except psutil.TimeoutExpired:
            process.kill()
    return True


def _digest() -> str:
    library = paths.ROOT / "workshop_lib"
    code = [library / "catalog.py", *sorted((library / "sandbox").rglob("*.py"))]
    names = ("models.toml", "knowledge.json", "concepts.toml", "tickets/training.jsonl", "tickets/phrases.jsonl")
    data = [paths.DATA / name for name in names]
    total = sha256()
    for file in [*code, *data]:
        total.update(file.read_bytes() if file.exists() else b"")
    return total.hexdigest()


def _known(file: Path) -> Address | None:
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        known = Address(int(saved["port"]), int(saved["pid"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None  # absent, or not what a sandbox writes: as good as absent
    return known if 0 < known.port <= _LARGEST_PORT and known.pid > 0 else None


def _leased(port: int, name: str, owner: Owner) -> bool:
    health = probe(port)
    return health is not None and health.get("key") == name and _lease(port, owner)


def _lease(port: int, owner: Owner) -> bool:
    return _call(port, "POST", "/sandbox/lease", owner.model_dump_json()) is not None


def _start(settings: Settings, name: str, file: Path, port: int, owner: Owner) -> Address:
    _prune(file.parent)
    log = file.with_suffix(".log")
    command = [sys.executable, "-m", "workshop_lib.sandbox", "--port", str(port), "--or-any", "--seed", str(settings.seed)]
    command += [
        "--time-scale",
        str(settings.time_scale),
        "--key",
        name,
        "--state-file",
        str(file),
        "--owner",
        f"{owner.pid}:{owner.started!r}",
    ]
    with log.open("ab") as sink:
        process = subprocess.Popen(  # noqa: S603  # our own module, arguments are numbers and our own paths
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=paths.ROOT, env=_environment(), **_apart()
        )
    started = None
    try:
        started = _announced(process, file, log)
    finally:
        if started is None:  # also when the cell that waits is interrupted: the next try would start a second one
            process.terminate()
    return started


def _announced(process: "subprocess.Popen[bytes]", file: Path, log: Path) -> Address:
    """Return where a sandbox that is starting answers, once it does; what the state file says of an earlier one does not count."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        known = _known(file)
        if known is not None and _is(process, known.pid) and probe(known.port) is not None:
            return known
        if process.poll() is not None:
            raise SandboxError(f"The sandbox ended while starting: {_last_line(log)} The log is {log}.")
        time.sleep(_POLL_S)
    raise SandboxError(f"The sandbox did not answer within {_START_S:.0f} s: {_last_line(log)} The log is {log}.")


def _is(process: "subprocess.Popen[bytes]", pid: int) -> bool:
    """Say whether a process id is that of a process, or of its child: on Windows a virtual environment's python only starts the real one."""
    if pid == process.pid:
        return True
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).ppid() == process.pid
    return False


def _prune(state: Path) -> None:
    """Remove what sandboxes of other seeds or code states left behind more than a week ago, except for those that still run."""
    for old in state.glob("sandbox-*.*"):
        known = _known(old.with_suffix(".json"))
        with contextlib.suppress(OSError):  # another sandbox may be tidying up after itself
            if time.time() - old.stat().st_mtime > _FORGET_S and not (known and psutil.pid_exists(known.pid)):
                old.unlink()


def _environment() -> dict[str, str]:
    """Return the child's environment, in which it finds this checkout from wherever it is started."""
    found = os.environ.get("PYTHONPATH")
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join([str(paths.ROOT), *([found] if found else [])])}


def _apart() -> dict[str, Any]:
    """Return how to start a process that an interrupt of the starter (Ctrl-C, a stopped notebook cell) does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _call(port: int, method: str, path: str, body: str | None = None, timeout_s: float = _PROBE_S) -> dict[str, Any] | None:
    connection = HTTPConnection(_HOST, port, timeout=timeout_s)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return found if answer.status == 200 and isinstance(found, dict) else None


def _last_line(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it wrote nothing."


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock between processes, which the system releases if its holder dies."""
    with file.open("a+b") as handle:
        _lock(handle)
        try:
            yield
        finally:
            _unlock(handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: IO[bytes]) -> None:
        deadline = time.monotonic() + 2 * _START_S
        while True:
            handle.seek(0)
            try:
                return msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)  # waits for ten seconds, a start may take longer
            except OSError:
                if time.monotonic() > deadline:
                    raise

    def _unlock(handle: IO[bytes]) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _unlock(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
