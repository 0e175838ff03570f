"""What faults do to an answer on its way: stalls, cut connections, streams that end early, that lose a bit, or that end in an exception."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from workshop_lib.sandbox import asgi
from workshop_lib.sandbox.ask import Completion
from workshop_lib.sandbox.cutting import Cut
from workshop_lib.sandbox.faults import Plan, in_stream
from workshop_lib.sandbox.spoil import SPOILERS
from workshop_lib.sandbox.wire import Reply, Streamed, Writer

_BARE = {"no_body_429": 429, "no_body_503": 503}
_STRUCK = 1  # the second chunk: the first holds the start of the answer, and the last one is the second or a later one


def bare_status(plan: Plan) -> int | None:
    """Return the status that is sent without a body, or None."""
    return next((_BARE[name] for name in plan.broken if name in _BARE), None)


def bare(status: int) -> Streamed:
    """Return a reply of a status and nothing else."""
    return Streamed({"content-length": "0"}, _nothing(), status)


async def before_first_byte(plan: Plan) -> None:
    """Stall, or cut the connection, before anything is sent."""
    if "cut_before_headers" in plan.broken:
        raise Cut
    if "stall_before_first_byte" in plan.broken:
        await asyncio.sleep(plan.stall_ms / 1000)


def spoiled(done: Completion, plan: Plan, key: bytes) -> Completion:
    """Return an answer as the model would have said it had it gone wrong."""
    for name in plan.spoiled:
        done = SPOILERS[name](done, key)
    return done


def whole(reply: Reply, plan: Plan) -> Reply | Streamed:
    """Return a whole reply with what is done to its body."""
    if not {"stall_in_body", "cut_in_body"} & set(plan.broken):
        return reply
    status, headers, body = reply
    content = asgi.encoded(body)
    head = {"content-type": "application/json", "content-length": str(len(content)), **headers}
    return Streamed(head, _halves(content, plan), status)


async def stream(chunks: AsyncGenerator[bytes], writer: Writer, plan: Plan) -> AsyncGenerator[bytes]:
    """Yield the chunks of a stream with what is done to them, at the second one."""
    exception = next((failure for name in plan.broken if (failure := in_stream(name)) is not None), None)
    number = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            if number == _STRUCK:
                if "stall_in_body" in plan.broken:
                    await asyncio.sleep(plan.stall_ms / 1000)
                if "cut_in_body" in plan.broken:
                    raise Cut
                if "truncated_stream" in plan.broken:
                    return
                if exception is not None:
                    yield writer.failed(exception)
                    return
                if "corrupted_stream" in plan.broken:
                    chunk = _corrupted(chunk)
            yield chunk
            number += 1


def _corrupted(chunk: bytes) -> bytes:
    """Return a chunk with one bit wrong where both formats notice: an event stream by its checksum, JSON by its first brace."""
    at = max(0, chunk.find(b"{"))
    return chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :]


async def _halves(content: bytes, plan: Plan) -> AsyncGenerator[bytes]:
    half = len(content) // 2
    yield content[:half]
    if "stall_in_body" in plan.broken:
        await asyncio.sleep(plan.stall_ms / 1000)
    if "cut_in_body" in plan.broken:
        raise Cut
    yield content[half:]


async def _nothing() -> AsyncGenerator[bytes]:
    return
    yield b""
