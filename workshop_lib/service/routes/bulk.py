"""POST /api/triage/bulk: many tickets, a row for each tier that answered, as they come (newline-delimited JSON)."""

import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from workshop_lib.cascade import single
from workshop_lib.service.bulk_rows import BulkRoute, library_route, produced
from workshop_lib.service.context import BUILD_IT, Context, Shared
from workshop_lib.service.problems import Problem
from workshop_lib.service.working import Streamed
from workshop_lib.tasks import Ticket

router = APIRouter()
Strategy = Literal["cascade", "nano", "claude"]
_ROWS: dict[int | str, dict[str, Any]] = {
    200: {"description": "one JSON object a line", "content": {"application/x-ndjson": {}}},
    501: {"description": "no bulk route was mounted"},
}


class Tickets(BaseModel):
    """The body of a bulk request: tickets with an id of their own each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tickets: Annotated[tuple[Ticket, ...], Field(min_length=1)]

    @field_validator("tickets")
    @classmethod
    def _distinct(cls, tickets: tuple[Ticket, ...]) -> tuple[Ticket, ...]:
        seen: set[str] = set()
        for number, ticket in enumerate(tickets):
            if ticket.id in seen:
                raise ValueError(f"ticket {number} has an id that was used before in this request")
            seen.add(ticket.id)
        return tickets


@router.post("/api/triage/bulk", response_class=Response, responses=_ROWS, summary="Route many tickets")
async def bulk(body: Tickets, context: Shared, strategy: Annotated[Strategy, Query()] = "cascade") -> Streamed:
    """Stream rows as tickets finish; `strategy` nano or claude asks one tier only, for comparison."""
    route = _route(context, strategy)
    if len(body.tickets) > context.limits.tickets:
        raise Problem(400, "invalid_request", f"tickets: {len(body.tickets)} are more than the {context.limits.tickets} that one request may hold.")
    gone = threading.Event()
    ask = context.calls.of(gone)
    workers = context.limits.workers
    return Streamed(
        context.desk, lambda put: produced(route, body.tickets, ask, workers, put), gone, "application/x-ndjson", context.limits.send_s
    )


def _route(context: Context, strategy: Strategy) -> BulkRoute:
    if context.bulk_route is None:
        raise Problem(501, "not_built", BUILD_IT)
    if strategy == "cascade":
        return context.bulk_route
    return library_route(single(context.policy.tiers[0 if strategy == "nano" else -1]))
