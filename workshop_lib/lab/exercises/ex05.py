"""Exercises of lab 05: one denominator, overlapping intervals, the random baseline, the gap recovered, a paired test, and numbers without a source."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workshop_lib.evaluation.metrics import mcnemar_exact, performance_gap_recovered, wilson
from workshop_lib.lab.checking import NotYet, calling, close, diagnosed, number, shown
from workshop_lib.lab.exercise import Exercise, Wrong

Said = tuple[float, str]
Result = tuple[int, int]


def _percentage(share: float) -> Said:
    return 100 * share, "it is a percentage; give the share, such as 0.8"


# Exercise 1


def share_right(answers: Mapping[str, str | None], gold: Mapping[str, str]) -> float:
    """Return the share of all gold tickets that were answered right; a failed or missing ticket is wrong."""
    return sum(answers.get(ticket_id) == category for ticket_id, category in gold.items()) / len(gold)


_GOLD = {"T1": "auth", "T2": "billing", "T3": "other", "T4": "auth", "T5": "abuse"}
_ALL: dict[str, str | None] = {"T1": "auth", "T2": "billing", "T3": "billing", "T4": "auth", "T5": "abuse"}
_FAILED: dict[str, str | None] = {**_ALL, "T4": None, "T5": None}
_MISSING: dict[str, str | None] = {name: said for name, said in _ALL.items() if name not in ("T1", "T4")}
_EXTRA: dict[str, str | None] = {**_ALL, "T8": "auth", "T9": "other"}


def _check_share_right(answer: Any) -> str | None:
    cases: tuple[tuple[dict[str, str | None], str, tuple[Said, ...]], ...] = (
        (_ALL, "an arm with four of five right", ((4, "it is the number of right answers; divide by the number of tickets"),)),
        (
            _FAILED,
            "an arm with two failed calls of five (None)",
            (
                (2 / 3, "the failed tickets leave the denominator: dropping them makes the arm that fails most look best; count them as wrong"),
                (4 / 5, "a ticket without an answer is counted as right"),
            ),
        ),
        (
            _MISSING,
            "an arm that lacks two of five tickets altogether",
            (
                (2 / 3, "the missing tickets leave the denominator: divide by the tickets there are, not by the answers that came"),
                (1 / 5, "it pairs answers and labels by their position; an id may be absent, so look each answer up by its ticket id"),
            ),
        ),
        (_EXTRA, "an arm with answers to two tickets that nobody labelled", ((4 / 7, "it divides by the number of answers; two of them are to tickets that nobody labelled"),)),
    )
    for answers, case, mistakes in cases:
        try:
            got = number(calling(answer, answers, _GOLD), "its result")
        except NotYet as error:
            if answers is _ALL or "it raised" not in str(error):
                raise
            remedy = "go through the ids in `gold`" if answers is _EXTRA else "a ticket without an answer is wrong, and the share must still come"
            return f"{case}: {error}; {remedy}"
        wrong = diagnosed(got, share_right(answers, _GOLD), [*mistakes, _percentage(share_right(answers, _GOLD))], case)
        if wrong:
            return wrong
    return None


def _drops_failed(answers: Mapping[str, str | None], gold: Mapping[str, str]) -> float:
    answered = {ticket_id: category for ticket_id, category in answers.items() if category is not None and ticket_id in gold}
    return sum(gold[ticket_id] == category for ticket_id, category in answered.items()) / len(answered)


def _divides_by_answers(answers: Mapping[str, str | None], gold: Mapping[str, str]) -> float:
    return sum(answers.get(ticket_id) == category for ticket_id, category in gold.items()) / len(answers)


def _falls_over_missing(answers: Mapping[str, str | None], gold: Mapping[str, str]) -> float:
    return sum(answers[ticket_id] == category for ticket_id, category in gold.items()) / len(gold)


def _counts_only(answers: Mapping[str, str | None], gold: Mapping[str, str]) -> int:
    return sum(answers.get(ticket_id) == category for ticket_id, category in gold.items())


def _failed_is_right(answers: Mapping[str, str | None], gold: Mapping[str, str]) -> float:
    return sum(answers.get(ticket_id) in (None, category) for ticket_id, category in gold.items()) / len(gold)


# Exercise 2


def apart(first: Result, second: Result) -> bool:
    """Say whether the 95 % Wilson intervals of two results (right, tickets) share no point."""
    a, b = wilson(*first), wilson(*second)
    return a.high < b.low or b.high < a.low


_PAIRS: tuple[tuple[Result, Result], ...] = (
    ((28, 30), (25, 30)),
    ((90, 100), (50, 100)),
    ((50, 100), (90, 100)),
    ((62, 100), (49, 100)),
    ((70, 100), (57, 100)),
    ((55, 100), (50, 100)),
)


def _check_apart(answer: Any) -> str | None:
    got = {pair: calling(answer, *pair) for pair in _PAIRS}
    for pair, said in got.items():
        if not isinstance(said, bool) and type(said).__name__ != "bool_":
            return f"it returned {shown(said, 40)}, but must return True or False"
        got[pair] = bool(said)
    want = {pair: apart(*pair) for pair in _PAIRS}
    if got == want:
        return None
    guesses = (
        (lambda pair: not want[pair], "it is the other way round: True means that the intervals share no point"),
        (lambda pair: pair[0][0] / pair[0][1] != pair[1][0] / pair[1][1], "it calls any two different shares apart; ask whether their intervals meet"),
        (lambda pair: False, "it never says True, as 90 of 100 against 50 of 100 must; there are two ways to be apart, and one of them is enough"),
        (lambda pair: _outside(*pair), "it decides by the shares, or by one share and the other's interval; both are uncertain, so compare interval with interval"),
        (lambda pair: not _inside(*pair), "it decides by the shares, or by one share and the other's interval; both are uncertain, so compare interval with interval"),
        (lambda pair: not _inside(*reversed(pair)), "it decides by the shares, or by one share and the other's interval; both are uncertain, so compare interval with interval"),
        (lambda pair: wilson(*pair[0]).low > wilson(*pair[1]).high, "it looks in one direction only: either result may be the higher one"),
        (lambda pair: wilson(*pair[1]).low > wilson(*pair[0]).high, "it looks in one direction only: either result may be the higher one"),
    )
    for guess, says in guesses:
        if all(got[pair] == guess(pair) for pair in _PAIRS):
            return says
    (k, n), (other_k, other_n) = next(pair for pair in _PAIRS if got[pair] != want[pair])
    a, b = wilson(k, n), wilson(other_k, other_n)
    return f"{k} of {n} has the interval {a.low:.3f} to {a.high:.3f} and {other_k} of {other_n} {b.low:.3f} to {b.high:.3f}, so apart is {apart((k, n), (other_k, other_n))}"


def _inside(first: Result, second: Result) -> bool:
    interval = wilson(*second)
    return interval.low <= first[0] / first[1] <= interval.high


def _outside(first: Result, second: Result) -> bool:
    return not (_inside(first, second) and _inside(second, first))


def _overlap(first: Result, second: Result) -> bool:
    return not apart(first, second)


def _other_share(first: Result, second: Result) -> bool:
    return first[0] / first[1] != second[0] / second[1]


def _one_direction(first: Result, second: Result) -> bool:
    return wilson(*first).low > wilson(*second).high


# Exercise 3

Arm = Mapping[str, float]


def random_at(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    """Return expected accuracy and USD per ticket if a random share of the tickets goes on from the cheap to the strong model."""
    accuracy = (1 - rate) * cheap["accuracy"] + rate * strong["accuracy"]
    return accuracy, cheap["usd"] + rate * strong["usd"]


_CHEAP = {"accuracy": 0.80, "usd": 0.001}
_STRONG = {"accuracy": 0.90, "usd": 0.020}


def _check_random_at(answer: Any) -> str | None:
    for rate in (0.25, 0.6, 0.0, 1.0):
        got = calling(answer, rate, _CHEAP, _STRONG)
        if not isinstance(got, tuple | list) or len(got) != 2:
            return f"it returned {shown(got, 40)}, but must return two things: the accuracy and the USD per ticket"
        accuracy, usd = number(got[0], "the accuracy"), number(got[1], "the USD")
        want_accuracy, want_usd = random_at(rate, _CHEAP, _STRONG)
        if close(accuracy, want_usd) and close(usd, want_accuracy):
            return "the two numbers are swapped: the accuracy comes first, then the USD"
        case = f"a rate of {rate:g} with accuracies of {_CHEAP['accuracy']} and {_STRONG['accuracy']}"
        wrong = diagnosed(accuracy, want_accuracy, [*_accuracy_mistakes(rate), _percentage(want_accuracy)], case)
        if wrong:
            return wrong
        case = f"a rate of {rate:g} with models at {_CHEAP['usd']} and {_STRONG['usd']} USD a ticket"
        wrong = diagnosed(usd, want_usd, _cost_mistakes(rate), case)
        if wrong:
            return wrong
    return None


def _accuracy_mistakes(rate: float) -> tuple[Said, ...]:
    cheap, strong = _CHEAP["accuracy"], _STRONG["accuracy"]
    return (
        (rate * cheap + (1 - rate) * strong, "the rate is on the wrong model: it is the share that the strong model answers"),
        ((cheap + strong) / 2, "it is the plain mean of the two accuracies; the rate says how much each of them weighs"),
        (cheap + rate * strong, "accuracies do not add up: an escalated ticket has one final answer, the strong model's"),
        (rate * strong, "the tickets that stay with the cheap model are left out of the accuracy"),
        (strong, "only the escalated tickets get the strong model's accuracy"),
        ((1 - rate / 100) * cheap + rate / 100 * strong, "the rate is a share from 0 to 1 and no percentage, so do not divide it by 100"),
    )


def _cost_mistakes(rate: float) -> tuple[Said, ...]:
    cheap, strong = _CHEAP["usd"], _STRONG["usd"]
    return (
        ((1 - rate) * cheap + rate * strong, "the cheap call is not charged for the escalated tickets: it ran for every ticket, the rate only decides who runs as well"),
        (rate * strong, "the cheap calls are left out of the cost"),
        (cheap + strong, "the strong model is charged for every ticket; it runs for a share of them"),
        ((cheap + strong) / 2, "the cost is the mean of the two prices; the cheap model runs always, the strong one for a share"),
        (rate * cheap + strong, "the rate is on the wrong model: the cheap one runs for every ticket"),
        (cheap + (1 - rate) * strong, "the strong model is charged for the tickets that stay; it runs for those that go on, a share of `rate`"),
        (1000 * (cheap + rate * strong), "it is USD per 1,000 tickets; return USD per ticket"),
    )


def _winner_only(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return random_at(rate, cheap, strong)[0], (1 - rate) * cheap["usd"] + rate * strong["usd"]


def _plain_mean(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return (cheap["accuracy"] + strong["accuracy"]) / 2, random_at(rate, cheap, strong)[1]


def _wrong_model(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return rate * cheap["accuracy"] + (1 - rate) * strong["accuracy"], random_at(rate, cheap, strong)[1]


def _accuracies_add(rate: float, cheap: Arm, strong: Arm) -> tuple[float, float]:
    return cheap["accuracy"] + rate * strong["accuracy"], random_at(rate, cheap, strong)[1]


def _accuracy_only(rate: float, cheap: Arm, strong: Arm) -> float:
    return random_at(rate, cheap, strong)[0]


# Exercise 4


def gap_recovered(cheap: float, strong: float, cascade: float) -> float:
    """Return the share of the gap between cheap and strong that a cascade closes; NaN unless strong is better than cheap."""
    return performance_gap_recovered(cheap, strong, cascade)


def _check_gap_recovered(answer: Any) -> str | None:
    for cheap, strong, cascade in ((0.70, 0.90, 0.85), (60, 90, 55), (0.70, 0.90, 0.92)):
        got = number(calling(answer, cheap, strong, cascade), "its result")
        want = gap_recovered(cheap, strong, cascade)
        mistakes = (
            (1 - want, "that is the part of the gap that is still open; count from the cheap model up"),
            (cascade / strong, "it is the share of the strong model's accuracy, which the cheap model alone already has most of; measure from the cheap model"),
            (cascade - cheap, "that is the gain; set it against the gap between the two models"),
            ((cascade - cheap) / cheap, "the gain is set against the cheap model's accuracy; set it against the gap between the two models"),
            ((cascade - cheap) / strong, "the gain is set against the strong model's accuracy; set it against the gap between the two models"),
            (max(0.0, want), "a cascade worse than the cheap model comes out as 0; leave the result negative, somebody has to see it"),
            (min(1.0, want), "a cascade better than the strong model comes out as 1; leave the result above 1"),
            (abs(want), "a cascade worse than the cheap model comes out as a gain; leave the result negative"),
            ((strong - cheap) / (cascade - cheap), "the fraction is upside down: divide what the cascade gains by what it could gain"),
            _percentage(want),
        )
        wrong = diagnosed(got, want, mistakes, f"cheap {cheap:g}, strong {strong:g}, cascade {cascade:g}")
        if wrong:
            return wrong
    return _no_gap(answer)


def _no_gap(answer: Any) -> str | None:
    for cheap, strong, case in ((0.80, 0.80, "no better than"), (0.80, 0.75, "worse than")):
        try:
            got = number(calling(answer, cheap, strong, 0.82, none_ok=True), "its result")
        except NotYet as error:
            return f"where the strong model is {case} the cheap one there is no gap to recover, so return math.nan ({error})"
        if not math.isnan(got):
            return f"where the strong model is {case} the cheap one there is no gap to recover, so return math.nan and not {got:.3g}"
    return None


def _share_of_strong(cheap: float, strong: float, cascade: float) -> float:
    return cascade / strong


def _still_open(cheap: float, strong: float, cascade: float) -> float:
    return (strong - cascade) / (strong - cheap)


def _floored(cheap: float, strong: float, cascade: float) -> float:
    return max(0.0, (cascade - cheap) / (strong - cheap))


def _divides_by_zero(cheap: float, strong: float, cascade: float) -> float:
    return (cascade - cheap) / (strong - cheap)


def _gain_only(cheap: float, strong: float, cascade: float) -> float:
    return cascade - cheap


# Exercise 5


def p_value(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the exact two-sided p value of McNemar's test: two lists say for each ticket whether an arm was right."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    return mcnemar_exact(only_first, only_second)


def _pair(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], list[bool]]:
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second


_TABLES: tuple[tuple[int, int, int, int], ...] = ((20, 1, 6, 3), (20, 5, 1, 4), (12, 3, 3, 2), (15, 0, 0, 5))


def _check_p_value(answer: Any) -> str | None:
    for both, b, c, neither in _TABLES:
        case = f"a split of {b} (only the first arm right) to {c} (only the second)"
        try:
            got = number(calling(answer, *_pair(both, b, c, neither)), "its result")
        except NotYet as error:
            if (b, c) == (0, 0) and "it raised" in str(error):
                return f"two arms that never differ: {error}; there is nothing to tell them apart, so p is 1"
            raise
        want = mcnemar_exact(b, c)
        if b + c == 0 and not close(got, want):
            return f"two arms that never differ: there is nothing to tell them apart, so p is 1 and not {got:.3g}"
        wrong = diagnosed(got, want, _p_mistakes(both, b, c, neither), case)
        if wrong:
            return wrong
    return None


def _p_mistakes(both: int, b: int, c: int, neither: int) -> tuple[Said, ...]:
    n, everything = b + c, both + b + c + neither
    uncapped = 2 * _tail(n, min(b, c))
    return (
        (_tail(n, min(b, c)), "it looks at one side only: the other arm might have won as clearly, so double it"),
        (uncapped, "a chance cannot be above 1: the two sides meet in the middle, so cap it there"),
        (min(1.0, 2 * _tail(everything, min(b, c))), "tickets on which both arms agree are tossed too; they say nothing about which arm is better"),
        (_tail(everything, min(b, c)), "tickets on which both arms agree are tossed too; they say nothing about which arm is better"),
        (math.comb(n, min(b, c)) / (1 << n), "it is the chance of exactly this split; add the splits that are more extreme"),
        (min(1.0, 2 * math.comb(n, min(b, c)) / (1 << n)), "it is the chance of exactly this split; add the splits that are more extreme"),
        (min(1.0, 2 * _tail(n, min(b, c) - 1)), "the split that was seen is left out; add from i = 0 up to the smaller count, that count included"),
        (min(1.0, 2 * _tail(n, max(b, c))), "it comes to 1 although the split is uneven; add up from i = 0 to the smaller count, whichever arm that is, and divide by 2**n"),
        (math.erfc(abs(b - c) / math.sqrt(2 * n)) if n else 1.0, "it is the approximation for large counts; with so few tickets add up the exact chances"),
        (_unpaired(both + b, both + c, everything), "it compares the two totals and forgets which ticket is which; use the tickets only one arm got right"),
        (1 - min(1.0, uncapped), "it is 1 minus p; a small p means that chance hardly explains the difference"),
    )


def _tail(n: int, k: int) -> float:
    return sum(math.comb(n, i) for i in range(k + 1)) / (1 << n)


def _unpaired(right: int, other: int, n: int) -> float:
    pooled = (right + other) / (2 * n)
    spread = math.sqrt(2 * pooled * (1 - pooled) / n)
    return math.erfc(abs(right - other) / n / spread / math.sqrt(2)) if spread else 1.0


def _discordant(first: Iterable[bool], second: Iterable[bool]) -> tuple[int, int, int]:
    pairs = list(zip(first, second, strict=True))
    return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs), len(pairs)


def _one_sided(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, _ = _discordant(first, second)
    return _tail(b + c, min(b, c))


def _tosses_all(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, n = _discordant(first, second)
    return min(1.0, 2 * _tail(n, min(b, c)))


def _not_capped(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, _ = _discordant(first, second)
    return 2 * _tail(b + c, min(b, c))


def _two_totals(first: Sequence[bool], second: Sequence[bool]) -> float:
    return _unpaired(sum(first), sum(second), len(first))


def _this_split_only(first: Sequence[bool], second: Sequence[bool]) -> float:
    b, c, _ = _discordant(first, second)
    return min(1.0, 2 * math.comb(b + c, min(b, c)) / (1 << b + c))


# Exercise 6

_STRUCK = frozenset("CDF")
_WHY_KEPT = {
    "A": "line A stays: a judge is a weak reference, but the line says so, and the table it comes from can be looked up",
    "B": "line B stays: it names models and policy, says how many tickets and who graded, and where the replies were recorded",
    "E": "line E stays: a blended price over guessed tokens is a poor basis, but the line says so; weak and traceable is not the same as unsourced",
}
_WHY_STRUCK = {
    "C": "line C cannot stay: no number of tickets, no reference, no source",
    "D": "line D cannot stay: its replies came from a stand-in in the sandbox, so the number must not carry the vendor's name",
    "F": "line F cannot stay: 'typical' names no tickets, so nobody can compute the number again",
}


def _check_strike(answer: Any) -> str | None:
    letters = _letters(answer)
    unknown = sorted(letters - set("ABCDEF"))
    if unknown:
        return f"{shown(unknown[0], 20)} is no line of the slide; its lines are A to F"
    if letters == set(_WHY_KEPT):
        return "these are the lines that may stay; list those that must go"
    for letter, why in (*_WHY_KEPT.items(), *_WHY_STRUCK.items()):
        if (letter in letters) == (letter in _WHY_KEPT):
            return why
    return None


def _letters(answer: Any) -> set[str]:
    if isinstance(answer, str):
        answer = answer.replace(",", " ").split() if not answer.isalpha() or len(answer) > len("ABCDEF") else list(answer)
    if not isinstance(answer, list | tuple | set | frozenset):
        raise NotYet(f'it is {shown(answer, 40)}, but must be a list of letters, such as ["A", "B"]')
    return {str(letter).strip().upper() for letter in answer}


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        id="ex1",
        title="One denominator for every arm",
        minutes=4,
        level="core",
        objective="Compute an arm's share of right answers over all tickets, so that a failed ticket counts as wrong.",
        hints=(
            "Two arms can be compared only if both are divided by the same number. Which number do you know before any model answers?",
            "Go through the tickets that have a label, not through the answers that came.",
            "dict.get(key) gives None where there is no entry, and None is not equal to any category.",
        ),
        reference=share_right,
        check=_check_share_right,
        wrong=(
            Wrong("drops the failed tickets", _drops_failed, "leave the denominator"),
            Wrong("divides by the answers that came", _divides_by_answers, "the answers that came"),
            Wrong("falls over a missing ticket", _falls_over_missing, "the share must still come"),
            Wrong("counts and does not divide", _counts_only, "number of right answers"),
            Wrong("a failed ticket is right", _failed_is_right, "is counted as right"),
        ),
    ),
    Exercise(
        id="ex2",
        title="Do the intervals meet?",
        minutes=4,
        level="core",
        objective="Read two Wilson intervals and say whether they leave a difference to talk about.",
        hints=(
            "wilson(right, tickets) returns an interval with .low and .high. You need two of them.",
            "Draw two bars on a line. When is there empty space between them?",
            "Empty space means: one bar ends before the other begins. Which of the two is lower, you do not know beforehand.",
        ),
        reference=apart,
        check=_check_apart,
        wrong=(
            Wrong("says whether they overlap", _overlap, "the other way round"),
            Wrong("compares the two shares", _other_share, "any two different shares"),
            Wrong("is one share outside the other's interval?", _outside, "compare interval with interval"),
            Wrong("looks in one direction only", _one_direction, "in one direction only"),
        ),
    ),
    Exercise(
        id="ex3",
        title="What chance would get",
        minutes=5,
        level="core",
        objective="Compute what random escalation at the same rate gets right and costs, the baseline that a gate must beat.",
        hints=(
            "Split the tickets in two groups by the rate: those that stay and those that go on. Who gives the final answer in each group?",
            "Accuracy: each group has the accuracy of the model that answers last, weighted by the group's size.",
            "Cost: which model runs for every ticket, and which one runs as well for a share of them? Nothing that ran is free.",
        ),
        reference=random_at,
        check=_check_random_at,
        wrong=(
            Wrong("charges the winner only", _winner_only, "it ran for every ticket"),
            Wrong("plain mean of the accuracies", _plain_mean, "plain mean"),
            Wrong("the rate on the wrong model", _wrong_model, "on the wrong model"),
            Wrong("adds the accuracies", _accuracies_add, "do not add up"),
            Wrong("returns the accuracy only", _accuracy_only, "two things"),
        ),
    ),
    Exercise(
        id="ex4",
        title="How much of the gap comes back",
        minutes=3,
        level="core",
        objective="Compute the share of the gap between the cheap and the strong model that a cascade recovers.",
        hints=(
            "Two distances, both measured from the cheap model: how far the cascade gets, and how far it could get.",
            "Divide the first distance by the second. Do not hide a result below 0 or above 1.",
            "If the strong model is not better there is no distance to cover, and no number says how much of it was covered: math.nan.",
        ),
        reference=gap_recovered,
        check=_check_gap_recovered,
        wrong=(
            Wrong("share of the strong model's accuracy", _share_of_strong, "measure from the cheap model"),
            Wrong("the part still open", _still_open, "still open"),
            Wrong("no result below zero", _floored, "leave the result negative"),
            Wrong("divides by no gap", _divides_by_zero, "no gap to recover"),
            Wrong("the gain only", _gain_only, "that is the gain"),
        ),
    ),
    Exercise(
        id="ex5",
        title="A test for pairs",
        minutes=6,
        level="stretch",
        objective="Compute an exact paired test from the tickets that only one of two arms got right.",
        hints=(
            "Tickets that both arms got right, or both wrong, cannot tell the arms apart. Count the other two kinds.",
            "If the arms are equally good, each of those tickets is the toss of a fair coin. How likely is a split at least this uneven?",
            "math.comb(n, i) / 2**n is the chance that i of n tosses fall on one side. Add i = 0 up to the smaller count.",
            "The other arm could have won as clearly: double the sum. A chance is at most 1.",
        ),
        reference=p_value,
        check=_check_p_value,
        wrong=(
            Wrong("looks at one side only", _one_sided, "one side only"),
            Wrong("tosses every ticket", _tosses_all, "both arms agree"),
            Wrong("above 1", _not_capped, "cannot be above 1"),
            Wrong("compares the two totals", _two_totals, "forgets which ticket is which"),
            Wrong("the chance of exactly this split", _this_split_only, "exactly this split"),
        ),
    ),
    Exercise(
        id="ex6",
        title="Which numbers must go?",
        minutes=3,
        level="stretch",
        objective="Find the numbers on a slide that have no source, or are credited to a model that did not answer.",
        hints=(
            "Ask of each line: which replies of which model was this computed from? Could you look them up?",
            "A weak basis that is named is not the same as no basis. Weak lines may stay, if they say how weak they are.",
            "Compare the model that a line names with the model that answered. In the sandbox, who answers?",
        ),
        reference=["C", "D", "F"],
        check=_check_strike,
        wrong=(
            Wrong("strikes only the empty line", ["C"], "a stand-in in the sandbox"),
            Wrong("leaves the line from typical traffic", ["C", "D"], "'typical' names no tickets"),
            Wrong("strikes whatever a judge graded", ["A", "C", "D", "F"], "a judge is a weak reference"),
            Wrong("strikes the blended price", ["C", "D", "E", "F"], "poor basis, but the line says so"),
            Wrong("strikes nothing", [], "line C cannot stay"),
        ),
    ),
)
