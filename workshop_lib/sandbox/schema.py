"""Answers that follow a schema: each property is filled with what the stand-ins make of the text, as its name and its values ask."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workshop_lib.catalog import StandIn
from workshop_lib.sandbox import draw
from workshop_lib.sandbox.grading import agreement
from workshop_lib.sandbox.json_schema import DEPTH, Schema, enum_values, properties, resolved
from workshop_lib.sandbox.reading import Reading
from workshop_lib.sandbox.stand_ins import triage
from workshop_lib.sandbox.stand_ins.questions import Capacity, Guess, answer

_PRIORITIES = frozenset({"P0", "P1", "P2", "P3"})
_CATEGORIES = frozenset({"billing", "auth", "integration", "performance", "bug_report", "feature_request", "abuse", "other"})
_GOOD = frozenset({"correct", "true", "yes", "right", "pass", "accept", "equivalent", "good"})
_LONGEST_FILLED = 1000
_RIGHT = 0.5  # an agreement from which on an answer counts as right, where only right and wrong are asked for
_FAR = 1e15  # a bound beyond it is none: floating point would no longer tell its neighbours apart
_WORD = re.compile(r"[^\W\d_]{2,24}(?:[ -][^\W\d_]{2,24}){0,4}")
# What a property's name says that it holds.
_CONFIDENCE = re.compile("confidence|certainty|probability|likelihood")
_GRADE = re.compile("score|grade|rating|verdict|correct")
_RATED = re.compile("confidence|score|rating|grade")
_RESULT = re.compile("answer|result|value")
_FOR_PEOPLE = re.compile("human|review|escalat")
_REASON = re.compile("reason|rationale|explanation|why|evidence|working|summary|justification")
_JSON = json.JSONEncoder(ensure_ascii=False)  # json.dumps would make one for every answer


@dataclass(frozen=True)
class Thinking:
    """What one model makes of one reading; sampling settings belong to the request."""

    stand_in: StandIn
    reading: Reading
    digest: bytes
    about_ticket: bool = False
    temperature: float = 0.0
    top_p: float = 1.0

    @property
    def opinion(self) -> triage.Opinion:
        """Return the classifier's opinion of the ticket."""
        return triage.opinion(self.reading.subject_matter, self.stand_in.triage)

    @property
    def guess(self) -> Guess:
        """Return the question answerer's guess at the question."""
        return _guessed(self.reading.question, self.stand_in)


@lru_cache(maxsize=4096)
def _guessed(question: str, stand_in: StandIn) -> Guess:
    return answer(question, Capacity(stand_in.knowledge, stand_in.steps))


def fill(schema: Schema, thinking: Thinking) -> dict[str, Any]:
    """Return an object that follows an object schema."""
    filled = _value("", schema, thinking, schema, 0)
    return filled if isinstance(filled, dict) else {}


def is_triage(schema: Schema) -> bool:
    """Say whether a schema asks for a ticket's category or priority."""
    fields = properties(resolved(schema, schema), schema)
    return any(name.lower() in {"category", "priority"} or _label_field(enum_values(part)) is not None for name, part in fields.items())


def most_likely(shares: Mapping[str, float], thinking: Thinking, allowed: Sequence[str] = ()) -> tuple[str, float]:
    """Return a label with its share among the allowed ones; above temperature 0 it is drawn, reproducibly, from the sharpened shares."""
    options = {label: share for label, share in shares.items() if label in allowed} if allowed else shares
    total = sum(options.values()) or 1.0
    if thinking.temperature > 0:
        label = _drawn({label: share / total for label, share in options.items()}, thinking)
    else:
        label = max(options, key=options.__getitem__)
    return label, options[label] / total


def prose(thinking: Thinking) -> str:
    """Return a plain answer in words: the routing of a ticket, or the answer to a question."""
    if thinking.about_ticket:
        category, share = most_likely(thinking.opinion.category, thinking)
        priority, _ = most_likely(thinking.opinion.priority, thinking)
        return f"This ticket is about {category.replace('_', ' ')}, priority {priority} (confidence {share:.2f}). {_reasoning(thinking)}"
    guess = thinking.guess
    working = guess.working.strip()
    return f"{guess.answer}\n\n{working}" if working and working != guess.answer else guess.answer


