"""The instructor's run sheet: clock, what to say, show and ask, the wrong answers to expect, and where to cut."""

import re

from tools.course.model import Lab
from tools.course.sheet import TOLD_MINUTES, Section, Sheet, headings, sheet
from workshop_lib.lab import Exercise, Wrong
from workshop_lib.lab.checking import judge


def render(lab: Lab) -> str:
    """Return RUNSHEET.md."""
    made = sheet(lab)
    title = headings(lab.cells[0].text)[0] if lab.cells and headings(lab.cells[0].text) else lab.name
    alone = re.search(r"\d+ minutes alone", lab.cells[0].text) if lab.cells else None
    told = [row.label for row in made.rows if isinstance(row, Exercise) and row.id in made.told]
    lines = [
        f"<!-- Made from notebooks/{lab.name}/source.py by `workshop build`. Edit that file, not this one. -->",
        f"# Run sheet: {title}",
        "",
        f"- **Full day**: {made.total} minutes in a room, {made.talk} to say, show and ask, {made.core} for the core exercises.",
        f"- **Half day**: {made.half} minutes in a room. {_told_sentence(told)}",
        *([f"- **Alone**: {alone.group().removesuffix(' alone')}, as the lab says."] if alone else []),
        "",
        "Stretch exercises are for those who are done early. Their minutes stand in brackets and move no clock.",
        "",
        "| full day | half day | what | minutes | half-day minutes |",
        "|---|---|---|---|---|",
        *(f"| {full} | {half} | {_title(row)} | {_minutes(made, row)} | {_half_minutes(made, row)} |" for full, half, row in _clocked(made)),
        f"| {_clock(made.total)} | {_clock(made.half)} | End | | |",
        "",
    ]
    for full, half, row in _clocked(made):
        lines += [f"## {full} {_title(row)}", "", *_opening(made, row, half)]
        lines += section_lines(row) if isinstance(row, Section) else exercise_lines(row)
        lines.append("")
    lines += _cuts(made)
    return "\n".join(lines).rstrip("\n") + "\n"


def _told_sentence(told: list[str]) -> str:
    if not told:
        return "Every core exercise is done."
    return f"Solved on the projector, from `solution.ipynb`, in {_spoken(TOLD_MINUTES)} each: {', '.join(told)}."


def _spoken(minutes: int) -> str:
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def _clocked(made: Sheet) -> list[tuple[str, str, Section | Exercise]]:
    """Return each row with the time it begins, in the full day and in the half day."""
    full, half, rows = 0, 0, []
    for row in made.rows:
        rows.append((_clock(full), _clock(half), row))
        full += made.minutes(row)
        half += made.half_minutes(row)
    return rows


def _title(row: Section | Exercise) -> str:
    return row.title if isinstance(row, Section) else f"{row.label} · {row.level} · {row.title}"


def _minutes(made: Sheet, row: Section | Exercise) -> str:
    return f"({row.minutes})" if _is_stretch(row) else str(made.minutes(row))


def _half_minutes(made: Sheet, row: Section | Exercise) -> str:
    if isinstance(row, Exercise) and row.id in made.told:
        return f"{TOLD_MINUTES}, told"
    return f"({row.minutes})" if _is_stretch(row) else str(made.half_minutes(row))


def _is_stretch(row: Section | Exercise) -> bool:
    return isinstance(row, Exercise) and row.level == "stretch"


def _opening(made: Sheet, row: Section | Exercise, half_clock: str) -> list[str]:
    """Return the row's minutes in words, and what the half day does instead where it differs."""
    if _is_stretch(row):
        return [f"{_spoken(row.minutes or 0)}, on no clock.", ""]
    if not made.minutes(row):
        return ["On no clock.", ""]
    if made.half_minutes(row) == made.minutes(row):
        return [f"{_spoken(made.minutes(row))}. In the half day from {half_clock}.", ""]
    instead = "solved on the projector in " if isinstance(row, Exercise) else ""
    return [f"{_spoken(made.minutes(row))}. In the half day from {half_clock}, {instead}{_spoken(made.half_minutes(row))}.", ""]


def section_lines(row: Section) -> list[str]:
    """Return what to say, show, ask and cut, as a Markdown list."""
    return [f"- **{key.capitalize()}**: {text}" for key, text in row.notes]


def exercise_lines(row: Exercise) -> list[str]:
    """Return an exercise's objective, the wrong answers to expect with what the check says, and the hints."""
    return [
        row.objective,
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
    """Return the last section: where to save time, in the order of the lab, and how many minutes the half-day route saves there."""
    cuts: list[str] = []
    for row in made.rows:
        saved = made.minutes(row) - made.half_minutes(row)
        saves = f" Saves {_spoken(saved)}." if saved else ""
        if isinstance(row, Section):
            cuts += [f"- {row.title}: {text}{saves}" for key, text in row.notes if key == "cut"]
        elif row.id in made.told:
            cuts.append(f"- {row.label}: solve it on the projector.{saves}")
    stretch = [row.label for row in made.rows if isinstance(row, Exercise) and row.level == "stretch"]
    if not cuts and not stretch:
        return []
    lines = ["## If the clock runs late", ""]
    if made.half < made.total:
        lines += [f"The half-day route saves {_spoken(made.total - made.half)} in all. Take from what is still ahead:", ""]
    if stretch:
        lines.append(f"- Leave out {', '.join(stretch)}: stretch, nothing later needs it.")
    return [*lines, *cuts]
