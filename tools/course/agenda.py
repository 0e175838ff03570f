"""The agendas of INSTRUCTOR.md, checked against the run sheets: no minute of a day that no sheet accounts for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.course.model import Course, Lab
from tools.course.sheet import Sheet, sheet, without_fences

_HEADING = re.compile(r"^## (?P<route>Half day|Full day) · (?P<minutes>\d+) minutes$", re.MULTILINE)
_ROW = re.compile(r"^\| *(?P<clock>\d+:\d\d) *\| *(?P<minutes>\d+) *\| *(?P<what>.*?) *\|", re.MULTILINE)
_LAB = re.compile(r"notebooks/([^/)]+)/RUNSHEET\.md")
_STRETCH = re.compile(r"stretch exercises of labs? ([\d, and]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Agenda:
    """One agenda: "Half day" or "Full day", the minutes its heading promises, and its rows as (clock, minutes, what)."""

    route: str
    minutes: int
    rows: tuple[tuple[str, int, str], ...]


def agendas(text: str) -> list[Agenda]:
    """Read the agendas of a document: a heading "## Half day · 180 minutes" and the table of clock, minutes and what below it."""
    bare = without_fences(text)
    found = []
    for heading in _HEADING.finditer(bare):
        section = bare[heading.end() :].split("\n## ", 1)[0]
        rows = tuple((row["clock"], int(row["minutes"]), row["what"]) for row in _ROW.finditer(section))
        found.append(Agenda(heading["route"], int(heading["minutes"]), rows))
    return found


def problems(course: Course, labs: list[Lab]) -> Iterator[str]:
    """Yield where INSTRUCTOR.md disagrees with itself or with the run sheets; nothing if the course has no such file."""
    path = course.root / "INSTRUCTOR.md"
    if not path.exists():
        return
    found = {agenda.route: agenda for agenda in agendas(path.read_text(encoding="utf-8"))}
    sheets = {lab.name: sheet(lab) for lab in labs}
    for route in ("Half day", "Full day"):
        if route not in found:
            yield f'INSTRUCTOR.md: no agenda under a heading like "## {route} · 180 minutes"'
            continue
        yield from (f"INSTRUCTOR.md · {route}: {message}" for message in _disagreements(found[route], sheets))


def _disagreements(agenda: Agenda, sheets: dict[str, Sheet]) -> Iterator[str]:
    named = []
    clock = 0
    for stated, minutes, what in agenda.rows:
        if stated != f"{clock // 60}:{clock % 60:02d}":
            yield f"{what!r} begins at {stated}, but the rows before it end at {clock // 60}:{clock % 60:02d}"
        clock += minutes
        if lab := _LAB.search(what):
            named.append(lab[1])
            made = sheets.get(lab[1])
            due = None if made is None else made.half if agenda.route == "Half day" else made.total
            if due != minutes:
                yield f"{minutes} minutes for {lab[1]}, but its run sheet says {'nothing, it does not exist' if due is None else due}"
        elif stretch := _STRETCH.search(what):
            numbers = set(re.findall(r"\d\d", stretch[1]))
            due = sum(made.stretch for name, made in sheets.items() if name.partition("_")[0] in numbers)
            if due != minutes:
                yield f"{minutes} minutes for the stretch exercises of labs {', '.join(sorted(numbers))}, but they take {due}"
    yield from (f"no row links the run sheet of {name}" for name in sheets if name not in named)
    if clock != agenda.minutes:
        yield f"the heading promises {agenda.minutes} minutes, the rows add up to {clock}"
