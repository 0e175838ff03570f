"""Progress: what is kept, where, by whom, and what is said of it."""

import json
import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import pytest

from workshop_lib.lab import Exercise, Lab
from workshop_lib.lab import progress as report
from workshop_lib.lab.attended import attended
from workshop_lib.lab.book import Book
from workshop_lib.lab.checking import Outcome
from workshop_lib.lab.errors import LabError, ProgressError
from workshop_lib.lab.exercise import exercises_of
from workshop_lib.lab.keeper import Keeper
from workshop_lib.lab.progress_file import change, forget, read
from workshop_lib.settings import Settings

LAB = "01_call_tiers"
ONE = Exercise("ex1", "One", 2, "core", "Say one.", ("Think.",), 1, lambda answer: None if answer == 1 else "it is not one", ())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a progress file may be."""
    return tmp_path / "state" / "progress.json"


@pytest.fixture
def keeper(path: Path) -> Keeper:
    """Return a keeper of that file, as in a kernel in which a person works."""
    return Keeper(lambda: path, lambda: True)


def _lab(keeper: Keeper) -> Lab:
    return Lab(LAB, (ONE,), Settings(), keeper=keeper)


def _solve(path: Path, lab: str, exercise: str) -> None:
    change(path, [lambda book: report.checked(book, lab, exercise, Outcome("correct"))])


def test_checks_hints_and_predictions_are_kept(keeper: Keeper, path: Path) -> None:
    """Without this a restarted kernel would know nothing of yesterday."""
    lab = _lab(keeper)
    lab.check("ex1", ...)
    lab.check("ex1", 2)
    lab.hint("ex1")
    lab.check("ex1", 1)
    lab.check("ex1", 2)
    lab.predict("p", 3, within=1, confidence=0.8)
    kept = read(path)
    entry = kept.labs[LAB].exercises["ex1"]
    assert (entry.attempts, entry.passed, entry.hints, kept.last) == (3, True, 1, LAB)
    assert kept.labs[LAB].predictions["p"].answer == 3


def test_a_solved_exercise_left_blank_says_so(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this a learner who comes back would be told "not attempted yet" about what they have solved."""
    _lab(Keeper(lambda: path, lambda: True)).check("ex1", 1)
    assert _lab(Keeper(lambda: path, lambda: True)).check("ex1", ...) == 1
    assert capsys.readouterr().out.splitlines()[2].startswith("You solved it before: run your own cell above again")


def test_nothing_is_written_where_nobody_works(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this a build or a test run would leave its progress in the learner's file."""
    lab = _lab(Keeper(lambda: path, lambda: False))
    lab.check("ex1", 1)
    lab.progress()
    assert not path.parent.exists()
    assert "Lab 01: 1 of 1 core exercises solved." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "asks", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"WORKSHOP_STATIC": "1"}, True, False),
        ({"WORKSHOP_STATIC": "1", "WORKSHOP_PROGRESS": "1"}, True, False),
        ({"WORKSHOP_PROGRESS": "0"}, True, False),
        ({"WORKSHOP_PROGRESS": "1"}, False, True),
        ({"WORKSHOP_PROGRESS": "maybe"}, False, False),
    ],
)
def test_the_one_switch(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asks: bool, expected: bool) -> None:
    """Without this papermill would write progress, or JupyterLab would not."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert attended(SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=asks))) is expected


def test_outside_a_kernel_nobody_works() -> None:
    """Without this a script or a test would write progress."""
    assert attended() is False
    assert attended(SimpleNamespace()) is False


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": "1", "labs": 3}', '{"labs": {}}', '{"version": 1, "labs": {"x": {"exercises": {"ex1": {"attempts": -1}}}}}'])
def test_a_damaged_file_is_kept_and_progress_starts_anew(path: Path, text: str) -> None:
    """Without this half a file would stop every lab, or be thrown away."""
    path.parent.mkdir()
    path.write_text(text)
    told: list[str] = []
    assert read(path, told.append) == Book()
    assert len(told) == 1
    assert told[0].startswith("The progress file was damaged. It is kept as")
    assert (path.parent / "progress.damaged.json").read_text() == text
    path.write_bytes(b"\xff\xfe\x00")
    read(path, told.append)
    assert (path.parent / "progress.damaged-2.json").exists()


def test_a_later_version_is_left_alone(path: Path, keeper: Keeper, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this an older checkout would destroy what a newer one has kept."""
    path.parent.mkdir()
    path.write_text(text := '{"version": 2}')
    lab = _lab(keeper)
    assert (lab.check("ex1", 1), lab.check("ex1", 1)) == (1, 1)
    said = capsys.readouterr().out
    assert said.count("is of version 2, and this workshop knows version 1") == 1
    assert path.read_text() == text


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this a read-only checkout would end every check in a traceback."""
    (tmp_path / "state").write_text("a file where the folder should be")
    path = tmp_path / "state" / "progress.json"
    lab = _lab(Keeper(lambda: path, lambda: True))
    assert lab.check("ex1", 2) == 1
    lab.progress()
    said = capsys.readouterr().out
    assert said.count("Progress is not kept:") == 1
    assert "tried 1 time" in said
    (tmp_path / "state").unlink()
    lab.check("ex1", 1)
    assert read(path).labs[LAB].exercises["ex1"].attempts == 2, "what could not be written is written later"


def _adds(path: Path, exercise: str, times: int) -> None:
    for _ in range(times):
        _solve(path, LAB, exercise)


def test_two_notebooks_do_not_lose_each_others_entries(path: Path) -> None:
    """Without this the notebook that wrote last would take back what the other one had kept."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_adds, args=(path, f"ex{number}", 25)) for number in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    found = read(path).labs[LAB].exercises
    assert {name: entry.attempts for name, entry in found.items()} == {"ex1": 25, "ex2": 25}
    assert [file.name for file in path.parent.iterdir() if file.name.endswith(".part")] == []


