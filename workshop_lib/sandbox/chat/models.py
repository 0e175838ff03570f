"""Who may call and which models there are: the key, `/v1/models`, and the model a request names."""

from typing import Any

from workshop_lib import catalog
from workshop_lib.catalog import Model
from workshop_lib.sandbox.chat.errors import Refusal

CREATED = 1_767_225_600  # a fixed day, so that the same request gets the same bytes


def check_authorization(header: str | None) -> None:
    """Refuse a request without a bearer key; any key will do."""
    if not header or not header.startswith("Bearer ") or not header[7:].strip():
        raise Refusal(
            401, "You didn't provide an API key. Send any key in an Authorization header: Bearer KEY.", code="missing_api_key"
        )


def models() -> dict[str, Any]:
    """Return the list of models."""
    data = [
        {"id": model.id, "object": "model", "created": CREATED, "owned_by": model.provider}
        for model in catalog.models().values()
    ]
    return {"object": "list", "data": data}


def model_for(name: Any) -> Model:
    """Return the model of an id, or refuse as OpenAI does."""
    if not isinstance(name, str):
        raise Refusal(400, "You must provide a model parameter.", param="model")
    found = next((model for model in catalog.models().values() if model.id == name), None)
    if found is None:
        raise Refusal(
            404,
            f"The model `{name}` does not exist or you do not have access to it. GET /v1/models lists what the sandbox has.",
            code="model_not_found",
            param="model",
        )
    return found
