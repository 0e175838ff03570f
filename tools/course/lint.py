"""The course's rules, checked: each problem names lab, cell and source line."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.course import agenda, claims, demos, derive, links, sanitise, sheet, source, structure
from tools.course.model import TAGS, VERSIONS, Cell, Course, Lab
from workshop_lib import catalog

CODE_LINES = 20
MARKDOWN_WORDS = 120
MINUTES_APART = 2
WORDS_A_MINUTE = 230
SECONDS_A_CODE_CELL = 10
LATE = 10
LONG_LAB = 20

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXERCISE_CELL = re.compile(r"(ex\d+)(?:-.+)?")
_FORBIDDEN_LINE = re.compile(r"^\s*(?:%pip|%conda|%store|!|%%(?:bash|sh|time)|%time)", re.MULTILINE)
_VOCABULARY = re.compile(r"\b(tasks?|quiz(?:zes)?|challenges?|assignments?|homework)\b", re.IGNORECASE)
_MODEL_ID = re.compile(
    r"\b(?:(?:us|eu|apac|global)\.)?(?:anthropic|nvidia|amazon|meta|mistral|openai|deepseek|qwen|google|moonshotai)[./]"
    r"[\w.-]*?(?:claude|nemotron|llama|nova|titan|gpt|mistral|gemma|deepseek|qwen|kimi)[\w.:-]*",
)
_ALONE = re.compile(r"(\d+) minutes alone")
_ROOM = re.compile(r"(\d+)(?: minutes)? in a room")

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
            words = len(_words(cell.text))
            if words > MARKDOWN_WORDS:
                yield lab.at(cell, f"{words} words; at most {MARKDOWN_WORDS}, split the cell")


def _words(text: str) -> list[str]:
    bare = re.sub(r"<[^>]+>|\]\([^)]*\)", " ", text)
    return [word for word in bare.split() if re.search(r"\w", word)]


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


def _instructor(lab: Lab) -> Iterator[str]:
    for cell in lab.cells:
        if "instructor" in cell.tags and cell.kind == "markdown":
            notes, loose = sheet.notes_of(cell)
            if not notes or notes[0][0] != "minutes" or not notes[0][1].isdigit():
                yield lab.at(cell, "an instructor cell begins with a line like `minutes: 4`")
            yield from (lab.at(cell, message) for message in _half_day(lab, cell, dict(notes)))
            for allow in sheet.wrong_allows(lab, cell):
                yield lab.at(cell, f"`allow: {allow}` is not `allow: CELL what, what (why)` with a cell of this lab")
            if loose:
                yield lab.at(cell, f"{loose[0][:40]!r} stands under no key; the keys are {', '.join(sheet.KEYS)}")


def _half_day(lab: Lab, cell: Cell, notes: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with an instructor cell's lines for the half day."""
    half, minutes = notes.get("half"), notes.get("minutes", "")
    if half is not None and not (half.isdigit() and minutes.isdigit() and int(half) < int(minutes)):
        yield f"`half: {half}` is no number of minutes below `minutes: {minutes}`; leave it out where the half day is no shorter"
    elif half is not None and "cut" not in notes:
        yield "the half day is shorter here, so a line `cut: ...` must say what is left out"
    core = {exercise.id for exercise in lab.exercises if exercise.level == "core"}
    yield from (f"`told: {name}` names no core exercise of this lab" for name in sheet.told_in(cell) if name not in core)


def _late(lab: Lab) -> Iterator[str]:
    """Yield a problem if the half-day route of a lab saves less than an instructor may be late."""
    made = sheet.sheet(lab)
    if made.total >= LONG_LAB and made.total - made.half < LATE:
        yield f"{lab.name} · source.py: the half-day route saves {made.total - made.half} minutes; the run sheet must know where to cut {LATE}"


def _minutes(lab: Lab) -> Iterator[str]:
    if not lab.cells:
        return
    first, made = lab.cells[0], sheet.sheet(lab)
    alone, room = _ALONE.search(first.text), _ROOM.search(first.text)
    if alone is None or room is None:
        yield lab.at(first, 'the first cell must state both times, as "25 minutes alone, 40 minutes in a room"')
        return
    if abs(int(room[1]) - made.total) > MINUTES_APART:
        yield lab.at(first, f"says {room[1]} minutes in a room, but the run sheet adds up to {made.total} ({made.talk} talk, {made.core} core exercises)")
    estimate = round(made.core + _reading_minutes(lab))
    if int(alone[1]) + MINUTES_APART < estimate:
        yield lab.at(first, f"says {alone[1]} minutes alone, but reading and the core exercises take about {estimate}; shorten it, or move something to a last section called {sheet.GOING_FURTHER!r}")


