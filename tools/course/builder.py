"""Building a course: from each lab's source the two executed notebooks and the run sheet, byte for byte the same every time."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbformat import NotebookNode

from tools.course import derive, execute, runsheet, sanitise, source
from tools.course.lint import lint_outputs, lint_source
from tools.course.model import VERSIONS, Course, Lab
from workshop_lib.backend import open_backend
from workshop_lib.settings import BEDROCK_ENDPOINT, OPENAI_BASE

AT_A_TIME = 2
"""Notebooks that run at the same time."""


def build(labs: list[str], check: bool, course: Course | None = None) -> list[str]:
    """Build labs by name or number (none named means all) and return the problems; `check` writes nothing and reports differences.

    A lab with a problem is not written. Raises DataError for an unknown lab, SandboxError if the sandbox cannot be started.
    """
    course = course or Course(backend=sandbox)
    found = source.labs(course, labs)
    wrong = {lab.name: lint_source(lab) for lab in found}
    runnable = [lab for lab in found if not wrong[lab.name]]
    for lab, made in _made(runnable, course, wrong):
        files = {f"{version}.ipynb": derive.as_text(notebook) for version, notebook in made.items()}
        files["RUNSHEET.md"] = runsheet.render(lab)
        if check:
            wrong[lab.name] += [message for name, text in files.items() for message in differences(lab, name, text)]
        else:
            for name, text in files.items():
                _write(lab.folder / name, text)
        print(f"{lab.name}: {', '.join(files)} {_verdict(lab, wrong, check)}", flush=True)
    return [message for lab in found for message in wrong[lab.name]]


def sandbox() -> Mapping[str, str]:
    """Start the sandbox, or join the one of this checkout, and return the variables that lead to it."""
    settings = open_backend(backend="sandbox", seed=0)
    return {BEDROCK_ENDPOINT: settings.bedrock_endpoint or "", OPENAI_BASE: settings.openai_base_url or ""}


def _verdict(lab: Lab, wrong: dict[str, list[str]], check: bool) -> str:
    if not check:
        return "written"
    return "differ" if wrong[lab.name] else "up to date"


def _made(labs: list[Lab], course: Course, wrong: dict[str, list[str]]) -> Iterator[tuple[Lab, dict[str, NotebookNode]]]:
    """Yield each lab with its executed notebooks; what went wrong is added to the lab's problems, and it is not yielded."""
    if not labs:
        return
    course.state.mkdir(parents=True, exist_ok=True)
    execute.warm_fonts(course)
    reach = dict(course.backend()) if course.backend else {}
    with tempfile.TemporaryDirectory(dir=course.state, prefix="build-") as scratch, ThreadPoolExecutor(AT_A_TIME) as pool:
        running = {
            (lab.name, version): pool.submit(_executed, lab, version, course, reach, Path(scratch) / f"{lab.number}-{version}")
            for lab in labs
            for version in VERSIONS
        }
        for lab in labs:
            made: dict[str, NotebookNode] = {}
            for version in VERSIONS:
                try:
                    made[version] = running[lab.name, version].result()
                except execute.CellFailed as error:
                    wrong[lab.name].append(str(error))
                    continue
                wrong[lab.name] += lint_outputs(lab, version, made[version], course.root)
            if wrong[lab.name]:
                print(f"{lab.name}: not built, {len(wrong[lab.name])} problems", flush=True)
            else:
                yield lab, made


def _executed(lab: Lab, version: str, course: Course, reach: Mapping[str, str], scratch: Path) -> NotebookNode:
    scratch.mkdir()
    made = derive.notebook(lab, version)
    execute.run(lab, version, made, execute.environment(course, version, scratch) | dict(reach), scratch)
    sanitise.sanitise(made)
    return made


def _write(path: Path, text: str) -> None:
    """Replace a file whole, so that an interrupted build leaves no half of one."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    os.replace(part, path)


def differences(lab: Lab, name: str, text: str) -> list[str]:
    """Return how a stored file differs from the text it should have: per cell, with the first line that differs."""
    path = lab.folder / name
    remedy = f"run `workshop build {lab.number}`"
    if not path.exists():
        return [f"{lab.name} · {name} is missing; {remedy}"]
    stored = path.read_bytes().decode("utf-8")
    if stored == text:
        return []
    found = _cell_differences(stored, text) if name.endswith(".ipynb") else []
    return [f"{lab.name} · {name}{where}; {remedy}" for where in found or [_first_difference(stored, text)]]


def _cell_differences(stored: str, text: str) -> list[str]:
    try:
        before, after = _cells(stored), _cells(text)
    except (ValueError, KeyError, TypeError):
        return []  # no notebook: the first line that differs says enough
    found = [f" · cell {cell} is no longer in the source" for cell in before if cell not in after]
    found += [f" · cell {cell} is missing" for cell in after if cell not in before]
    return found + [f" · cell {cell}{_first_difference(before[cell], after[cell])}" for cell in after if cell in before and before[cell] != after[cell]]


def _cells(text: str) -> dict[str, str]:
    return {cell["id"]: json.dumps(cell, indent=1, sort_keys=True, ensure_ascii=False) for cell in json.loads(text)["cells"]}


def _first_difference(stored: str, text: str) -> str:
    before, after = stored.splitlines(), text.splitlines()
    for number, (old, new) in enumerate(zip(before, after, strict=False), 1):
        if old != new:
            return f" · line {number}: stored {_around(old, new)}, built {_around(new, old)}"
    return f" · stored {len(before)} lines, built {len(after)}"


def _around(line: str, other: str) -> str:
    """Return the part of a line where it begins to differ from another."""
    same = next((place for place, (one, two) in enumerate(zip(line, other, strict=False)) if one != two), min(len(line), len(other)))
    start = max(0, same - 40)
    return repr(line[start : start + 120].strip())
