"""Exercises as data: what is asked, how it is checked, and the wrong answers the check must explain."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from workshop_lib.lab import exercises as shelf
from workshop_lib.lab.errors import LabError


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong answer; the check must refuse it in a sentence that contains `says`."""

    name: str
    answer: Any
    says: str


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lab; `check(answer)` returns None if it is right, else one sentence naming the likely mistake.

    A check may also raise `checking.NotAttempted` or `checking.NotYet`, as `checking.calling` does.
    """

    id: str
    title: str
    minutes: int
    level: Literal["core", "stretch"]
    objective: str
    hints: tuple[str, ...]
    reference: Any
    check: Callable[[Any], str | None]
    wrong: tuple[Wrong, ...]

    @property
    def label(self) -> str:
        """Return the name learners see: "Exercise 2" for id "ex2"."""
        return f"Exercise {self.id.removeprefix('ex')}"


def modules() -> list[str]:
    """Return the names of the exercise modules that exist: "ex01", "ex02" and so on."""
    return sorted(found.name for found in pkgutil.iter_modules(shelf.__path__) if found.name.startswith("ex"))


def exercises_of(lab: str) -> tuple[Exercise, ...]:
    """Return the exercises of a lab by its folder name ("01_call_tiers"); raise LabError if it has none."""
    module = f"ex{lab.partition('_')[0]}"
    if module not in modules():
        known = ", ".join(modules()) or "none"
        raise LabError(f"Lab {lab!r} has no exercises: workshop_lib/lab/exercises/{module}.py does not exist. Modules there: {known}.")
    loaded = importlib.import_module(f"{shelf.__name__}.{module}")
    found: tuple[Exercise, ...] = loaded.EXERCISES
    return found
