"""The loopback HTTP server: routes, limits, and the one path that every request takes from the wire to a stand-in and back."""

import json
import math
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from workshop_lib.catalog import Model
from workshop_lib.errors import WorkshopError
from workshop_lib.sandbox import asgi
from workshop_lib.sandbox.answering import Answerer, AnswerFailed, StandIns, pieces
from workshop_lib.sandbox.asgi import BadAddress, Endpoint
from workshop_lib.sandbox.ask import Ask, Completion, Piece
from workshop_lib.sandbox.bedrock import address, converse
from workshop_lib.sandbox.bedrock import errors as bedrock_errors
from workshop_lib.sandbox.chat import errors as chat_errors
from workshop_lib.sandbox.chat import models as chat_models
from workshop_lib.sandbox.chat import request as chat_request
from workshop_lib.sandbox.faults import Failure, Fault, Faults
from workshop_lib.sandbox.leases import Leases, Owner
from workshop_lib.sandbox.ledger import Ledger
from workshop_lib.sandbox.wire import Exchange, Refusal, Reply, Streamed

LATENCY_HEADER = "x-workshop-latency-ms"
SCOPE_HEADER = b"x-workshop-scope"


class Sandbox:
    """The state of one running sandbox: its seed and pace, the faults in force, the ledger, and who uses it."""

    def __init__(self, seed: int = 0, time_scale: float = 0.0, key: str = "", leases: Leases | None = None) -> None:
        self.seed = seed
        self.time_scale = time_scale
        self.key = key
        self.answerer: Answerer = StandIns(time_scale)
        self.faults = Faults()
        self.ledger = Ledger()
        self.leases = Leases() if leases is None else leases  # one whose users have all ended is empty, and so false

    async def model(self, scope: Scope, receive: Receive) -> Reply | Streamed:
        """Answer POST /model/{modelId}/{operation}."""
        try:
            fields = _object(await asgi.body(scope, receive))
            model_id, operation = address.split_path(scope["raw_path"])
            if operation not in ("converse", "converse-stream") or scope["method"] != "POST":
                raise bedrock_errors.Refusal(
                    "UnknownOperationException",
                    f"The sandbox does not implement {scope['method']} /model/.../{operation}; it has POST /model/{{modelId}}/converse and converse-stream.",
                )
            address.check_authorization(asgi.header(scope, b"authorization"))
            if fields is None:
                raise bedrock_errors.Refusal("SerializationException", "The request body is not a JSON object.")
            model = address.model_for(model_id)
            tag = asgi.header(scope, SCOPE_HEADER) or converse.scope_of(fields)
            streaming = operation == "converse-stream"
            asked = self._understood(model, tag, lambda: converse.exchange(model, fields, self.seed, streaming=streaming))
            return await self._answered(asked, tag)
        except asgi.BodyTooLarge:
            too_large = f"The request body is larger than {asgi.LARGEST_BODY} bytes."
            return bedrock_errors.Refusal("RequestEntityTooLargeException", too_large).reply()
        except RecursionError:
            return bedrock_errors.Refusal("SerializationException", "The request body is nested too deeply.").reply()
        except Refusal as refused:
            return refused.reply()

    async def chat(self, scope: Scope, receive: Receive) -> Reply | Streamed:
        """Answer POST /v1/chat/completions."""
        try:
            fields = _object(await asgi.body(scope, receive))
            chat_models.check_authorization(asgi.header(scope, b"authorization"), (fields or {}).get("model"))
            if fields is None:
                raise chat_errors.Refusal(400, "We could not parse the JSON body of your request: it is not a JSON object.")
            model = chat_models.model_for(fields.get("model"))
            tag = asgi.header(scope, SCOPE_HEADER) or chat_request.scope_of(fields)
            asked = self._understood(model, tag, lambda: chat_request.exchange(model, fields, self.seed))
            return await self._answered(asked, tag)
        except asgi.BodyTooLarge:
            return chat_errors.Refusal(413, f"The request body is larger than {asgi.LARGEST_BODY} bytes.").reply()
        except RecursionError:
            return chat_errors.Refusal(400, "The request body is nested too deeply.").reply()
        except Refusal as refused:
            return refused.reply()

    async def models(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /v1/models and /v1/models/{model}."""
        return chat_models.answer(asgi.header(scope, b"authorization"), scope.get("path_params", {}).get("model"))

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
            return asgi.bad("A fault's scope is a member of the body; leave it out of the address.")
        try:
            self.faults.add(Fault.model_validate_json(await asgi.body(scope, receive)))
        except ValidationError as error:
            first = error.errors()[0]
            return asgi.bad(f"{'.'.join(str(part) for part in first['loc']) or 'fault'}: {first['msg']}")
        except WorkshopError as error:
            return asgi.bad(str(error))
        except asgi.BodyTooLarge:
            return asgi.bad("The body is too large.", 413)
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
            owner = Owner.model_validate_json(await asgi.body(scope, receive))
        except (ValidationError, asgi.BodyTooLarge):
            return asgi.bad('a lease is {"pid": ..., "started": ...}')
        if not self.leases.add(owner):
            return asgi.bad("this sandbox is ending, or the process does not run where it does", 409)
        return 200, {}, {"leases": len(self.leases)}

    def _understood(self, model: Model, tag: str | None, understand: Callable[[], Exchange]) -> Exchange:
        """Return a request understood; one that names a model and is refused counts as an error of it."""
        try:
            return understand()
        except Refusal:
            self.ledger.record(model, tag, "errors")
            raise

    async def _answered(self, asked: Exchange, tag: str | None) -> Reply | Streamed:
        failure = self._failure(asked.asks[0], tag)
        if failure is not None:
            raise asked.refusal(failure)
        if asked.streaming:
            return Streamed({"content-type": asked.stream_type, asked.request_id_header: str(uuid4())}, self._chunks(asked, tag))
        screened = asked.screened()
        try:
            done = [screened] if screened else [asked.finished(await self.answerer.complete(one)) for one in asked.asks]
        except AnswerFailed as failed:
            self.ledger.record(asked.asks[0].model, tag, "errors")
            raise asked.refusal(failed.failure) from failed
        self._count(asked, tag, done)
        headers = {asked.request_id_header: str(uuid4()), LATENCY_HEADER: str(done[0].latency_ms), asgi.SOURCE_HEADER: done[0].source}
        return 200, headers, asked.body(done)

    async def _chunks(self, asked: Exchange, tag: str | None) -> AsyncIterator[bytes]:
        """Yield an answer as it is written on the stream; it is counted when it is complete."""
        writer = asked.writer()
        done: list[Completion] = []
        try:
            async for part in self._parts(asked):
                if isinstance(part, Completion):
                    done.append(part)
                else:
                    yield writer.piece(part)
        except AnswerFailed as failed:
            self.ledger.record(asked.asks[0].model, tag, "errors")
            yield writer.failed(failed.failure)
            return
        self._count(asked, tag, done)
        yield writer.end(done)

    async def _parts(self, asked: Exchange) -> AsyncIterator[Piece | Completion]:
        screened = asked.screened()
        if screened is not None or asked.buffered:
            for choice, one in enumerate(asked.asks):
                whole = screened or asked.finished(await self.answerer.complete(one))
                for piece in pieces(whole):
                    yield replace(piece, choice=choice)
                yield whole
            return
        for choice, one in enumerate(asked.asks):
            async for part in self.answerer.stream(one):
                yield part if isinstance(part, Completion) else replace(part, choice=choice)

    def _failure(self, asked: Ask, tag: str | None) -> Failure | None:
        text = "\n".join((asked.system, *(turn.text for turn in asked.turns)))
        failure = self.faults.failure(asked.model, tag, asked.digest, text)
        if failure is not None:
            self.ledger.record(asked.model, tag, "throttled" if failure.kind == "throttled" else "errors")
        return failure

    def _count(self, asked: Exchange, tag: str | None, done: Sequence[Completion]) -> None:
        for one in done:
            self.ledger.record(asked.asks[0].model, tag, "ok", one.input_tokens, one.output_tokens)


def app(sandbox: Sandbox) -> ASGIApp:
    """Return the ASGI application of a sandbox."""
    chat, models = Endpoint(sandbox.chat), Endpoint(sandbox.models)
    routes = [
        Route("/health", Endpoint(sandbox.health), methods=["GET"]),
        *(Route(f"{root}/chat/completions", chat, methods=["POST"]) for root in ("/v1", "/openai/v1")),
        *(Route(f"{root}/models", models, methods=["GET"]) for root in ("/v1", "/openai/v1")),
        *(Route(f"{root}/models/{{model:path}}", models, methods=["GET"]) for root in ("/v1", "/openai/v1")),
        Route("/sandbox/faults", Endpoint(sandbox.set_fault), methods=["GET", "POST", "DELETE"]),
        Route("/sandbox/ledger", Endpoint(sandbox.show_ledger), methods=["GET"]),
        Route("/sandbox/ledger/reset", Endpoint(sandbox.reset_ledger), methods=["POST"]),
        Route("/sandbox/lease", Endpoint(sandbox.lease), methods=["POST"]),
        Mount("/", Endpoint(_unknown)),
    ]
    others = Starlette(routes=routes)
    model = Endpoint(sandbox.model)
    refuse = Endpoint(_foreign_host)

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await others(scope, receive, send)
        elif not asgi.from_loopback(scope):
            await refuse(scope, receive, send)
        elif scope["raw_path"].startswith(b"/model/"):  # before any router decodes the percent-encoded model id
            await model(scope, receive, send)
        else:
            await others(scope, receive, send)

    return entry


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
    return asgi.bad("The Host header does not name this machine; the sandbox answers loopback requests only.", 403)


def _scope_named(scope: Scope) -> str | None:
    """Return the scope that an address names, "" for what has none, or None; raise BadAddress for anything else."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    other = sorted(found.keys() - {"scope"})
    if other or len(found.get("scope", [])) > 1:
        raise BadAddress(f"The address takes one parameter, scope, once; it has {', '.join(other or ['scope'])}.")
    return found["scope"][0] if found else None


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
