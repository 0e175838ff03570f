"""Rules about an instructor's cells and a lab's minutes: what they hold, what they add up to, and that the time stated alone is enough."""

import re
from collections.abc import Iterator

from tools.course import sheet
from tools.course.model import Cell, Lab

MINUTES_APART = 2
WORDS_A_MINUTE = 230
SECONDS_A_CODE_CELL = 10
LATE = 10
LONG_LAB = 20

_ALONE = re.compile(r"(\d+) minutes alone")
_ROOM = re.compile(r"(\d+)(?: minutes)? in a room")


def words(text: str) -> list[str]:
    """Return the words of a Markdown text, without tags and link targets."""
    bare = re.sub(r"<[^>]+>|\]\([^)]*\)", " ", text)
    return [word for word in bare.split() if re.search(r"\w", word)]


def instructor(lab: Lab) -> Iterator[str]:
    """Yield what is wrong with the lines of the instructor cells."""
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


def late(lab: Lab) -> Iterator[str]:
    """Yield a problem if the half-day route of a lab saves less than an instructor may be late."""
    made = sheet.sheet(lab)
    if made.total >= LONG_LAB and made.total - made.half < LATE:
        yield f"{lab.name} · source.py: the half-day route saves {made.total - made.half} minutes; the run sheet must know where to cut {LATE}"


def stated(lab: Lab) -> Iterator[str]:
    """Yield a problem if the first cell's minutes are missing, or disagree with the run sheet or with the reading there is."""
    if not lab.cells:
        return
    first, made = lab.cells[0], sheet.sheet(lab)
    alone, room = _ALONE.search(first.text), _ROOM.search(first.text)
    if alone is None or room is None:
        yield lab.at(first, 'the first cell must state both times, as "25 minutes alone, 40 minutes in a room"')
        return
    if abs(int(room[1]) - made.total) > MINUTES_APART:
        yield lab.at(first, f"says {room[1]} minutes in a room, but the run sheet adds up to {made.total} ({made.talk} talk, {made.core} core exercises)")
    estimate = round(made.core + _readingminutes(lab))
    if int(alone[1]) + MINUTES_APART < estimate:
        yield lab.at(first, f"says {alone[1]} minutes alone, but reading and the core exercises take about {estimate}; shorten it, or move something to a last section called {sheet.GOING_FURTHER!r}")


def _readingminutes(lab: Lab) -> float:
    """Return about how long a learner reads, in minutes: the prose at a usual speed and a look at each code cell, "Going further" left out."""
    minutes, counted = 0.0, True
    for cell in lab.cells:
        if cell.kind == "markdown" and cell.text.startswith("## "):
            counted = cell.text.splitlines()[0] != f"## {sheet.GOING_FURTHER}"
        if counted and not cell.tags & {"instructor", "solution-only"}:
            minutes += SECONDS_A_CODE_CELL / 60 if cell.kind == "code" else len(words(cell.text)) / WORDS_A_MINUTE
    return minutes
