"""Names as Step Functions writes them: every member of an AWS call begins with a capital there, except inside documents and maps."""

from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, OperationModel, Shape, StructureShape


@cache
def converse() -> OperationModel:
    """Return the service's own model of Converse."""
    return botocore.session.Session().get_service_model("bedrock-runtime").operation_model("Converse")


def to_states(value: Any, shape: Shape | None) -> Any:
    """Return arguments of a boto3 call as the parameters of a Step Functions task; members that are None are left out."""
    return _renamed(value, shape, lambda name: name[:1].upper() + name[1:])


def from_states(value: Any, shape: Shape | None) -> Any:
    """Return the result of a Step Functions task as boto3 would have returned it; members that are null there are left out."""
    return _renamed(value, shape, lambda name: name[:1].lower() + name[1:])


def _renamed(value: Any, shape: Shape | None, rename: Callable[[str], str]) -> Any:
    if isinstance(value, list) and isinstance(shape, ListShape):
        return [_renamed(one, shape.member, rename) for one in value]
    if isinstance(value, dict) and isinstance(shape, StructureShape) and not shape.is_document_type:
        members = {name.lower(): member for name, member in shape.members.items()}
        return {rename(name): _renamed(one, members.get(name.lower()), rename) for name, one in value.items() if one is not None}
    return value
