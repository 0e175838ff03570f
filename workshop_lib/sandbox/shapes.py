"""Checks request bodies against botocore's own models of Bedrock Runtime and of Bedrock's batch jobs: members, types, enumerations, lengths, ranges, patterns.

Every shape becomes a function that returns the first problem of a value, or None. Functions are made when they are first wanted and kept:
reading botocore's shapes again for every request would cost a quarter of a small model's answer.
"""

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

_NUMBERS = {"integer", "long", "float", "double"}

Check = Callable[[Any, str], str | None]
"""Takes a value and its place in the request; returns what is wrong with it, as the service words it."""


@cache
def operation(name: str) -> OperationModel:
    """Return botocore's model of one operation of Bedrock Runtime, or of Bedrock's batch jobs."""
    service = "bedrock" if "ModelInvocationJob" in name else "bedrock-runtime"
    return ServiceModel(Loader().load_service_model(service, "service-2")).operation_model(name)


def problem(operation_name: str, body: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a request body, as the service words it, or None; members of the address are not checked."""
    return _body(operation_name)(body, "")


def problem_of(operation_name: str, member: str, value: Any) -> str | None:
    """Return what is wrong with one member of a request, such as one of its address, or None."""
    return _member(operation_name, member)(value, member)


@cache
def _body(operation_name: str) -> Check:
    shape = operation(operation_name).input_shape
    assert shape is not None
    in_body = {name: part for name, part in shape.members.items() if "location" not in part.serialization}
    return _members(in_body, [name for name in shape.required_members if name in in_body])


@cache
def _member(operation_name: str, member: str) -> Check:
    shape = operation(operation_name).input_shape
    assert shape is not None
    return _check(shape.members[member])


def _check(shape: Shape) -> Check:
    if getattr(shape, "is_document_type", False):
        return lambda _value, _where: None
    if isinstance(shape, StructureShape):
        return _structure(shape)
    if isinstance(shape, ListShape):
        return _list(shape)
    if isinstance(shape, MapShape):
        return _map(shape)
    if shape.type_name in _NUMBERS:
        return _number(shape)
    return _boolean if shape.type_name == "boolean" else _string(shape)


def _structure(shape: StructureShape) -> Check:
    members = _members(shape.members, shape.required_members)
    union = ", ".join(shape.members) if getattr(shape, "is_tagged_union", False) else None

    def check(value: Any, where: str) -> str | None:
        if not isinstance(value, dict):
            return _wrong(where, "an object")
        if union is not None and len(value) != 1:
            return f"1 validation error detected: Value at '{where}' must set exactly one of: {union}."
        return members(value, where)

    return check


def _members(members: Mapping[str, Shape], required: Collection[str]) -> Check:
    checks: dict[str, Check] = {}

    def check(value: Any, where: str) -> str | None:
        dotted = f"{where}." if where else ""
        for name in required:
            if value.get(name) is None:
                return _broken(dotted + name, "Member must not be null")
        for name, part in value.items():
            if name not in members:
                return f"The request has a member that the service does not know: '{dotted}{name}'. Known here: {', '.join(members)}."
            if part is None:
                continue
            if name not in checks:
                checks[name] = _check(members[name])  # not before it is wanted: a shape may contain itself
            found = checks[name](part, dotted + name)
            if found is not None:
                return found
        return None

    return check


def _list(shape: ListShape) -> Check:
    length, member = _length(shape), _check(shape.member)

    def check(value: Any, where: str) -> str | None:
        if not isinstance(value, list):
            return _wrong(where, "a list")
        found = length(len(value), where)
        if found is not None:
            return found
        for number, part in enumerate(value):
            found = member(part, f"{where}.{number}")
            if found is not None:
                return found
        return None

    return check


def _map(shape: MapShape) -> Check:
    length, key_check, value_check = _length(shape), _check(shape.key), _check(shape.value)

    def check(value: Any, where: str) -> str | None:
        if not isinstance(value, dict):
            return _wrong(where, "an object")
        found = length(len(value), where)
        if found is not None:
            return found
        for key, part in value.items():
            found = key_check(key, f"{where} (key)") or value_check(part, f"{where}.{key}")
            if found is not None:
                return found
        return None

    return check


def _boolean(value: Any, where: str) -> str | None:
    return None if isinstance(value, bool) else _wrong(where, "true or false")


def _number(shape: Shape) -> Check:
    whole = shape.type_name in {"integer", "long"}
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, where: str) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return _wrong(where, "a whole number" if whole else "a number")
        if low is not None and not value >= low:
            return _broken(where, f"Member must have value greater than or equal to {low}", value)
        if high is not None and not value <= high:
            return _broken(where, f"Member must have value less than or equal to {high}", value)
        return None

    return check


def _string(shape: Shape) -> Check:
    allowed, pattern, length = shape.metadata.get("enum"), shape.metadata.get("pattern"), _length(shape)
    matches = re.compile(pattern).fullmatch if pattern else None

    def check(value: Any, where: str) -> str | None:
        if not isinstance(value, str):
            return _wrong(where, "a string")
        if allowed and value not in allowed:
            return _broken(where, f"Member must satisfy enum value set: [{', '.join(allowed)}]", value)
        found = length(len(value), where)
        if found is None and matches is not None and not matches(value):
            return _broken(where, f"Member must satisfy regular expression pattern: {pattern}", value)
        return found

    return check


def _length(shape: Shape) -> Check:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(length: Any, where: str) -> str | None:
        if low is not None and length < low:
            return _broken(where, f"Member must have length greater than or equal to {low}")
        if high is not None and length > high:
            return _broken(where, f"Member must have length less than or equal to {high}")
        return None

    return check


def _broken(where: str, constraint: str, value: Any = None) -> str:
    shown = "" if value is None else f" '{str(value)[:60]}'"
    return f"1 validation error detected: Value{shown} at '{where}' failed to satisfy constraint: {constraint}"


def _wrong(where: str, wanted: str) -> str:
    return f"1 validation error detected: Value at '{where}' must be {wanted}"
