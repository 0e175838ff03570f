"""Progress in words: exercises solved, objectives met, hints read and predictions, of one lab or of all, and what to do next."""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workshop_lib.errors import DataError
from workshop_lib.lab.book import Book, LabBook, Tried
from workshop_lib.lab.checking import Outcome
from workshop_lib.lab.errors import LabError
from workshop_lib.lab.exercise import Exercise, exercises_of
from workshop_lib.paths import ROOT

NOTEBOOKS = ROOT / "notebooks"
WIDE = 100
"""How many letters a line of an output may have before a notebook's page breaks it in mid-word."""


@dataclass(frozen=True)
class LabCard:
    """What is said of a lab before it is opened, from its first cell: folder, title, one sentence, and minutes alone."""

    name: str
    title: str
    promise: str
    minutes: str

    @property
    def number(self) -> str:
        """Return "03" for "03_cascade"."""
        return self.name.partition("_")[0]


@dataclass(frozen=True)
class Step:
    """What to do next: a lab, and the exercise in it."""

    lab: LabCard
    exercise: Exercise


@cache
def cards() -> tuple[LabCard, ...]:
    """Return the labs in order; raise DataError if a notebook is missing or broken."""
    folders = sorted(path for path in NOTEBOOKS.glob("[0-9][0-9]_*") if path.is_dir())
    return tuple(_card(folder) for folder in folders)


def named(text: str) -> str:
    """Return a lab's folder from what was typed ("3", "03" or "03_cascade"); raise LabError naming the labs there are."""
    typed = text.strip().rstrip("/")
    for card in cards():
        if typed == card.name or (typed.isdecimal() and typed.zfill(2) == card.number):
            return card.name
    raise LabError(f"There is no lab {text!r}. Labs: {', '.join(card.name for card in cards())}.")


def checked(book: Book, lab: str, exercise: str, outcome: Outcome) -> None:
    """Note how a check ended; a blank is no attempt."""
    book.last = lab
    if outcome.state == "not attempted":
        return
    entry = book.lab(lab).exercise(exercise)
    entry.attempts += 1
    entry.passed = entry.passed or outcome.state == "correct"


def hinted(book: Book, lab: str, exercise: str, shown: int) -> None:
    """Note how many hints of an exercise were read."""
    book.last = lab
    entry = book.lab(lab).exercise(exercise)
    entry.hints = max(entry.hints, shown)


def of_lab(book: Book, name: str, exercises: tuple[Exercise, ...] | None = None) -> list[str]:
    """Return a lab's progress as lines: each objective with its exercise and how it stands, then hints and predictions."""
    done = book.labs.get(name, LabBook())
    listed = exercises_of(name) if exercises is None else exercises
    lines = [f"Lab {name.partition('_')[0]}: {_count(done, listed)}."]
    width = max((len(_state(done.exercises.get(exercise.id, Tried()))) for exercise in listed), default=0)
    for exercise in listed:
        begins = f"  {_state(done.exercises.get(exercise.id, Tried())):{width}}  "
        words = f"{exercise.label} ({exercise.level}). {exercise.objective}"
        lines += textwrap.wrap(words, WIDE, initial_indent=begins, subsequent_indent=" " * len(begins))
    written = [entry for entry in done.predictions.values() if entry.answer is not None]
    if written:
        judged = [entry.right for entry in written if entry.right is not None]
        lines.append(f"  Predictions: {len(written)} written down, {sum(judged)} of {len(judged)} with a result came true.")
    return lines


def overview(book: Book) -> list[str]:
    """Return one line for each lab and one that says what comes next."""
    lines = [f"{card.number} {card.title}: {_count(book.labs.get(card.name, LabBook()), exercises_of(card.name))}" for card in cards()]
    return [*lines, f"Next: {next_words(book)}"]


def next_step(book: Book, here: str | None = None) -> Step | None:
    """Return the first unsolved core exercise of the lab `here` or worked on last, else of those after it, else of those before; None if all are solved."""
    names = [card.name for card in cards()]
    start = names.index(found) if (found := here or book.last) in names else 0
    order = (*cards()[start:], *cards()[:start])
    return next((Step(card, exercise) for card in order for exercise in _open(book, card)), None)


def next_words(book: Book, here: str | None = None) -> str:
    """Return the next step as a sentence."""
    step = next_step(book, here)
    if step is None:
        return "all core exercises are solved. The stretch exercises and Going further are left, and your own tickets: workshop bulk."
    begun = step.lab.name in book.labs or step.lab.name == here
    return f"lab {step.lab.number}, {step.exercise.label}: {step.exercise.title}." if begun else f"begin lab {step.lab.number}, {step.lab.title}."


def _open(book: Book, card: LabCard) -> Iterator[Exercise]:
    done = book.labs.get(card.name, LabBook())
    return (exercise for exercise in exercises_of(card.name) if exercise.level == "core" and not done.exercises.get(exercise.id, Tried()).passed)


def _count(done: LabBook, exercises: tuple[Exercise, ...]) -> str:
    passed = [exercise for exercise in exercises if done.exercises.get(exercise.id, Tried()).passed]
    core = sum(exercise.level == "core" for exercise in exercises)
    solved = sum(exercise.level == "core" for exercise in passed)
    stretch, more = len(exercises) - core, len(passed) - solved
    return f"{solved} of {core} core exercises solved" + (f", {more} of {stretch} stretch" if stretch else "")


def _state(tried: Tried) -> str:
    hints = f", {tried.hints} hint{'s' if tried.hints > 1 else ''}" if tried.hints else ""
    if tried.passed:
        return f"solved{hints}"
    return f"tried {tried.attempts} time{'s' if tried.attempts > 1 else ''}{hints}" if tried.attempts else f"not yet{hints}"


def _card(folder: Path) -> LabCard:
    try:
        cells = json.loads((folder / "lab.ipynb").read_text(encoding="utf-8"))["cells"]
        first = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "markdown"))
        title, promise, rest = first.split("\n\n", 2)
        minutes = rest.partition("**Time:**")[2].split()[0]
    except (OSError, ValueError, KeyError, TypeError, StopIteration, IndexError) as error:
        raise DataError(f"{folder.relative_to(ROOT).as_posix()}/lab.ipynb cannot be read as a lab. Restore it with: git checkout notebooks") from error
    return LabCard(folder.name, title.removeprefix("# ").strip(), " ".join(promise.split()), minutes)
