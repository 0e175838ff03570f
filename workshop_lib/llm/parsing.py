"""Finding the JSON object in what a model wrote as text."""

import json
from collections.abc import Mapping
from typing import Any

from workshop_lib.llm.errors import InvalidAnswer

_LONGEST = 20_000


def json_object(text: str) -> Mapping[str, Any]:
    """Return the JSON object in a text (bare, fenced or within prose); raise InvalidAnswer if there is none, or two that differ."""
    found = _objects(text[:_LONGEST])
    if not found:
        raise InvalidAnswer(f"no JSON object in the reply, which begins {text[:60]!r}")
    said = [some for some in found if some] or found  # an empty pair of braces says nothing
    if any(other != said[0] for other in said):
        raise InvalidAnswer("two different JSON objects in one reply, so it is not clear which is the answer")
    return said[0]


def _objects(text: str) -> list[dict[str, Any]]:
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    start = text.find("{")
    while start != -1:
        end = start + 1
        try:
            value, end = decoder.raw_decode(text, start)
            found.append(value)
        except RecursionError:
            break
        except ValueError:  # not JSON here, or a number of thousands of digits
            pass
        start = text.find("{", end)
    return found
