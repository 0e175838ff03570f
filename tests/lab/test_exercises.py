"""Every exercise of every lab, fed with its reference, its wrong answers, and blanks."""

import importlib
from collections import Counter

import pytest

from workshop_lib.lab import checking
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


def _endless(*values: object, **named: object) -> object:
    while True:
        pass


@pytest.mark.parametrize("exercise", [param for param in ALL if callable(param.values[0].reference)])
def test_slow_loop_is_stopped_and_named(exercise: Exercise, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this one check that calls an answer by itself would hang the notebook on a loop without an end."""
    monkeypatch.setattr(checking, "LIMIT_S", 0.05)
    outcome = judge(exercise, _endless)
    assert outcome.state == "not yet"
    assert "did not finish within 0.05 seconds; look for a loop that never ends" in outcome.reason


REAL = {
    "charges only the winning tier": ("ex03", "ex2", "charges the winner only"),
    "price per thousand": ("ex01", "ex1", "divides by a thousand"),
    "escalates on `>`": ("ex03", "ex1", "> instead of >="),
    "retries a validation error": ("ex04", "ex2", "retries validation"),
    "forgets jitter": ("ex04", "ex3", "no jitter"),
    "unbounded gather": ("ex04", "ex1", "gathers all at once"),
    "loses the failed ticket": ("ex04", "ex4", "drops the failed ticket"),
    "compares arms on different denominators": ("ex05", "ex1", "fixes all but the denominators"),
    "reads a 30-ticket difference as a fact": ("ex05", "ex2", "compares the two shares"),
    "fits and judges on the same split": ("ex02", "ex4", "judges where it was fitted"),
}


@pytest.mark.parametrize("mistake", REAL)
def test_the_mistakes_of_real_systems_are_explained(mistake: str) -> None:
    """Without this a mistake that published comparisons have made could drop out of the course."""
    module, exercise, name = REAL[mistake]
    assert name in [wrong.name for one in _of(module) if one.id == exercise for wrong in one.wrong]


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
