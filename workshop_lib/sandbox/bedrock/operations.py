"""The operations of Bedrock Runtime by the last part of their address: those that ask a model, and those that are answered directly."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from workshop_lib.catalog import Model
from workshop_lib.sandbox.bedrock import converse, direct, invoke
from workshop_lib.sandbox.bedrock.errors import Refusal
from workshop_lib.sandbox.bedrock.prompt_cache import PromptCaches
from workshop_lib.sandbox.wire import Exchange, Reply

SCOPE_HEADER = "x-workshop-scope"
ASKING = ("converse", "converse-stream", "invoke", "invoke-with-response-stream")
DIRECT = ("count-tokens", "apply")


def exchange(
    operation: str, model: Model, fields: Mapping[str, Any], headers: Mapping[str, str], seed: int, caches: PromptCaches | None = None
) -> Exchange:
    """Return a request to a model understood, or refuse it as the service would.

    `headers` have names in lower case. `caches` are the prompt caches of the server; those of the process without them.
    """
    scope = headers.get(SCOPE_HEADER) or converse.scope_of(fields) or ""
    streaming = operation in ("converse-stream", "invoke-with-response-stream")
    if operation in ("converse", "converse-stream"):
        return converse.exchange(model, fields, seed, streaming=streaming, scope=scope, caches=caches)
    if operation in ("invoke", "invoke-with-response-stream"):
        return invoke.exchange(model, fields, headers, seed, streaming=streaming, caches=caches)
    raise unknown(operation)


def handle_direct(parts: Sequence[str], fields: Mapping[str, Any]) -> Reply:
    """Answer `/model/{modelId}/count-tokens` or `/guardrail/{id}/version/{version}/apply`, or refuse it; `parts` of the path are unquoted."""
    match list(parts):
        case ["model", model_id, "count-tokens"]:
            body = direct.count_tokens(model_id, fields)
        case ["guardrail", identifier, "version", version, "apply"]:
            body = direct.apply_guardrail(identifier, version, fields)
        case _:
            raise unknown(parts[-1] if parts else "")
    return 200, {"x-amzn-requestid": str(uuid4())}, body


def unknown(operation: str) -> Refusal:
    """Return the refusal of an operation that the sandbox does not have."""
    return Refusal(
        "UnknownOperationException",
        f"The sandbox does not implement '{operation[:60]}'; it has POST /model/{{modelId}}/ {', '.join(ASKING)} and count-tokens, "
        "and POST /guardrail/{id}/version/{version}/apply.",
    )
