"""GET /healthz, and what the pages need to know: models, prices, policy, limits, and tickets to try."""

from typing import Any, Literal

from fastapi import APIRouter

from workshop_lib import catalog
from workshop_lib.service.context import BUILD_IT, Shared, wire_name

router = APIRouter()


@router.get("/healthz", summary="Say that the service is up")
async def health(context: Shared) -> dict[str, str]:
    """Return the state and the backend; no model is called."""
    return {"status": "ok", "service": "cascade-workshop", "backend": context.backend}


@router.get("/api/about", summary="Say what answers here")
async def about(context: Shared) -> dict[str, Any]:
    """Return the source of figures so far, the tiers with prices, the policy, the limits, and whether bulk is built."""
    return {
        "source": context.source,
        "policy": {"name": context.policy.name, "digest": context.policy.digest},
        "tiers": [_tier(tier) for tier in context.policy.tiers],
        "bulk": {"ready": context.bulk_route is not None, "message": None if context.bulk_route is not None else BUILD_IT},
        "limits": {"tickets": context.limits.tickets, "bodyBytes": context.limits.body_bytes},
    }


def _tier(key: str) -> dict[str, Any]:
    model = catalog.model(key)
    price = {"inputUsdPerMillion": model.price.input, "outputUsdPerMillion": model.price.output, "priceBasis": model.price.basis}
    return {"name": wire_name(key), "model": model.name, "id": model.id, **price}


@router.get("/api/tickets", summary="Give tickets to try")
async def tickets(context: Shared, split: Literal["samples", "calibration"] = "samples") -> dict[str, Any]:
    """Return shipped tickets without their labels."""
    from workshop_lib.evaluation.labels import load_tickets

    shipped = load_tickets(split)[: context.limits.tickets]
    return {"tickets": [entry.ticket.model_dump(exclude_none=True) for entry in shipped]}
