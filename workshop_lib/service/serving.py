"""Running the service: in the foreground for `workshop serve`, or beside a notebook or a test."""

import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from workshop_lib.errors import WorkshopError
from workshop_lib.service.observing import JsonLines, logger

HOST = "127.0.0.1"
_START_S = 10.0
_LEAVE_S = 1.0


class ServiceError(WorkshopError):
    """The service could not be started."""


def listen(port: int) -> socket.socket:
    """Return a listening socket on loopback; raise ServiceError with the remedy if the port is not to be had."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it; a row is not to wait for the next
    if os.name == "posix":  # elsewhere this option would share the port with another server
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
        sock.listen(128)
    except (OSError, OverflowError) as error:
        sock.close()
        reasons = {errno.EADDRINUSE: "in use by another program", errno.EACCES: "not allowed for this user"}
        reason = reasons.get(getattr(error, "errno", 0) or 0, "not available")
        raise ServiceError(f"Port {port} on {HOST} is {reason}. Choose another with --port, or --port 0 for a free one.") from error
    return sock


def _server(app: ASGIApp, grace_s: float) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    return uvicorn.Server(config)


def serve(app: ASGIApp, port: int, grace_s: float = 30.0) -> None:
    """Serve until Ctrl-C or SIGTERM, with a log of JSON lines on standard error; requests at work have `grace_s` seconds to end.

    Ends the process if a model call still hangs after that.
    """
    listening = listen(port)
    _log_to_stderr()
    print(f"The service answers on http://{HOST}:{listening.getsockname()[1]} and on no other address; Ctrl-C ends it.", flush=True)
    try:
        _server(app, grace_s).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    _leave_what_hangs()


def _leave_what_hangs() -> None:
    """End the process if threads are stuck in a call: Python would wait for each, as long as a read may take."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon]
    for thread in others:
        thread.join(_LEAVE_S / len(others))
    hanging = sum(thread.is_alive() for thread in others)
    if hanging:
        logger.warning("left", extra={"event": {"calls_given_up": hanging}})
        sys.stdout.flush()
        os._exit(0)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in (logger.name, "uvicorn"):
        log = logging.getLogger(name)
        log.handlers = [handler]
        log.propagate = False
    logger.setLevel(logging.INFO)


@contextmanager
def running(app: ASGIApp, port: int = 0, grace_s: float = 5.0) -> Iterator[str]:
    """Serve from a thread of this process and give the address, such as http://127.0.0.1:8765; ends with the block."""
    listening = listen(port)
    server = _server(app, grace_s)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True, name="service")
    thread.start()
    try:
        yield f"http://{HOST}:{listening.getsockname()[1]}"  # the socket listens already; who connects early waits for the server
    finally:
        server.should_exit = True
        thread.join(grace_s + _START_S)
        listening.close()
