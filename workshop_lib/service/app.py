"""Putting the service together: routes, pages, the guard in front of them, and the request log around all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from workshop_lib import __version__
from workshop_lib.cascade import Policy, Trace, documented
from workshop_lib.llm import Ask
from workshop_lib.service import problems
from workshop_lib.service.bulk_rows import BulkRoute
from workshop_lib.service.calls import Calls, gateway
from workshop_lib.service.context import Context
from workshop_lib.service.guard import Guard
from workshop_lib.service.limits import Limits
from workshop_lib.service.observing import Observing
from workshop_lib.service.routes import about, bulk, cascade, triage
from workshop_lib.service.working import Desk
from workshop_lib.settings import Settings, load

PAGES = Path(__file__).parent / "pages"


def create_app(
    bulk_route: BulkRoute | None = None,
    ask: Ask | None = None,
    settings: Settings | None = None,
    *,
    policy: Policy | None = None,
    limits: Limits | None = None,
    on_trace: Callable[[Trace[Any]], None] | None = None,
) -> FastAPI:
    """Return the service as an ASGI application.

    `bulk_route(tickets, ask)` yields rows or lines of NDJSON (see BulkRoute); without one the bulk page says where it is built. `ask` answers
    requests, by default a gateway over `settings`, which are read from the environment if not given. `on_trace` is told
    of every walk that the cascade's route finishes, in the thread that walked (see workshop_lib.metrics). Raises SettingsError if they are wrong.
    """
    settings = settings or load()
    policy = policy or documented()
    limits = limits or Limits()
    calls = Calls(ask or gateway(settings), limits.calls)
    app = FastAPI(
        title="Cascade Workshop",
        version=__version__,
        description="Support-ticket triage by a cascade of models. Listens on this machine only.",
        docs_url=None,  # both pages load scripts from another site
        redoc_url=None,
    )
    app.state.context = Context(calls, policy, bulk_route, limits, Desk(limits.requests), settings.backend, on_trace)
    problems.install(app)
    for routes in (triage, cascade, bulk, about):
        app.include_router(routes.router)
    _add_pages(app)
    app.add_middleware(Guard, body_bytes=limits.body_bytes)
    app.add_middleware(Observing)
    _describe_problems(app)
    return app


def _add_pages(app: FastAPI) -> None:
    async def page(name: str) -> FileResponse:
        return FileResponse(PAGES / name, headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def demo() -> FileResponse:
        return await page("index.html")

    @app.get("/bulk", include_in_schema=False)
    async def comparison() -> FileResponse:
        return await page("bulk.html")

    app.mount("/static", StaticFiles(directory=PAGES / "static"), name="static")


def _describe_problems(app: FastAPI) -> None:
    """Let OpenAPI say what is true here: wrong input is 400 in our own shape, not the framework's 422."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generated()
        shape = {"type": "object", "properties": {"error": {"type": "object", "properties": {"type": {"type": "string"}, "message": {"type": "string"}}}}}
        for operations in schema["paths"].values():
            for operation in operations.values():
                if operation["responses"].pop("422", None):
                    operation["responses"]["400"] = {"description": "Refused before any call", "content": {"application/json": {"schema": shape}}}
        for name in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(name, None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents for changing its schema
