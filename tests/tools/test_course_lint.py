"""Each rule of the course with a source that breaks it."""

from collections.abc import Callable

import pytest

from tools.course import Course, lint, source
from tools.course.links import anchors, broken
from tools.course.lint import lint_source

MakeCourse = Callable[..., Course]

IDEA = '# %% [markdown] id="idea"\n'
CHECK = 'double = lab.check("ex1", double)'
BROKEN = [
    (('id="idea"', ""), "cell (no id) (source.py line 24): no id"),
    (('id="idea"', 'id="open"'), "cell open (source.py line 9): this id is used twice"),
    (('id="idea"', 'id="the idea"'), "an id is made of letters"),
    (('id="idea"', 'id="idea" slide="yes"'), "only id and tags may stand on a marker, not slide"),
    (('id="open"', 'id="open" tags=["hidden"]'), "unknown tag 'hidden'"),
    ((IDEA, '# %% [markdown] id="idea" tags=["exercise"]\n'), "belong on code cells"),
    (('id="open"', 'id="open" tags=["instructor"]'), "an instructor cell is Markdown"),
    (("# # Lab 90 · Mini", "# ## Lab 90 · Mini"), "the first cell is Markdown with exactly one H1"),
    (("# ## The idea", "# # The idea"), "an H1 outside the first cell"),
    (("# Twice as much.", "# " + "word " * 121), "123 words; at most 120"),
    (("1 / 0", "x = 1\n" * 20 + "1 / 0"), "22 lines of code; at most 20"),
    (('print("before")', "# %pip install nothing"), "%pip does not belong in a lab"),
    (('print("before")', "# !ls"), "does not belong in a lab"),
    (('print("before")', "print('before'"), "no valid Python"),
    (("# ## The idea", "# ## A quiz"), "the heading says 'quiz'"),
    (("Twice as much.", "Ask us.anthropic.claude-sonnet-3-5 about it."), "us.anthropic.claude-sonnet-3-5 is no model of data/models.toml"),
    (("Twice as much.", "The key is nvapi-" + "abcd" * 6), "holds what looks like a secret"),
    (("Twice as much.", "See [there](nowhere.md)."), "the link nowhere.md leads to no file"),
    (("# minutes: 4", "# say: Hello."), "an instructor cell begins with a line like `minutes: 4`"),
    (("# minutes: 4\n", "# minutes: 4\n# \n"), None),
    (("minutes: 4", "minutes: 4\n# half: 4"), "`half: 4` is no number of minutes below `minutes: 4`"),
    (("minutes: 4\n", "minutes: 4\n# half: few\n"), "`half: few` is no number"),
    (("minutes: 4", "minutes: 4\n# told: ex7"), "`told: ex7` names no core exercise"),
    (("# cut: Skip the question.", "# half: 3"), "so a line `cut: ...` must say what is left out"),
    (("minutes: 4", "minutes: 15"), "the half-day route saves 0 minutes; the run sheet must know where to cut 10"),
    (("minutes: 4", "minutes: 9"), "says 9 minutes in a room, but the run sheet adds up to 14 (9 talk, 5 core exercises)"),
    (("7 minutes alone, 9 minutes in a room", "9 minutes"), "the first cell must state both times"),
    (("7 minutes alone", "3 minutes alone"), "says 3 minutes alone, but reading and the core exercises take about 6"),
    ((' tags=["parameters"]', ""), "0 cells are tagged parameters"),
    (("seed: int = 0", "seed = 0"), "a parameter is written `name: type = value"),
    (("  # which draws the sandbox makes", ""), "has no comment"),
    ((CHECK, "pass"), 'no lab.check("ex1", ...) follows before the next exercise'),
    ((' tags=["exercise"]', ""), "a solution block outside a cell tagged exercise"),
    (('id="ex1"', 'id="write-it"'), "an exercise cell's id is its exercise's"),
    (('id="ex1"', 'id="ex7"'), "the lab's exercises hold no 'ex7'; they hold ex1"),
    (("    # </solution>\n", ""), "do not come in pairs"),
    (("    # <solution>\n    return x + x\n    # </solution>", "    return x + x"), "marks what the learner writes"),
    (("· 5 minutes · core", "· 6 minutes · core"), "the exercise 5 minutes · core · Double it"),
    (("· 5 minutes · core", "· 5 minutes · core · Triple it"), "Exercise 1 · 5 minutes · core · Triple it"),
    (("· 5 minutes · core", "· 5 minutes · core · Double it"), None),
    (("## Exercise 1 · 5", "## Exercise 1 - 5"), 'an exercise heading reads "## Exercise 2'),
    (("## Exercise 1 · 5", "## Exercise 4 · 5"), "names Exercise 4, which the lab's exercises do not hold"),
    (("## Exercise 1 · 5 minutes · core", "## Write it"), "0 headings for ex1"),
    (('# %% [markdown] id="title"', 'import os\n\n# %% [markdown] id="title"'), "text before the first cell marker"),
]


@pytest.mark.parametrize(("replacement", "said"), BROKEN, ids=lambda value: value[:40] if isinstance(value, str) else None)
def test_rule(make_course: MakeCourse, replacement: tuple[str, str], said: str | None) -> None:
    """Without this a rule of the course could stop working and nobody would notice."""
    problems = lint_source(source.labs(make_course(replacement), [])[0])
    if said is None:
        assert problems == []
        return
    assert any(said in message for message in problems), problems
    assert all(message.startswith("90_mini") for message in problems)


@pytest.mark.parametrize(("heading", "counted"), [("The idea", True), ("Going further", False)])
def test_stated_minutes_cover_the_reading_but_for_going_further(make_course: MakeCourse, heading: str, counted: bool) -> None:
    """Without it a lab could promise minutes that its own text takes twice."""
    long_read = ("# ## The idea\n#\n# Twice as much.", f"# ## {heading}\n#\n# {'word ' * 2300}")
    problems = lint_source(source.labs(make_course(long_read), [])[0])
    assert any("reading and the core exercises take about 16" in message for message in problems) is counted


def test_unbuilt_notebooks_and_broken_documents_are_reported(make_course: MakeCourse) -> None:
    """Without this a lab could be committed unbuilt, or the README lead readers to a missing page."""
    course = make_course()
    (course.root / "README.md").write_text("# Hello\n[a](docs/x.md) [b](#hello) [c](#nothing) [d](https://example.org/y)\n", encoding="utf-8")
    assert lint(course) == [
        "90_mini · lab.ipynb is missing; run `workshop build 90`",
        "90_mini · solution.ipynb is missing; run `workshop build 90`",
        "README.md: the link docs/x.md leads to no file",
        "README.md: the link #nothing leads to no heading",
    ]


def test_links_are_read_as_a_reader_sees_them(make_course: MakeCourse) -> None:
    """Without this links in code would be reported, or headings with punctuation not be found."""
    folder = make_course().root
    (folder / "other.md").write_text("# What it *costs*, here & live\n## Same\n## Same\n<a id=\"spot\"></a>\n", encoding="utf-8")
    text = "[1](other.md#what-it-costs-here--live) [2](other.md#same-1) [3](<other.md#spot>) `[no](x.md)`\n```\n[no](y.md)\n```\n[here](notebooks/)\n"
    assert list(broken(text, folder)) == []
    assert list(broken("[4](other.md#same-2)", folder)) == ["the link other.md#same-2 leads to no heading"]
    assert "same-1" in anchors("# Same\n# Same\n")
