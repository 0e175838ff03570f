"""A request id in and out, and one line of JSON per request in the log, without anything that a customer wrote."""

import json
import logging
import re
import time
import traceback
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workshop_lib.service.problems import Problem

logger = logging.getLogger("workshop_lib.service")
ID_HEADER = "x-request-id"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_FACTS = "workshop.facts"


class Observing:
    """An ASGI middleware around all others: it names the request, times it, and logs it when its last byte is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID_HEADER, "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex
        facts: dict[str, Any] = {}
        scope[_FACTS] = facts
        status = 0
        started = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception as error:  # the boundary: a bug is told without its message, which may quote a ticket
            facts |= {"error": type(error).__name__, "where": _where(error)}
            if status == 0:
                await Problem(500, "internal", f"The service failed at this request; its log has more under {request_id}.").response()(scope, receive, named)
        finally:
            route = scope.get("route")
            event = {"request_id": request_id, "method": scope["method"], "path": getattr(route, "path", "-"), "status": status}
            logger.info("request", extra={"event": {**event, "ms": round((time.perf_counter() - started) * 1000, 1), **facts}})


def _where(error: Exception) -> str:
    """Return file and line at which an error was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def note(scope: Scope, **facts: Any) -> None:
    """Add facts to the log line of a request: counts, sums and kinds, never texts."""
    scope.setdefault(_FACTS, {}).update(facts)


class JsonLines(logging.Formatter):
    """Log records as one JSON object a line; `extra={"event": {...}}` becomes members."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"at": f"{at}.{int(record.msecs):03d}Z", "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({**line, **getattr(record, "event", {})})
