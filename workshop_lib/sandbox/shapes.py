"""Checks request bodies against botocore's own model of Bedrock Runtime: members, types, enumerations, lengths, ranges, patterns."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

_NUMBERS = {"integer", "long", "float", "double"}


@cache
def operation(name: str) -> OperationModel:
    """Return botocore's model of one operation of Bedrock Runtime."""
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model(name)


def problem(operation_name: str, body: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a request body, as the service words it, or None; members of the address are not checked."""
    shape = operation(operation_name).input_shape
    assert shape is not None
    in_body = {name: part for name, part in shape.members.items() if "location" not in part.serialization}
    return next(_members(in_body, [name for name in shape.required_members if name in in_body], body, ""), None)


def problem_of(operation_name: str, member: str, value: Any) -> str | None:
    """Return what is wrong with one member of a request, such as one of its address, or None."""
    shape = operation(operation_name).input_shape
    assert shape is not None
    return next(_problems(shape.members[member], value, member), None)


def _problems(shape: Shape, value: Any, where: str) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return
    if isinstance(shape, StructureShape):
        yield from _structure(shape, value, where)
    elif isinstance(shape, ListShape):
        yield from _list(shape, value, where)
    elif isinstance(shape, MapShape):
        yield from _map(shape, value, where)
    else:
        yield from _scalar(shape, value, where)


def _structure(shape: StructureShape, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _wrong(where, "an object")
        return
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield f"1 validation error detected: Value at '{where}' must set exactly one of: {', '.join(shape.members)}."
        return
    yield from _members(shape.members, shape.required_members, value, where)


def _members(members: Mapping[str, Shape], required: Any, value: Mapping[str, Any], where: str) -> Iterator[str]:
    dotted = f"{where}." if where else ""
    for name in required:
        if value.get(name) is None:
            yield _broken(dotted + name, "Member must not be null")
    for name, part in value.items():
        if name not in members:
            yield f"The request has a member that the service does not know: '{dotted}{name}'. Known here: {', '.join(members)}."
        elif part is not None:
            yield from _problems(members[name], part, dotted + name)


def _list(shape: ListShape, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield _wrong(where, "a list")
        return
    yield from _length(shape, len(value), where)
    for number, part in enumerate(value):
        yield from _problems(shape.member, part, f"{where}.{number}")


def _map(shape: MapShape, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _wrong(where, "an object")
        return
    yield from _length(shape, len(value), where)
    for key, part in value.items():
        yield from _problems(shape.key, key, f"{where} (key)")
        yield from _problems(shape.value, part, f"{where}.{key}")


def _scalar(shape: Shape, value: Any, where: str) -> Iterator[str]:
    kind = shape.type_name
    if kind in _NUMBERS:
        yield from _number(shape, value, where)
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield _wrong(where, "true or false")
    elif not isinstance(value, str):
        yield _wrong(where, "a string")
    else:
        yield from _string(shape, value, where)


def _number(shape: Shape, value: Any, where: str) -> Iterator[str]:
    whole = shape.type_name in {"integer", "long"}
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        yield _wrong(where, "a whole number" if whole else "a number")
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and not value >= low:
        yield _broken(where, f"Member must have value greater than or equal to {low}", value)
    if high is not None and not value <= high:
        yield _broken(where, f"Member must have value less than or equal to {high}", value)


def _string(shape: Shape, value: str, where: str) -> Iterator[str]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield _broken(where, f"Member must satisfy enum value set: [{', '.join(allowed)}]", value)
    yield from _length(shape, len(value), where)
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        yield _broken(where, f"Member must satisfy regular expression pattern: {pattern}", value)


def _length(shape: Shape, length: int, where: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and length < low:
        yield _broken(where, f"Member must have length greater than or equal to {low}")
    if high is not None and length > high:
        yield _broken(where, f"Member must have length less than or equal to {high}")


def _broken(where: str, constraint: str, value: Any = None) -> str:
    shown = "" if value is None else f" '{str(value)[:60]}'"
    return f"1 validation error detected: Value{shown} at '{where}' failed to satisfy constraint: {constraint}"


def _wrong(where: str, wanted: str) -> str:
    return f"1 validation error detected: Value at '{where}' must be {wanted}"
