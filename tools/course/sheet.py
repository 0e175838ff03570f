"""What a run sheet holds, read from a lab's source: its rows and two clocks, one for a full day and one for half a day."""

import re
from dataclasses import dataclass, field

from tools.course.model import Cell, Lab
from workshop_lib.lab import Exercise

KEYS = ("minutes", "half", "told", "section", "say", "show", "ask", "cut", "allow")
"""What an instructor cell may hold, one `key: text` a line; a line without a key goes on with the one before.

`minutes` is the full-day clock. The half-day clock is the same but where a cell says otherwise: `half` gives the section's shorter time, and
`told: ex3` names core exercises that are solved on the projector instead of by the learners.
`allow: CELL this, that (why)` lets the lint pass something in a cell; it is not in the run sheet.
"""

GOING_FURTHER = "Going further"
"""The heading from which on nothing is counted in a lab's minutes."""

TOLD_MINUTES = 1
"""Minutes in the half-day clock for an exercise that the instructor solves on the projector."""

HEADER = re.compile(r"^#{2,3} Exercise (?P<number>\d+) · (?P<minutes>\d+) minutes? · (?P<level>\w+)(?: · (?P<title>.+))?$", re.MULTILINE)
"""An exercise's heading: "## Exercise 2 · 6 minutes · core", optionally followed by " · " and its title."""

_ALLOW = re.compile(r"(?P<cell>[\w-]+) +(?P<what>[^()]+?) *\((?P<why>.+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_KEY = re.compile(rf"^({'|'.join(KEYS)}):\s*(.*)$")


@dataclass(frozen=True)
class Section:
    """One row of the run sheet that is not an exercise; `minutes` is None if the instructor cell does not say it, `half` if it is no shorter."""

    title: str
    minutes: int | None
    notes: tuple[tuple[str, str], ...] = field(default=())
    half: int | None = None


@dataclass(frozen=True)
class Sheet:
    """The rows of a run sheet in order, the minutes they take in a room, and the core exercises told in the half day (ids).

    Stretch exercises are for those who are done and move neither clock.
    """

    rows: tuple[Section | Exercise, ...]
    told: frozenset[str] = frozenset()

    def minutes(self, row: Section | Exercise) -> int:
        """Return a row's minutes in the full day."""
        if isinstance(row, Section):
            return row.minutes or 0
        return row.minutes if row.level == "core" else 0

    def half_minutes(self, row: Section | Exercise) -> int:
        """Return a row's minutes in the half day."""
        if isinstance(row, Section) and row.half is not None:
            return row.half
        if isinstance(row, Exercise) and row.id in self.told:
            return TOLD_MINUTES
        return self.minutes(row)

    @property
    def talk(self) -> int:
        """Return the minutes of the sections."""
        return sum(self.minutes(row) for row in self.rows if isinstance(row, Section))

    @property
    def core(self) -> int:
        """Return the minutes of the core exercises."""
        return sum(self.minutes(row) for row in self.rows if isinstance(row, Exercise))

    @property
    def stretch(self) -> int:
        """Return the minutes of the stretch exercises."""
        return sum(row.minutes for row in self.rows if isinstance(row, Exercise) and row.level == "stretch")

    @property
    def total(self) -> int:
        """Return the minutes in a room in the full day."""
        return self.talk + self.core

    @property
    def half(self) -> int:
        """Return the minutes in a room in the half day."""
        return sum(self.half_minutes(row) for row in self.rows)


def notes_of(cell: Cell) -> tuple[list[tuple[str, str]], list[str]]:
    """Read an instructor cell: its (key, text) pairs in order, and the lines that belong to no key."""
    notes: list[tuple[str, str]] = []
    loose: list[str] = []
    for line in cell.text.splitlines():
        found = _KEY.match(line)
        if found:
            notes.append((found.group(1), found.group(2).strip()))
        elif line.strip() and notes:
            key, text = notes[-1]
            notes[-1] = (key, f"{text} {line.strip()}".strip())
        elif line.strip():
            loose.append(line.strip())
    return notes, loose


def headings(text: str) -> list[str]:
    """Return the headings of a Markdown text, with their text only, fenced blocks left out."""
    return [found.group(1) for found in _HEADING.finditer(without_fences(text))]


def without_fences(text: str) -> str:
    """Return a Markdown text without its fenced code blocks."""
    return re.sub(r"^(```+|~~~+).*?^\1[ ]*$", "", text, flags=re.MULTILINE | re.DOTALL)


def sheet(lab: Lab) -> Sheet:
    """Collect the rows of a lab's run sheet: its instructor cells and exercises, in the order of the notebook."""
    exercises = {exercise.id: exercise for exercise in lab.exercises}
    rows: list[Section | Exercise] = []
    for position, cell in enumerate(lab.cells):
        if "instructor" in cell.tags:
            rows.append(section_of(lab, position))
        elif cell.kind == "markdown" and (header := HEADER.search(cell.text)):
            exercise = exercises.get(f"ex{header['number']}")
            if exercise is not None:
                rows.append(exercise)
    return Sheet(tuple(rows), frozenset(exercise_id for cell in lab.cells if "instructor" in cell.tags for exercise_id in told_in(cell)))


def told_in(cell: Cell) -> list[str]:
    """Return the exercise ids under an instructor cell's `told`, as `told: ex3, ex5`."""
    return [named for key, text in notes_of(cell)[0] if key == "told" for named in re.split(r"[,\s]+", text) if named]


def allowed(lab: Lab, cell_id: str) -> list[str]:
    """Return what the lab's instructor cells let pass in a cell: "15 %" and "25 %" for `allow: claim 15 %, 25 % (published)`."""
    found = (_ALLOW.fullmatch(text) for cell in lab.cells if "instructor" in cell.tags for key, text in notes_of(cell)[0] if key == "allow")
    return [part.strip() for allow in found if allow is not None and allow["cell"] == cell_id for part in allow["what"].split(", ")]


def wrong_allows(lab: Lab, cell: Cell) -> list[str]:
    """Return an instructor cell's `allow` lines that cannot be read, give no reason, or name no cell of the lab."""
    lines = [text for key, text in notes_of(cell)[0] if key == "allow"]
    return [text for text in lines if (found := _ALLOW.fullmatch(text)) is None or lab.cell(found["cell"]) is None]


def section_of(lab: Lab, position: int) -> Section:
    """Return the run sheet's section that the instructor cell at a position describes."""
    notes, _ = notes_of(lab.cells[position])
    said = dict(notes)
    minutes, half = said.get("minutes", ""), said.get("half", "")
    return Section(
        title=said.get("section") or _nearest_heading(lab, position),
        minutes=int(minutes) if minutes.isdigit() else None,
        notes=tuple((key, text) for key, text in notes if key in ("say", "show", "ask", "cut")),
        half=int(half) if half.isdigit() else None,
    )


def _nearest_heading(lab: Lab, position: int) -> str:
    """Return the heading right after an instructor cell, else the last one before it."""
    after = lab.cells[position + 1] if position + 1 < len(lab.cells) else None
    if after is not None and after.kind == "markdown" and after.text.startswith("#") and not HEADER.search(after.text):
        return headings(after.text)[0]
    before = [heading for cell in lab.cells[:position] if cell.kind == "markdown" and "instructor" not in cell.tags for heading in headings(cell.text)]
    return before[-1] if before else lab.name
