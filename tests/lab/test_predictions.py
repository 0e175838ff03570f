"""Predictions: what a learner may write, what is said of it, and what counts."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.lab import Lab, LabError
from workshop_lib.lab.book import Book
from workshop_lib.lab.keeper import Keeper
from workshop_lib.lab.predictions import Asked, asked, calibration, predict, score
from workshop_lib.settings import Settings

NUMBER = Asked(within=1)
YES = Asked(among=("yes", "no"))
LAB = "01_call_tiers"


@pytest.fixture
def keeper() -> Keeper:
    """Return a keeper that writes no file."""
    return Keeper(keeps=lambda: False)


@pytest.mark.parametrize(
    ("written", "what", "line"),
    [
        (..., NUMBER, "No prediction yet."),
        (None, NUMBER, "No prediction yet."),
        (3, NUMBER, "Written down: 3, give or take 1. You are 80 % sure."),
        (np.float64(2.5), NUMBER, "Written down: 2.5, give or take 1."),
        ((5, 2), NUMBER, "Written down: from 2 to 5."),
        (True, YES, "Written down: yes."),
        (np.False_, YES, "Written down: no."),
        (" No ", YES, "Written down: no."),
        ("Nano", Asked(among=("nano", "sonnet")), "Written down: nano."),
        ("3", NUMBER, "Not written down: '3' is text; write a number without quotes"),
        (True, NUMBER, "Not written down: True is yes or no"),
        ((1, 2, 3), NUMBER, "Not written down: (1, 2, 3) is no interval"),
        ({3}, NUMBER, "Not written down: {3} is no number"),
        (float("nan"), NUMBER, "Not written down: nan is no number"),
        (10**400, NUMBER, "Not written down:"),
        ("opus", Asked(among=("nano", "sonnet")), "Not written down: 'opus' is none of 'nano', 'sonnet'"),
        (object(), YES, "Not written down: <object object> is none of 'yes', 'no'"),
    ],
)
def test_what_a_learner_may_write(keeper: Keeper, written: object, what: Asked, line: str) -> None:
    """Without this a typing error in a prediction would stop the lab with a traceback, or be taken for something else."""
    assert predict(keeper, LAB, "p", written, what, 0.8).startswith(line)


@pytest.mark.parametrize(
    ("confidence", "kept", "line"),
    [(0.8, 0.8, "80 % sure"), (80, 0.8, "80 was read as 80 %"), (1, 1.0, "100 % sure"), (..., None, "confidence=0.8"), (None, None, "confidence=0.8")],
)
def test_confidence_as_people_write_it(keeper: Keeper, confidence: object, kept: float | None, line: str) -> None:
    """Without this 80 would be a confidence of 8,000 %, or a forgotten one would stop the lab."""
    assert line in predict(keeper, LAB, "p", 3, NUMBER, confidence)
    assert keeper.book().labs[LAB].predictions["p"].confidence == kept


@pytest.mark.parametrize("confidence", [-0.1, 101, "high", float("nan"), True, [0.8]])
def test_a_confidence_that_is_none_is_refused_in_a_line(keeper: Keeper, confidence: object) -> None:
    """Without this a meaningless confidence would be drawn into the learner's curve."""
    assert predict(keeper, LAB, "p", 3, NUMBER, confidence).startswith("Not written down:")
    assert not keeper.book().labs.get(LAB) or not keeper.book().labs[LAB].predictions["p"].answer


@given(answer=st.floats(-1e6, 1e6), away=st.floats(0, 100), within=st.floats(0, 100))
def test_right_means_within(answer: float, away: float, within: float) -> None:
    """Without this a prediction at the edge of its tolerance could be judged by the last bit of a float."""
    judged = Asked(within=within).right(answer, answer + away)
    if away < within * (1 - 1e-9) or away == within:
        assert judged
    if away > within + 1e-3:
        assert not judged


def test_an_interval_and_a_choice_are_judged() -> None:
    """Without this only plain numbers could come true."""
    assert [NUMBER.right((2.0, 5.0), result) for result in (2, 5, 5.1)] == [True, True, False]
    assert [YES.right("yes", result) for result in (True, np.bool_(False))] == [True, False]


def test_scored_in_words(keeper: Keeper) -> None:
    """Without this the wording that stored outputs rely on could change unnoticed."""
    assert score(keeper, LAB, "none", 5, NUMBER) == "You wrote down no prediction. The result: 5."
    predict(keeper, LAB, "p", 3, NUMBER, 0.8)
    assert score(keeper, LAB, "p", 5, NUMBER, "%") == "You predicted 3 %, give or take 1, 80 % sure. The result: 5 %. That is not right: 2 away."
    predict(keeper, LAB, "y", False, YES, ...)
    assert score(keeper, LAB, "y", np.False_, YES) == "You predicted no. The result: no. That is right."


