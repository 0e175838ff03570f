"""The instructor's run sheet: clock, what to say, show and ask, the wrong answers to expect, and where to cut."""

import re
from dataclasses import dataclass, field

from tools.course.model import Cell, Lab
from workshop_lib.lab import Exercise, Wrong
from workshop_lib.lab.checking import judge

KEYS = ("minutes", "section", "say", "show", "ask", "cut")
"""What an instructor cell may hold, one `key: text` a line; a line without a key goes on with the one before."""

HEADER = re.compile(r"^#{2,3} Exercise (?P<number>\d+) · (?P<minutes>\d+) minutes? · (?P<level>\w+)(?: · (?P<title>.+))?$", re.MULTILINE)
"""An exercise's heading: "## Exercise 2 · 6 minutes · core", optionally followed by " · " and its title."""

_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_KEY = re.compile(rf"^({'|'.join(KEYS)}):\s*(.*)$")


@dataclass(frozen=True)
class Section:
    """One row of the run sheet that is not an exercise; `minutes` is None if the instructor cell does not say it."""

    title: str
    minutes: int | None
    notes: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True)
class Sheet:
    """The rows of a run sheet in order, and the minutes they take in a room: sections and core exercises."""

    rows: tuple[Section | Exercise, ...]

    @property
    def talk(self) -> int:
        """Return the minutes of the sections."""
        return sum(row.minutes or 0 for row in self.rows if isinstance(row, Section))

    @property
    def core(self) -> int:
        """Return the minutes of the core exercises; stretch exercises are for those who are done and do not move the clock."""
        return sum(_clock_minutes(row) for row in self.rows if isinstance(row, Exercise))

    @property
    def total(self) -> int:
        """Return the minutes in a room."""
        return self.talk + self.core


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
            rows.append(_section(lab, position))
        elif cell.kind == "markdown" and (header := HEADER.search(cell.text)):
            exercise = exercises.get(f"ex{header['number']}")
            if exercise is not None:
                rows.append(exercise)
    return Sheet(tuple(rows))


def _section(lab: Lab, position: int) -> Section:
    notes, _ = notes_of(lab.cells[position])
    said = dict(notes)
    minutes = said.get("minutes", "")
    return Section(
        title=said.get("section") or _nearest_heading(lab, position),
        minutes=int(minutes) if minutes.isdigit() else None,
        notes=tuple((key, text) for key, text in notes if key in ("say", "show", "ask", "cut")),
    )


def _nearest_heading(lab: Lab, position: int) -> str:
    """Return the heading right after an instructor cell, else the last one before it."""
    after = lab.cells[position + 1] if position + 1 < len(lab.cells) else None
    if after is not None and after.kind == "markdown" and after.text.startswith("#") and not HEADER.search(after.text):
        return headings(after.text)[0]
    before = [heading for cell in lab.cells[:position] if cell.kind == "markdown" and "instructor" not in cell.tags for heading in headings(cell.text)]
    return before[-1] if before else lab.name


def render(lab: Lab) -> str:
    """Return RUNSHEET.md."""
    made = sheet(lab)
    title = headings(lab.cells[0].text)[0] if lab.cells and headings(lab.cells[0].text) else lab.name
    lines = [
        f"<!-- Made from notebooks/{lab.name}/source.py by `workshop build`. Edit that file, not this one. -->",
        f"# Run sheet: {title}",
        "",
        f"{made.total} minutes in a room: {made.talk} to say, show and ask, {made.core} for the core exercises. Stretch exercises are for those",
        "who are done early and do not move the clock.",
        "",
        "| clock | what | minutes |",
        "|---|---|---|",
        *(f"| {clock} | {_title(row)} | {_minutes(row)} |" for clock, row in _clocked(made)),
        f"| {_clock(made.total)} | End | |",
        "",
    ]
    for clock, row in _clocked(made):
        lines += [f"## {clock} {_title(row)}", ""]
        lines += _section_lines(row) if isinstance(row, Section) else _exercise_lines(row)
        lines.append("")
    lines += _cuts(made)
    return "\n".join(lines).rstrip("\n") + "\n"


def _clock_minutes(row: Section | Exercise) -> int:
    if isinstance(row, Section):
        return row.minutes or 0
    return row.minutes if row.level == "core" else 0


def _spoken(minutes: int) -> str:
    return "1 minute." if minutes == 1 else f"{minutes} minutes."


def _clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def _clocked(made: Sheet) -> list[tuple[str, Section | Exercise]]:
    clock, rows = 0, []
    for row in made.rows:
        rows.append((_clock(clock), row))
        clock += _clock_minutes(row)
    return rows


def _title(row: Section | Exercise) -> str:
    return row.title if isinstance(row, Section) else f"{row.label} · {row.level} · {row.title}"


def _minutes(row: Section | Exercise) -> str:
    if isinstance(row, Exercise) and row.level == "stretch":
        return f"({row.minutes})"
    return str(row.minutes or 0)


def _section_lines(row: Section) -> list[str]:
    return [_spoken(row.minutes or 0), "", *(f"- **{key.capitalize()}**: {text}" for key, text in row.notes)]


def _exercise_lines(row: Exercise) -> list[str]:
    return [
        f"{_spoken(row.minutes)} {row.objective}",
        "",
        "| wrong answer to expect | what the check says |",
        "|---|---|",
        *(f"| {_cell(wrong.name)} | {_cell(_said(row, wrong))} |" for wrong in row.wrong),
        "",
        f"{len(row.hints)} hints: " + " ".join(f"({number}) {hint}" for number, hint in enumerate(row.hints, 1)),
    ]


def _said(row: Exercise, wrong: Wrong) -> str:
    outcome = judge(row, wrong.answer)
    return f"{outcome.state}, because {outcome.reason.rstrip('.')}." if outcome.reason else outcome.state


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _cuts(made: Sheet) -> list[str]:
    cuts = [(row, text) for row in made.rows if isinstance(row, Section) for key, text in row.notes if key == "cut"]
    stretch = [row.label for row in made.rows if isinstance(row, Exercise) and row.level == "stretch"]
    if not cuts and not stretch:
        return []
    lines = ["## If the clock runs late", ""]
    if stretch:
        lines.append(f"- Leave out {', '.join(stretch)}: stretch, nothing later needs it.")
    return [*lines, *(f"- {row.title}: {text}" for row, text in cuts)]
