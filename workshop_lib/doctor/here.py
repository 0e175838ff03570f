"""What `workshop doctor` looks at on this machine: Python, packages, kernel, ports, files and the sandbox."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from workshop_lib import backend, catalog, manifest, settings
from workshop_lib.doctor import live
from workshop_lib.doctor.check import Check
from workshop_lib.errors import WorkshopError
from workshop_lib.paths import ROOT, STATE

OLDEST_PYTHON = (3, 11)
_HOST = "127.0.0.1"
_USUAL_PORTS = {8000: "workshop sandbox", 8080: "workshop serve", 8888: "JupyterLab"}


def checks() -> Iterator[Check]:
    """Yield every check that applies to the backend chosen; none raises for the foreseeable."""
    yield _python()
    yield _caught("packages", _packages, "git checkout requirements.lock")
    yield _kernel()
    yield _port()
    yield _data()
    yield _writable()
    yield _guarded("models", lambda: f"{len(catalog.models())} models, prices checked on {_oldest_price()}", "correct data/models.toml")
    setup = _guarded("settings", lambda: f"backend {settings.load().backend}", "correct the variable named")
    yield setup
    if not setup.ok:
        return
    if settings.load().backend == "live":
        yield from live.checks(settings.load())
    else:
        yield _guarded("sandbox", _sandbox, "read the newest log in .workshop/")


def _guarded(name: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look())
    except WorkshopError as error:
        return Check(name, False, str(error).rstrip("."), remedy)
    except OSError as error:
        return Check(name, False, _unreadable(error), remedy)


def _caught(name: str, look: Callable[[], Check], remedy: str) -> Check:
    try:
        return look()
    except (OSError, UnicodeDecodeError) as error:
        found = _unreadable(error) if isinstance(error, OSError) else "requirements.lock is not text"
        return Check(name, False, found, remedy)


def _unreadable(error: OSError) -> str:
    return f"{error.filename or 'a file'} cannot be used ({error.strerror or error})"


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= OLDEST_PYTHON, found, "install Python 3.11 or later, then: make clean run PYTHON=python3.11")


def pins(lock: str) -> dict[str, str]:
    """Return name -> version from the text of a lock file, for the environment markers that hold here."""
    found = {}
    for line in lock.splitlines():
        if not line or line[0] in " #-":
            continue
        try:
            requirement = Requirement(line.removesuffix("\\").strip())
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def _packages() -> Check:
    lock = ROOT / "requirements.lock"
    if not lock.exists():
        return Check("packages", False, "requirements.lock is missing", "git checkout requirements.lock")
    wanted = pins(lock.read_text(encoding="utf-8"))
    other = [f"{name} {_installed(name) or 'missing'} (lock: {version})" for name, version in wanted.items() if _installed(name) != version]
    found = f"{len(wanted)} as locked" if not other else f"{len(other)} differ from requirements.lock, first {other[0]}"
    return Check("packages", not other, found, "make clean run, or pip install --require-hashes -r requirements.lock")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _kernel() -> Check:
    from jupyter_client.kernelspec import KernelSpecManager

    found = "python3" in KernelSpecManager().find_kernel_specs()
    return Check("kernel", found, "python3" if found else "no python3 kernel", "pip install ipykernel in this environment")


def _port() -> Check:
    """Look whether this process may listen on loopback, and name the usual ports that others hold."""
    try:
        socket.create_server((_HOST, 0)).close()
    except OSError as error:
        return Check("port", False, f"no port can be opened on {_HOST} ({error.strerror or error})", f"allow programs to listen on {_HOST}; a firewall or a container forbids it")
    held = [f"{port} ({whose})" for port, whose in _USUAL_PORTS.items() if _answers(port)]
    return Check("port", True, f"a port can be opened on {_HOST}" + (f"; in use: {', '.join(held)}, others are chosen with --port" if held else ""))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((_HOST, port)) == 0


def _data() -> Check:
    listed = 0
    try:
        problems = manifest.problems()
        if not problems:
            listed = manifest.MANIFEST.read_text(encoding="utf-8").count("\n")
    except WorkshopError as error:
        problems = [str(error).rstrip(".")]
    except OSError as error:
        problems = [_unreadable(error)]
    found = problems[0] if problems else f"{listed} files with the right sha256"
    return Check("data", not problems, found, "git checkout data, or after a change that is meant: workshop data seal")


def _writable() -> Check:
    try:
        STATE.mkdir(exist_ok=True)
        probe = STATE / f"probe-{os.getpid()}"
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        return Check("write access", False, str(error), f"make {ROOT} writable for you")
    return Check("write access", True, "the checkout can be written")


def _oldest_price() -> str:
    return min(model.price.checked_on for model in catalog.models().values()).isoformat()


def _sandbox() -> str:
    opened = backend.open_backend()
    return f"answers at {opened.bedrock_endpoint}"
