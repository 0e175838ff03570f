"""What is looked at before a request reaches a route: who it says it talks to, where it comes from, and how large it is.

The service has no log-in: it listens on this machine only. A web page that somebody visits must therefore not be able to spend their
money: neither by its own name pointed at this machine (host), nor by a form or a script of another site (origin, content type).
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workshop_lib.service.problems import Problem
from workshop_lib.serving import names_loopback

_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An ASGI middleware that refuses strangers and large bodies, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, body_bytes: int) -> None:
        self._app = app
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with what is wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        head = scope["method"] == "HEAD"

        async def secured(message: Message) -> None:
            if head and message["type"] != "http.response.start":
                message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._problem(scope)
        if problem is not None:
            await problem.response()(scope, receive, secured)
            return
        if head:  # the framework answers it for files only, and a monitor asks for /healthz so
            scope["method"] = "GET"
        try:
            await self._app(scope, self._bounded(receive), secured)
        except _TooLarge:
            await self._too_large().response()(scope, receive, secured)
        finally:
            scope["method"] = "HEAD" if head else scope["method"]

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not names_loopback(host) or len(headers.getlist("host")) > 1:
            return Problem(400, "wrong_host", "This service answers to 127.0.0.1 and localhost only.")
        if scope["method"] in _CHANGES_NOTHING:
            return None
        origin = headers.get("origin")
        if (origin is not None and origin.lower() != f"http://{host.lower()}") or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return Problem(403, "cross_site", "Requests from other sites are refused.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Problem(415, "unsupported_media_type", "Send JSON, with the header Content-Type: application/json.")
        announced = headers.get("content-length", "0")
        return self._too_large() if announced.isdigit() and int(announced) > self._body_bytes else None

    def _too_large(self) -> Problem:
        return Problem(413, "too_large", f"The body is larger than {self._body_bytes:,} bytes. Send fewer tickets at a time.")

    def _bounded(self, receive: Receive) -> Receive:
        """Count what arrives, as a chunked body does not announce its size."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._body_bytes:
                raise _TooLarge
            return message

        return counted


class _TooLarge(BaseException):
    """More arrived than is taken; no Exception, as the framework turns every one of those met in a body into a parsing error."""
