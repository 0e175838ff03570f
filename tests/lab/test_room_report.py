"""What a check tells the room."""

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
