"""The start page: up to date, every link leads somewhere, and the command opens it."""

import json
import re
import signal
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from workshop_lib import headless
from workshop_lib.lab import progress, start
from workshop_lib.lab.book import Book
from workshop_lib.lab.checking import Outcome
from workshop_lib.paths import ROOT

LINK = re.compile(r"\]\(([^)#]+)(?:#cell-id=([\w-]+))?\)")


def _cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(start.PAGE.read_text(encoding="utf-8"))["cells"]
    return found


def test_the_page_is_up_to_date() -> None:
    """Without it the page could promise other labs or other minutes than there are."""
    assert start.problems() == []


def test_a_page_that_is_missing_or_old_is_told(tmp_path: Any) -> None:
    """Without it `workshop build --check` would pass over the page."""
    page = tmp_path / "START.ipynb"
    assert start.problems(page) == ["START.ipynb is missing; run `workshop build`"]
    page.write_text("{}")
    assert start.problems(page) == ["START.ipynb is not up to date; run `workshop build`"]
    start.write(page)
    assert start.problems(page) == []


def test_every_link_leads_somewhere() -> None:
    """Without it the first click of the course could end at a page that is not there."""
    text = "\n".join("".join(cell["source"]) for cell in _cells())
    links = [target for target, _ in LINK.findall(text)]
    assert [target for target in links if not (ROOT / target).exists()] == []
    assert [f"notebooks/{card.name}/lab.ipynb" in links for card in progress.cards()] == [True] * 5


def test_its_code_runs_and_shows_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the one cell of the page could be of an older interface."""
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    code = next("".join(cell["source"]) for cell in _cells() if cell["cell_type"] == "code")
    exec(code, {})
    assert shown[0]["text/markdown"].startswith("**Next:** [begin lab 01, ")
    assert "Next: begin lab 01" in shown[0]["text/plain"]


def test_the_next_step_is_one_click_away() -> None:
    """Without it a learner who comes back would have to look for where they stopped."""
    book = Book()
    progress.checked(book, "03_cascade", "ex1", Outcome("correct"))
    target, cell = LINK.findall(start.standing(book))[0]
    assert (target, cell) == ("notebooks/03_cascade/lab.ipynb", "ex2-header")
    for card in progress.cards():
        ids = {found["id"] for found in json.loads((ROOT / f"notebooks/{card.name}/lab.ipynb").read_text(encoding="utf-8"))["cells"]}
        assert {f"{exercise.id}-header" for exercise in progress.exercises_of(card.name)} <= ids, card.name
    for card in progress.cards():
        for exercise in progress.exercises_of(card.name):
            progress.checked(book, card.name, exercise.id, Outcome("correct"))
    assert start.standing(book).startswith("**Next:** all core exercises are solved")


def test_the_command_opens_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it `make lab` would open a folder, or a lab in the middle of the course."""
    commands: list[list[str]] = []

    class Server:
        def __init__(self, command: list[str]) -> None:
            commands.append(command)

        def wait(self, timeout: float | None = None) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Server)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(headless, "open_backend", lambda: SimpleNamespace(backend="sandbox"))
    assert headless.open_jupyterlab(["--no-browser"]) == 0
    assert "--LabApp.default_url=/lab/tree/START.ipynb" in commands[0]
    assert commands[0][-1] == "--no-browser"
    assert "Next: " in capsys.readouterr().out


def test_a_progress_file_that_cannot_be_read_does_not_close_the_labs(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Without it a file of a later version would keep JupyterLab from opening."""
    path = tmp_path / "progress.json"
    path.write_text('{"version": 9}')
    monkeypatch.setattr("workshop_lib.lab.progress_file.default", lambda: path)
    assert "is of version 9" in start.greeting()