def _reading_minutes(lab: Lab) -> float:
    """Return about how long a learner reads, in minutes: the prose at a usual speed and a look at each code cell, "Going further" left out."""
    minutes, counted = 0.0, True
    for cell in lab.cells:
        if cell.kind == "markdown" and cell.text.startswith("## "):
            counted = cell.text.splitlines()[0] != f"## {sheet.GOING_FURTHER}"
        if counted and not cell.tags & {"instructor", "solution-only"}:
            minutes += SECONDS_A_CODE_CELL / 60 if cell.kind == "code" else len(_words(cell.text)) / WORDS_A_MINUTE
    return minutes


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


def _exercises(lab: Lab) -> Iterator[str]:
    tagged = [(position, cell) for position, cell in enumerate(lab.cells) if "exercise" in cell.tags and cell.kind == "code"]
    bounds = [*(position for position, _ in tagged[1:]), len(lab.cells)]
    known = {exercise.id for exercise in lab.exercises}
    for (position, cell), bound in zip(tagged, bounds, strict=False):
        named = _EXERCISE_CELL.fullmatch(cell.id)
        if named is None:
            yield lab.at(cell, "an exercise cell's id is its exercise's, as ex2 or ex2-write")
            continue
        if named[1] not in known:
            yield lab.at(cell, f"the lab's exercises hold no {named[1]!r}; they hold {', '.join(sorted(known)) or 'none'}")
        if derive.OPEN not in cell.text:
            yield lab.at(cell, "an exercise cell marks what the learner writes with `# <solution>` and `# </solution>`")
        if named[1] not in {checked for later in lab.cells[position + 1 : bound] for checked in _checked(later)}:
            yield lab.at(cell, f'no lab.check("{named[1]}", ...) follows before the next exercise')
    for cell in lab.cells:
        if derive.OPEN in cell.text and "exercise" not in cell.tags:
            yield lab.at(cell, "a solution block outside a cell tagged exercise")
    asked = {named[1] for _, cell in tagged if (named := _EXERCISE_CELL.fullmatch(cell.id))}
    yield from (f"{lab.name} · source.py: no cell asks {exercise.id} ({exercise.title})" for exercise in lab.exercises if exercise.id not in asked)


def _checked(cell: Cell) -> Iterator[str]:
    """Yield the exercise ids that a cell's `lab.check` calls name."""
    if cell.kind != "code":
        return
    for node in ast.walk(derive.parse(derive.solution_text(cell.text))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "check" and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value


def _headers(lab: Lab) -> Iterator[str]:
    shown: Counter[str] = Counter()
    exercises = {exercise.id: exercise for exercise in lab.exercises}
    for cell in lab.cells:
        if cell.kind != "markdown" or "instructor" in cell.tags:
            continue
        found = list(sheet.HEADER.finditer(cell.text))
        if not found and any(re.match(r"Exercise \d", heading) for heading in sheet.headings(cell.text)):
            yield lab.at(cell, 'an exercise heading reads "## Exercise 2 · 6 minutes · core", optionally with " · " and the title')
        for header in found:
            exercise = exercises.get(f"ex{header['number']}")
            shown[f"ex{header['number']}"] += 1
            if exercise is None:
                yield lab.at(cell, f"the heading names Exercise {header['number']}, which the lab's exercises do not hold")
            elif (int(header["minutes"]), header["level"], header["title"] or exercise.title) != (exercise.minutes, exercise.level, exercise.title):
                yield lab.at(cell, f'the heading says "{header.group().lstrip("# ")}", the exercise {exercise.minutes} minutes · {exercise.level} · {exercise.title}')
    yield from (
        f'{lab.name} · source.py: {shown[exercise.id]} headings for {exercise.id}; there must be one, "## {exercise.label} · {exercise.minutes} minutes · {exercise.level}"'
        for exercise in lab.exercises
        if shown[exercise.id] != 1
    )


_ANY_SOURCE: tuple[Rule, ...] = (
    _ids, _tags, _first_cell, structure.levels, structure.objectives, _lengths, _forbidden, _vocabulary, _model_ids, _secrets, _links,
    _instructor, _late, _minutes, _headers,
)  # fmt: skip
_READABLE_SOURCE: tuple[Rule, ...] = (_parameters, _exercises)