def shares(name: str, schema: Schema, thinking: Thinking, root: Schema) -> Mapping[Any, float]:
    """Return how likely the model holds each value that a property may take; empty where it has no opinion, as on an id or a reason.

    The shares of labels are the classifier's, unrounded. For an answer to a question the model's own confidence is its share; nothing is
    known of other answers, so they do not sum to 1.
    """
    schema = resolved(schema, root)
    values, kind = enum_values(schema), _kind(schema)
    field = _label_field(values) if values else name.lower() if kind == "string" else None
    if field in ("category", "priority"):
        return _exact(thinking, field, values)
    if kind == "boolean" and _FOR_PEOPLE.search(name.lower()):
        return {True: thinking.opinion.needs_human, False: 1 - thinking.opinion.needs_human}
    if "const" in schema or thinking.about_ticket:
        return {}
    value = _value(name, schema, thinking, root, DEPTH)
    judged = thinking.reading.answer is not None and isinstance(value, str | bool | int | float)
    if judged and all(isinstance(option, str | bool | int | float) for option in values) and (kind == "boolean" or len(values) == 2 or value in ("correct", "incorrect")):
        options = [True, False] if kind == "boolean" else values or ["correct", "incorrect"]
        mine = 0.5 + 0.48 * _sureness(thinking)
        return {option: mine if option == value else 1 - mine for option in options}
    if not values and _RESULT.search(name.lower()) and kind in ("string", "number", "integer"):
        return {value: guess_share(thinking)}
    return {}


def _kind(schema: Schema) -> Any:
    kind = schema.get("type")
    return kind[0] if isinstance(kind, list) and kind else kind


def guess_share(thinking: Thinking) -> float:
    """Return how likely the model holds its answer to the question, 0.02 to 0.98: its confidence of 1 to 5 on that scale."""
    return min(0.98, max(0.02, _sureness(thinking)))


def _exact(thinking: Thinking, field: str, allowed: Sequence[Any]) -> Mapping[Any, float]:
    found = {label: share for label, share in thinking.opinion.exact[field].items() if not allowed or label in allowed}
    total = sum(found.values()) or 1.0
    return {label: share / total for label, share in found.items()}


def _value(name: str, schema: Schema, thinking: Thinking, root: Schema, depth: int) -> Any:
    schema = resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    values = enum_values(schema)
    if values:
        return _chosen(name, values, thinking)
    kind = _kind(schema)
    if kind == "object" or (kind is None and "properties" in schema):
        if depth >= DEPTH:
            return {}
        return {key: _value(key, part, thinking, root, depth + 1) for key, part in properties(schema, root).items()}
    if kind == "array":
        return _items(name, schema, thinking, root, depth)
    if kind in ("number", "integer"):
        return _number(name.lower(), schema, thinking, whole=kind == "integer")
    if kind == "boolean":
        return _boolean(name.lower(), thinking)
    if kind == "null":
        return None
    return _fitted(_text(name.lower(), thinking), schema)


def _label_field(values: Sequence[Any]) -> str | None:
    return _field_of(frozenset(value for value in values if isinstance(value, str)))


@lru_cache(maxsize=256)
def _field_of(texts: frozenset[str]) -> str | None:
    if len(texts & _CATEGORIES) >= min(2, len(texts)) and texts & _CATEGORIES:
        return "category"
    if len(texts & _PRIORITIES) >= min(2, len(texts)) and texts & _PRIORITIES:
        return "priority"
    return None


def _chosen(name: str, values: Sequence[Any], thinking: Thinking) -> Any:
    field = _label_field(values)
    if field == "category":
        return most_likely(thinking.opinion.category, thinking, values)[0]
    if field == "priority":
        return most_likely(thinking.opinion.priority, thinking, values)[0]
    if thinking.reading.answer is not None:
        good = [value for value in values if str(value).lower() in _GOOD]
        bad = [value for value in values if value not in good]
        agreed = _agrees(thinking)
        return (good or values)[0] if agreed else (bad or values)[0]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) and "confidence" in name.lower():
        low, high = min(values), max(values)
        wanted = low + (high - low) * _sureness(thinking)
        return min(values, key=lambda value: abs(value - wanted))
    text = thinking.reading.subject_matter.lower()
    mentioned = [value for value in values if isinstance(value, str) and value.lower() in text]
    return (mentioned or list(values))[0]


