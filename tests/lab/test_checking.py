"""Checks, hints and the three states, on a small exercise made for these tests."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from workshop_lib.lab import Exercise, ExerciseError, Lab, LabError, Wrong
from workshop_lib.lab.checking import NotAttempted, NotYet, calling, close, diagnosed, judge, number, one_line, shown
from workshop_lib.settings import Settings


def usd(tokens: int, price: float) -> float:
    """Return the reference's cost."""
    return tokens * price / 1_000_000


def _check(answer: object) -> str | None:
    got = calling(answer, 2_000, 3.0)
    if close(got, 6_000):
        return "it is a million times too large: prices are per million tokens"
    return None if close(got, 0.006) else f"2,000 tokens at 3 USD cost 0.006 USD, not {shown(got)}"


COST = Exercise(
    id="ex2", title="Cost", minutes=5, level="core", objective="Turn tokens into dollars.", hints=("Per million.", "Divide.", "tokens * price / 1e6"),
    reference=usd, check=_check, wrong=(Wrong("off by a million", lambda tokens, price: tokens * price, "a million times"),),
)  # fmt: skip


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    """Return a lab without a backend, under a name of its own so that hints start anew."""
    return Lab(f"90_{request.node.name}", (COST,), Settings())


def test_three_states_in_words(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this the wording learners and stored outputs rely on could change unnoticed."""
    assert lab.check("ex2", ...) is usd
    assert lab.check("ex2", COST.wrong[0].answer) is usd
    mine = lambda tokens, price: tokens / 1_000_000 * price  # noqa: E731  # a second right answer, to see it come back
    assert lab.check("ex2", mine) is mine
    assert capsys.readouterr().out.splitlines() == [
        "Exercise 2: not attempted yet. Going on with the reference.",
        "Exercise 2: not yet, because it is a million times too large: prices are per million tokens. Going on with the reference.",
        "Exercise 2: correct.",
    ]


def test_the_reference_handed_out_is_not_praised(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this a wrong answer would be called correct when only the check's cell, which rebinds the name, is run again."""
    handed_out = lab.check("ex2", COST.wrong[0].answer)
    assert lab.check("ex2", handed_out) is usd
    assert capsys.readouterr().out.splitlines()[1] == (
        "Exercise 2: this is the reference from before, not your answer. Run your own cell again, then this one."
    )


@pytest.mark.parametrize("answer", [..., None, "usd", COST.wrong[0].answer], ids=lambda value: getattr(value, "__name__", None) or repr(value))
def test_strict_raises_on_anything_but_correct(lab: Lab, answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this a wrong solution would be built and shipped."""
    monkeypatch.setenv("WORKSHOP_STRICT", "1")
    with pytest.raises(ExerciseError, match="Exercise 2: not"):
        lab.check("ex2", answer)
    assert lab.check("ex2", usd) is usd


def test_hints_come_one_at_a_time(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Without this a learner would be shown all hints at once, or an error after the last."""
    for _ in range(4):
        lab.hint("ex2")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["Hint 1 of 3: Per million.", "Hint 2 of 3: Divide.", "Hint 3 of 3: tokens * price / 1e6"]
    assert "no more hints" in lines[3]


def test_unknown_exercise_names_the_known(lab: Lab) -> None:
    """Without this a typing error in an exercise's id would be a KeyError."""
    with pytest.raises(LabError, match=r"no exercise .ex9.\. It has: ex2"):
        lab.check("ex9", 1)


def test_reconnect_says_when_clients_must_be_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Without this a client made before the crash would go on calling a port where nothing answers."""
    old, new = (Settings(bedrock_endpoint=f"http://127.0.0.1:{port}", openai_base_url=f"http://127.0.0.1:{port}/v1") for port in (1, 2))
    lab = Lab("90_mini", (), old, lambda: new)
    first = lab.openai
    lab.reconnect()
    assert lab.openai is not first
    lab.reconnect()
    lines = capsys.readouterr().out.splitlines()
    assert "on another port" in lines[0]
    assert lines[1] == "The sandbox is running again. Go on where you stopped."
    with pytest.raises(LabError, match="opened without a backend"):
        Lab("90_mini", (), old).reconnect()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (int, "class int, but must be a function"),
        ("usd", "must be a function"),
        (3, "must be a function"),
        (lambda: 1, "it raised TypeError"),
        (lambda tokens, price: 1 / 0, "it raised ZeroDivisionError: division by zero"),
        (lambda tokens, price: exit(), "it raised SystemExit"),
        (lambda tokens, price: (1, ...), "1 of its 2 parts is still"),
    ],
)
def test_what_is_no_answer_gets_a_sentence(answer: object, says: str) -> None:
    """Without this a class, a string, a wrong signature or a crash would end in a traceback or a kernel that quits."""
    outcome = judge(COST, answer)
    assert outcome.state == "not yet"
    assert says in outcome.reason


@pytest.mark.parametrize(
    "answer",
    [lambda tokens, price: ..., lambda tokens, price: None, lambda tokens, price: tokens * ..., lambda tokens, price: [..., ...], (..., ...), {"a": ...}],
)
def test_blanks_inside_are_not_attempted(answer: object) -> None:
    """Without this the untouched lab would call its own blanks wrong answers."""
    assert judge(COST, answer).state == "not attempted"


def _skeleton(tokens: int, price: float) -> float:  # type: ignore[empty-body]
    per_token = price / 1_000_000  # noqa: F841
    ...  # noqa: PIE790


def _only_pass(tokens: int, price: float) -> None:
    """Nothing yet."""
    pass  # noqa: PIE790


def _prints(tokens: int, price: float) -> None:
    print(tokens * price / 1_000_000)


@pytest.mark.parametrize("answer", [_skeleton, _only_pass], ids=["skeleton", "pass"])
def test_a_function_left_as_it_was_is_not_attempted(answer: object) -> None:
    """Without this an untouched skeleton with a line before its blank would be called a wrong answer."""
    assert judge(COST, answer).state == "not attempted"


def test_printing_instead_of_returning_is_told() -> None:
    """Without this a learner who prints the result would read that nothing was attempted."""
    outcome = judge(COST, _prints)
    assert outcome.state == "not yet"
    assert "print() is not enough" in outcome.reason


def test_check_that_trips_still_answers() -> None:
    """Without this a check written with one kind of answer in mind would raise in the learner's notebook."""
    naive = Exercise("ex1", "Naive", 5, "core", "Compare.", (), 1.0, lambda answer: None if answer > 0 else "no", ())
    outcome = judge(naive, "one")
    assert outcome.state == "not yet"
    assert "the check could not use 'one': it raised TypeError" in outcome.reason


def test_arguments_are_copied() -> None:
    """Without this a function that empties its input would spoil the data of the rest of the lab."""
    rows = [{"n": 1}, {"n": 2}]

    def greedy(given: list[dict[str, int]]) -> int:
        given[0]["n"] = 9
        given.clear()
        return 1

    assert calling(greedy, rows) == 1
    assert rows == [{"n": 1}, {"n": 2}]
    lock = threading.Lock()
    assert calling(lambda held: held["lock"] is lock, {"lock": lock}) is True


def test_endless_loop_is_stopped_and_named() -> None:
    """Without this one wrong loop would hang the notebook, or go on in the background and slow every later cell."""

    def endless() -> None:
        while True:
            pass

    before = set(threading.enumerate())
    with pytest.raises(NotYet, match=r"did not finish within 0\.2 seconds; look for a loop that never ends"):
        calling(endless, limit_s=0.2)
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


def test_coroutines_and_generators_are_run_to_their_end() -> None:
    """Without this an exercise on streams or asyncio would be judged by an object that has not run yet."""

    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    def rows() -> Iterator[int]:
        yield from (1, 2)

    async def stream() -> AsyncIterator[int]:
        yield 3

    assert calling(later, 1) == 2
    assert calling(rows) == [1, 2]
    assert calling(stream) == [3]
    assert asyncio.run(_inside_a_loop(later)) == 2


async def _inside_a_loop(function: object) -> object:
    return calling(function, 1)


def test_none_is_an_answer_only_if_said_so() -> None:
    """Without this a function that rightly returns None could never be checked."""
    assert calling(lambda: None, none_ok=True) is None
    with pytest.raises(NotAttempted):
        calling(lambda: None)


def test_tolerance_takes_numbers_only() -> None:
    """Without this 0.1 + 0.2 would fail, and True or "0.3" would pass as numbers."""
    assert close(0.1 + 0.2, 0.3)
    assert not close(0.3001, 0.3)
    assert not any(close(value, 1.0) for value in (True, "1.0", None, [1.0], float("nan")))
    assert number(3) == 3.0
    with pytest.raises(NotYet, match="the rate is a value of type str"):
        number("3", "the rate")


def test_messages_hold_no_addresses() -> None:
    """Without this a stored output could hold a memory address that differs on every build."""
    assert "0x" not in shown(object())
    assert one_line(ValueError(f"bad {object()}.\nsecond line")) == "ValueError: bad <object object>"
    assert one_line(ValueError()) == "ValueError"


@pytest.mark.parametrize(("got", "rounded"), [(31.0, True), (31.4, True), (31.44, True), (32.0, True), (31.8, False), (31.964, False), (0.0, False)])
def test_only_a_number_with_fewer_decimals_is_called_rounded(got: float, rounded: bool) -> None:
    """Without it a learner with a wrong formula that comes near would look for a round() that is not there."""
    said = diagnosed(got, 31.437, (), "the bill")
    assert said is not None
    assert ("looks rounded" in said) == rounded
