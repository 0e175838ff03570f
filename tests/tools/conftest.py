"""A miniature course: one lab, one exercise, no sandbox."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.course import Course
from workshop_lib.lab import Exercise, Wrong
from workshop_lib.lab.checking import calling, close

EXERCISES = '''
from workshop_lib.lab import Exercise, Wrong
from workshop_lib.lab.checking import calling, close

def double(x):
    return 2 * x

def check(answer):
    got = calling(answer, 3)
    return None if close(got, 6) else f"double(3) should be 6, not {got}"

EXERCISES = (Exercise("ex1", "Double it", 5, "core", "Write a function.", ("Twice.", "Two times.", "2 * x"), double, check,
    (Wrong("squares", lambda x: x * x, "should be 6"),)),)
'''

SOURCE = '''
# %% [markdown] id="title"
# # Lab 90 · Mini
#
# Doubling, in one function. 7 minutes alone, 9 minutes in a room.

# %% [markdown] id="objectives"
# ## What you will be able to do
#
# 1. **Double** a number (Exercise 1).

# %% id="settings" tags=["parameters"]
seed: int = 0  # which draws the sandbox makes

# %% id="open"
from mini_exercises import EXERCISES
from workshop_lib.lab import Lab
from workshop_lib.settings import Settings

lab = Lab("90_mini", EXERCISES, Settings())
print(f"Lab 90 with seed {seed}")

# %% [markdown] id="room-idea" tags=["instructor"]
# minutes: 4
# say: Doubling is adding a number to itself,
# nothing more.
# ask: What is double(0.5)?
# cut: Skip the question.

# %% [markdown] id="idea"
# ## The idea
#
# Twice as much.

# %% [markdown] id="ex1-text"
# ## Exercise 1 · 5 minutes · core
#
# Write `double`.

# %% id="ex1" tags=["exercise"]
def double(x):
    """Return twice x."""
    # <solution>
    return x + x
    # </solution>

# %% id="ex1-check"
double = lab.check("ex1", double)
double(21)

# %% id="refusal" tags=["raises-exception"]
print("before")
1 / 0
'''

def _double(x: float) -> float:
    return 2 * x


def _check(answer: object) -> str | None:
    got = calling(answer, 3)
    return None if close(got, 6) else f"double(3) should be 6, not {got}"


MINI = (
    Exercise("ex1", "Double it", 5, "core", "Write a function.", ("Twice.", "Two times.", "2 * x"), _double, _check, (Wrong("squares", lambda x: x * x, "should be 6"),)),
)


@pytest.fixture
def make_course(tmp_path: Path) -> Callable[..., Course]:
    """Return a function that writes the miniature course, with parts of its source replaced, and returns it."""

    def make(*replacements: tuple[str, str]) -> Course:
        folder = tmp_path / "notebooks" / "90_mini"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mini_exercises.py").write_text(EXERCISES, encoding="utf-8")
        text = textwrap.dedent(SOURCE).lstrip("\n")
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the miniature source"
            text = text.replace(old, new)
        (folder / "source.py").write_text(text, encoding="utf-8")
        return Course(root=tmp_path, state=tmp_path / "state", exercises=lambda name: MINI)

    return make
