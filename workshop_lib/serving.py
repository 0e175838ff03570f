"""The HTTP server under the sandbox and the service: granian, for HTTP/1.0, 1.1 and HTTP/2 without TLS, on a loopback socket that is ours.

Granian would bind for itself and share its port with any other process of the user (SO_REUSEPORT). A sandbox must know that its port is
its own, so it hands over a socket that it has bound.
"""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from workshop_lib.errors import PortError, SandboxError

HOST = "127.0.0.1"
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
BACKLOG = 1024
_CONNECTIONS = 20_000
_IDLE_MS = 75_000  # longer than clients keep connections, so that it is they who close them
_STREAMS = 1024


def names_loopback(host: str) -> bool:
    """Say whether the value of a Host header, with or without a port, names this machine; a page that had its own name point here does not."""
    return host_name(host) in _LOOPBACK_NAMES


def host_name(host: str) -> str:
    """Return the name in a Host header's value, without its port and in lower case."""
    return (host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host).lower()


class Serving(Server):
    """A server for one application on one listening socket."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._listening = listening
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            websockets=False,
            backlog=BACKLOG,
            backpressure=_CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=_IDLE_MS),
            http2_settings=HTTP2Settings(max_concurrent_streams=_STREAMS, max_headers_size=64 * 1024),
            log_enabled=False,
        )
        logging.getLogger("_granian").setLevel(logging.CRITICAL + 1)  # it reports what we report ourselves, with tracebacks

    def _init_shared_socket(self) -> None:
        self._ssp = None
        self._shd = _handed_over(self._listening)  # type: ignore[assignment]  # granian's annotation is inferred from None

    async def until_stopped(self, ended: Callable[[], bool], every_s: float, grace_s: float = 1.0) -> None:
        """Serve until Ctrl-C or SIGTERM, or until `ended`, asked every so many seconds, says so; then take no more requests.

        Those at work have `grace_s` seconds to end, unless a second signal cuts that short.
        """
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError):  # Windows and threads have no such handlers; there only `ended` stops it
                loop.add_signal_handler(number, stopping.set)
        serving = asyncio.create_task(self.serve())
        while not (stopping.is_set() or serving.done() or ended()):
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every_s)
        self._listening.close()  # or who connects now would wait for an answer as long as this socket is open
        self.stop()  # type: ignore[no-untyped-call]
        stopping.clear()
        again = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, again}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        loop.set_exception_handler(lambda _loop, _context: None)  # what is cut off here calls back into futures that were cancelled with it


def own_address() -> str:
    """Return this machine's address in its network, the one that its way out begins at; SandboxError if it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # an address that is kept for documentation: only the route to it is looked up
            found = str(asking.getsockname()[0])
        except OSError as error:
            raise SandboxError(f"This machine has no network to open a room in ({error.strerror}). Name an address of it with --address.") from error
    return found


def _handed_over(listening: socket.socket) -> SocketHolder:
    """Return a bound socket as granian takes it: its own copy, which it closes; the members of its holder differ between systems."""
    holder: Callable[..., SocketHolder] = SocketHolder  # its constructor is not in the type stub
    copy = listening.dup().detach()
    if sys.platform == "win32":
        return holder(copy)
    if sys.platform.startswith(("linux", "freebsd")):
        return holder(copy, False, BACKLOG)
    return holder(copy, False)


def listen(port: int, *, or_any: bool = False, address: str = HOST) -> socket.socket:
    """Return a listening socket, on loopback unless another address of this machine is named; raise PortError with the remedy if that is not possible."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it; with Nagle's delay a reply takes 40 ms
    if os.name == "posix":  # elsewhere this option would share the port with another server
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if or_any and port:
            return listen(0, address=address)
        reasons = {errno.EADDRINUSE: "in use by another program", errno.EACCES: "not allowed for this user"}
        reason = reasons.get(error.errno or 0, f"not available ({error.strerror})")
        if error.errno == errno.EADDRNOTAVAIL:
            raise PortError(f"{address} is not an address of this machine. Name one that is with --address, or leave it out.") from error
        raise PortError(
            f"Port {port} on {address} is {reason}. Choose another with --port, or --port 0 for a free one."
        ) from error
    except OverflowError as error:
        sock.close()
        raise PortError(f"Port {port} does not exist; choose one from 1 to 65535, or 0 for a free one.") from error
    return sock
