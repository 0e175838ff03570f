"""The HTTP side of the server: reading bodies within limits, and writing JSON replies and streams."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from workshop_lib.sandbox.wire import Reply, Streamed

LARGEST_BODY = 4 * 1024 * 1024
_DRAINED = 64 * 1024 * 1024
_DRAIN_S = 10.0
SOURCE_HEADER = "x-workshop-source"
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})

Handler = Callable[[Scope, Receive], Awaitable[Reply | Streamed]]


class BodyTooLarge(Exception):
    """The request body is larger than the server takes."""


class ClientGone(Exception):
    """The client went away before it had sent its request; there is nobody to answer."""


class BadAddress(Exception):
    """The query of an admin route's address is not understood; answered with 400."""


class Endpoint:
    """An ASGI application around one handler; a class, so that Starlette passes it through unwrapped."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._handler(scope, receive)
        except BadAddress as error:
            answer = bad(str(error))
        except ClientGone:
            return
        if isinstance(answer, Streamed):
            await _stream(answer, send)
            return
        status, headers, body = answer
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        sent = _encoded({"content-type": "application/json", "content-length": str(len(content)), SOURCE_HEADER: "stand-in", **headers})
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": content})


async def _stream(answer: Streamed, send: Send) -> None:
    """Send a stream chunk by chunk, without a content length: clients of event streams would wait for all of it."""
    await send({"type": "http.response.start", "status": 200, "headers": _encoded({SOURCE_HEADER: "stand-in", **answer.headers})})
    async for chunk in answer.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def bad(message: str, status: int = 400) -> Reply:
    """Return a refusal of an admin route."""
    return status, {}, {"message": message}


def from_loopback(scope: Scope) -> bool:
    """Say whether a request names this machine; a web page that had its own name point here does not."""
    host = header(scope, b"host")
    if host is None:
        return True  # HTTP/1.0 has none; a browser that was rebound always sends one
    name = host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host
    return name.lower() in _LOOPBACK_NAMES


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header's value; `name` in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def body(scope: Scope, receive: Receive) -> bytes:
    """Read a body of at most LARGEST_BODY bytes; raise BodyTooLarge for a larger one, ClientGone if the client left before its end."""
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > LARGEST_BODY:
        await _drain(receive)
        raise BodyTooLarge
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LARGEST_BODY:
            chunks.clear()
            await _drain(receive)
            raise BodyTooLarge
        if not message.get("more_body", False):
            return b"".join((*chunks, chunk)) if chunks else chunk
        chunks.append(chunk)


async def _drain(receive: Receive) -> None:
    """Read on and keep nothing: a client that is still sending would not see the refusal. Not for ever, nor without end."""
    drained = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while drained < _DRAINED:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
