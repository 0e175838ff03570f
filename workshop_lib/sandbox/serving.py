"""The HTTP server under the sandbox: granian, for HTTP/1.0, 1.1 and HTTP/2 without TLS, on a socket that is ours.

Granian would bind for itself and share its port with any other process of the user (SO_REUSEPORT). A sandbox must know that its port is
its own, so it hands over a socket that it has bound.
"""

import asyncio
import logging
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

BACKLOG = 1024
_CONNECTIONS = 20_000
_IDLE_MS = 75_000  # longer than clients keep connections, so that it is they who close them
_STREAMS = 1024
_GRACE_S = 1.0


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

    async def until_stopped(self, ended: Callable[[], bool], every_s: float) -> None:
        """Serve until Ctrl-C or SIGTERM, or until `ended`, asked every so many seconds, says so; answers in the making get a second."""
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows has no such handlers; there both end the process by themselves
                loop.add_signal_handler(number, stopping.set)
        serving = asyncio.create_task(self.serve())
        while not (stopping.is_set() or serving.done() or ended()):
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every_s)
        self.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({serving}, timeout=_GRACE_S)


def _handed_over(listening: socket.socket) -> SocketHolder:
    """Return a bound socket as granian takes it: its own copy, which it closes; the members of its holder differ between systems."""
    holder: Callable[..., SocketHolder] = SocketHolder  # its constructor is not in the type stub
    copy = listening.dup().detach()
    if sys.platform == "win32":
        return holder(copy)
    if sys.platform.startswith(("linux", "freebsd")):
        return holder(copy, False, BACKLOG)
    return holder(copy, False)
