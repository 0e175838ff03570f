"""The course's rules, checked: each problem names lab, cell and source line."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.course import agenda, asking, claims, demos, derive, links, minutes, sanitise, sheet, source, structure
from tools.course.model import TAGS, VERSIONS, Cell, Course, Lab
from workshop_lib import catalog

CODE_LINES = 20
MARKDOWN_WORDS = 120

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORBIDDEN_LINE = re.compile(r"^\s*(?:%pip|%conda|%store|!|%%(?:bash|sh|time)|%time)", re.MULTILINE)
_VOCABULARY = re.compile(r"\b(tasks?|quiz(?:zes)?|challenges?|assignments?|homework)\b", re.IGNORECASE)
_MODEL_ID = re.compile(
    r"\b(?:(?:us|eu|apac|global)\.)?(?:anthropic|nvidia|amazon|meta|mistral|openai|deepseek|qwen|google|moonshotai)[./]"
    r"[\w.-]*?(?:claude|nemotron|llama|nova|titan|gpt|mistral|gemma|deepseek|qwen|kimi)[\w.:-]*",
)

Rule = Callable[[Lab], Iterator[str]]


def lint(course: Course | None = None) -> list[str]:
    """Check every lab's source and stored notebooks, the agendas, and the links of all documents; return the problems."""
    course = course or Course()
    problems: list[str] = []
    labs = source.labs(course, [])
    for lab in labs:
        problems += lint_source(lab)
        stored: list[NotebookNode] = []
        for version in VERSIONS:
            path = lab.folder / f"{version}.ipynb"
            if path.exists():
                stored.append(nbformat.read(path, as_version=4))
                problems += lint_outputs(lab, version, stored[-1], course.root)
            else:
                problems.append(f"{lab.name} · {version}.ipynb is missing; run `workshop build {lab.number}`")
        if len(stored) == len(VERSIONS):
            problems += claims.unbacked(lab, stored)
    problems += agenda.problems(course, labs)
    for document in links.documents(course.root):
        name = document.relative_to(course.root)
        problems += [f"{name}: {message}" for message in links.broken(document.read_text(encoding="utf-8"), document.parent)]
    return problems


def lint_source(lab: Lab) -> list[str]:
    """Check a lab's source; a syntax error hides the rules that need to read the code."""
    problems = [*lab.problems, *_syntax(lab)]
    rules = _ANY_SOURCE if len(problems) > len(lab.problems) else (*_ANY_SOURCE, *_READABLE_SOURCE)
    return problems + [message for rule in rules for message in rule(lab)]


def lint_outputs(lab: Lab, version: str, made: NotebookNode, root: Path) -> list[str]:
    """Check the outputs of one version."""
    problems = []
    for node in made.cells:
        if node.cell_type != "code":
            continue
        cell = lab.cell(node.id) or Cell(node.id, "code", "", frozenset(), 0)
        problems += [lab.at(cell, f"in {version}.ipynb: {message}") for message in sanitise.findings(node, root)]
        problems += [lab.at(cell, f"in {version}.ipynb: {message}") for message in _unknown_models(sanitise.printed(node))]
    return [*problems, *demos.still_err(lab, version, made)]


