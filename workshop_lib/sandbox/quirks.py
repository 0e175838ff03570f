"""What trips people on small models of the real service: answers in text although a tool is forced, and answers that are not valid."""

import json
from collections.abc import Mapping
from typing import Any

from workshop_lib.sandbox import draw
from workshop_lib.sandbox.ask import Ask

TEXT_SHARE = 1 / 8
INVALID_SHARE = 1 / 40


def answers_in_text(ask: Ask, *, strict: bool) -> bool:
    """Say whether this reply comes as text although a tool is asked for; only the smallest Bedrock model does so, unless the tool is strict."""
    small = ask.model.stand_in.triage == "small" and ask.model.provider == "bedrock"
    return small and not strict and draw.unit(ask.digest, "in text") < TEXT_SHARE


def spoiled(fields: Mapping[str, Any], ask: Ask, *, enforced: bool) -> dict[str, Any]:
    """Return the fields as the model writes them: small ones now and then lose a field or invent a value, unless the schema is enforced."""
    whole = dict(fields)
    if enforced or ask.model.stand_in.triage != "small" or len(whole) < 2 or draw.unit(ask.digest, "invalid") >= INVALID_SHARE:
        return whole
    if "category" in whole and draw.unit(ask.digest, "how invalid") < 0.5:
        whole["category"] = f"{whole['category']}_issue"
        return whole
    names = [name for name in whole if name in ("confidence", "priority", "answer")] or list(whole)
    del whole[names[int(draw.unit(ask.digest, "which field") * len(names))]]
    return whole


def in_text(fields: Mapping[str, Any], ask: Ask) -> str:
    """Return an answer as the prose or the code fence that a model wraps it in."""
    pretty = json.dumps(fields, indent=2, ensure_ascii=False)
    wrappers = (
        f"```json\n{pretty}\n```",
        f"Here is the result:\n\n{json.dumps(fields, ensure_ascii=False)}",
        f"I read the text and decided as follows.\n```json\n{pretty}\n```\nLet me know if you need anything else.",
    )
    return wrappers[int(draw.unit(ask.digest, "wrapper") * len(wrappers))]
