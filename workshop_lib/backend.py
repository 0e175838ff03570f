"""Opening the backend: in sandbox mode a running sandbox with the environment pointed at it, in live mode the settings as they are."""

import os
import socket
from typing import Any
from urllib.parse import urlsplit

from workshop_lib.errors import SandboxError
from workshop_lib.joining import greet
from workshop_lib.sandbox import process
from workshop_lib.settings import BEDROCK_ENDPOINT, OPENAI_BASE, ROOM, Settings, load

_CONNECT_S = 1.0
_OURS = "WORKSHOP_SANDBOX_PORT"  # tells this process and its children, such as kernels, which endpoint was not the user's choice
ROOM_OPENED = "WORKSHOP_ROOM_OPENED"
"""The variable that tells this process and its children that the backend is in a room: the address of the learner's sandbox there."""


def open_backend(**overrides: Any) -> Settings:
    """Return the settings of a backend that is ready to be called; raise SettingsError or SandboxError, one line with the remedy.

    In sandbox mode the environment of this process is pointed at the sandbox, so that plain boto3 and openai clients and child
    processes find it too. An endpoint that the user set is used as it is, if something answers there. Live settings are returned untouched.
    """
    _leave_former_room()
    settings = load(**overrides)
    if settings.backend == "live":
        return settings
    if settings.room_root is not None:
        _open_room(settings, settings.room_root)
        return load(**overrides)
    given = {BEDROCK_ENDPOINT: settings.bedrock_endpoint, OPENAI_BASE: settings.openai_base_url}
    if any(url is None or _ours(url) for url in given.values()):
        _open_sandbox(settings, given)
    for variable, url in given.items():
        if url is not None and not _ours(url):
            _check_answers(variable, url)
    return load(**overrides)


def reconnect(**overrides: Any) -> Settings:
    """Open the backend again after the sandbox was lost: it restarts on the port it had, so that existing clients go on working."""
    return open_backend(**overrides)


def _leave_former_room() -> None:
    """Forget the room that this process was in: the settings may name another by now, or none."""
    root = os.environ.pop(ROOM_OPENED, None)
    for variable in (BEDROCK_ENDPOINT, OPENAI_BASE):
        if root and os.environ.get(variable, "").startswith(root):
            del os.environ[variable]


def _open_room(settings: Settings, root: str) -> None:
    for variable, url in ((BEDROCK_ENDPOINT, settings.bedrock_endpoint), (OPENAI_BASE, settings.openai_base_url)):
        if url is not None and not url.startswith(root) and not _ours(url):
            raise SandboxError(f"{variable} is {url}, but {ROOM} is set too. Run: unset {variable}, or: workshop leave")
    greet(settings)
    os.environ.update({BEDROCK_ENDPOINT: root, OPENAI_BASE: f"{root}/v1", ROOM_OPENED: root})
    os.environ.pop(_OURS, None)
    _prepare_plain_clients(settings, urlsplit(root).hostname or "")


def _open_sandbox(settings: Settings, given: dict[str, str | None]) -> None:
    ports = {_port(url) for url in given.values() if url is not None and _ours(url)}
    running = next((port for port in ports if process.serves(port, settings)), None)
    free = next((port for port in ports if process.probe(port) is None), 0)
    root = f"http://127.0.0.1:{running}" if running else process.ensure(settings, port=free).root
    if given[BEDROCK_ENDPOINT] is None or _ours(str(given[BEDROCK_ENDPOINT])):
        os.environ[BEDROCK_ENDPOINT] = root
    if given[OPENAI_BASE] is None or _ours(str(given[OPENAI_BASE])):
        os.environ[OPENAI_BASE] = f"{root}/v1"
    os.environ[_OURS] = str(_port(root))
    _prepare_plain_clients(settings)


def _prepare_plain_clients(settings: Settings, host: str = "127.0.0.1") -> None:
    """Set what a plain boto3 or openai client needs in order to start at all, and take away what makes it fail on plain http."""
    environment = os.environ
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "OPENAI_API_KEY"):
        if not environment.get(variable):  # set but empty means unset, as in the settings
            environment.pop(variable, None)
    if "AWS_ACCESS_KEY_ID" not in environment:
        environment["AWS_ACCESS_KEY_ID"] = environment["AWS_SECRET_ACCESS_KEY"] = "sandbox"  # noqa: S105  # a dummy the sandbox accepts
    environment.setdefault("AWS_DEFAULT_REGION", settings.region)  # boto3 does not read AWS_REGION
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    environment.setdefault("OPENAI_API_KEY", "sandbox")
    environment.pop("AWS_BEARER_TOKEN_BEDROCK", None)  # botocore refuses a bearer token on plain http
    for variable in ("NO_PROXY", "no_proxy"):
        names = [name for name in environment.get(variable, "").split(",") if name]
        environment[variable] = ",".join(dict.fromkeys([*names, host, "127.0.0.1", "localhost"]))


def _ours(url: str) -> bool:
    """Say whether a URL is that of a sandbox which this checkout started, now or before, also if nothing is left of its state."""
    return os.environ.get(_OURS) == str(_port(url)) or process.started_here(_port(url))


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _check_answers(variable: str, url: str) -> None:
    host = urlsplit(url).hostname or ""
    try:
        socket.create_connection((host, _port(url)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise SandboxError(
            f"{variable} is {url}, but nothing answers there ({error.strerror or error}). Unset it to let the sandbox start by itself, or start your server."
        ) from error
    process.join(_port(url), timeout_s=_CONNECT_S)