def _syntax(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        if cell.kind != "code":
            continue
        if not derive.blocks_balance(cell.text):
            yield lab.at(cell, "`# <solution>` and `# </solution>` do not come in pairs")
            continue
        try:
            derive.parse(derive.solution_text(cell.text))
            derive.parse(derive.learner_text(cell.text))
        except SyntaxError as error:
            yield lab.at(cell, f"no valid Python: {error.msg} in line {error.lineno} of the cell")


def _ids(lab: Lab) -> Iterator[str]:
    seen: Counter[str] = Counter(cell.id for cell in lab.cells)
    for cell in lab.cells:
        if not cell.id:
            yield lab.at(cell, 'no id; write id="..." on the cell marker')
        elif not _ID.fullmatch(cell.id):
            yield lab.at(cell, "an id is made of letters, digits, - and _, at most 64")
        elif seen[cell.id] > 1:
            yield lab.at(cell, "this id is used twice")
            seen[cell.id] = 0


def _tags(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        for tag in sorted(cell.tags - TAGS):
            yield lab.at(cell, f"unknown tag {tag!r}; known: {', '.join(sorted(TAGS))}")
        if "instructor" in cell.tags and cell.kind != "markdown":
            yield lab.at(cell, "an instructor cell is Markdown")
        if cell.tags & {"exercise", "parameters", "raises-exception"} and cell.kind != "code":
            yield lab.at(cell, "exercise, parameters and raises-exception belong on code cells")


def _first_cell(lab: Lab) -> Iterator[str]:
    if not lab.cells:
        yield f"{lab.name} · source.py: no cells"
        return
    first, *others = lab.cells
    if first.kind != "markdown" or len(_top_headings(first)) != 1:
        yield lab.at(first, "the first cell is Markdown with exactly one H1")
    for cell in others:
        if cell.kind == "markdown" and _top_headings(cell):
            yield lab.at(cell, "an H1 outside the first cell; use ##")


def _top_headings(cell: Cell) -> list[str]:
    return re.findall(r"^# +\S.*$", sheet.without_fences(cell.text), re.MULTILINE)


def _lengths(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        if cell.kind == "code":
            lines = len(derive.solution_text(cell.text).splitlines())
            if lines > CODE_LINES:
                yield lab.at(cell, f"{lines} lines of code; at most {CODE_LINES}, move the rest to workshop_lib or another cell")
        elif "instructor" not in cell.tags:
            words = len(minutes.words(cell.text))
            if words > MARKDOWN_WORDS:
                yield lab.at(cell, f"{words} words; at most {MARKDOWN_WORDS}, split the cell")


def _forbidden(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        if cell.kind == "code" and (found := _FORBIDDEN_LINE.search(cell.text)):
            yield lab.at(cell, f"{found.group().strip()} does not belong in a lab (no installs, no %store, no shell, no clock)")


def _vocabulary(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        for heading in sheet.headings(cell.text) if cell.kind == "markdown" else []:
            if found := _VOCABULARY.search(heading):
                yield lab.at(cell, f"the heading says {found.group()!r}; the words are Exercise, Hint, Check, Solution")


def _model_ids(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        yield from (lab.at(cell, message) for message in _unknown_models(cell.text))


def _unknown_models(text: str) -> Iterator[str]:
    for name in _MODEL_ID.findall(text):
        if name.rstrip(".:") not in _known_ids():
            yield f"{name} is no model of data/models.toml; take the id from workshop_lib.catalog"


@cache
def _known_ids() -> frozenset[str]:
    """Return the catalogue's ids, and the bare ids of models offered through a profile, which a lab may show being refused."""
    ids = {model.id for model in catalog.models().values()}
    return frozenset(ids | {name.removeprefix("us.") for name in ids})


def _secrets(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        if sanitise.SECRETS.search(cell.text):
            yield lab.at(cell, "holds what looks like a secret")


def _links(lab: Lab) -> Iterator[str]:
    prose = [cell for cell in lab.cells if cell.kind == "markdown"]
    whole = "\n\n".join(cell.text for cell in prose)
    for cell in prose:
        yield from (lab.at(cell, message) for message in links.broken(cell.text, lab.folder, whole))


def _parameters(lab: Lab) -> Iterator[str]:
    tagged = [cell for cell in lab.cells if "parameters" in cell.tags]
    if len(tagged) != 1:
        yield f"{lab.name} · source.py: {len(tagged)} cells are tagged parameters; there must be one"
    for cell in tagged:
        lines = cell.text.splitlines()
        for statement in derive.parse(cell.text).body:
            typed = isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None
            if not typed:
                yield lab.at(cell, f"a parameter is written `name: type = value  # what it means`, not {lines[statement.lineno - 1].strip()[:40]!r}")
            elif "#" not in lines[(statement.end_lineno or statement.lineno) - 1]:
                yield lab.at(cell, f"the parameter in {lines[statement.lineno - 1].strip()[:40]!r} has no comment")


_ANY_SOURCE: tuple[Rule, ...] = (
    _ids, _tags, _first_cell, structure.levels, structure.objectives, _lengths, _forbidden, _vocabulary, _model_ids, _secrets, _links,
    minutes.instructor, minutes.late, minutes.stated, asking.headers,
)  # fmt: skip
_READABLE_SOURCE: tuple[Rule, ...] = (_parameters, asking.exercises)
