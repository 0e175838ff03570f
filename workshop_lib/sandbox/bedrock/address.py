"""Who may call and which model an address names: authorization, the path of an operation, model ids, profiles and ARNs."""

import re
from urllib.parse import unquote

from workshop_lib import catalog
from workshop_lib.catalog import Model
from workshop_lib.sandbox.bedrock.errors import Refusal

_GEOGRAPHY = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|global)\.(?=[a-z])")
_AUTHORIZED = re.compile(
    r"^(?:AWS4-HMAC-SHA256 Credential=\S+/\d{8}/[a-z0-9-]+/[a-z0-9-]+/aws4_request, ?SignedHeaders=\S+, ?Signature=[0-9a-f]{64}|Bearer \S+)$"
)


def check_authorization(header: str | None) -> None:
    """Refuse a request that is not signed (SigV4) and carries no bearer key; the signature itself is not verified."""
    if not header:
        raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    if not _AUTHORIZED.match(header):
        raise Refusal("AccessDeniedException", "The Authorization header is neither a SigV4 signature nor a bearer key.")


def split_path(raw_path: bytes) -> tuple[str, str]:
    """Return model id and operation of a path `/model/{modelId}/{operation}`, where the id is one percent-encoded segment."""
    parts = raw_path.split(b"?", 1)[0].decode("ascii", "replace").split("/")
    if len(parts) >= 4 and parts[1] == "model" and "" not in parts[2:]:
        return unquote("/".join(parts[2:-1])), parts[-1]  # an ARN sent without encoding its slash is understood too
    raise Refusal("UnknownOperationException", "The sandbox knows POST /model/{modelId}/converse here.")


def model_for(model_id: str) -> Model:
    """Return the model behind an id, a geography profile or an ARN; refuse as the service does."""
    plain = model_id.rsplit("/", 1)[-1] if model_id.startswith("arn:") else model_id
    known = {model.id: model for model in catalog.models().values() if model.provider == "bedrock"}
    if plain in known:
        return known[plain]
    bare = _GEOGRAPHY.sub("", plain)
    by_bare = {_GEOGRAPHY.sub("", model.id): model for model in known.values()}
    model = by_bare.get(bare)
    if model is None or (bare != plain and not model.needs_inference_profile):
        raise Refusal(
            "ResourceNotFoundException",
            f"Could not resolve the foundation model from the model identifier: {model_id}. The sandbox has: {', '.join(known)}.",
        )
    if bare == plain:
        raise Refusal(
            "ValidationException",
            f"Invocation of model ID {model_id} with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
        )
    return model
