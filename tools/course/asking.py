"""Rules about exercises in a source: each has a header, a cell to fill, and a check, and they say what the exercise as data says."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from tools.course import derive, sheet
from tools.course.model import Cell, Lab

_EXERCISE_CELL = re.compile(r"(ex\d+)(?:-.+)?")


def exercises(lab: Lab) -> Iterator[str]:
    """Yield what is wrong with the cells to fill: their ids, their solution marks, and the check that must follow."""
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


def headers(lab: Lab) -> Iterator[str]:
    """Yield where an exercise's heading is missing, twice there, or differs from the exercise as data."""
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
