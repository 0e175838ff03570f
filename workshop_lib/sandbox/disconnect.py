"""Noticing that a client went away while its whole answer is made, so that nothing is computed for nobody."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive

from workshop_lib.sandbox.wire import Reply, Streamed

_GONE: Reply = (499, {}, {"message": "The client went away."})


async def unless_gone(receive: Receive, answering: Coroutine[Any, Any, Reply | Streamed]) -> Reply | Streamed:
    """Return the answer; if the client goes away first, end the work on it and return a reply that nobody reads. The body must be read before."""
    working = asyncio.ensure_future(answering)
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else _GONE
    finally:
        for task in (working, leaving):
            task.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
