"""Calls on behalf of a client: bounded for the whole process, and none begun, nor tried again, once the client has gone away."""

import threading
import time

from workshop_lib.errors import WorkshopError
from workshop_lib.llm import Ask, Gateway, Reply, Request, RetryPolicy, connect
from workshop_lib.settings import Settings

_working_for = threading.local()


class ClientGone(WorkshopError):
    """Whoever asked has gone away, so no further call is made for them."""

    def __init__(self) -> None:
        super().__init__("The client went away; no further call is made for it.")


class Calls:
    """All model calls of one process, at most `most` at once; `sources` says who answered so far (sandbox, live, ...)."""

    def __init__(self, ask: Ask, most: int) -> None:
        self._ask = ask
        self._slots = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self.sources: frozenset[str] = frozenset()

    def of(self, gone: threading.Event) -> Ask:
        """Return an `Ask` for one client, which raises ClientGone instead of calling once `gone` is set."""

        def ask(model: str, request: Request) -> Reply:
            with self._slots:
                if gone.is_set():
                    raise ClientGone
                _working_for.gone = gone
                try:
                    reply = self._ask(model, request)
                finally:
                    _working_for.gone = None
            if reply.source not in self.sources:
                with self._lock:
                    self.sources |= {reply.source}
            return reply

        return ask


def gateway(settings: Settings) -> Gateway:
    """Return a gateway whose waits before a retry end, without the retry, when the client goes away."""
    return connect(settings, RetryPolicy(settings.max_retries, settings.retry_base_s, settings.retry_cap_s, sleep=_sleep))


def _sleep(seconds: float) -> None:
    gone: threading.Event | None = getattr(_working_for, "gone", None)
    if gone is None:
        time.sleep(seconds)
    elif gone.wait(seconds):
        raise ClientGone
