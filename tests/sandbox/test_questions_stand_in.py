"""The closed-book question answerer: real computation, rising capacity, honest limits."""

import time

import pytest

from workshop_lib.sandbox.stand_ins.questions import Capacity, Guess, answer

SMALL, MID, LARGE, JUDGE = Capacity(1, 1), Capacity(2, 2), Capacity(3, 4), Capacity(3, 8)

# Each row: question, answer, and how many of the four models (from the largest down) get it.
LADDER = [
    ("What is the capital of Japan?", "Tokyo", 4),
    ("Who wrote Romeo and Juliet?", "William Shakespeare", 4),
    ("What is 36 + 57?", "93", 4),
    ("A baker packs 144 rolls into bags of 6. How many bags does he fill?", "24", 4),
    ("There were 86 birds on a wire and 29 flew away. How many were left?", "57", 4),
    ("What does `len('cascade')` return?", "7", 4),
    ("Which country uses the zloty?", "Poland", 3),
    ("What does HTTP status 503 mean?", "Service Unavailable", 3),
    ("What is (12 + 8) * 3?", "60", 3),
    ("Maria has 12 apples, gives 5 away, then buys 8 more. How many apples does she have?", "15", 3),
    ("```python\nt = 0\nfor n in [1, 2, 3]:\n    t += n\nprint(t)\n```\nWhat is printed?", "6", 3),
    ("What is the capital of the country whose currency is the forint?", "Budapest", 3),
    ("Who wrote Middlemarch?", "George Eliot", 2),
    ("Ray buys 3 pens at $2 each and 2 pads at $5 each. How many dollars does he spend?", "16", 2),
    ("What is the capital of the country where the author of Don Quixote was born?", "Madrid", 2),
    ("`[x * x for x in range(6) if x % 2]` evaluates to?", "[1, 9, 25]", 2),
    (
        "Tickets cost $12 for adults and $7 for children. How much do 2 adults, 3 children pay with 10% off?",
        "40.5",
        2,
    ),
    ("What is 1 + 2 + 3 + 4 + 5 + 6?", "21", 1),
]

HOSTILE = [
    "", " \n\t ", "\x00\ud800\U0001f600 \u202e", "a" * 50_000, "(" * 50_000, "[" * 50_000, "-" * 50_000 + "1",
    "`" + "(" * 2_000 + "`", "9**9**9", "`9**9**9`", "`'a' * 10**9`", "`list(range(10**9))`", "`[0] * 10**9`",
    "```\nwhile True:\n    pass\n```", "```\na = []\nfor i in range(99):\n    a = [a, a]\nprint(a)\n```",
    "```\ndef f(n):\n    return f(n + 1)\nf(0)\n```", "`(lambda f: f(f))(lambda f: f(f))`", "`f'{1:999999999}'`",
    "1 " * 25_000, "1+" * 25_000, "half of " * 6_000, "who wrote " * 5_000, "2 apples each " * 3_500,
    "Ann is 5 years older than Bob and " * 1_500 + "how old is Bob?", "What is 7 / 0?", "5 x " * 12_000,
    "Ann is twice as old as Ann. How old is Ann?", "\u00b2\u00b3 \u00bd \u2460 \u0968 apples and \u0663 pears, how many?",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _knowledge_loaded() -> None:
    """Load the knowledge base once, so that no timing below includes it."""
    for capacity in (SMALL, MID, LARGE):
        answer("What is the capital of France?", capacity)


def known_by(capacity: Capacity) -> set[str]:
    """Return the questions of the ladder that a capacity answers."""
    return {question for question, gold, _ in LADDER if answer(question, capacity).answer == gold}


@pytest.mark.parametrize(("question", "gold", "models"), LADDER)
def test_each_question_is_answered_from_its_capacity_on(question: str, gold: str, models: int) -> None:
    """Without it a model could know more or less than its knowledge and steps allow and no lab would notice."""
    right = [answer(question, capacity).answer == gold for capacity in (JUDGE, LARGE, MID, SMALL)]
    assert right == [at < models for at in range(4)]


def test_rising_capacity_answers_strictly_more() -> None:
    """Without it escalating could cost money and gain nothing, which would make the course's cascade pointless."""
    small, mid, large, judge = (known_by(capacity) for capacity in (SMALL, MID, LARGE, JUDGE))
    assert small < mid < large < judge


@pytest.mark.parametrize("question", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("capacity", [SMALL, JUDGE])
def test_hostile_input_is_answered_quickly(question: str, capacity: Capacity) -> None:
    """Without it one request could hang or crash the sandbox for everybody in the room."""
    best = float("inf")
    for _ in range(5):  # the best of five, in processor time: the bound is about the algorithm, not about a busy machine
        start = time.thread_time()
        guess = answer(question, capacity)
        best = min(best, time.thread_time() - start)
    assert isinstance(guess, Guess)
    assert 1 <= guess.confidence <= 5
    assert best < 0.050


def test_code_cannot_reach_outside() -> None:
    """Without it a question could run code on the server."""
    for code in (
        "__import__('os').getcwd()",
        "().__class__.__bases__",
        "open('x')",
        "eval('1+1')",
        "'{0.__class__}'.format(1)",
    ):
        guess = answer(f"What does `{code}` return?", JUDGE)
        assert guess.confidence <= 3
        assert "class" not in guess.answer.replace(code, "")


def test_same_question_same_guess() -> None:
    """Without it stored outputs of the labs would differ from run to run."""
    for question, _, _ in LADDER:
        assert len({answer(question, MID) for _ in range(3)}) == 1


def test_chain_needs_two_steps() -> None:
    """Without it knowledge alone would solve chains and `steps` would mean nothing for facts."""
    question = "What is the capital of the country whose currency is the yen?"
    assert answer(question, Capacity(3, 1)).answer == "Japan"
    assert answer(question, Capacity(3, 2)).answer == "Tokyo"


def test_stopping_early_can_go_unnoticed() -> None:
    """Without it the weak model's confidence would be a perfect gate and calibration would have nothing to teach."""
    question = "What is 12 + 30 - 5?"
    guess = answer(question, SMALL)
    assert guess.answer == "42"
    assert guess.confidence >= 4


def test_numbers_left_in_view_lower_confidence() -> None:
    """Without it the weak model would be sure of everything and no threshold could separate right from wrong."""
    seen = answer(
        "A car drives for 2 hours at 60 km/h and then another 40 km. How many kilometres in all?", SMALL
    )
    assert seen.confidence <= 3


def test_unknown_facts_are_guessed_with_low_confidence() -> None:
    """Without it a model would invent answers as surely as it knows others."""
    guess = answer("Who wrote Middlemarch?", SMALL)
    assert guess.answer != "George Eliot"
    assert guess.confidence <= 2
