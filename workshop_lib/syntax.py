"""Parsing Python in threads: one at a time, as Python before 3.11.8 counts the nesting of all threads' trees together.

There two that are built at once may raise `SystemError: AST constructor recursion depth mismatch` (CPython issue 106905).
"""

import ast
import threading
from typing import Literal, overload

_one_at_a_time = threading.RLock()  # reentrant, as a finaliser may run, and parse, in the middle of it


@overload
def parse(code: str, mode: Literal["exec"] = "exec", *, filename: str = "<unknown>", flags: int = 0) -> ast.Module: ...


@overload
def parse(code: str, mode: Literal["eval"], *, filename: str = "<unknown>", flags: int = 0) -> ast.Expression: ...


def parse(code: str, mode: Literal["exec", "eval"] = "exec", *, filename: str = "<unknown>", flags: int = 0) -> ast.AST:
    """Do as `ast.parse` does, with further `flags` of `compile`; raise what it raises."""
    with _one_at_a_time:
        tree: ast.AST = compile(code, filename, mode, ast.PyCF_ONLY_AST | flags)
    return tree
