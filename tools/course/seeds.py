"""Labs and solutions run with other seeds and parameters than the stored ones: what breaks, which numbers in prose no longer hold, and the slowest cells.

Run as `python -m tools.course.seeds [--labs 01 05] [--versions solution] [--seeds 1 2 3]`; `make seeds` runs everything.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tools.course import claims, derive, execute, source
from tools.course.builder import AT_A_TIME
from tools.course.model import VERSIONS, Course, Lab

SEEDS = (1, 2, 3)
SLOWEST = 10


@dataclass(frozen=True)
class Variation:
    """One run of one version of a lab: what to call it, and the parameters that differ from the stored ones."""

    lab: Lab
    version: str
    name: str
    parameters: Mapping[str, object]


@dataclass(frozen=True)
class Outcome:
    """What came of a variation: the error that stopped it, if one did, the prose that no longer holds, and seconds by cell."""

    variation: Variation
    error: str | None = None
    unbacked: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def parameters_of(lab: Lab) -> dict[str, object]:
    """Return a lab's parameters with their stored values."""
    values: dict[str, object] = {}
    for cell in lab.cells:
        if "parameters" in cell.tags:
            exec(compile(derive.parse(cell.text), f"{lab.name} parameters", "exec"), {}, values)  # noqa: S102  # our own source, plain assignments
    return {name: value for name, value in values.items() if name.isupper()}


def other(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return somewhat different values for all numbers but the seed: three quarters of a whole one (2 at least), nine tenths of a fraction."""
    changed: dict[str, object] = {}
    for name, value in parameters.items():
        if name == "SEED" or isinstance(value, bool):
            continue
        if isinstance(value, int) and value > 0:
            changed[name] = max(2, value * 3 // 4)
        elif isinstance(value, float):
            changed[name] = round(value * 0.9, 6)
    return changed


def variations(lab: Lab, versions: Sequence[str] = VERSIONS, seeds: Iterable[int] = SEEDS) -> list[Variation]:
    """Return a lab's variations: each version with each seed, and with other parameters."""
    changed = other(parameters_of(lab))
    named: list[tuple[str, dict[str, object]]] = [(f"seed {seed}", {"SEED": seed}) for seed in seeds]
    if changed:
        named.append((_told(changed), changed))
    return [Variation(lab, version, name, parameters) for version in versions for name, parameters in named]


def _told(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


def run(variation: Variation, course: Course, scratch: Path) -> Outcome:
    """Run a variation in a fresh kernel; an error is part of the outcome.

    A number in prose is looked for in this run's outputs, but only one that the stored parameters back.
    """
    from papermill.parameterize import parameterize_notebook  # brings pandas and more

    lab, version = variation.lab, variation.version
    made = derive.notebook(lab, version)
    made.metadata["papermill"] = {}  # this and tags are what papermill expects of a notebook that it has read itself
    for cell in made.cells:
        cell.metadata.setdefault("tags", [])
    made = parameterize_notebook(made, dict(variation.parameters), kernel_name="python3", language="python")
    scratch.mkdir(parents=True)
    seconds: dict[str, float] = {}
    try:
        execute.run(lab, version, made, execute.environment(course, version, scratch), scratch, seconds)
    except execute.CellFailed as error:
        return Outcome(variation, str(error), (), seconds)
    return Outcome(variation, None, tuple(claims.unbacked(lab, [made])) if version == "solution" else (), seconds)


def run_all(labs: Sequence[Lab], course: Course, versions: Sequence[str] = VERSIONS, seeds: Iterable[int] = SEEDS) -> Iterator[Outcome]:
    """Yield the outcome of every variation of the labs, in order, a few of them running at a time."""
    course.state.mkdir(parents=True, exist_ok=True)
    execute.warm_fonts(course)
    seeds = list(seeds)
    todo = [variation for lab in labs for variation in variations(lab, versions, seeds)]
    with tempfile.TemporaryDirectory(dir=course.state, prefix="seeds-") as scratch, ThreadPoolExecutor(AT_A_TIME) as pool:
        yield from pool.map(lambda numbered: run(numbered[1], course, Path(scratch) / str(numbered[0])), enumerate(todo))


def slowest(outcomes: Iterable[Outcome]) -> list[tuple[float, str, str]]:
    """Return the slowest cells as (seconds, lab, cell), each at its slowest run, the slowest first."""
    most: dict[tuple[str, str], float] = {}
    for outcome in outcomes:
        for cell, seconds in outcome.seconds.items():
            key = (outcome.variation.lab.name, cell)
            most[key] = max(most.get(key, 0.0), seconds)
    return sorted(((seconds, lab, cell) for (lab, cell), seconds in most.items()), reverse=True)[:SLOWEST]


def main(arguments: Sequence[str] | None = None, course: Course | None = None) -> int:
    """Run the variations, print a line each, the claims that broke and the slowest cells; return 1 if a run stopped or a claim broke."""
    parser = argparse.ArgumentParser(prog="python -m tools.course.seeds", description=__doc__.splitlines()[0])
    parser.add_argument("--labs", nargs="*", default=[], help="lab folders or numbers; default: all")
    parser.add_argument("--versions", nargs="+", choices=VERSIONS, default=list(VERSIONS))
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    chosen = parser.parse_args(arguments)
    course = course or Course()
    started, outcomes = time.monotonic(), []
    for outcome in run_all(source.labs(course, chosen.labs), course, chosen.versions, chosen.seeds):
        outcomes.append(outcome)
        variation = outcome.variation
        said = outcome.error or ("ran" if not outcome.unbacked else f"ran, {len(outcome.unbacked)} cells of prose do not hold")
        print(f"{variation.lab.name} · {variation.version} · {variation.name}: {said}", flush=True)
        for problem in outcome.unbacked:
            print(f"    {problem}", flush=True)
    print(f"\n{len(outcomes)} runs in {time.monotonic() - started:.0f} s. The slowest cells:")
    for seconds, lab, cell in slowest(outcomes):
        print(f"{seconds:6.1f} s  {lab} · {cell}")
    return 1 if any(outcome.error or outcome.unbacked for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
