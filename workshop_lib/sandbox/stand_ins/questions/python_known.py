"""What the interpreter knows: operators, built-ins and methods with the level they are known from, and size limits."""

import ast
import operator
from collections.abc import Callable
from typing import Any

SIZE = 1_000
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
}  # fmt: skip
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_, ast.Invert: operator.invert,
}  # fmt: skip
# The knowledge level from which a model knows a built-in or a method.
BUILTINS: dict[str, tuple[int, Any]] = {
    "len": (1, len), "sum": (1, sum), "max": (1, max), "min": (1, min), "abs": (1, abs), "int": (1, int),
    "str": (1, str), "list": (1, list), "range": (1, range), "sorted": (1, sorted), "round": (2, round),
    "float": (2, float), "bool": (2, bool), "set": (2, set), "tuple": (2, tuple), "dict": (2, dict),
    "reversed": (2, lambda items: list(reversed(items))), "enumerate": (2, lambda items, start=0: list(enumerate(items, start))),
    "zip": (2, lambda *rows, strict=False: list(zip(*rows, strict=strict))), "any": (2, any), "all": (2, all),
    "map": (2, None), "filter": (2, None), "ord": (2, ord), "chr": (2, chr), "type": (3, lambda item: Named(type(item).__name__)),
    "divmod": (3, divmod), "bin": (3, bin), "hex": (3, hex), "repr": (3, repr), "isinstance": (3, isinstance),
    "pow": (2, lambda a, b, m=None: pow(a, b, m)), "frozenset": (3, frozenset), "iter": (3, list), "oct": (3, oct),
}  # fmt: skip
METHODS: dict[type, dict[str, int]] = {
    str: {
        "upper": 1, "lower": 1, "replace": 1, "split": 1, "join": 1, "strip": 1, "count": 1, "startswith": 2,
        "endswith": 2, "title": 2, "capitalize": 2, "find": 2, "index": 2, "lstrip": 2, "rstrip": 2, "isdigit": 2,
        "isalpha": 2, "swapcase": 3, "zfill": 3, "rfind": 3, "rsplit": 3, "partition": 3, "isupper": 2,
        "islower": 2, "center": 3, "ljust": 3, "rjust": 3, "splitlines": 3, "isalnum": 3, "removeprefix": 3,
        "removesuffix": 3, "casefold": 3, "rpartition": 3, "isspace": 3,
    },
    list: {
        "append": 1, "pop": 1, "count": 1, "sort": 1, "reverse": 1, "index": 2, "insert": 2, "extend": 2,
        "remove": 2, "clear": 2, "copy": 2,
    },
    dict: {"keys": 1, "values": 1, "items": 1, "get": 1, "pop": 2, "update": 2, "setdefault": 3, "copy": 2},
    set: {"add": 1, "union": 2, "intersection": 2, "difference": 2, "remove": 2, "discard": 2, "issubset": 3, "update": 3},
    tuple: {"count": 2, "index": 2},
}  # fmt: skip


class Named(str):
    """The name of a type, printed as Python prints a class."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<class '{self.upper().lower()}'>"

    __str__ = __repr__


class SpentError(Exception):
    """The budget of operations is used up."""


class UnknownError(Exception):
    """The model does not know this construct, built-in or method."""


class Leave(Exception):
    """A break, continue or return on its way out; `kind` says which."""

    def __init__(self, kind: str, value: Any = None) -> None:
        self.kind, self.value = kind, value
        super().__init__(kind)


def guarded(value: Any) -> Any:
    """Return the value if it is small; raises UnknownError for what would grow out of bounds."""
    if isinstance(value, int) and value.bit_length() > 1_024:
        raise UnknownError("huge number")
    if isinstance(value, range) and len(value) > SIZE:
        raise UnknownError("huge range")
    if isinstance(value, str | list | tuple | dict | set | frozenset):
        weigh(value)
    return value


def weigh(value: Any) -> None:
    """Raise UnknownError if a value with all that is nested in it is large: shared parts count every time."""
    heap, weight = [value], 0
    while heap:
        item = heap.pop()
        weight += len(item) if isinstance(item, str) else 1
        if weight > SIZE or (isinstance(item, list | tuple | dict | set | frozenset) and len(item) > SIZE):
            raise UnknownError("huge value")
        if isinstance(item, dict):
            heap.extend(item.values())
            heap.extend(item)
        elif isinstance(item, list | tuple | set | frozenset):
            heap.extend(item)


def binary(node: ast.operator, a: Any, b: Any) -> Any:
    """Apply a binary operator after checking that the result stays small."""
    if isinstance(node, ast.Pow) and (
        abs(b) > 512 or (isinstance(a, int) and a.bit_length() * abs(b) > 1_024)
    ):
        raise UnknownError("huge power")
    if isinstance(node, ast.LShift) and b > 512:
        raise UnknownError("huge shift")
    if isinstance(node, ast.Mult):
        for count, items in ((a, b), (b, a)):
            if isinstance(count, int) and not isinstance(items, int | float) and count * len(items) > SIZE:
                raise UnknownError("huge repetition")
    if isinstance(node, ast.Mod) and isinstance(a, str):
        raise UnknownError("percent formatting")
    if type(node) not in BINARY:
        raise UnknownError(type(node).__name__)
    return guarded(BINARY[type(node)](a, b))
