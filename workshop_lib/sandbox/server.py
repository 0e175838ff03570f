"""The loopback HTTP server: routes, limits, and how a request is understood in each of the two protocols."""

import json
import math
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from workshop_lib.catalog import Model
from workshop_lib.sandbox import asgi
from workshop_lib.sandbox.admin import Admin
from workshop_lib.sandbox.asgi import Endpoint
from workshop_lib.sandbox.batch import routes as batch
from workshop_lib.sandbox.batch.storage import ENDPOINT_HEADER
from workshop_lib.sandbox.bedrock import address, operations
from workshop_lib.sandbox.bedrock import errors as bedrock_errors
from workshop_lib.sandbox.bedrock.prompt_cache import PromptCaches
from workshop_lib.sandbox.chat import errors as chat_errors
from workshop_lib.sandbox.chat import models as chat_models
from workshop_lib.sandbox.chat import request as chat_request
from workshop_lib.sandbox.disconnect import unless_gone
from workshop_lib.sandbox.handling import SCOPE_HEADER, Handling, Sender, sender
from workshop_lib.sandbox.leases import Leases
from workshop_lib.sandbox.ledger import Ledger
from workshop_lib.sandbox.wire import Exchange, Refusal, Reply, Streamed

_FAILED = "The sandbox failed at this request; its standard error says why."


