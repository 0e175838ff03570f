"""Operations that ask no model: CountTokens and ApplyGuardrail."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from workshop_lib.catalog import Model
from workshop_lib.sandbox import shapes, tokens
from workshop_lib.sandbox.bedrock import address, converse, guardrails, invoke
from workshop_lib.sandbox.bedrock.errors import Refusal

Body = Mapping[str, Any]


def count_tokens(model_id: str, body: Body) -> Body:
    """Return the body of CountTokens: the input tokens that the same request would be reported with by Converse or InvokeModel."""
    wrong = shapes.problem_of("CountTokens", "modelId", model_id) or shapes.problem("CountTokens", body)
    if wrong:
        raise Refusal("ValidationException", wrong)
    model = _countable(model_id)
    asked = body["input"]
    if asked.get("converse") is not None:
        return {"inputTokens": tokens.input_tokens(converse.ask(model, asked["converse"], 0))}
    exchange = invoke.exchange(model, _decoded(asked["invokeModel"]["body"]), {}, 0, streaming=False)
    return {"inputTokens": tokens.input_tokens(exchange.asks[0])}


def _countable(model_id: str) -> Model:
    """Return a model whose tokens can be counted: as on the service, not one that is offered through inference profiles only."""
    model = address.model_named(model_id)
    if model.needs_inference_profile:
        raise Refusal("ValidationException", "The provided model doesn't support counting tokens.")
    return model


def _decoded(body: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refusal("ValidationException", "The value at 'input.invokeModel.body' must be a JSON object in base64.")
    return found


def apply_guardrail(identifier: str, version: str, body: Body) -> Body:
    """Return the body of ApplyGuardrail: what a guardrail finds in texts, and what it would let pass."""
    wrong = (
        shapes.problem_of("ApplyGuardrail", "guardrailIdentifier", identifier)
        or shapes.problem_of("ApplyGuardrail", "guardrailVersion", version)
        or shapes.problem("ApplyGuardrail", body)
    )
    if wrong:
        raise Refusal("ValidationException", wrong)
    rules = guardrails.guardrail(identifier, version, missing="ResourceNotFoundException")
    texts = [_text(number, block) for number, block in enumerate(body["content"])]
    if not texts:
        raise Refusal("ValidationException", "The content of an ApplyGuardrail request must have at least one block.")
    found = guardrails.assess(rules, texts, source=body["source"], full=body.get("outputScope") == "FULL")
    outputs = [rules.blocked_input if body["source"] == "INPUT" else rules.blocked_output] if found.blocked else found.texts
    return {
        "usage": found.usage,
        "action": "GUARDRAIL_INTERVENED" if found.intervened else "NONE",
        "actionReason": found.reason,
        "outputs": [{"text": text} for text in outputs] if found.intervened else [],
        "assessments": [found.assessment],
        "guardrailCoverage": found.assessment["invocationMetrics"]["guardrailCoverage"],
    }


def _text(number: int, block: Body) -> str:
    text = block.get("text")
    if text is None:
        raise Refusal("ValidationException", f"The sandbox does not implement 'image' at content.{number}; it takes text.")
    other = sorted(set(text.get("qualifiers") or ()) - {"guard_content"})
    if other:
        raise Refusal("ValidationException", f"The sandbox does not implement the qualifier '{other[0]}' at content.{number}; it has no contextual grounding.")
    return str(text["text"])
