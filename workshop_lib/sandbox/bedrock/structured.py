"""Structured output: the schema of `outputConfig`, and the part of JSON Schema that Bedrock can enforce."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workshop_lib.sandbox.bedrock.errors import Refusal

# What Bedrock's structured output refuses with 400: constraints that a grammar does not hold.
_UNSUPPORTED = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "maxItems", "uniqueItems", "contains", "minProperties", "maxProperties", "patternProperties", "propertyNames",
    "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "prefixItems",
)  # fmt: skip
_KNOWN = {
    "type", "properties", "required", "additionalProperties", "items", "minItems", "enum", "const", "anyOf", "allOf", "$ref", "$defs",
    "definitions", "description", "title", "default", "examples", "format", "$schema", "$id", "$comment",
}  # fmt: skip
_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}


def schema_of(config: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the schema that the text of the answer is to follow, or None; refuse what cannot be enforced."""
    if config is None:
        return None
    if config.get("effort") is not None:
        raise Refusal(
            "ValidationException",
            "The sandbox does not implement 'outputConfig.effort': its stand-ins have no effort to spend. Leave it out, or call the real service.",
        )
    text_format = config.get("textFormat")
    if text_format is None:
        return None
    written = text_format["structure"]["jsonSchema"]["schema"]
    where = "outputConfig.textFormat.structure.jsonSchema.schema"
    try:
        schema = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise Refusal("ValidationException", f"The value at {where} must be a JSON schema written as a JSON string: {error}.") from None
    if not isinstance(schema, dict):
        raise Refusal("ValidationException", f"The value at {where} must be the JSON string of an object.")
    enforceable(schema, where)
    return schema


def enforceable(schema: Mapping[str, Any], where: str) -> None:
    """Refuse a schema that Bedrock cannot enforce, naming the member and its place."""
    problem = _problem(schema, where, _Walk(schema))
    if problem:
        raise Refusal("ValidationException", f"The model returned the following errors: {problem}")
    if schema.get("type") != "object":
        raise Refusal("ValidationException", f"The model returned the following errors: {where}: the schema's type must be 'object' at the top.")


@dataclass
class _Walk:
    """A walk through a schema: its root, the references being followed, and those that were found good."""

    root: Mapping[str, Any]
    following: list[str] = field(default_factory=list)
    good: set[str] = field(default_factory=set)


def _problem(schema: Any, where: str, walk: _Walk) -> str | None:
    if not isinstance(schema, dict):
        return f"{where}: a schema must be an object"
    return (
        _members(schema, where)
        or _kind(schema, where)
        or _reference(schema, where, walk)
        or next((found for place, part in _parts(schema, where) if (found := _problem(part, place, walk))), None)
    )


def _members(schema: Mapping[str, Any], where: str) -> str | None:
    kind = schema.get("type", "any")
    for name in schema:
        if name in _UNSUPPORTED:
            return f"{where}: For '{kind}' type, property '{name}' is not supported"
        if name not in _KNOWN:
            return f"{where}: property '{name}' is not a member of JSON Schema that can be enforced"
    return None


def _kind(schema: Mapping[str, Any], where: str) -> str | None:
    kinds = schema.get("type")
    named = kinds if isinstance(kinds, list) else [kinds]
    if kinds is not None and not (named and all(isinstance(kind, str) and kind in _TYPES for kind in named)):
        return f"{where}: type {json.dumps(kinds)} is not known"
    if "object" in named and schema.get("additionalProperties") is not False:
        return f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    if not isinstance(schema.get("properties", {}), dict):
        return f"{where}: 'properties' must be an object"
    required = schema.get("required", [])
    if not isinstance(required, list) or any(not isinstance(name, str) or name not in schema.get("properties", {}) for name in required):
        return f"{where}: 'required' must name properties of the object"
    if schema.get("minItems", 0) not in (0, 1):
        return f"{where}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    values = schema.get("enum", [""])
    if not isinstance(values, list) or not values or any(isinstance(value, dict | list) for value in values):
        return f"{where}: 'enum' must list plain values"
    return None


def _reference(schema: Mapping[str, Any], where: str, walk: _Walk) -> str | None:
    target = schema.get("$ref")
    if target is None or (isinstance(target, str) and target in walk.good):
        return None
    if not isinstance(target, str) or not target.startswith("#/"):
        return f"{where}: external $ref is not supported"
    if target in walk.following:
        return f"{where}: recursive schemas are not supported"
    found: Any = walk.root
    for part in target[2:].split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        return f"{where}: $ref '{target}' points to nothing"
    walk.following.append(target)
    problem = _problem(found, where, walk)
    walk.following.pop()
    walk.good.add(target)
    return problem


def _parts(schema: Mapping[str, Any], where: str) -> list[tuple[str, Any]]:
    """Return the schemas inside a schema with their places; definitions are looked at where they are used."""
    parts = [(f"{where}.properties.{name}", part) for name, part in schema.get("properties", {}).items()]
    if "items" in schema:
        parts.append((f"{where}.items", schema["items"]))
    for name in ("anyOf", "allOf"):
        options = schema.get(name, [])
        if not isinstance(options, list):
            parts.append((f"{where}.{name}", options))
        else:
            parts += [(f"{where}.{name}.{number}", part) for number, part in enumerate(options)]
    return parts
