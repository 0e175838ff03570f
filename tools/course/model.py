"""What the builder works on: a course, its labs, and their cells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workshop_lib.lab.exercise import Exercise, exercises_of
from workshop_lib.paths import ROOT, STATE

TAGS = frozenset({"parameters", "exercise", "solution-only", "learner-only", "instructor", "raises-exception"})
"""The closed set of cell tags."""

VERSIONS = ("lab", "solution")
"""The two notebooks made from a source: what a learner opens, and the worked one."""


@dataclass(frozen=True)
class Cell:
    """One cell of a source: its id, "code" or "markdown", text without comment marks, tags, and the line of its marker."""

    id: str
    kind: str
    text: str
    tags: frozenset[str]
    line: int


@dataclass(frozen=True)
class Lab:
    """One lab: its folder name, folder, cells, exercises, and what was already wrong on reading."""

    name: str
    folder: Path
    cells: tuple[Cell, ...]
    exercises: tuple[Exercise, ...]
    problems: tuple[str, ...]

    @property
    def number(self) -> str:
        """Return "01" for "01_call_tiers"."""
        return self.name.partition("_")[0]

    def at(self, cell: Cell, message: str) -> str:
        """Return a problem that names lab, cell and source line."""
        return f"{self.name} · cell {cell.id or '(no id)'} (source.py line {cell.line}): {message}"

    def cell(self, cell_id: str) -> Cell | None:
        """Return the cell with this id, if there is one."""
        return next((cell for cell in self.cells if cell.id == cell_id), None)


@dataclass(frozen=True)
class Course:
    """Where a course lies and what its notebooks run against.

    `exercises` returns a lab's exercises by folder name; `backend` makes the models reachable and returns environment variables
    for the kernels (None: no backend); `state` takes scratch files.
    """

    root: Path = ROOT
    state: Path = STATE
    exercises: Callable[[str], tuple[Exercise, ...]] = exercises_of
    backend: Callable[[], Mapping[str, str]] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def notebooks(self) -> Path:
        """Return the folder that holds one folder a lab."""
        return self.root / "notebooks"
