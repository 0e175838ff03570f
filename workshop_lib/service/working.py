"""Work in threads for one client at a time: the walk and boto3 block, the event loop must not."""

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, from_thread, to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from workshop_lib.service.calls import ClientGone
from workshop_lib.service.observing import note
from workshop_lib.service.problems import Problem

Out = TypeVar("Out")
Put = Callable[[str], None]
_AHEAD = 64


class Desk:
    """Room for so many requests at work at once, each with a thread of its own."""

    def __init__(self, most: int) -> None:
        self._limiter = CapacityLimiter(most)
        self._most = most
        self._busy = 0

    def check(self) -> None:
        """Raise a Problem if there is no room: waiting in line would look like a slow model."""
        if self._busy >= self._most:
            raise Problem(429, "busy", f"{self._most} requests are being worked on. Try again in a moment.", {"Retry-After": "1"})

    async def work(self, job: Callable[[], Out]) -> Out:
        """Run a job in a thread and return what it returns."""
        self.check()
        self._busy += 1
        try:
            return await to_thread.run_sync(job, limiter=self._limiter)
        finally:
            self._busy -= 1


@asynccontextmanager
async def watched(receive: Receive, gone: threading.Event) -> AsyncIterator[None]:
    """Set `gone` when the client goes away meanwhile, or when this ends for whatever reason."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            try:
                yield
            except Exception as error:  # carried around the task group, which would wrap it in a group
                failure = error
            tasks.cancel_scope.cancel()
    finally:
        gone.set()
    if failure is not None:
        raise failure


class Streamed(Response):
    """A response whose chunks a thread produces; each is sent at once, and nothing more is produced for a client that has gone away.

    `produce(put)` runs in a thread; `put` waits while the client is slow, and raises ClientGone once it is gone.
    """

    def __init__(
        self,
        desk: Desk,
        produce: Callable[[Put], Mapping[str, object]],
        gone: threading.Event,
        media_type: str,
        send_s: float,
    ) -> None:
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.media_type = media_type
        self.body = b""
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._desk = desk
        self._produce = produce
        self._gone = gone
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is produced; raise a Problem before the first byte if there is no room."""
        try:
            self._desk.check()
        except Problem as busy:
            await busy.response()(scope, receive, send)
            return
        given, taken = anyio.create_memory_object_stream[str](_AHEAD)
        async with watched(receive, self._gone), anyio.create_task_group() as tasks:
            tasks.start_soon(self._run, scope, given)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": True})  # the server holds the head back until a body begins
            await self._pass_on(taken, send)

    async def _run(self, scope: Scope, given: MemoryObjectSendStream[str]) -> None:
        async with given:
            facts = await self._desk.work(partial(self._produced, given))
            note(scope, client_gone=self._gone.is_set(), **facts)

    def _produced(self, given: MemoryObjectSendStream[str]) -> Mapping[str, object]:
        def put(chunk: str) -> None:
            if self._gone.is_set():
                raise ClientGone
            try:
                from_thread.run(given.send, chunk)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, CancelledError):  # the server gave this request up
                raise ClientGone from None

        return self._produce(put)

    async def _pass_on(self, taken: MemoryObjectReceiveStream[str], send: Send) -> None:
        """Send every chunk; once the client is gone take the rest too, so that the thread never waits for room."""
        try:
            async with taken:
                async for chunk in taken:
                    if not self._gone.is_set():
                        await self._send_one(chunk, send)
        except anyio.get_cancelled_exc_class():
            self._gone.set()
            raise
        if not self._gone.is_set():
            await send({"type": "http.response.body", "body": b""})

    async def _send_one(self, chunk: str, send: Send) -> None:
        try:
            with anyio.fail_after(self._send_s):
                await send({"type": "http.response.body", "body": chunk.encode(), "more_body": True})
        except (OSError, TimeoutError):
            self._gone.set()
