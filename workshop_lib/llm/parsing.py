"""Finding the JSON object in what a model wrote as text."""

import json
from collections.abc import Mapping
from typing import Any

from workshop_lib.llm.errors import InvalidAnswer

_LONGEST = 20_000


def json_object(text: str) -> Mapping[str, Any]:
    """Return the first JSON object in a text (bare, fenced or within prose); raise InvalidAnswer if there is none."""
    decoder = json.JSONDecoder()
    text = text[:_LONGEST]
    start = text.find("{")
    while start != -1:
        try:
            found, _ = decoder.raw_decode(text, start)
        except RecursionError:
            break
        except ValueError:  # not JSON here, or a number of thousands of digits
            start = text.find("{", start + 1)
            continue
        if isinstance(found, dict):
            return found
    raise InvalidAnswer(f"no JSON object in the reply, which begins {text[:60]!r}")