def test_forgetting_one_lab_or_all_keeps_a_copy(path: Path) -> None:
    """Without this a learner could not begin anew, or could not take that back."""
    assert forget(path) is None
    _solve(path, LAB, "ex1")
    _solve(path, "03_cascade", "ex1")
    kept = forget(path, "03_cascade")
    assert kept is not None
    assert set(read(path).labs) == {LAB}
    assert read(path).last is None
    assert set(json.loads(kept.read_text())["labs"]) == {LAB, "03_cascade"}
    path.write_text("{")
    forget(path)
    assert not path.exists()
    assert kept.read_text() == "{"


def test_labs_are_found_by_number_and_name() -> None:
    """Without this `workshop progress 3` would be a KeyError."""
    assert {report.named(text) for text in ("3", "03", "03_cascade", "03_cascade/")} == {"03_cascade"}
    with pytest.raises(LabError, match=r"no lab 'x'. Labs: 01_call_tiers,"):
        report.named("x")


def test_the_report_names_objectives_and_the_next_step(path: Path) -> None:
    """Without this a learner would not see what is met, or be sent to an exercise they have solved."""
    assert report.next_words(Book()).startswith("begin lab 01")
    _solve(path, "03_cascade", "ex1")
    book = read(path)
    lines = report.of_lab(book, "03_cascade")
    assert lines[0] == "Lab 03: 1 of 6 core exercises solved, 0 of 2 stretch."
    assert lines[1].startswith("  solved   Exercise 1 (core). Decide whether an answer is kept")
    assert report.next_words(book).startswith("lab 03, Exercise 2:"), "the lab worked on last goes first"
    assert max(map(len, lines)) <= report.WIDE
    assert len(report.overview(book)) == 6
    for card in report.cards():
        for exercise in exercises_of(card.name):
            report.checked(book, card.name, exercise.id, Outcome("correct"))
    assert report.next_step(book) is None
    assert report.next_words(book).startswith("all core exercises are solved")


def test_after_a_lab_comes_the_one_after_it() -> None:
    """Without this the end of lab 04 would send a learner who began there back to lab 01, with lab 05 unsolved."""
    book = Book()
    for exercise in exercises_of("04_bulk"):
        report.checked(book, "04_bulk", exercise.id, Outcome("correct"))
    assert report.next_words(book, "04_bulk").startswith("begin lab 05")
    for exercise in exercises_of("05_bakeoff"):
        report.checked(book, "05_bakeoff", exercise.id, Outcome("correct"))
    assert report.next_words(book, "05_bakeoff").startswith("begin lab 01")


def test_the_cards_are_the_labs() -> None:
    """Without this the start page could show a title or a time that no lab has."""
    assert [(card.number, card.minutes) for card in report.cards()] == [("01", "30"), ("02", "40"), ("03", "40"), ("04", "40"), ("05", "40")]
    assert all(card.promise.startswith("You ") and card.promise.endswith(".") for card in report.cards())


def test_a_file_in_use_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this a process that hangs while it holds the file would hang every notebook."""
    monkeypatch.setattr("workshop_lib.lab.progress_file.claim", lambda handle: False)
    monkeypatch.setattr("workshop_lib.lab.progress_file._WAIT_S", 0.0)
    with pytest.raises(ProgressError, match="another process holds"):
        _solve(path, LAB, "ex1")
