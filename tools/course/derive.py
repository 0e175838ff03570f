"""Deriving the two notebooks from a source: what the learner gets, and the solution."""

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.course.model import Cell, Lab
from workshop_lib import syntax

OPEN = "# <solution>"
CLOSE = "# </solution>"
_BLOCK = re.compile(r"^([ ]*)# <solution>[ ]*\n(.*?)^[ ]*# </solution>[ ]*(?:\n|\Z)", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^[ ]*# </?solution>[ ]*(?:\n|\Z)", re.MULTILINE)
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def parse(code: str) -> ast.Module:
    """Parse a cell's code, in which `await` may stand outside a function; raise SyntaxError."""
    return syntax.parse(code, filename="<cell>", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def blocks_balance(code: str) -> bool:
    """Say whether solution markers come in pairs, each opened before it is closed, and never nested."""
    marks = [mark.strip() for mark in _MARK.findall(code)]
    return marks == [OPEN, CLOSE] * (len(marks) // 2)


def solution_text(code: str) -> str:
    """Return a cell as the solution shows it: the code without the markers."""
    return _MARK.sub("", code).rstrip()


def learner_text(code: str) -> str:
    """Return a cell as the learner gets it: `...` for each solution block.

    At module level there is `name = ...` for each name the block assigns. Inside a function it is `...`, or `name = ...` for the names
    that the rest of the cell still reads.
    """

    def blank(block: re.Match[str]) -> str:
        indent, body = block.group(1), textwrap.dedent(block.group(2))
        names = list(dict.fromkeys(_assigned(parse_block(body))))
        if indent:
            read_later = _names_read(code[block.end() :])
            names = [name for name in names if name in read_later]
        lines = [f"{indent}{name} = ..." for name in names] or [f"{indent}..."]
        return "\n".join(lines) + "\n"

    return _BLOCK.sub(blank, code).rstrip()


def parse_block(body: str) -> list[ast.stmt]:
    """Parse a solution block, which may hold `return` and `await`; raise SyntaxError."""
    wrapped = parse("async def block():\n" + textwrap.indent(body, "    ") + "\n    ...")
    function = wrapped.body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    return function.body[:-1]


def _assigned(statements: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
            continue
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            targets = [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        for branch in ("body", "orelse", "finalbody"):
            yield from _assigned(getattr(statement, branch, []))


def _names_read(rest: str) -> set[str]:
    """Return the words of the text after a block; words are enough to see whether a name is still used."""
    code = "\n".join(line.partition("#")[0] for line in rest.splitlines())
    return set(re.findall(r"[A-Za-z_]\w*", code))


def cells_of(lab: Lab, version: str) -> list[Cell]:
    """Return the cells that a version ("lab" or "solution") shows."""
    hidden = {"instructor", "solution-only" if version == "lab" else "learner-only"}
    return [cell for cell in lab.cells if not cell.tags & hidden]


def notebook(lab: Lab, version: str) -> NotebookNode:
    """Return a version of a lab as a notebook without outputs."""
    text = learner_text if version == "lab" else solution_text
    cells = []
    for cell in cells_of(lab, version):
        metadata = {"tags": sorted(cell.tags)} if cell.tags else {}
        if cell.kind == "code":
            cells.append(new_code_cell(text(cell.text), id=cell.id, metadata=metadata))
        else:
            cells.append(new_markdown_cell(cell.text, id=cell.id, metadata=metadata))
    made: NotebookNode = new_notebook(cells=cells, metadata=_METADATA, nbformat_minor=5)
    return made


def as_text(made: NotebookNode) -> str:
    """Return a notebook as it is stored: format 4.5, indent 1, sorted keys, final newline."""
    text: str = nbformat.writes(made, version=4)
    return text.rstrip("\n") + "\n"
