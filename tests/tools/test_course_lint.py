"""Each rule of the course with a source that breaks it."""

from collections.abc import Callable

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_output

from tools.course import Course, claims, derive, lint, source
from tools.course.links import anchors, broken
from tools.course.lint import lint_source

MakeCourse = Callable[..., Course]

IDEA = '# %% [markdown] id="idea"\n'
CHECK = 'double = lab.check("ex1", double)'
BROKEN = [
    (('id="idea"', ""), "cell (no id) (source.py line 29): no id"),
    (('id="idea"', 'id="open"'), "cell open (source.py line 14): this id is used twice"),
    (('id="idea"', 'id="the idea"'), "an id is made of letters"),
    (('id="idea"', 'id="idea" slide="yes"'), "only id and tags may stand on a marker, not slide"),
    (('id="open"', 'id="open" tags=["hidden"]'), "unknown tag 'hidden'"),
    ((IDEA, '# %% [markdown] id="idea" tags=["exercise"]\n'), "belong on code cells"),
    (('id="open"', 'id="open" tags=["instructor"]'), "an instructor cell is Markdown"),
    (("# # Lab 90 · Mini", "# ## Lab 90 · Mini"), "the first cell is Markdown with exactly one H1"),
    (("# ## The idea", "# #### The idea"), "the heading 'The idea' is at level 4 after one at level 2"),
    (("# ## The idea", "# ```\n# #### The idea\n# ```"), None),
    (("## What you will be able to do", "## Aims"), 'no cell with the heading "## What you will be able to do"'),
    (("# 1. **Double** a number (Exercise 1).", "# You double a number."), "no objective; write a numbered line each"),
    ((" (Exercise 1)", ""), "objective 1 names no exercise that meets it"),
    ((" (Exercise 1)", ""), "no objective names Exercise 1 · Double it, which is core"),
    (("number (Exercise 1)", "number (Exercises 1 and 7)"), "objective 1 names Exercise 7, which the lab does not ask"),
    (("# 1. **Double** a number (Exercise 1).", "# 1. **Double** a\n#    number (Exercise 1)."), None),
    (("# cut: Skip the question.", "# allow: idea 12 %"), "`allow: idea 12 %` is not `allow: CELL what, what (why)`"),
    (("# cut: Skip the question.", "# allow: nowhere 12 % (said)"), "with a cell of this lab"),
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


DEMO = """try:
    1 / 0
except ZeroDivisionError as error:
    print(f"{error}: caught")
print(f"Done: {1}")"""


def _stored(course: Course, outputs: dict[str, list[NotebookNode]]) -> list[str]:
    """Return what the lint says of the miniature course with these outputs stored in both notebooks."""
    lab = source.labs(course, [])[0]
    for version in ("lab", "solution"):
        made = derive.notebook(lab, version)
        for cell in made.cells:
            cell.update({"outputs": outputs.get(cell.id, [])} if cell.cell_type == "code" else {})
        nbformat.write(made, lab.folder / f"{version}.ipynb")
    return lint(course)


def _printed(text: str) -> list[NotebookNode]:
    return [new_output("stream", name="stdout", text=text)]


ERROR = [new_output("error", ename="ZeroDivisionError", evalue="division by zero", traceback=[])]


@pytest.mark.parametrize(
    ("code", "tags", "outputs", "said"),
    [
        ("1 / 0", ' tags=["raises-exception"]', ERROR, None),
        ("1 / 0", ' tags=["raises-exception"]', _printed("no error here"), "tagged raises-exception, but its stored output holds no error"),
        (DEMO, "", _printed("division by zero: caught\nDone: 1"), None),
        (DEMO, "", _printed("Done: 1"), "it catches ZeroDivisionError to show it, but the output holds no line of the handler's"),
        (DEMO.replace("caught", ""), "", _printed("Done: 1"), "it catches ZeroDivisionError to show it"),
        (DEMO.replace('print(f"{error}: caught")', "failed = True"), "", _printed("Done: 1"), None),
    ],
    ids=["raised", "raised-nothing", "caught", "caught-nothing", "caught-nothing-like-another-line", "no-demonstration"],
)
def test_error_demonstration_must_still_err(make_course: MakeCourse, code: str, tags: str, outputs: list[NotebookNode], said: str | None) -> None:
    """Without it a cell that shows an error would go on being explained after a new release stopped raising it."""
    course = make_course((' tags=["raises-exception"]\nprint("before")\n1 / 0', f"{tags}\n{code}"))
    problems = _stored(course, {"refusal": outputs})
    if said is None:
        assert problems == []
    else:
        assert len(problems) == 2
        for version, problem in zip(("lab", "solution"), problems, strict=True):
            assert problem.startswith(f"90_mini · cell refusal (source.py line 50): in {version}.ipynb: {said}")


def test_fallback_may_be_let_pass(make_course: MakeCourse) -> None:
    """Without it a handler for a rare case would have to be written so that the lint does not see it."""
    course = make_course(("# cut: Skip", "# allow: refusal fallback (rare)\n# cut: Skip"), (' tags=["raises-exception"]\nprint("before")\n1 / 0', f"\n{DEMO}"))
    assert _stored(course, {"refusal": _printed("Done: 1")}) == []


@pytest.mark.parametrize(
    ("prose", "outputs", "missing"),
    [
        ("It saved 12 % of 0.40 USD.", "saved 0.1204 of 0.4 USD", ""),
        ("It saved 12% of it.", "12 % saved", ""),
        ("Between 20 and 30 percent.", "12 %", "30 %"),
        ("It saved 12 to 15 %.", "12 % or 0.154", ""),
        ("It saved 12 to 17 %.", "12 % or 0.154", "17 %"),
        ("It cost **1,200** USD.", "1200", ""),
        ("It cost 3 USD.", "4", "3 USD"),
        ("The threshold is 0.75.", "0.749", ""),
        ("The threshold is `0.75`.", "0.7", "0.75"),
        ("Opus 4.7 and Sonnet-4.6 on Python 3.11, see [it](a-0.9.md).", "", ""),
        ("5 minutes, 12 tickets, 2026-08-31.", "", ""),
        ("```\n0.9\n```", "", ""),
    ],
)
def test_number_in_prose_needs_an_output(make_course: MakeCourse, prose: str, outputs: str, missing: str) -> None:
    """Without it a lab could go on claiming 12 % after the data, the seed or the prices had changed."""
    lines = "\n".join(f"# {line}" for line in prose.splitlines())
    lab = source.labs(make_course(("# Twice as much.", lines)), [])[0]
    made = derive.notebook(lab, "lab")
    next(cell for cell in made.cells if cell.id == "open").outputs = _printed(outputs)
    found = list(claims.unbacked(lab, [made]))
    if not missing:
        assert found == []
    else:
        assert [f"no output or code of this lab holds {missing};" in problem for problem in found] == [True]
        assert found[0].startswith("90_mini · cell idea (source.py line 29):")


def test_number_from_elsewhere_is_let_pass_by_name(make_course: MakeCourse) -> None:
    """Without it a cited number could not be told, or an old permission would stay after the number went."""
    lab = source.labs(make_course(("# Twice as much.", "# They claim 80 %."), ("# cut: Skip", "# allow: idea 80 %, 15 % (published)\n# cut: Skip")), [])[0]
    assert lint_source(lab) == []
    assert list(claims.unbacked(lab, [])) == ["90_mini · cell idea (source.py line 30): does not say 15 %, which an `allow` lets pass"]


def test_model_id_in_an_output_is_checked(make_course: MakeCourse) -> None:
    """Without it a retired model could stay in a stored output after it left the table."""
    problems = _stored(make_course(), {"refusal": ERROR, "open": _printed("asked us.anthropic.claude-sonnet-3-5")})
    assert len(problems) == 2
    assert all("us.anthropic.claude-sonnet-3-5 is no model of data/models.toml" in problem for problem in problems)


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
