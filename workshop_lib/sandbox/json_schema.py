"""JSON schemas as requests bring them: references and choices resolved, members read without trust, and what is asked in vain."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
DEPTH = 8
"""How deep schemas are followed: a recursive one comes to an end."""

_INDIRECT = frozenset(("$ref", "anyOf", "oneOf", "allOf"))
_UNSUPPORTED = frozenset(
    (
        *("pattern", "patternProperties", "propertyNames", "minProperties", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
        *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "contains", "prefixItems"),
        *("unevaluatedProperties", "unevaluatedItems"),
    )
)


def unsupported(schema: Schema) -> str | None:
    """Return the first thing a schema asks for that the stand-ins cannot promise, as "keyword (at place)", or None."""
    return next(_asked_in_vain(schema, "", 0), None)


def _asked_in_vain(schema: Any, place: str, depth: int) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    if depth > DEPTH:
        yield f"nesting deeper than {DEPTH} levels (at {place})"
        return
    for word in schema:
        if word in _UNSUPPORTED:
            yield f"'{word}' (at {place or 'the root'})"
    several = schema.get("allOf")
    if isinstance(several, list) and len(several) > 1:
        yield f"'allOf' of several schemas (at {place or 'the root'})"
    for holder in ("properties", "$defs", "definitions"):
        inner = schema.get(holder)
        for name, part in inner.items() if isinstance(inner, Mapping) else ():
            yield from _asked_in_vain(part, f"{place}.{name}".strip("."), depth + 1)
    for holder in ("anyOf", "oneOf", "allOf"):
        inner = schema.get(holder)
        for part in inner if isinstance(inner, list) else ():
            yield from _asked_in_vain(part, place, depth + 1)
    yield from _asked_in_vain(schema.get("items"), f"{place}[]", depth + 1)


def resolved(schema: Schema, root: Schema) -> Schema:
    """Return a schema with its reference followed and the first usable of its choices taken."""
    if _INDIRECT.isdisjoint(schema):
        return schema
    for _ in range(DEPTH):
        reference = schema.get("$ref")
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if isinstance(reference, str) and reference.startswith("#/"):
            schema = _pointed(root, reference[2:].split("/"))
        elif isinstance(options, list) and options:
            usable = [option for option in options if isinstance(option, Mapping) and option.get("type") != "null"]
            schema = usable[0] if usable else {"type": "null"}
        else:
            return schema
    return {}


def _pointed(root: Schema, path: Sequence[str]) -> Schema:
    found: Any = root
    for part in path:
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def properties(schema: Schema, root: Schema) -> dict[str, Schema]:
    """Return the properties of an object schema, resolved."""
    found = schema.get("properties")
    if not isinstance(found, Mapping):
        return {}
    return {key: resolved(part, root) for key, part in found.items() if isinstance(part, Mapping)}


def enum_values(schema: Schema) -> list[Any]:
    """Return the values of an enumeration, or none."""
    found = schema.get("enum")
    return found if isinstance(found, list) else []
