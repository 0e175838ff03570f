"""Running the service: in the foreground for `workshop serve`, or beside a notebook or a test."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from starlette.types import ASGIApp

from workshop_lib.service.observing import JsonLines, logger
from workshop_lib.serving import HOST, Serving, listen

_LEAVE_S = 1.0
_WATCH_S = 0.1


def serve(app: ASGIApp, port: int, grace_s: float = 30.0) -> NoReturn:
    """Serve until Ctrl-C or SIGTERM, with a log of JSON lines on standard error, and end the process.

    Requests at work have `grace_s` seconds to end. Raises PortError, one line with the remedy, if the port is in use.
    """
    listening = listen(port)
    _log_to_stderr()
    print(f"The service answers on http://{HOST}:{listening.getsockname()[1]} and on no other address; Ctrl-C ends it.", flush=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(Serving(app, listening).until_stopped(lambda: False, every_s=60.0, grace_s=grace_s))
    _leave()


def _leave() -> NoReturn:
    """End this process at once: Python would wait for a thread in a stuck call as long as a read may take."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it is ending already
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon]
    for thread in others:
        thread.join(_LEAVE_S / len(others))
    hanging = sum(thread.is_alive() for thread in others)
    if hanging:
        logger.warning("left", extra={"event": {"requests_given_up": hanging}})
    sys.stdout.flush()
    os._exit(0)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)


@contextmanager
def running(app: ASGIApp, port: int = 0, grace_s: float = 5.0) -> Iterator[str]:
    """Serve from a thread of this process and give the address, such as http://127.0.0.1:8765; ends with the block."""
    listening = listen(port)
    address = f"http://{HOST}:{listening.getsockname()[1]}"
    ending = threading.Event()

    def work() -> None:
        asyncio.run(Serving(app, listening).until_stopped(ending.is_set, _WATCH_S, grace_s))

    thread = threading.Thread(target=work, daemon=True, name="service")
    thread.start()
    try:
        yield address  # the socket listens already; who connects early waits for the server
    finally:
        ending.set()
        thread.join()
        listening.close()