class Sandbox(Handling):
    """The state of one running sandbox: its seed and pace, the faults in force, the ledger, and who uses it."""

    def __init__(self, seed: int = 0, time_scale: float = 0.0, key: str = "", leases: Leases | None = None) -> None:
        super().__init__(time_scale)
        self.seed = seed
        self.time_scale = time_scale
        self.key = key
        self.prompt_caches = PromptCaches()
        self.leases = Leases() if leases is None else leases  # one whose users have all ended is empty, and so false
        self.batch_ledger = Ledger()
        self.batch = batch.Batch(self)

    async def model(self, scope: Scope, receive: Receive) -> Reply | Streamed:
        """Answer POST /model/{modelId}/{operation} and POST /guardrail/{id}/version/{version}/apply."""
        try:
            fields = _object(await asgi.body(scope, receive))
            parts = address.path_parts(scope["raw_path"])
            if parts[-1] not in (*operations.ASKING, *operations.DIRECT) or scope["method"] != "POST":
                raise operations.unknown(f"{scope['method']} {parts[-1]}")
            address.check_authorization(asgi.header(scope, b"authorization"), asgi.header(scope, b"x-amz-date"))
            if fields is None:
                raise bedrock_errors.Refusal("SerializationException", "The request body is not a JSON object.")
            if parts[-1] in operations.DIRECT:
                return operations.handle_direct(parts, fields)
            model_id, operation = address.split_path(scope["raw_path"])
            model = address.model_for(model_id)
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            sent_by = sender(scope, fields, "requestMetadata")
            asked = self._understood(model, sent_by, lambda: operations.exchange(operation, model, fields, headers, self.seed, self.prompt_caches))
            return await self._unless_gone(receive, asked, sent_by)
        except asgi.BodyTooLarge:
            too_large = f"The request body is larger than {asgi.LARGEST_BODY} bytes."
            return bedrock_errors.Refusal("RequestEntityTooLargeException", too_large).reply()
        except RecursionError:
            return bedrock_errors.Refusal("SerializationException", "The request body is nested too deeply.").reply()
        except Refusal as refused:
            return refused.reply()

    async def jobs(self, scope: Scope, receive: Receive) -> Reply:
        """Answer the operations of batch jobs; which S3 is theirs may be said by who is on this machine."""
        try:
            content = await asgi.body(scope, receive)
            authorization = asgi.header(scope, b"authorization")
            address.check_authorization(authorization, asgi.header(scope, b"x-amz-date"))
            named = asgi.header(scope, ENDPOINT_HEADER) if asgi.from_loopback(scope) else None
            sent = batch.Sent(asgi.header(scope, SCOPE_HEADER), address.region(authorization), named)
            return self.batch.handle(scope["method"], scope["raw_path"], scope["query_string"], _object(content), sent)
        except asgi.BodyTooLarge:
            return bedrock_errors.Refusal("RequestEntityTooLargeException", "The request body is too large.").reply()
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
            sent_by = sender(scope, fields, "metadata")
            asked = self._understood(model, sent_by, lambda: chat_request.exchange(model, fields, self.seed))
            return await self._unless_gone(receive, asked, sent_by)
        except asgi.BodyTooLarge:
            return chat_errors.Refusal(413, f"The request body is larger than {asgi.LARGEST_BODY} bytes.").reply()
        except RecursionError:
            return chat_errors.Refusal(400, "The request body is nested too deeply.").reply()
        except Refusal as refused:
            return refused.reply()

    async def models(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /v1/models and GET /v1/models/{id}."""
        try:
            return chat_models.answer(asgi.header(scope, b"authorization"), scope.get("path_params", {}).get("model"))
        except Refusal as refused:
            return refused.reply()

    def _understood(self, model: Model, sent_by: Sender, understand: Callable[[], Exchange]) -> Exchange:
        """Return a request understood; one that names a model and is refused counts as an error of it."""
        try:
            return understand()
        except Refusal:
            self.record(model, sent_by, "errors")
            raise

    async def _unless_gone(self, receive: Receive, asked: Exchange, sent_by: Sender) -> Reply | Streamed:
        if asked.streaming or self.answerer.source(asked.asks[0]) == "stand-in":
            return await self.answered(asked, sent_by)  # a stand-in answers before anybody could leave
        return await unless_gone(receive, self.answered(asked, sent_by))


def app(sandbox: Sandbox) -> ASGIApp:
    """Return the ASGI application of a sandbox for this machine: requests that name another host are refused."""
    inside, refuse = routes(sandbox), Endpoint(_foreign_host)

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not asgi.from_loopback(scope):
            await refuse(scope, receive, send)
        else:
            await inside(scope, receive, send)

    return entry


def routes(sandbox: Sandbox) -> ASGIApp:
    """Return the routes of a sandbox, for whoever may come in."""
    admin = Admin(sandbox)
    chat = Endpoint(sandbox.chat, lambda: chat_errors.Refusal(500, _FAILED, "server_error", "internal_error").reply())
    models = Endpoint(sandbox.models)
    table = [
        Route("/health", Endpoint(admin.health), methods=["GET"]),
        *(Route(f"{root}/chat/completions", chat, methods=["POST"]) for root in ("/v1", "/openai/v1")),
        *(Route(f"{root}/models{path}", models, methods=["GET"]) for root in ("/v1", "/openai/v1") for path in ("", "/{model:path}")),
        Route("/sandbox/faults", Endpoint(admin.faults), methods=["GET", "POST", "DELETE"]),
        Route("/sandbox/quotas", Endpoint(admin.quotas), methods=["GET", "POST", "DELETE"]),
        Route("/sandbox/ledger", Endpoint(admin.ledger), methods=["GET"]),
        Route("/sandbox/ledger/reset", Endpoint(admin.reset_ledger), methods=["POST"]),
        Route("/sandbox/meter", Endpoint(admin.meter), methods=["GET"]),
        Route("/sandbox/lease", Endpoint(admin.lease), methods=["POST"]),
        Mount("/", Endpoint(_unknown)),
    ]
    others = Starlette(routes=table)
    model = Endpoint(sandbox.model, lambda: bedrock_errors.Refusal("InternalServerException", _FAILED).reply())
    jobs = Endpoint(sandbox.jobs, lambda: bedrock_errors.Refusal("InternalServerException", _FAILED).reply())

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await others(scope, receive, send)
        elif scope["raw_path"].startswith((b"/model/", b"/guardrail/")):  # before any router decodes the percent-encoded model id
            await model(scope, receive, send)
        elif batch.asked(scope["raw_path"]):
            await jobs(scope, receive, send)
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


def _finite(text: str) -> float:
    """Return a number; raise ValueError for one that JSON or a float cannot hold, such as NaN or 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number in JSON")
    return number


_JSON = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)  # json.loads would make one for every request


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = _JSON.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
