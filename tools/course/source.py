"""Reading a lab's `source.py` (jupytext percent format) into cells."""

import re
from pathlib import Path

import jupytext

from tools.course.model import Cell, Course, Lab
from workshop_lib.errors import DataError
from workshop_lib.lab import LabError

_MARKER = re.compile(r"# %%+(\s|$)")
_KNOWN_METADATA = {"id", "tags", "lines_to_next_cell", "lines_to_end_of_cell_marker"}


def labs(course: Course, wanted: list[str]) -> list[Lab]:
    """Read the labs wanted ("01", "01_call_tiers"; none named means all) in order; raise DataError for a name without a source."""
    sources = sorted(course.notebooks.glob("[0-9][0-9]_*/source.py"))
    names = [path.parent.name for path in sources]
    for name in wanted:
        if not any(_means(name, known) for known in names):
            raise DataError(f"No lab {name!r} with a source.py in {course.notebooks}. Known: {', '.join(names) or 'none'}.")
    return [read(path.parent, course) for path in sources if not wanted or any(_means(name, path.parent.name) for name in wanted)]


def _means(wanted: str, name: str) -> bool:
    return wanted in (name, name.partition("_")[0])


def read(folder: Path, course: Course) -> Lab:
    """Read one lab; what cannot be read is among its problems."""
    text = (folder / "source.py").read_text(encoding="utf-8")
    problems: list[str] = []
    cells = _cells(folder.name, text, problems)
    try:
        exercises = course.exercises(folder.name)
    except LabError as error:
        exercises = ()
        problems.append(f"{folder.name}: {error}")
    return Lab(folder.name, folder, cells, exercises, tuple(problems))


def _cells(lab: str, text: str, problems: list[str]) -> tuple[Cell, ...]:
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _MARKER.match(line)]
    found = jupytext.reads(text, fmt="py:percent").cells
    before_first = text.split("\n# %%", 1)[0] if not text.startswith("# %%") else ""
    if before_first.strip():
        problems.append(f"{lab} · source.py line 1: text before the first cell marker; begin with `# %% [markdown] id=\"title\"`")
        found = found[len(found) - len(lines) :]
    if len(lines) != len(found):
        problems.append(f"{lab} · source.py: {len(lines)} cell markers but jupytext reads {len(found)} cells; look for a marker inside a string")
        return ()
    cells = []
    for line, cell in zip(lines, found, strict=True):
        unknown = set(cell.metadata) - _KNOWN_METADATA
        cell_id = str(cell.metadata.get("id", ""))
        if unknown:
            problems.append(f"{lab} · cell {cell_id or '(no id)'} (source.py line {line}): only id and tags may stand on a marker, not {', '.join(sorted(unknown))}")
        tags = frozenset(cell.metadata.get("tags", []))
        cells.append(Cell(cell_id, "code" if cell.cell_type == "code" else "markdown", cell.source.rstrip(), tags, line))
    return tuple(cells)
