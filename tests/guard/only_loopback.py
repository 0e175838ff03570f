"""Refuse connections and name look-ups that would leave the machine, in this process and for good."""

import sys
from typing import Any

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


class LeftTheMachine(RuntimeError):
    """A test tried to reach something outside this machine."""


def install() -> None:
    """Install the guard; an audit hook sees every socket of the interpreter, whichever library opened it."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _refuse(arguments[1])
    elif event == "socket.getaddrinfo":
        _refuse((arguments[0],))


def _refuse(address: Any) -> None:
    if not isinstance(address, tuple):
        return  # a socket in the file system
    host = address[0].decode() if isinstance(address[0], bytes) else address[0]
    if isinstance(host, str) and host and not host.startswith(_LOOPBACK):
        raise LeftTheMachine(f"a test tried to reach {host}")
