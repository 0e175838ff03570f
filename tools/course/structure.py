"""Rules about how a lab hangs together: headings that step down one level at a time, and objectives that exercises meet."""

import re
from collections.abc import Iterator

from tools.course.model import Cell, Lab
from tools.course.sheet import HEADER, without_fences

OBJECTIVES = "What you will be able to do"
"""The heading of the list of objectives, one numbered line each, which names the exercise that meets it: "(Exercise 2)"."""

_LEVEL = re.compile(r"^(#{1,6}) +(.+?)\s*$", re.MULTILINE)
_ITEM = re.compile(r"^(\d+)\. +(.*(?:\n(?!\d+\. |\s*\n).*)*)", re.MULTILINE)
_NAMED = re.compile(r"Exercises? ((?:\d+(?:, | and )?)+)")


def levels(lab: Lab) -> Iterator[str]:
    """Yield a problem for each heading more than one level below the one before, which a screen reader's outline shows as a hole."""
    before = 1
    for cell in _prose(lab):
        for marks, text in _LEVEL.findall(without_fences(cell.text)):
            if len(marks) > before + 1:
                yield lab.at(cell, f"the heading {text[:40]!r} is at level {len(marks)} after one at level {before}; no level may be skipped")
            before = len(marks)


def objectives(lab: Lab) -> Iterator[str]:
    """Yield a problem for each objective that no exercise meets, and for each core exercise that no objective names."""
    stated = [cell for cell in _prose(lab) if OBJECTIVES in cell.text and _LEVEL.search(cell.text)]
    if not stated:
        yield f'{lab.name} · source.py: no cell with the heading "## {OBJECTIVES}"'
        return
    cell = stated[0]
    known = {exercise.id: exercise for exercise in lab.exercises}
    asked = {f"ex{header['number']}" for other in _prose(lab) for header in HEADER.finditer(other.text)}
    named: set[str] = set()
    items = list(_ITEM.finditer(cell.text))
    if not items:
        yield lab.at(cell, "no objective; write a numbered line each, as `1. **Compute** the cost of one call (Exercise 1).`")
    for number, text in (item.groups() for item in items):
        met = {f"ex{found}" for names in _NAMED.findall(text) for found in re.findall(r"\d+", names)}
        named |= met
        if not met:
            yield lab.at(cell, f"objective {number} names no exercise that meets it, as (Exercise {number})")
        for exercise_id in sorted(met - (known.keys() & asked)):
            yield lab.at(cell, f"objective {number} names Exercise {exercise_id.removeprefix('ex')}, which the lab does not ask")
    for exercise in lab.exercises:
        if exercise.level == "core" and exercise.id not in named:
            yield lab.at(cell, f"no objective names {exercise.label} · {exercise.title}, which is core")


def _prose(lab: Lab) -> list[Cell]:
    return [cell for cell in lab.cells if cell.kind == "markdown" and "instructor" not in cell.tags]
