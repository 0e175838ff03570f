"""The HTTP side of the server: reading bodies within limits, writing JSON replies and streams, and who may ask at all."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from workshop_lib.sandbox.cutting import Cut, hang_up
from workshop_lib.sandbox.disconnect import left
from workshop_lib.sandbox.wire import Reply, Streamed
from workshop_lib.serving import names_loopback

LARGEST_BODY = 4 * 1024 * 1024
_DRAINED = 64 * 1024 * 1024
_DRAIN_S = 10.0
SOURCE_HEADER = "x-workshop-source"
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # json.dumps would make one for every answer

Handler = Callable[[Scope, Receive], Awaitable[Reply | Streamed]]


class BodyTooLarge(Exception):
    """The request body is larger than the server takes."""


class ClientGone(Exception):
    """The client went away before it had sent its request; there is nobody to answer."""


class BadAddress(Exception):
    """The query of an admin route's address is not understood; answered with 400."""


class Endpoint:
    """An ASGI application around one handler; a class, so that Starlette passes it through unwrapped.

    `failed` makes the reply to a request that the handler fails at, in the protocol's own shape.
    """

    def __init__(self, handler: Handler, failed: Callable[[], Reply] | None = None) -> None:
        self._handler = handler
        self._failed = failed or (lambda: bad("The sandbox failed at this request; its standard error says why.", 500))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        content = b""
        try:
            answer = await self._handler(scope, receive)
            if not isinstance(answer, Streamed):
                content = encoded(answer[2])
        except BadAddress as error:
            answer = bad(str(error))
            content = encoded(answer[2])
        except ClientGone:
            return
        except Cut:
            await hang_up(scope, send)
            return
        except Exception as error:  # the edge of the server: whatever a request brings about, it gets an answer
            _report(scope, error)
            answer = self._failed()
            content = encoded(answer[2])
        if isinstance(answer, Streamed):
            await _stream(scope, answer, receive, send)
            return
        status, headers, _ = answer
        head = {"content-type": "application/json", "content-length": str(len(content)), SOURCE_HEADER: "stand-in", **headers}
        await send({"type": "http.response.start", "status": status, "headers": _pairs(head)})
        await send({"type": "http.response.body", "body": content})


async def _stream(scope: Scope, answer: Streamed, receive: Receive, send: Send) -> None:
    """Send a stream until its end or until the client goes away.

    No length is announced unless the headers have one: clients of event streams would wait for all of it.
    """
    await send({"type": "http.response.start", "status": answer.status, "headers": _pairs({SOURCE_HEADER: "stand-in", **answer.headers})})
    sending = asyncio.ensure_future(_send_chunks(scope, answer, send))
    leaving = asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not sending.done():
            sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def _send_chunks(scope: Scope, answer: Streamed, send: Send) -> None:
    try:
        async with aclosing(answer.chunks) as chunks:  # closed at once when the client leaves, so that nothing more is generated
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Cut:
        raise  # after the start of a response the server cuts the connection, which is what is wanted
    except Exception as error:
        _report(scope, error)
        raise
    await send({"type": "http.response.body", "body": b""})


def _report(scope: Scope, error: Exception) -> None:
    """Write one line that finds the mistake: what was asked, what happened, where."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else "unknown"
    said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    print(f"sandbox: {scope['method']} {scope['path'][:200]} failed: {said} ({where})", file=sys.stderr, flush=True)


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return a JSON body as it is sent."""
    return _JSON.encode(body).encode(errors="replace")


def _pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def bad(message: str, status: int = 400) -> Reply:
    """Return a refusal of an admin route."""
    return status, {}, {"message": message}


def from_loopback(scope: Scope) -> bool:
    """Say whether a request names this machine; a web page that had its own name point here does not."""
    hosts = [value.decode("latin-1") for key, value in scope["headers"] if key in (b"host", b":authority")]
    return all(names_loopback(host) for host in hosts if host)  # HTTP/1.0 has none; a browser that was rebound always sends one


def from_elsewhere(scope: Scope) -> bool:
    """Say whether a browser makes this request for a page that is not of this machine."""
    origin = header(scope, b"origin")
    if origin is not None:
        return not names_loopback(urlsplit(origin).netloc)
    return header(scope, b"sec-fetch-site") not in (None, "same-origin", "none")


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header's value; `name` in lower case."""
    for key, value in scope["headers"]:  # read for every request: a generator would take twice as long
        if key == name:
            found: str = value.decode("latin-1")
            return found
    return None


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
