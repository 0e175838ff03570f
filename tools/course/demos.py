"""Rules about cells that show an error: each must still err in the stored notebook."""

import ast
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from tools.course import derive
from tools.course.model import Cell, Lab
from tools.course.sanitise import printed
from tools.course.sheet import allowed

FALLBACK = "fallback"
"""What an `allow` line says of a cell whose handler need not run."""


def still_err(lab: Lab, version: str, made: NotebookNode) -> Iterator[str]:
    """Yield a problem for each cell tagged raises-exception without an error output, and each caught error that left no line of its handler's.

    A handler that prints is taken for a demonstration. One that need not run is named in an instructor cell: `allow: CELL fallback (why)`.
    """
    for node in made.cells:
        cell = lab.cell(node.id)
        if cell is None or node.cell_type != "code":
            continue
        if "raises-exception" in cell.tags and not any(output.output_type == "error" for output in node.outputs):
            yield lab.at(cell, f"in {version}.ipynb: tagged raises-exception, but its stored output holds no error")
        if FALLBACK not in allowed(lab, cell.id):
            yield from (lab.at(cell, f"in {version}.ipynb: {message}") for message in _silent(cell, printed(node)))


def _silent(cell: Cell, output: str) -> Iterator[str]:
    if cell.kind != "code" or "exercise" in cell.tags:
        return
    try:
        tree = derive.parse(derive.solution_text(cell.text))
    except SyntaxError:  # the rule on syntax names it
        return
    handlers = [handler for node in ast.walk(tree) if isinstance(node, ast.Try) for handler in node.handlers]
    caught = {id(call) for handler in handlers for call in _prints(handler)}
    others = [_pattern(call) for call in _prints(tree) if id(call) not in caught]
    for handler in handlers:
        shown = [_pattern(call) for call in _prints(handler)]
        lines = [line for line in output.splitlines() if line.strip() and not any(other.fullmatch(line) for other in others)]
        if shown and not any(pattern.fullmatch(line) for pattern in shown for line in lines):
            name = ast.unparse(handler.type) if handler.type else "an error"
            yield f"it catches {name} to show it, but the output holds no line of the handler's; does it still err?"


def _prints(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"]


def _pattern(call: ast.Call) -> re.Pattern[str]:
    """Return what a line printed by a call looks like: its literal parts, with anything for what is filled in."""
    parts: list[str] = []
    for place, argument in enumerate(call.args):
        parts += [" "] if place else []
        if isinstance(argument, ast.JoinedStr):
            parts += [_literal(value) for value in argument.values]
        else:
            parts.append(_literal(argument))
    return re.compile("".join(parts) or "(?!)")


def _literal(part: ast.expr) -> str:
    return re.escape(str(part.value).replace("\n", "")) if isinstance(part, ast.Constant) else ".*"
