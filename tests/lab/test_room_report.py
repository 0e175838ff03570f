"""What a check tells the room, and what opening a lab says of it."""

import pytest

from workshop_lib.lab import Exercise, Lab, Wrong, session
from workshop_lib.settings import Settings


def test_a_check_reports_name_and_state_and_nothing_else(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it the board would stay empty, or learn what a learner wrote."""
    told: list[tuple[str, str, str]] = []
    monkeypatch.setattr(session.room, "report", lambda *said: told.append(said))
    exercise = Exercise(
        id="ex1", title="Four", minutes=1, level="core", objective="Say four.", hints=("2 + 2", "1 + 3", "4"),
        reference=4, check=lambda answer: None if answer == 4 else "it is four", wrong=(Wrong("five", 5, "four"),),
    )  # fmt: skip
    lab = Lab("91_room", (exercise,), Settings())
    for answer in (..., 5, 4):
        lab.check("ex1", answer)
    assert told == [("91_room", "ex1", "not attempted"), ("91_room", "ex1", "not yet"), ("91_room", "ex1", "correct")]


def test_opening_a_lab_says_in_which_room_and_under_which_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a learner in a room would read that the models are on their own machine."""
    joined = Settings(room="http://10.0.0.5:8000/joinkey2", learner="Ana Lead")
    monkeypatch.setattr(session.backends, "open_backend", lambda **_: joined)
    session.open_lab("01_call_tiers")
    said = capsys.readouterr().out
    assert "the room at 10.0.0.5:8000, which knows you as Ana Lead" in said
    assert "this machine" not in said
    assert "joinkey2" not in said