def test_a_change_before_the_result_counts(keeper: Keeper) -> None:
    """Without this second thoughts would be punished although nothing was known yet."""
    predict(keeper, LAB, "p", 3, NUMBER, 0.8)
    assert predict(keeper, LAB, "p", 4, NUMBER, 0.9).startswith("Written down instead: 4")
    assert "That is right" in score(keeper, LAB, "p", 5, NUMBER)


def test_a_change_after_the_result_is_marked_and_does_not_count(keeper: Keeper) -> None:
    """Without this hindsight would make everybody's curve perfect."""
    predict(keeper, LAB, "p", 3, NUMBER, 0.8)
    score(keeper, LAB, "p", 5, NUMBER)
    assert "after the result was shown, so the first one counts: 3" in predict(keeper, LAB, "p", 5, NUMBER, 1)
    line = score(keeper, LAB, "p", 5, NUMBER)
    assert line.startswith("You predicted 3")
    assert "Changed after the result was shown to 5" in line
    entry = keeper.book().labs[LAB].predictions["p"]
    assert (entry.answer, entry.confidence, entry.right, entry.later) == (3, 0.8, False, 5)


def test_a_prediction_made_only_after_the_result_never_counts(keeper: Keeper) -> None:
    """Without this running the result's cell first would be a way to be right."""
    score(keeper, LAB, "p", 5, NUMBER)
    assert "it does not count" in predict(keeper, LAB, "p", 5, NUMBER, 1)
    assert "does not count" in score(keeper, LAB, "p", 5, NUMBER)
    assert keeper.book().labs[LAB].predictions["p"].right is None


def test_a_blank_does_not_erase_what_was_written(keeper: Keeper) -> None:
    """Without this a fresh copy of the notebook would throw the learner's predictions away."""
    predict(keeper, LAB, "p", 3, NUMBER, 0.8)
    assert predict(keeper, LAB, "p", ..., NUMBER).endswith("what you wrote down earlier stays: 3, give or take 1.")


def test_the_learners_own_curve(keeper: Keeper) -> None:
    """Without this lab 02 could not draw the reader's own calibration, or would draw it from two points."""
    for number in range(4):
        predict(keeper, LAB, f"p{number}", 3, NUMBER, 0.9)
        score(keeper, LAB, f"p{number}", 3 if number else 9, NUMBER)
    predict(keeper, LAB, "unscored", 3, NUMBER, 0.9)
    predict(keeper, LAB, "unsure", 3, NUMBER)
    score(keeper, LAB, "unsure", 3, NUMBER)
    words, rows = calibration(keeper.book())
    assert (words, rows) == ("Your own curve takes 5 predictions with a confidence, each with its result shown; so far there are 4.", [])
    predict(keeper, "02_confidence", "p", False, YES, 60)
    score(keeper, "02_confidence", "p", False, YES)
    words, rows = calibration(keeper.book())
    assert words == "5 predictions of yours: 84 % sure on average, 4 of 5 came true."
    assert [(row.n, round(row.accuracy, 2)) for row in rows] == [(1, 1.0), (4, 0.75)]


def test_the_book_survives_its_file(keeper: Keeper) -> None:
    """Without this an interval or a choice could come back from the file as something else."""
    for name, written, what in (("n", 3, NUMBER), ("i", (2, 5), NUMBER), ("c", True, YES)):
        predict(keeper, LAB, name, written, what, 0.5)
    book = keeper.book()
    assert Book.model_validate(json.loads(book.model_dump_json())) == book


def test_a_labs_own_mistake_raises() -> None:
    """Without this an author's slip would reach learners as a prediction that can never be right."""
    for arguments in ({"within": 1, "among": ("a", "b")}, {"within": None, "among": ("a",)}, {"within": -1, "among": None}, {"within": float("nan"), "among": None}):
        with pytest.raises(ValueError, match=r"within|among"):
            asked(**arguments)


def test_in_a_lab(keeper: Keeper, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this the methods that cells call could differ from what is tested above, or a misspelt name pass in a build."""
    lab = Lab("90_predict", (), Settings(), keeper=keeper)
    lab.predict("price", 3, within=1, confidence=0.8)
    lab.score("price", 4)
    lab.score("prise", 4)
    assert lab.my_calibration() == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("That is right.")
    assert lines[2] == "The cell with your prediction has not run. Run it, then this one again."
    assert lines[3].startswith("Your own curve takes 5 predictions")
    monkeypatch.setenv("WORKSHOP_STRICT", "1")
    with pytest.raises(LabError, match="'prise' that no cell before asked for"):
        lab.score("prise", 4)
