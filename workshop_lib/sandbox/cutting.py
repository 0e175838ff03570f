"""Cutting a connection on purpose: no reply, no end, as when a network or a server fails."""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from starlette.types import Scope, Send

_OPEN_FILES = Path("/dev/fd")  # Linux and macOS


class Cut(Exception):
    """The connection is to be cut at this point."""


async def hang_up(scope: Scope, send: Send) -> None:
    """Cut a request's connection before any reply; where the system does not let us find it, after a reply has begun."""
    client = scope.get("client")
    if client is not None and _shut_down(str(client[0]), int(client[1])):
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    raise Cut


def _shut_down(host: str, port: int) -> bool:
    """Shut this process's connection with a client down; the server underneath owns it and offers no way to end it without a reply."""
    if not _OPEN_FILES.is_dir():
        return False
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError):  # closed since it was listed, or not a connection
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                if connection.family == socket.AF_INET and connection.getpeername() == (host, port):
                    connection.shutdown(socket.SHUT_RDWR)
                    return True
    return False
