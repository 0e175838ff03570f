"""The two clocks of a run sheet, and the agendas that must agree with them."""

from collections.abc import Callable

import pytest

from tools.course import Course, agenda, runsheet, source
from tools.course.sheet import sheet
from workshop_lib.paths import ROOT

MakeCourse = Callable[..., Course]

HALF = ("minutes: 4", "minutes: 4\n# half: 2\n# told: ex1")
DAY = """
## Half day · 13 minutes
| clock | minutes | what |
|---|---|---|
| 0:00 | 10 | welcome |
| 0:10 | 3 | [run sheet](notebooks/90_mini/RUNSHEET.md) |

## Full day · 69 minutes
| clock | minutes | what |
|---|---|---|
| 0:00 | 60 | welcome |
| 1:00 | 9 | [run sheet](notebooks/90_mini/RUNSHEET.md) |
| 1:09 | 0 | stretch exercises of labs 90 and 91 |
"""


def test_half_day_shortens_sections_and_tells_exercises(make_course: MakeCourse) -> None:
    """Without it the half day would have no run sheet, or one whose clock is the full day's."""
    lab = source.labs(make_course(HALF), [])[0]
    assert (sheet(lab).total, sheet(lab).half) == (9, 3)
    text = runsheet.render(lab)
    assert "| 0:04 | 0:02 | Exercise 1 · core · Double it | 5 | 1, told |" in text
    assert "Solved on the projector, from `solution.ipynb`, in 1 minute each: Exercise 1." in text
    assert "5 minutes. In the half day from 0:02, solved on the projector in 1 minute." in text
    assert "The half-day route saves 6 minutes in all." in text
    assert "- The idea: Skip the question. Saves 2 minutes." in text
    assert "- Exercise 1: solve it on the projector. Saves 4 minutes." in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", None),
        ("| 0:10 | 3 |", "| 0:10 | 4 |", "Half day: 4 minutes for 90_mini, but its run sheet says 3"),
        ("| 1:00 | 9 |", "| 1:00 | 3 |", "Full day: 3 minutes for 90_mini, but its run sheet says 9"),
        ("| 0:10 | 3 |", "| 0:11 | 3 |", "begins at 0:11, but the rows before it end at 0:10"),
        ("13 minutes", "180 minutes", "the heading promises 180 minutes, the rows add up to 13"),
        ("## Half day", "## Morning", 'no agenda under a heading like "## Half day'),
        ("| 1:09 | 0 |", "| 1:09 | 6 |", "6 minutes for the stretch exercises of labs 90, 91, but they take 0"),
        ("notebooks/90_mini", "notebooks/91_mini", "91_mini, but its run sheet says nothing, it does not exist"),
        ("notebooks/90_mini", "notebooks/91_mini", "no row links the run sheet of 90_mini"),
    ],
)
def test_agenda_that_disagrees_is_reported(make_course: MakeCourse, old: str, new: str, said: str | None) -> None:
    """Without it an instructor would plan minutes that the run sheets do not have."""
    course = make_course(HALF)
    assert old in DAY
    (course.root / "INSTRUCTOR.md").write_text(DAY.replace(old, new) if old else DAY, encoding="utf-8")
    found = list(agenda.problems(course, source.labs(course, [])))
    if said is None:
        assert found == []
    else:
        assert any(said in message for message in found), found


def test_half_day_of_the_course_is_three_hours() -> None:
    """Without it the promise of a half day could grow back to four hours, a minute a lab at a time."""
    [half] = [day for day in agenda.agendas((ROOT / "INSTRUCTOR.md").read_text(encoding="utf-8")) if day.route == "Half day"]
    assert half.minutes == 180