def _items(name: str, schema: Schema, thinking: Thinking, root: Schema, depth: int) -> list[Any]:
    wanted = schema.get("minItems", 1)
    part = schema.get("items")
    if not isinstance(part, Mapping) or depth >= DEPTH or not isinstance(wanted, int):
        return []
    one = _value(name, part, thinking, root, depth + 1)
    return [one] * max(1, min(wanted, 16))


def _number(name: str, schema: Schema, thinking: Thinking, *, whole: bool) -> float | int:
    low, high = _range(schema, name, whole)
    if _CONFIDENCE.search(name):
        value = low + (high - low) * _sureness(thinking)
    elif thinking.reading.answer is not None and _GRADE.search(name):
        value = low + (high - low) * _agreement(thinking)
    elif _RESULT.search(name):
        found = re.search(r"-?\d+(?:\.\d+)?", thinking.guess.answer.replace(",", ""))
        value = float(found.group()) if found else low
    else:
        value = low
    return round(value) if whole else round(value, 2)


def _range(schema: Schema, name: str, whole: bool) -> tuple[float, float]:
    bounds = (1.0, 5.0) if whole and _RATED.search(name) else (0.0, 1.0)
    given = [schema.get("minimum"), schema.get("maximum")]
    low, high = (float(bound) if isinstance(bound, int | float) and abs(bound) <= _FAR else None for bound in given)
    if low is None:
        low = bounds[0] if high is None else min(bounds[0], high)
    if high is None:
        high = max(bounds[1], low)
    return low, max(low, high)


def _boolean(name: str, thinking: Thinking) -> bool:
    if _FOR_PEOPLE.search(name):
        label, _ = most_likely({"yes": thinking.opinion.needs_human, "no": 1 - thinking.opinion.needs_human}, thinking)
        return label == "yes"
    return thinking.reading.answer is not None and _agrees(thinking)


def _text(name: str, thinking: Thinking) -> str:
    reading = thinking.reading
    if name.endswith("id"):
        return reading.ticket_id or "unknown"
    if name == "category":
        return most_likely(thinking.opinion.category, thinking)[0]
    if name == "priority":
        return most_likely(thinking.opinion.priority, thinking)[0]
    if _REASON.search(name):
        return _reasoning(thinking) if thinking.about_ticket else thinking.guess.working
    if name in ("verdict", "correct") and reading.answer is not None:
        return "correct" if _agrees(thinking) else "incorrect"
    if thinking.about_ticket:
        return "not stated"
    return thinking.guess.answer


def _fitted(text: str, schema: Schema) -> str:
    longest, shortest = schema.get("maxLength"), schema.get("minLength")
    if isinstance(shortest, int) and len(text) < shortest <= _LONGEST_FILLED:
        text = text.ljust(shortest, ".")
    return text[:longest] if isinstance(longest, int) and longest >= 0 else text


def _reasoning(thinking: Thinking) -> str:
    words = [word for word in thinking.opinion.evidence if _WORD.fullmatch(word)]  # nothing that could be a key or a number
    category, _ = most_likely(thinking.opinion.category, thinking)
    if not words:
        return f"Nothing in the text stands out; {category.replace('_', ' ')} is the likeliest."
    return f"Points to {category.replace('_', ' ')}: {', '.join(words)}."


def _sureness(thinking: Thinking) -> float:
    """Return how sure the model is of what it answers, from 0 to 1."""
    if thinking.about_ticket:
        return most_likely(thinking.opinion.category, thinking)[1]
    return (thinking.guess.confidence - 1) / 4


def _agreement(thinking: Thinking) -> float:
    return agreement(thinking.reading, lambda: thinking.opinion, lambda: thinking.guess)


def _agrees(thinking: Thinking) -> bool:
    """Say whether the model calls the answer under judgement right."""
    return _agreement(thinking) >= _RIGHT


def _drawn(options: Mapping[str, float], thinking: Thinking) -> str:
    ranked = sorted(options.items(), key=lambda item: (-item[1], item[0]))
    sharpened = [(label, share ** (1 / thinking.temperature)) for label, share in ranked]
    total = sum(share for _, share in sharpened) or 1.0
    left = draw.unit(thinking.digest, "sample " + ",".join(sorted(options))) * min(thinking.top_p, 1.0)
    for label, share in sharpened:
        left -= share / total
        if left <= 0:
            return label
    return ranked[0][0]


def written(value: Mapping[str, Any]) -> str:
    """Return an object as a model writes it: compact JSON in the order of the schema."""
    return _JSON.encode(value)
