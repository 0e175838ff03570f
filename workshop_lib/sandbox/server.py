"""The loopback HTTP server: routes, limits, and the one path that every request takes from the wire to a stand-in and back."""

import asyncio
import json
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from workshop_lib.catalog import Model
from workshop_lib.errors import WorkshopError
from workshop_lib.sandbox import bedrock_wire, engine, openai_wire
from workshop_lib.sandbox.ask import Ask, Completion
from workshop_lib.sandbox.faults import Failure, Fault, Faults
from workshop_lib.sandbox.leases import Leases, Owner
from workshop_lib.sandbox.ledger import Ledger

LARGEST_BODY = 4 * 1024 * 1024
LATENCY_HEADER = "x-workshop-latency-ms"
SOURCE_HEADER = "x-workshop-source"
SCOPE_HEADER = b"x-workshop-scope"
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})

Reply = tuple[int, Mapping[str, str], Mapping[str, Any]]
Handler = Callable[[Scope, Receive], Awaitable[Reply]]


class BodyTooLarge(Exception):
    """The request body is larger than the server takes."""


class BadAddress(Exception):
    """The query of an admin route's address is not understood; answered with 400."""


class Sandbox:
    """The state of one running sandbox: its seed and pace, the faults in force, the ledger, and who uses it."""

    def __init__(self, seed: int = 0, time_scale: float = 0.0, key: str = "", leases: Leases | None = None) -> None:
        self.seed = seed
        self.time_scale = time_scale
        self.key = key
        self.faults = Faults()
        self.ledger = Ledger()
        self.leases = Leases() if leases is None else leases  # one whose users have all ended is empty, and so false

    async def converse(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST /model/{modelId}/converse."""
        request_id = str(uuid4())
        try:
            body = await _body(scope, receive)
            model_id, operation = bedrock_wire.split_path(scope["raw_path"])
            if operation != "converse" or scope["method"] != "POST":
                raise bedrock_wire.Refusal(
                    "UnknownOperationException",
                    f"The sandbox does not implement {scope['method']} /model/.../{operation}; it has POST /model/{{modelId}}/converse.",
                )
            bedrock_wire.check_authorization(_header(scope, b"authorization"))
            fields = _object(body)
            if fields is None:
                raise bedrock_wire.Refusal("SerializationException", "The request body is not a JSON object.")
            model = bedrock_wire.model_for(model_id)
            asked, done = await self._bedrock(model, fields, _header(scope, SCOPE_HEADER) or bedrock_wire.scope_of(fields))
        except BodyTooLarge:
            return bedrock_wire.error(
                bedrock_wire.Refusal("RequestEntityTooLargeException", f"The request body is larger than {LARGEST_BODY} bytes.")
            )
        except RecursionError:
            return bedrock_wire.error(bedrock_wire.Refusal("SerializationException", "The request body is nested too deeply."))
        except bedrock_wire.Refusal as refused:
            return bedrock_wire.error(refused)
        return 200, {"x-amzn-requestid": request_id, LATENCY_HEADER: str(done.latency_ms)}, bedrock_wire.response(asked, done)

    async def chat(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST /v1/chat/completions."""
        try:
            body = await _body(scope, receive)
            openai_wire.check_authorization(_header(scope, b"authorization"))
            fields = _object(body)
            if fields is None:
                raise openai_wire.Refusal(400, "We could not parse the JSON body of your request: it is not a JSON object.")
            model = openai_wire.model_for(fields.get("model"))
            asked, done = await self._openai(model, fields, _header(scope, SCOPE_HEADER) or openai_wire.scope_of(fields))
        except BodyTooLarge:
            return openai_wire.error(openai_wire.Refusal(413, f"The request body is larger than {LARGEST_BODY} bytes."))
        except RecursionError:
            return openai_wire.error(openai_wire.Refusal(400, "The request body is nested too deeply."))
        except openai_wire.Refusal as refused:
            return openai_wire.error(refused)
        return (
            200,
            {"x-request-id": f"req_{uuid4().hex}", LATENCY_HEADER: str(done.latency_ms)},
            openai_wire.response(asked, done),
        )

    async def models(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /v1/models."""
        try:
            openai_wire.check_authorization(_header(scope, b"authorization"))
        except openai_wire.Refusal as refused:
            return openai_wire.error(refused)
        return 200, {}, openai_wire.models()

    async def health(self, _scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /health."""
        return (
            200,
            {},
            {
                "status": "ok",
                "service": "cascade-workshop-sandbox",
                "seed": self.seed,
                "time_scale": self.time_scale,
                "key": self.key,
                "pid": os.getpid(),
            },
        )

    async def set_fault(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST, GET and DELETE /sandbox/faults."""
        named = _scope_named(scope)
        if scope["method"] == "DELETE":
            return 200, {}, {"ended": self.faults.clear(named), "faults": self.faults.describe()}
        if scope["method"] != "POST":
            return 200, {}, {"faults": self.faults.describe(named)}
        if named is not None:
            return _bad("A fault's scope is a member of the body; leave it out of the address.")
        try:
            self.faults.add(Fault.model_validate_json(await _body(scope, receive)))
        except ValidationError as error:
            first = error.errors()[0]
            return _bad(f"{'.'.join(str(part) for part in first['loc']) or 'fault'}: {first['msg']}")
        except WorkshopError as error:
            return _bad(str(error))
        except BodyTooLarge:
            return _bad("The body is too large.", 413)
        return 200, {}, {"faults": self.faults.describe()}

    async def show_ledger(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /sandbox/ledger."""
        return 200, {}, self.ledger.summary(_scope_named(scope))

    async def reset_ledger(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer POST /sandbox/ledger/reset."""
        named = _scope_named(scope)
        self.ledger.reset(named)
        return 200, {}, self.ledger.summary(named)

    async def lease(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST /sandbox/lease: a process says that it uses this sandbox, which then lives as long as one of them does."""
        try:
            owner = Owner.model_validate_json(await _body(scope, receive))
        except (ValidationError, BodyTooLarge):
            return _bad('a lease is {"pid": ..., "started": ...}')
        if not self.leases.add(owner):
            return _bad("this sandbox is ending, or the process does not run where it does", 409)
        return 200, {}, {"leases": len(self.leases)}

    async def _bedrock(self, model: Model, fields: dict[str, Any], scope: str | None) -> tuple[Ask, Completion]:
        try:
            asked = bedrock_wire.ask(model, fields, self.seed)
        except bedrock_wire.Refusal:
            self.ledger.record(model, scope, "errors")
            raise
        failure = self._failure(asked, scope)
        if failure is not None:
            raise bedrock_wire.refusal(failure)
        return asked, await self._completed(asked, scope)

    async def _openai(self, model: Model, fields: dict[str, Any], scope: str | None) -> tuple[Ask, Completion]:
        try:
            asked = openai_wire.ask(model, fields, self.seed)
        except openai_wire.Refusal:
            self.ledger.record(model, scope, "errors")
            raise
        failure = self._failure(asked, scope)
        if failure is not None:
            raise openai_wire.refusal(failure)
        return asked, await self._completed(asked, scope)

    def _failure(self, asked: Ask, scope: str | None) -> Failure | None:
        text = "\n".join((asked.system, *(turn.text for turn in asked.turns)))
        failure = self.faults.failure(asked.model, scope, asked.digest, text)
        if failure is not None:
            self.ledger.record(asked.model, scope, "throttled" if failure.kind == "throttled" else "errors")
        return failure

    async def _completed(self, asked: Ask, scope: str | None) -> Completion:
        done = engine.complete(asked)
        if self.time_scale > 0:
            await asyncio.sleep(done.latency_ms / 1000 * self.time_scale)
        self.ledger.record(asked.model, scope, "ok", done.input_tokens, done.output_tokens)
        return done


def app(sandbox: Sandbox) -> ASGIApp:
    """Return the ASGI application of a sandbox."""
    chat, models = _Endpoint(sandbox.chat), _Endpoint(sandbox.models)
    routes = [
        Route("/health", _Endpoint(sandbox.health), methods=["GET"]),
        *(Route(f"{root}/chat/completions", chat, methods=["POST"]) for root in ("/v1", "/openai/v1")),
        *(Route(f"{root}/models", models, methods=["GET"]) for root in ("/v1", "/openai/v1")),
        Route("/sandbox/faults", _Endpoint(sandbox.set_fault), methods=["GET", "POST", "DELETE"]),
        Route("/sandbox/ledger", _Endpoint(sandbox.show_ledger), methods=["GET"]),
        Route("/sandbox/ledger/reset", _Endpoint(sandbox.reset_ledger), methods=["POST"]),
        Route("/sandbox/lease", _Endpoint(sandbox.lease), methods=["POST"]),
        Mount("/", _Endpoint(_unknown)),
    ]
    others = Starlette(routes=routes)
    converse = _Endpoint(sandbox.converse)
    refuse = _Endpoint(_foreign_host)

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await others(scope, receive, send)
        elif not _from_loopback(scope):
            await refuse(scope, receive, send)
        elif scope["raw_path"].startswith(b"/model/"):  # before any router decodes the percent-encoded model id
            await converse(scope, receive, send)
        else:
            await others(scope, receive, send)

    return entry


class _Endpoint:
    """An ASGI application around one handler; a class, so that Starlette passes it through unwrapped."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, headers, body = await self._handler(scope, receive)
        except BadAddress as error:
            status, headers, body = _bad(str(error))
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        sent = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (SOURCE_HEADER.encode(), b"stand-in"),
        ]
        sent += [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": content})


async def _unknown(scope: Scope, _receive: Receive) -> Reply:
    message = f"The sandbox has no route {scope['method']} {scope['path'][:200]}. It has POST /model/{{modelId}}/converse, POST /v1/chat/completions, GET /v1/models, GET /health and /sandbox/...."
    return (
        404,
        {"x-amzn-errortype": "UnknownOperationException"},
        {
            "message": message,
            "error": {"message": message, "type": "invalid_request_error", "param": None, "code": "unknown_url"},
        },
    )


async def _foreign_host(_scope: Scope, _receive: Receive) -> Reply:
    return _bad("The Host header does not name this machine; the sandbox answers loopback requests only.", 403)


def _bad(message: str, status: int = 400) -> Reply:
    return status, {}, {"message": message}


def _from_loopback(scope: Scope) -> bool:
    host = _header(scope, b"host")
    if host is None:
        return True  # HTTP/1.0 has none; a browser that was rebound always sends one
    name = host.rsplit(":", 1)[0] if ":" in host and not host.endswith("]") else host
    return name.lower() in _LOOPBACK_NAMES


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def _scope_named(scope: Scope) -> str | None:
    """Return the scope that an address names, "" for what has none, or None; raise BadAddress for anything else."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    other = sorted(found.keys() - {"scope"})
    if other or len(found.get("scope", [])) > 1:
        raise BadAddress(f"The address takes one parameter, scope, once; it has {', '.join(other or ['scope'])}.")
    return found["scope"][0] if found else None


async def _body(scope: Scope, receive: Receive) -> bytes:
    """Read a body of at most LARGEST_BODY bytes; raise BodyTooLarge without reading more."""
    announced = _header(scope, b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > LARGEST_BODY:
        raise BodyTooLarge
    chunks, size = [], 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LARGEST_BODY:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _finite(text: str) -> float:
    """Return a number; raise ValueError for one that JSON or a float cannot hold, such as NaN or 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number in JSON")
    return number


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
