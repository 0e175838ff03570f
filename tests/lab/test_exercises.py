"""Every exercise of every lab, fed with its reference, its wrong answers, and blanks."""

import importlib
from collections import Counter

import pytest

from workshop_lib.lab.checking import judge
from workshop_lib.lab.exercise import Exercise, Wrong, modules


def _of(module: str) -> tuple[Exercise, ...]:
    found: tuple[Exercise, ...] = importlib.import_module(f"workshop_lib.lab.exercises.{module}").EXERCISES
    return found


ALL = [pytest.param(exercise, id=f"{module}-{exercise.id}") for module in modules() for exercise in _of(module)]
WRONG = [pytest.param(exercise, wrong, id=f"{module}-{exercise.id}-{wrong.name}") for module in modules() for exercise in _of(module) for wrong in exercise.wrong]


@pytest.mark.parametrize("module", modules())
def test_a_lab_has_enough_exercises_with_ids_in_order(module: str) -> None:
    """Without this a lab could lose an exercise, or two exercises could share an id and one be unreachable."""
    ids = [exercise.id for exercise in _of(module)]
    assert len(ids) >= 4
    assert ids == [f"ex{number}" for number in range(1, len(ids) + 1)]


@pytest.mark.parametrize("exercise", ALL)
def test_reference_is_correct(exercise: Exercise) -> None:
    """Without this a learner could be handed a reference that the check itself refuses."""
    outcome = judge(exercise, exercise.reference)
    assert outcome.state == "correct", outcome.reason


@pytest.mark.parametrize(("exercise", "wrong"), WRONG)
def test_wrong_answer_is_explained(exercise: Exercise, wrong: Wrong) -> None:
    """Without this a typical mistake could pass, or draw a message that does not name it."""
    outcome = judge(exercise, wrong.answer)
    assert outcome.state == "not yet"
    assert wrong.says in outcome.sentence(exercise.label)
    assert "could not use" not in outcome.reason, "the check tripped over this answer; handle it in the check"
    assert "\n" not in outcome.reason
    assert " at 0x" not in outcome.reason


@pytest.mark.parametrize("exercise", ALL)
@pytest.mark.parametrize("blank", [..., None], ids=["ellipsis", "none"])
def test_blank_is_not_attempted(exercise: Exercise, blank: object) -> None:
    """Without this an untouched exercise could be called wrong, or right."""
    assert judge(exercise, blank).state == "not attempted"


@pytest.mark.parametrize("exercise", ALL)
def test_untouched_function_is_not_attempted(exercise: Exercise) -> None:
    """Without this a function whose body is still `...` could be called wrong."""
    if not callable(exercise.reference):
        pytest.skip("the answer is a value")
    assert judge(exercise, lambda *values, **named: ...).state == "not attempted"
    assert judge(exercise, lambda *values, **named: None).state == "not attempted"


def _raises(*values: object, **named: object) -> object:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize("exercise", ALL)
@pytest.mark.parametrize("answer", [_raises, int, "a string", object(), {"a": ...}, [], -1, float("nan")], ids=lambda answer: type(answer).__name__)
def test_strange_answer_draws_a_message(exercise: Exercise, answer: object) -> None:
    """Without this an answer of another kind could pass, or raise in the learner's notebook."""
    outcome = judge(exercise, answer)
    assert outcome.state != "correct"
    if answer is _raises and callable(exercise.reference):
        assert "ZeroDivisionError" in outcome.reason


@pytest.mark.parametrize("exercise", ALL)
def test_exercise_is_complete(exercise: Exercise) -> None:
    """Without this an exercise could ship without hints, objective, time, or enough wrong answers to trust its check."""
    assert len(exercise.wrong) >= 3
    assert len(exercise.hints) >= 3
    assert max(Counter(wrong.name for wrong in exercise.wrong).values()) == 1
    assert exercise.level in ("core", "stretch")
    assert 1 <= exercise.minutes <= 20
    assert exercise.title
    assert exercise.objective.endswith(".")
    assert all(wrong.says.strip() for wrong in exercise.wrong)
