"""Who may call and which model an address names: authorization, the path of an operation, model ids, profiles and ARNs."""

import re
from functools import cache
from urllib.parse import unquote

from workshop_lib import catalog
from workshop_lib.catalog import Model
from workshop_lib.sandbox import shapes
from workshop_lib.sandbox.bedrock.errors import Refusal

# Which kinds of ARN may name a profile (False) and a bare model id (True); "" is an id without an ARN.
_KINDS = {False: frozenset({"", "inference-profile"}), True: frozenset({"", "foundation-model"})}
_GEOGRAPHY = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|global)\.(?=[a-z])")
_SIGV4 = "AWS4-HMAC-SHA256"
_SIGNATURE_PARTS = ("Credential", "SignedHeaders", "Signature")
_SCOPE = re.compile(r"[^/\s]+/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_DATE = re.compile(r"(\d{8})T\d{6}Z")
_SERVICE = "bedrock"


def check_authorization(header: str | None, date: str | None = None) -> None:
    """Refuse a request that is not signed (SigV4) and carries no bearer key, as AWS words it; the signature itself is not verified.

    `header` is the Authorization header and `date` is X-Amz-Date, compared with the signature's date where it is given.
    """
    if not header:
        raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    scheme, _, rest = header.partition(" ")
    if scheme == "Bearer" and rest.strip() and " " not in rest.strip():
        return
    if scheme != _SIGV4:
        raise Refusal("IncompleteSignatureException", f"'{scheme[:40]}' not a valid authorization scheme; send a SigV4 signature or 'Bearer' and a key.")
    parts = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in rest.split(","))}
    lacking = [name for name in _SIGNATURE_PARTS if not parts.get(name)]
    if lacking:
        raise Refusal("IncompleteSignatureException", " ".join(f"Authorization header requires '{name}' parameter." for name in lacking))
    _check_scope(parts["Credential"], date)
    if not re.fullmatch(r"[0-9a-f]{64}", parts["Signature"]):
        raise Refusal("IncompleteSignatureException", "The Signature of the Authorization header must be 64 hexadecimal digits.")
    if "host" not in parts["SignedHeaders"].split(";"):
        raise Refusal("InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")


def _check_scope(credential: str, date: str | None) -> None:
    scope = _SCOPE.fullmatch(credential)
    if scope is None:
        raise Refusal(
            "IncompleteSignatureException",
            f"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential[:100]}'",
        )
    if scope[3] != _SERVICE:
        raise Refusal("InvalidSignatureException", f"Credential should be scoped to correct service: '{_SERVICE}'.")
    if date is None:
        return
    day = _DATE.fullmatch(date)
    if day is None:
        raise Refusal("IncompleteSignatureException", f"Date must be in ISO-8601 'basic format'. Got '{date[:40]}'.")
    if day[1] != scope[1]:
        raise Refusal("InvalidSignatureException", f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: '{scope[1]}' != '{day[1]}'.")


def region(authorization: str | None) -> str:
    """Return the region that a signature is for; the workshop's own for a bearer key."""
    scope = _SCOPE.search(authorization or "")
    return scope[2] if scope is not None else "us-west-2"


def unquoted(raw_path: bytes) -> list[str]:
    """Return the parts of a path, unquoted after it is split."""
    return [unquote(part) for part in raw_path.split(b"?", 1)[0].decode("ascii", "replace").split("/")[1:]]


def split_path(raw_path: bytes) -> tuple[str, str]:
    """Return model id and operation of a path `/model/{modelId}/{operation}`, where the id is one percent-encoded segment."""
    parts = path_parts(raw_path)
    if parts[0] == "model" and len(parts) == 3:
        return parts[1], parts[2]
    raise _nowhere()


def path_parts(raw_path: bytes) -> tuple[str, ...]:
    """Return the unquoted parts of a path; a model's or guardrail's ARN sent without encoding its slash is one part too."""
    parts = raw_path.split(b"?", 1)[0].decode("ascii", "replace").split("/")[1:]
    if "" in parts:
        raise _nowhere()
    if parts[0] == "model" and len(parts) >= 3:
        parts = ["model", "/".join(parts[1:-1]), parts[-1]]
    elif parts[0] == "guardrail" and len(parts) >= 5:
        parts = ["guardrail", "/".join(parts[1:-3]), *parts[-3:]]
    return tuple(unquote(part) for part in parts)


def _nowhere() -> Refusal:
    return Refusal("UnknownOperationException", "The sandbox knows POST /model/{modelId}/converse here.")


def model_for(model_id: str) -> Model:
    """Return the model behind an id, a geography profile or an ARN; refuse as the service does."""
    model = model_named(model_id)
    if model.needs_inference_profile and not _GEOGRAPHY.match(_named(model_id)[0]):
        raise Refusal(
            "ValidationException",
            f"Invocation of model ID {model_id} with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
        )
    return model


def model_named(model_id: str) -> Model:
    """Return the model that an identifier names, though it may not be callable by it; refuse one that the sandbox does not have."""
    wrong = shapes.problem_of("Converse", "modelId", model_id)
    if wrong:
        raise Refusal("ValidationException", wrong)
    known = _known()
    plain, kind = _named(model_id)
    bare = _GEOGRAPHY.sub("", plain)
    model = known.get(bare)
    if model is None or kind not in _KINDS[bare == plain] or (bare != plain and not model.needs_inference_profile):
        raise Refusal(
            "ResourceNotFoundException",
            f"Could not resolve the foundation model from the model identifier: {model_id}. The sandbox has: {', '.join(one.id for one in known.values())}.",
        )
    return model


@cache
def _known() -> dict[str, Model]:
    """Return the models of Bedrock by id without a geography."""
    return {_GEOGRAPHY.sub("", model.id): model for model in catalog.models().values() if model.provider == "bedrock"}


def _named(model_id: str) -> tuple[str, str]:
    """Return the id at the end of an identifier, and the kind of ARN that it is in ("" for none)."""
    if not model_id.startswith("arn:"):
        return model_id, ""
    kind, _, name = model_id.split(":", 5)[-1].partition("/")
    return name, kind
