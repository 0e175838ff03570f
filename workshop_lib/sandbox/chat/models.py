"""Who may call and which models there are: the key, `/v1/models`, `/v1/models/{id}`, and the model a request names."""

from typing import Any

from workshop_lib import catalog
from workshop_lib.catalog import Model
from workshop_lib.sandbox.chat.errors import Refusal, no_key
from workshop_lib.sandbox.wire import Reply

CREATED = 1_767_225_600  # a fixed day, so that the same request gets the same bytes


def check_authorization(header: str | None, name: Any = None) -> None:
    """Refuse a request without a bearer key; any key will do. The model it names, if any, decides in whose words."""
    if not header or not header.lower().startswith("bearer ") or not header[7:].strip():
        raise no_key(_by_id(name))


def answer(header: str | None, name: str | None = None) -> Reply:
    """Answer GET /v1/models, or GET /v1/models/{name}, with this authorization."""
    try:
        check_authorization(header)
        return 200, {}, models() if name is None else described(model_for(name))
    except Refusal as refused:
        return refused.reply()


def models() -> dict[str, Any]:
    """Return the list of models."""
    return {"object": "list", "data": [described(model) for model in catalog.models().values()]}


def described(model: Model) -> dict[str, Any]:
    """Return one model as the list has it."""
    return {"id": model.id, "object": "model", "created": CREATED, "owned_by": model.provider}


def model_for(name: Any) -> Model:
    """Return the model of an id, or refuse as OpenAI does."""
    if not isinstance(name, str):
        raise Refusal(400, "You must provide a model parameter.", param="model")
    found = _by_id(name)
    if found is None:
        raise Refusal(
            404,
            f"The model `{name[:200]}` does not exist or you do not have access to it. GET /v1/models lists what the sandbox has.",
            code="model_not_found",
            param="model",
        )
    return found


def _by_id(name: Any) -> Model | None:
    return next((model for model in catalog.models().values() if model.id == name), None)
