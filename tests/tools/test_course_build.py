"""Building the miniature course: the same bytes twice, differences named, failing cells named."""

import base64
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools.course import Course, build, derive, lint, runsheet, sanitise, source
from tools.course.builder import differences
from tools.course.model import Lab
from workshop_lib.errors import DataError

MakeCourse = Callable[..., Course]


def _lab(course: Course) -> Lab:
    return source.labs(course, [])[0]


def _files(course: Course) -> dict[str, bytes]:
    folder = course.notebooks / "90_mini"
    return {name: (folder / name).read_bytes() for name in ("lab.ipynb", "solution.ipynb", "RUNSHEET.md")}


@pytest.mark.slow
def test_build_twice_gives_the_same_bytes_and_check_finds_a_change(make_course: MakeCourse, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this a rebuild would touch notebooks nobody edited, or a stale output would go unnoticed."""
    course = make_course()
    assert build([], check=False, course=course) == []
    first = _files(course)
    assert build(["90"], check=False, course=course) == []
    assert _files(course) == first
    assert lint(course) == []

    learner, solution = first["lab.ipynb"].decode(), first["solution.ipynb"].decode()
    assert "Exercise 1: not attempted yet. Going on with the reference." in learner
    assert "return x + x" not in learner
    assert "Exercise 1: correct." in solution
    assert "return x + x" in solution
    assert "<solution>" not in learner + solution
    assert "Doubling is adding" not in learner + solution
    assert '"ZeroDivisionError: division by zero"' in learner

    changed = course.notebooks / "90_mini" / "lab.ipynb"
    changed.write_text(learner.replace("Lab 90 with seed 0", "Lab 90 with seed 1"), encoding="utf-8")
    before = _files(course)
    problems = build([], check=True, course=course)
    assert len(problems) == 1
    assert "90_mini · lab.ipynb · cell open · line" in problems[0]
    assert "seed 1" in problems[0]
    assert "seed 0" in problems[0]
    assert _files(course) == before, "check wrote something"
    assert "90_mini: lab.ipynb, solution.ipynb, RUNSHEET.md differ" in capsys.readouterr().out


@pytest.mark.slow
def test_raising_cell_is_named_and_nothing_is_written(make_course: MakeCourse) -> None:
    """Without this an author would have to look for the failing cell, or a broken notebook would replace a good one."""
    course = make_course(("return x + x", "return x * x"), ("1 / 0", "1 / 1"))
    problems = build([], check=False, course=course)
    assert problems == [
        "90_mini · cell refusal (source.py line 50): tagged raises-exception, but raised nothing in lab.ipynb",
        "90_mini · cell ex1-check (source.py line 46): in solution.ipynb: ExerciseError: Exercise 1: not yet, because double(3) should be 6, "
        "not 9. WORKSHOP_STRICT=1 stops here.",
    ]
    assert not (course.notebooks / "90_mini" / "lab.ipynb").exists()


def test_unknown_lab_is_refused_by_name(make_course: MakeCourse) -> None:
    """Without this a typing error would build nothing and look like success."""
    with pytest.raises(DataError, match=r"No lab '91'.*Known: 90_mini"):
        build(["91"], check=True, course=make_course())


@pytest.mark.parametrize(
    ("code", "learner"),
    [
        ("def f(x):\n    # <solution>\n    y = x + 1\n    return y\n    # </solution>", "def f(x):\n    ..."),
        ("def f(x):\n    # <solution>\n    y = x + 1\n    # </solution>\n    return y", "def f(x):\n    y = ...\n    return y"),
        ("async def f(x):\n    # <solution>\n    return await g(x)\n    # </solution>", "async def f(x):\n    ..."),
        ("# <solution>\na, b = 1, 2\nc: int = a\nif c:\n    d = b\n# </solution>\nprint(a)", "a = ...\nb = ...\nc = ...\nd = ...\nprint(a)"),
        ("# <solution>\ndef f(x):\n    inner = x\n    return inner\n# </solution>", "f = ..."),
        ("# <solution>\nprint(1)\n# </solution>", "..."),
        ("# <solution>\nx = 1\n# </solution>\ny = 2\n# <solution>\nz = 3\n# </solution>", "x = ...\ny = 2\nz = ..."),
    ],
)
def test_learner_version_of_a_block(code: str, learner: str) -> None:
    """Without this the untouched lab would not run, or would give the solution away."""
    assert derive.learner_text(code) == learner
    assert "solution>" not in derive.solution_text(code)
    derive.parse(derive.learner_text(code))


def test_cells_go_where_their_tags_say(make_course: MakeCourse) -> None:
    """Without this a solution could show in the learner's notebook, or an instructor's note in either."""
    extra = '# %% id="only-solution" tags=["solution-only"]\n1\n\n# %% id="only-learner" tags=["learner-only"]\n2\n\n# %% [markdown] id="idea"'
    lab = _lab(make_course(('# %% [markdown] id="idea"', extra)))
    learner = [cell.id for cell in derive.notebook(lab, "lab").cells]
    solution = [cell.id for cell in derive.notebook(lab, "solution").cells]
    assert set(learner) - set(solution) == {"only-learner"}
    assert set(solution) - set(learner) == {"only-solution"}
    assert "room-idea" not in learner + solution


def test_run_sheet_holds_clock_notes_and_wrong_answers(make_course: MakeCourse) -> None:
    """Without this the run sheet could disagree with the notebook it is for."""
    text = runsheet.render(_lab(make_course()))
    assert "source.py" in text.splitlines()[0]
    assert "| 0:00 | 0:00 | The idea | 4 | 4 |" in text
    assert "| 0:04 | 0:04 | Exercise 1 · core · Double it | 5 | 5 |" in text
    assert "| 0:09 | 0:09 | End | | |" in text
    assert "- **Half day**: 9 minutes in a room. Every core exercise is done." in text
    assert "- **Alone**: 7 minutes, as the lab says." in text
    assert "- **Say**: Doubling is adding a number to itself, nothing more." in text
    assert "| squares | not yet, because double(3) should be 6, not 9. |" in text
    assert "- The idea: Skip the question." in text


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (None, "is missing"),
        ("not json", "line 1: stored 'not json'"),
        ('{"cells": [{"id": "old"}]}', "cell old is no longer in the source"),
        ('{"cells": []}', "cell a is missing"),
        ('{"cells": [{"id": "a", "n": 2}]}', "cell a · line 3: stored '\"n\": 2', built '\"n\": 1'"),
        ('{"cells": [{"id": "a", "n": 1}]}\n\n', "stored 2 lines, built 1"),
    ],
)
def test_difference_is_named_by_cell_and_line(make_course: MakeCourse, stored: str | None, said: str) -> None:
    """Without this `build --check` would say that something differs, but not what."""
    lab = _lab(make_course())
    if stored is not None:
        (lab.folder / "lab.ipynb").write_text(stored, encoding="utf-8")
    found = differences(lab, "lab.ipynb", '{"cells": [{"id": "a", "n": 1}]}')
    assert any(said in message for message in found)
    assert all(message.startswith("90_mini · lab.ipynb") and "workshop build 90" in message for message in found)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_sanitising_makes_outputs_the_same_everywhere() -> None:
    """Without this prompts, split streams, colours in errors or a software stamp would differ between two builds."""
    start, end = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", b"head"), _chunk(b"IEND", b"")
    image = base64.b64encode(start + _chunk(b"tEXt", b"Software\0drawn") + end).decode()
    outputs = [
        new_output("stream", name="stdout", text="a"),
        new_output("stream", name="stdout", text="b\n"),
        new_output("display_data", data={"image/png": image}),
        new_output("error", ename="ValueError", evalue="\x1b[31mbad\x1b[0m", traceback=["File /somewhere line 3"]),
        new_output("execute_result", data={"text/plain": "1"}, execution_count=17),
    ]
    timing = {"execution": {"iopub.execute_input": "now"}, "tags": ["exercise"]}
    cells = [new_code_cell(""), new_code_cell("x", outputs=outputs, execution_count=17, metadata=timing)]
    made = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python", "version": "3.11"}, "widgets": {}})
    sanitise.sanitise(made)
    blank, cell = made.cells
    assert (blank.execution_count, cell.execution_count, cell.outputs[3].execution_count) == (None, 1, 1)
    assert cell.metadata == {"tags": ["exercise"]}
    assert cell.outputs[0].text == "ab\n"
    assert base64.b64decode(cell.outputs[1].data["image/png"]) == start + end
    assert cell.outputs[2].traceback == ["ValueError: bad"]
    assert made.metadata == {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    assert json.loads(derive.as_text(made))["nbformat_minor"] == 5


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (new_output("stream", name="stderr", text="DeprecationWarning: old"), "text on stderr"),
        (new_output("stream", name="stdout", text="wrote /home/someone/x.csv"), "an absolute path"),
        (new_output("stream", name="stdout", text="in ROOT/data"), "an absolute path"),
        (new_output("execute_result", data={"text/plain": "<Thing at 0x7f00aa11bb22>"}), "a memory address"),
        (new_output("execute_result", data={"text/plain": "{'b', 'a'}"}), "a set"),
        (new_output("display_data", data={"text/html": '<style>#T_1a2b3 {}</style>'}), "a style block with random ids"),
        (new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {}}), "a widget"),
        (new_output("error", ename="EndpointConnectionError", evalue="http://127.0.0.1:4321/model", traceback=[]), "a port of this machine"),
        (new_output("stream", name="stdout", text="\x1b[31mred"), "terminal colours"),
        (new_output("display_data", data={"image/png": "", "text/plain": "<Figure>"}), "an image without a caption"),
        (new_output("display_data", data={"image/png": ""}, metadata={"image/png": {"alt": " "}}), "an image without alt text"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.output_type,
)
def test_output_that_must_not_be_stored_is_refused(output: object, said: str, tmp_path: Path) -> None:
    """Without this a path, an address, a warning or a widget would be stored, and differ for the next reader."""
    if output.get("text"):
        output.text = output.text.replace("ROOT", str(tmp_path))
    assert any(said in message for message in sanitise.findings(new_code_cell("x", outputs=[output]), tmp_path))


def test_secret_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """Without this a key could be committed in an output, or printed into a build log by the rule that found it."""
    key = "nvapi-" + "a1B2" * 8
    for text in (f"key {key}", "id AKIA" + "ABCDEFGH12345678"):
        [message] = sanitise.findings(new_code_cell("x", outputs=[new_output("stream", name="stdout", text=text)]), tmp_path)
        assert "a secret" in message
        assert text not in message


def test_ordinary_outputs_pass(tmp_path: Path) -> None:
    """Without this the rules could grow until honest outputs are refused."""
    outputs = [
        new_output("stream", name="stdout", text="Figure 1: 12 of 20 tickets, 60 %. Nano/Sonnet and/or 3/4."),
        new_output("execute_result", data={"text/plain": "{'a': 1}", "text/html": "<style scoped>x</style><table></table>"}),
        new_output("display_data", data={"image/png": "aGk="}, metadata={"image/png": {"alt": "Figure 1"}}),
    ]
    assert list(sanitise.findings(new_code_cell("x", outputs=outputs), tmp_path)) == []
