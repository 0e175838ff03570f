"""Labs run with other seeds and parameters: what is varied, what is reported, and that a broken claim is found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.course import Course, seeds, source
from tools.course.model import Lab

MakeCourse = Callable[..., Course]

SEEDED = (
    ("seed: int = 0", "SEED: int = 0"),
    ("with seed {seed}", "with seed {SEED}, half of it {SEED / 2}"),
    ("Twice as much.", "Half of it is 0.5."),
)


def _lab(course: Course) -> Lab:
    return source.labs(course, [])[0]


def test_parameters_change_but_the_seed_and_switches_stay() -> None:
    """Without it a variation could change nothing, or turn a switch that makes another lab of it."""
    assert seeds.other({"SEED": 0, "LIMIT": 20, "FEW": 2, "THRESHOLD": 0.7, "LOOK": False, "NAME": "x"}) == {"LIMIT": 15, "FEW": 2, "THRESHOLD": 0.63}


def test_each_version_runs_with_each_seed_and_with_other_parameters(make_course: MakeCourse) -> None:
    """Without it the learner's notebook, or a parameter, could go untried."""
    lab = _lab(make_course(*SEEDED, ("SEED: int = 0  # which draws the sandbox makes", "SEED: int = 0  # seed\nLIMIT: int = 8  # how many")))
    assert seeds.parameters_of(lab) == {"SEED": 0, "LIMIT": 8}
    told = [(variation.version, variation.name) for variation in seeds.variations(lab, seeds=(1, 2))]
    assert told == [("lab", "seed 1"), ("lab", "seed 2"), ("lab", "LIMIT=6"), ("solution", "seed 1"), ("solution", "seed 2"), ("solution", "LIMIT=6")]


@pytest.mark.slow
def test_claim_that_holds_for_one_seed_only_is_found(make_course: MakeCourse, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it prose would state as a fact what one seed happened to give."""
    course = make_course(*SEEDED)
    assert seeds.main(["--versions", "solution", "--seeds", "1"], course) == 0
    assert "90_mini · solution · seed 1: ran\n" in capsys.readouterr().out
    assert seeds.main(["--versions", "solution", "--seeds", "2"], course) == 1
    printed = capsys.readouterr().out
    assert "90_mini · solution · seed 2: ran, 1 cells of prose do not hold" in printed
    assert "90_mini · cell idea (source.py line 29): no output or code of this lab holds 0.5" in printed
    assert "s  90_mini · open" in printed


@pytest.mark.slow
def test_run_that_stops_is_reported_with_its_cell(make_course: MakeCourse, tmp_path: Path) -> None:
    """Without it the first seed that breaks a lab would be met in a room."""
    course = make_course(*SEEDED, ('print(f"Lab 90', 'print(1 / (SEED - 3))\nprint(f"Lab 90'))
    [variation] = seeds.variations(_lab(course), versions=("solution",), seeds=(3,))
    outcome = seeds.run(variation, course, tmp_path / "scratch")
    assert outcome.error is not None
    assert "cell open (source.py line 14): in solution.ipynb: ZeroDivisionError" in outcome.error


def test_slowest_cells_come_first_and_once(make_course: MakeCourse) -> None:
    """Without it the report would name one slow cell ten times."""
    lab = _lab(make_course())
    variation = seeds.Variation(lab, "lab", "seed 1", {})
    outcomes = [seeds.Outcome(variation, seconds={"a": 1.0, "b": 3.0}), seeds.Outcome(variation, seconds={"a": 2.0, "b": 0.5})]
    assert seeds.slowest(outcomes) == [(3.0, "90_mini", "b"), (2.0, "90_mini", "a")]
