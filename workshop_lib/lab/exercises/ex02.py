"""Exercises of lab 02: a strict validator, reliability, calibration, thresholds, what a promise takes, what invalid replies cost."""

import ast
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from workshop_lib.lab.checking import NotAttempted, NotYet, calling, close, diagnosed, number, shown
from workshop_lib.lab.exercise import Exercise, Wrong

Fields = dict[str, Any]
Row = tuple[int, float, float]
Charged = tuple[float, Fields | None]
Pair = tuple[float, bool]
Graded = tuple[str, float, bool]
Map = Callable[[float], float]
Fit = Callable[[Sequence[Pair]], Map]
Gap = Callable[[Sequence[Pair]], float]

# Exercise 1


def valid_answer(text: str) -> Fields | None:
    """Return the answer object a reply consists of, or None if the reply is not valid."""
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict) or "answer" not in fields:
        return None
    rating = fields.get("confidence")
    return fields if type(rating) is int and 1 <= rating <= 5 else None


_GOOD = tuple(json.dumps({"answer": "Uranus", "confidence": rating}) for rating in (4, 1, 5))
_BAD: tuple[tuple[str, str], ...] = (
    ('{"answer": "Uranus", "confidence": 0}', "it accepts confidence 0: the scale begins at 1"),
    ('{"answer": "Uranus", "confidence": 6}', "it accepts confidence 6: the scale ends at 5"),
    ('{"answer": "Uranus", "confidence": "high"}', 'it accepts the confidence "high", which is no number on the scale'),
    (
        '{"answer": "Uranus", "confidence": "4"}',
        'it accepts the confidence "4", which is a text and not a number; int(...) turns one into the other',
    ),
    (
        '{"answer": "Uranus", "confidence": 4.5}',
        "it accepts 4.5, which lies between two ratings; only 1, 2, 3, 4 and 5 are on the scale",
    ),
    ('{"answer": "Uranus", "confidence": null}', "it accepts null as a confidence, which is no number on the scale"),
    ('{"answer": "Uranus"}', "it accepts a reply without a confidence: a default invents a rating that the model never gave"),
    ('{"confidence": 5}', "it accepts a reply without an answer, so the rating is about nothing"),
    (
        '{"answer": "Neptune", "confidence": 2} {"answer": "Uranus", "confidence": 5}',
        "it picks one of two objects: the reply says two different things, so refuse it (json.loads does, a search for the first object does not)",
    ),
    ('{"answer": "Uranus", "confid', "it accepts a reply that was cut off in the middle"),
    ("I think it is Uranus.", "it accepts prose without any object"),
    (
        'Sure! {"answer": "Uranus", "confidence": 4}',
        "it accepts an object with prose before it: the text must be one JSON object and nothing else (json.loads on the whole text sees that)",
    ),
    (
        "{'answer': 'Uranus', 'confidence': 4}",
        "it accepts single quotes, which is Python and not JSON; and eval would run whatever the model wrote",
    ),
    ('["Uranus", 5]', "it accepts a list: JSON, but not an object"),
    ("", "it accepts an empty reply"),
    ("5", "it accepts a bare number: JSON, but not an object"),
    (
        '{"answer": "Uranus", "confidence": true}',
        "it accepts true as a confidence: Python says True == 1, so ask for the type too, such as type(rating) is int",
    ),
)


def _check_valid_answer(answer: Any) -> str | None:
    for position, text in enumerate(_GOOD):
        want = json.loads(text)
        got = calling(answer, text, none_ok=position > 0)
        if got is None:
            return f"it refuses {text}, which is as asked{'; 1 and 5 belong to the scale' if position else ''}"
        if isinstance(got, bool) or not isinstance(got, dict):
            return f"it returned {shown(got, 40)} for {text}; return the object as a dictionary, or None"
        if {name: got.get(name) for name in want} != want:
            return f"it returned {shown(got)} for {text}; return what stands there, unchanged"
    for text, says in _BAD:
        wrong = _not_refused(answer, text, says)
        if wrong:
            return wrong
    return None


def _not_refused(answer: Any, text: str, says: str) -> str | None:
    reply = "an empty reply" if not text else f"the reply {text}"
    try:
        got = calling(answer, text, none_ok=True)
    except NotYet as error:
        return f"{error} on {reply}; a bad reply is an everyday event, so return None and do not raise"
    if got is None:
        return None
    stated = _stated(text)
    if isinstance(got, dict) and stated is not None and got.get("confidence", stated) != stated:
        return f"it turned the confidence {json.dumps(stated)} into {shown(got['confidence'], 40)}: the model never said that; refuse the reply, do not repair it"
    if not got:
        return f"it returned {shown(got, 40)} for {reply}; return None for a reply that is refused"
    return says


def _stated(text: str) -> Any:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields.get("confidence") if isinstance(fields, dict) else None


def _no_upper_bound(text: str) -> Fields | None:
    try:
        fields: Fields = json.loads(text)
        return fields if fields["confidence"] >= 1 else None
    except (ValueError, KeyError, TypeError):
        return None


def _no_lower_bound(text: str) -> Fields | None:
    try:
        fields: Fields = json.loads(text)
        return fields if fields["confidence"] <= 5 else None
    except (ValueError, KeyError, TypeError):
        return None


def _clamps(text: str) -> Fields | None:
    try:
        fields = json.loads(text)
        return {"answer": fields["answer"], "confidence": min(max(int(fields["confidence"]), 1), 5)}
    except (ValueError, KeyError, TypeError):
        return None


def _default_confidence(text: str) -> Fields | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("confidence", 3) not in (1, 2, 3, 4, 5):
        return None
    return {"confidence": 3, **fields}


def _answer_not_needed(text: str) -> Fields | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and fields.get("confidence") in (1, 2, 3, 4, 5) else None


def _first_object(text: str) -> Fields | None:
    try:
        fields, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
    except ValueError:
        return None
    return fields if "answer" in fields and fields.get("confidence") in (1, 2, 3, 4, 5) else None


def _raises_on_bad_json(text: str) -> Fields | None:
    fields: Fields = json.loads(text)
    return fields if "answer" in fields and fields.get("confidence") in (1, 2, 3, 4, 5) else None


def _raises_on_a_word(text: str) -> Fields | None:
    try:
        fields: Fields = json.loads(text)
    except ValueError:
        return None
    return fields if 1 <= int(fields["confidence"]) <= 5 else None


def _rounds_with_int(text: str) -> Fields | None:
    try:
        fields: Fields = json.loads(text)
        return fields if "answer" in fields and 1 <= int(fields["confidence"]) <= 5 else None
    except (ValueError, KeyError, TypeError):
        return None


def _object_in_prose(text: str) -> Fields | None:
    try:
        fields: Fields = json.loads(text[text.index("{") : text.rindex("}") + 1])
        return fields if "answer" in fields and fields["confidence"] in (1, 2, 3, 4, 5) else None
    except (ValueError, KeyError, TypeError):
        return None


def _evaluates(text: str) -> Fields | None:
    try:
        fields = ast.literal_eval(text)
        return fields if "answer" in fields and fields["confidence"] in (1, 2, 3, 4, 5) else None
    except (ValueError, SyntaxError, KeyError, TypeError):
        return None


def _true_is_one(text: str) -> Fields | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and "answer" in fields and fields.get("confidence") in (1, 2, 3, 4, 5) else None


def _any_value_is_an_object(text: str) -> Fields | None:
    try:
        fields: Fields = json.loads(text)
    except ValueError:
        return None
    return fields if "answer" in fields and type(fields.get("confidence")) is int and 1 <= fields["confidence"] <= 5 else None


def _between_ratings(text: str) -> Fields | None:
    try:
        fields: Fields = json.loads(text)
        return fields if "answer" in fields and 1 <= fields["confidence"] <= 5 else None
    except (ValueError, KeyError, TypeError):
        return None


# Exercise 2


def reliability_rows(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    """Return (answers, mean confidence, share right) for each of `bins` equal bins that holds an answer, lowest first.

    A bin holds its upper edge; the first one holds 0 as well.
    """
    pairs = list(zip(confidence, correct, strict=True))
    rows = []
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        inside = [(c, right) for c, right in pairs if low < c <= high or (k == 0 and c == 0)]
        if inside:
            n = len(inside)
            rows.append((n, sum(c for c, _ in inside) / n, sum(right for _, right in inside) / n))
    return rows


_STATED = (0.9, 0.3, 0.95, 0.85, 0.35, 0.92, 0.75, 0.28)
_WAS_RIGHT = (True, False, False, True, True, True, False, False)


def _check_reliability_rows(answer: Any) -> str | None:
    try:
        got = _rows(calling(answer, list(_STATED), list(_WAS_RIGHT), 5))
    except NotYet as error:
        return (
            f"{error}; some bins hold no answer, so leave them out"
            if "ZeroDivisionError" in str(error) or "StatisticsError" in str(error)
            else str(error)
        )
    wrong = _rows_problem(got, reliability_rows(_STATED, _WAS_RIGHT, 5), list(zip(_STATED, _WAS_RIGHT, strict=True)), 5)
    if wrong:
        return wrong
    cases: tuple[tuple[tuple[float, ...], tuple[bool, ...], int, str], ...] = (
        (
            (0.9, 1.0, 1.0),
            (True, True, False),
            5,
            "confidence 1.0 belongs to the last bin, with 0.9; with int(c * bins) it falls into a bin that does not exist",
        ),
        ((0.0, 0.1, 0.9), (False, True, True), 5, "confidence 0 is lost or stands alone; it belongs to the first bin, with 0.1"),
        (
            (0.4, 0.3, 0.5),
            (True, False, True),
            5,
            "with 5 bins 0.4 is the upper edge of the second one and belongs there, with 0.3",
        ),
        ((0.3, 0.6, 0.6, 0.7), (True, False, True, True), 4, "it does not follow `bins`: 4 bins were asked for"),
    )
    for stated, right, bins, says in cases:
        try:
            rows = _rows(calling(answer, list(stated), list(right), bins, none_ok=True))
        except NotYet as error:
            return f"{says} ({error})"
        if not _same_rows(rows, reliability_rows(stated, right, bins)):
            return says
    return None


def _rows(got: Any) -> list[tuple[float, float, float]]:
    if not isinstance(got, list | tuple):
        raise NotYet(
            f"it returned {shown(got, 40)}, but must return a list with one (answers, mean confidence, share right) a bin"
        )
    if any(not isinstance(row, list | tuple) or len(row) != 3 for row in got):
        raise NotYet(f"its first row is {shown(got[0], 40)}; a row has three numbers: answers, mean confidence, share right")
    return [(number(row[0], "a count"), number(row[1], "a mean confidence"), number(row[2], "a share")) for row in got]


def _same_rows(got: Sequence[Sequence[float]], want: Sequence[Sequence[float]]) -> bool:
    return len(got) == len(want) and all(
        close(a, b) for mine, row in zip(got, want, strict=True) for a, b in zip(mine, row, strict=True)
    )


def _rows_problem(
    got: Sequence[Sequence[float]], want: Sequence[Row], pairs: Sequence[tuple[float, bool]], bins: int
) -> str | None:
    if _same_rows(got, want):
        return None
    if not got:
        return "it returned an empty list; look for a `return` inside the loop, or a list that is never added to"
    if _same_rows([(n, claimed, right) for claimed, right, n in got], want):
        return "the number of answers comes last: a row is (answers, mean confidence, share right)"
    if any(row[0] == 0 or row[0] != row[0] for row in got):
        return "it gives a row to a bin without answers; leave such a bin out, it says nothing"
    if _same_rows([(n, right, claimed) for n, claimed, right in got], want):
        return "mean confidence and share right are swapped: a row is (answers, mean confidence, share right)"
    if _same_rows([(row[0] / len(pairs), *row[1:]) for row in want], got):
        return "the first number is a share of all answers; give the number of answers in the bin"
    if _same_rows([(n, claimed * n / len(pairs), right * n / len(pairs)) for n, claimed, right in want], got):
        return "mean and share are divided by all answers; divide by the answers in the bin"
    if _same_rows(reliability_rows(_STATED, _WAS_RIGHT, 10), got):
        return "it cuts into 10 bins, and 5 were asked for; use `bins`"
    if len({row[0] for row in got}) == 1 and len(got) == bins:
        return "each bin holds the same number of answers; cut the scale from 0 to 1 into equal parts, however many answers fall into each"
    if _same_rows([(row[0], row[1], row[2] * row[0]) for row in want], got):
        return "the third number is how many were right; divide it by the answers in the bin"
    if _same_rows([(row[0], row[1], 1 - row[2]) for row in want], got):
        return "the third number is the share that was wrong; give the share that was right"
    if len(got) == len(want) and all(
        abs(a - b) < 0.006 for mine, row in zip(got, want, strict=True) for a, b in zip(mine, row, strict=True)
    ):
        return "its rows look rounded: round when you print, not when you compute"
    if _same_rows([(row[0], 100 * row[1], 100 * row[2]) for row in want], got):
        return "confidence and share are percentages; leave both between 0 and 1"
    if _same_rows([(row[0], row[0] * row[1], row[0] * row[2]) for row in want], got):
        return "the second and the third number are sums; divide both by the answers in the bin"
    for edge in (0, 1):
        if _same_rows([(row[0], (math.ceil(row[1] * bins) - edge) / bins, row[2]) for row in want], got):
            return "the second number is an edge of the bin; take the mean of what its answers stated"
    middles = [(math.ceil(row[1] * bins) - 0.5) / bins for row in want]
    if _same_rows([(row[0], middle, row[2]) for row, middle in zip(want, middles, strict=True)], got):
        return (
            "the second number is the middle of the bin; answers need not lie in the middle, so take the mean of what they stated"
        )
    if _same_rows(sorted(got, key=tuple), sorted(want)):
        return "the bins come in another order; put the lowest confidence first"
    counts, wanted = [int(row[0]) for row in got], [row[0] for row in want]
    if counts != wanted:
        return f"the bins of {list(_STATED)} with 5 bins hold {counts} answers, and should hold {wanted} (empty bins left out)"
    return f"its rows are {shown([tuple(round(value, 3) for value in row) for row in got], 120)}, and should be {shown([tuple(round(value, 3) for value in row) for row in want], 120)}"


def _binned(confidence: Sequence[float], correct: Sequence[bool], bins: int, place: Callable[[float, int], int]) -> list[Row]:
    groups: dict[int, list[tuple[float, bool]]] = {}
    for stated, right in zip(confidence, correct, strict=True):
        groups.setdefault(place(stated, bins), []).append((stated, right))
    return [
        (len(group), sum(c for c, _ in group) / len(group), sum(right for _, right in group) / len(group))
        for _, group in sorted(groups.items())
    ]


def _truncated(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    return _binned(confidence, correct, bins, lambda c, bins: int(c * bins))


def _lower_edge(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    return _binned(confidence, correct, bins, lambda c, bins: min(int(c * bins), bins - 1))


def _loses_zero(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    return _binned(confidence, correct, bins, lambda c, bins: math.ceil(c * bins))


def _empty_bin_crash(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    rows = []
    for k in range(bins):
        inside = [(c, right) for c, right in zip(confidence, correct, strict=True) if k / bins < c <= (k + 1) / bins]
        rows.append((len(inside), sum(c for c, _ in inside) / len(inside), sum(right for _, right in inside) / len(inside)))
    return rows


def _empty_bins_kept(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    rows = []
    for k in range(bins):
        inside = [(c, right) for c, right in zip(confidence, correct, strict=True) if k / bins < c <= (k + 1) / bins]
        n = max(len(inside), 1)
        rows.append((len(inside), sum(c for c, _ in inside) / n, sum(right for _, right in inside) / n))
    return rows


def _middle_of_bin(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    return [
        (n, (math.ceil(claimed * bins) - 0.5) / bins, right) for n, claimed, right in reliability_rows(confidence, correct, bins)
    ]


def _ten_bins(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    return reliability_rows(confidence, correct, 10)


def _means_over_all(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    total = len(confidence)
    return [(n, claimed * n / total, right * n / total) for n, claimed, right in reliability_rows(confidence, correct, bins)]


def _returns_early(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    return reliability_rows(confidence, correct, bins)[:0]


def _swapped_columns(confidence: Sequence[float], correct: Sequence[bool], bins: int) -> list[Row]:
    return [(n, right, claimed) for n, claimed, right in reliability_rows(confidence, correct, bins)]


# Exercise 3


def calibration_error(rows: Sequence[Row]) -> float:
    """Return the expected calibration error of a reliability table: the gaps between confidence and share right, weighted by answers."""
    total = sum(n for n, _, _ in rows)
    return sum(n * abs(right - claimed) for n, claimed, right in rows) / total


_TABLE: tuple[Row, ...] = ((10, 0.3, 0.5), (30, 0.7, 0.6), (55, 0.9, 0.65))


def _check_calibration_error(answer: Any) -> str | None:
    got = number(calling(answer, list(_TABLE)), "its result")
    want = calibration_error(_TABLE)
    gaps = [right - claimed for _, claimed, right in _TABLE]
    signed = sum(n * (right - claimed) for n, claimed, right in _TABLE)
    total = sum(n for n, _, _ in _TABLE)
    mistakes = (
        (
            sum(map(abs, gaps)) / len(gaps),
            "every bin counts the same, however few answers it holds; weigh each gap by its number of answers",
        ),
        (signed / total, "gaps of opposite sign cancel; take the size of each gap, bin by bin, before you add"),
        (-signed / total, "gaps of opposite sign cancel; take the size of each gap, bin by bin, before you add"),
        (want * total, "it is not divided by the number of all answers, so it grows with the sample"),
        (max(map(abs, gaps)), "that is the largest gap alone; every bin has a part in it"),
        (sum(map(abs, gaps)), "it adds the gaps without weights; weigh each by its number of answers"),
        (sum(n * gap * gap for (n, _, _), gap in zip(_TABLE, gaps, strict=True)) / total, "it squares the gaps; take their size"),
        (
            math.sqrt(sum(n * gap * gap for (n, _, _), gap in zip(_TABLE, gaps, strict=True)) / total),
            "it squares the gaps and takes the root; take their size",
        ),
        (
            want * total / len(_TABLE),
            "it divides by the number of rows; each gap is weighed by answers, so divide by all answers",
        ),
        (100 * want, "it is a percentage; give a number from 0 to 1"),
        (
            abs(sum(gaps)) / len(gaps),
            "every bin counts the same, and gaps of opposite sign cancel: take the size of each gap, and weigh it by its answers",
        ),
        (_TABLE[-1][0] * abs(gaps[-1]) / total, "only the last bin is in it; add up in the loop, with +="),
        (_TABLE[0][0] * abs(gaps[0]) / total, "only the first bin is in it; look for a `return` inside the loop"),
        (min(map(abs, gaps)), "that is the smallest gap alone; every bin has a part in it"),
        (sorted(map(abs, gaps))[1], "that is the middle gap alone; every bin has a part in it"),
        (
            sum(n * max(0.0, -gap) for (n, _, _), gap in zip(_TABLE, gaps, strict=True)) / total,
            "it leaves out the bins that claim too little; a gap counts whichever way it goes",
        ),
        (
            sum(claimed * abs(right - claimed) for _, claimed, right in _TABLE) / sum(claimed for _, claimed, _ in _TABLE),
            "it weighs the gaps by confidence; weigh each by its number of answers",
        ),
    )
    wrong = diagnosed(got, want, mistakes, f"the table {list(_TABLE)}")
    if wrong:
        return wrong
    once = number(calling(answer, [(4, 1.0, 0.25)]), "its result")
    return None if close(once, 0.75) else f"the single row (4, 1.0, 0.25) gives 0.75 and not {once:.6g}"


def _unweighted(rows: Sequence[Row]) -> float:
    return sum(abs(right - claimed) for _, claimed, right in rows) / len(rows)


def _cancelling(rows: Sequence[Row]) -> float:
    return sum(n * (right - claimed) for n, claimed, right in rows) / sum(n for n, _, _ in rows)


def _abs_of_the_sum(rows: Sequence[Row]) -> float:
    return abs(_cancelling(rows))


def _not_normalised(rows: Sequence[Row]) -> float:
    return sum(n * abs(right - claimed) for n, claimed, right in rows)


def _largest_gap(rows: Sequence[Row]) -> float:
    return max(abs(right - claimed) for _, claimed, right in rows)


def _last_bin_only(rows: Sequence[Row]) -> float:
    total, result = sum(n for n, _, _ in rows), 0.0
    for n, claimed, right in rows:
        result = n * abs(right - claimed) / total
    return result


def _over_rows(rows: Sequence[Row]) -> float:
    return _not_normalised(rows) / len(rows)


def _rounded_error(rows: Sequence[Row]) -> float:
    return round(calibration_error(rows), 3)


# Exercise 4


def honest_errors(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    """Return the error before and after calibration, both on the families that the map was not fitted on.

    `answers` are (family, confidence, right); every second family in order is for fitting.
    """
    chosen = set(sorted({family for family, _, _ in answers})[::2])
    seen = [(c, right) for family, c, right in answers if family in chosen]
    unseen = [(c, right) for family, c, right in answers if family not in chosen]
    calibrated = fit(seen)
    return error(unseen), error([(calibrated(c), right) for c, right in unseen])


_GRADED: tuple[Graded, ...] = (
    ("login", 0.91, True), ("login", 0.93, True), ("login", 0.88, True), ("refund", 0.97, False), ("refund", 0.72, True),
    ("outage", 0.95, False), ("outage", 0.64, True), ("outage", 0.83, True), ("webhook", 0.99, False), ("webhook", 0.58, False), ("webhook", 0.79, False),
)  # fmt: skip
_ERRORS = ("error before", "error after")


def _check_fit(pairs: Any) -> Map:
    """Fit a made-up map, which tells every set of answers apart; not a method to use."""
    given = _pairs_of(pairs, "fit")
    share = sum(right for _, right in given) / len(given)
    height = sum(c for c, _ in given) / len(given)

    def apply(c: float) -> float:
        if not isinstance(c, int | float):
            raise NotYet(f"it hands {shown(c, 40)} to the map, which takes one confidence at a time")
        return 0.5 * share + 0.1 * height + 0.3 * c

    return apply


def _check_gap(pairs: Any) -> float:
    given = _pairs_of(pairs, "error")
    return sum(abs(c - right) for c, right in given) / len(given)


def _pairs_of(pairs: Any, name: str) -> list[Pair]:
    if callable(pairs):
        raise NotYet(
            f"it hands the map itself to {name}; call the map on each confidence, and hand over pairs (confidence, right)"
        )
    given = list(pairs)
    if not given:
        raise NotYet(f"it hands no answers to {name}; the families are split in two, and neither part is empty")
    if any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in given):
        advice = (
            "leave the family out" if isinstance(given[0], tuple | list) else "keep each confidence together with its `right`"
        )
        raise NotYet(f"it hands {shown(given[0], 40)} to {name}, which takes pairs (confidence, right); {advice}")
    if any(isinstance(confidence, bool) for confidence, _ in given) or any(isinstance(right, float) for _, right in given):
        raise NotYet(
            f"it hands {shown(given[0], 40)} to {name}; a pair is (confidence, right), in this order, and `right` is True or False"
        )
    return given


def _errors_of(fitted_on: Sequence[Graded], before: Sequence[Graded], after: Sequence[Graded]) -> tuple[float, float]:
    calibrated = _check_fit(_without_family(fitted_on))
    return _check_gap(_without_family(before)), _check_gap([(calibrated(c), right) for _, c, right in after])


def _without_family(answers: Sequence[Graded]) -> list[Pair]:
    return [(c, right) for _, c, right in answers]


def _halves(answers: Sequence[Graded]) -> tuple[list[Graded], list[Graded]]:
    chosen = set(sorted({family for family, _, _ in answers})[::2])
    return [answer for answer in answers if answer[0] in chosen], [answer for answer in answers if answer[0] not in chosen]


def _check_honest_errors(answer: Any) -> str | None:
    got = _pair(calling(answer, list(_GRADED), _check_fit, _check_gap), *_ERRORS)
    want = honest_errors(_GRADED, _check_fit, _check_gap)
    seen, unseen = _halves(_GRADED)
    whole, swapped_halves = list(_GRADED), _errors_of(unseen, seen, seen)
    mistakes = (
        (
            _errors_of(whole, whole, whole),
            "it judges the map on the very answers that it was fitted on, so it would look good whatever it learned",
        ),
        (
            _errors_of(whole, unseen, unseen),
            "the map has seen the answers that it is judged on; fit it on the chosen families only",
        ),
        (
            _errors_of(seen, whole, whole),
            "it judges on all answers, and the map was fitted on half of them; judge on the others only",
        ),
        (_errors_of(seen, seen, seen), "it judges on the families that the map was fitted on; judge on the others"),
        (_errors_of(unseen, unseen, unseen), "the map is fitted to the families that it is judged on; fit it on the chosen ones"),
        (
            _errors_of(seen, whole, unseen),
            "before and after are measured on different answers; measure both on the families not chosen",
        ),
        (
            _errors_of(seen, unseen, seen),
            "before and after are measured on different answers; measure both on the families not chosen",
        ),
        (
            _errors_of(seen, seen, unseen),
            "before and after are measured on different answers; measure both on the families not chosen",
        ),
        (
            _errors_of(seen, unseen, whole),
            "before and after are measured on different answers; measure both on the families not chosen",
        ),
        (swapped_halves, "the halves are swapped: the chosen families are for fitting, the others for judging"),
        (
            _errors_of(whole[::2], whole[1::2], whole[1::2]),
            "it splits by answer, so near-duplicates stand on both sides; split by family",
        ),
        (_errors_of(whole[:5], whole[5:], whole[5:]), "it splits by position; the families in `chosen` are for fitting"),
        ((want[0], want[0]), "both numbers are the error before; put each stated confidence through the map, then measure again"),
        ((want[1], want[0]), "the two numbers are swapped: the error before first, then the error after"),
        ((want[0], want[0] - want[1]), "the second number is the difference; return the error after itself"),
    )
    if _same_pair(got, want):
        return None
    for value, says in mistakes:
        if _same_pair(got, value):
            return says
    if any(_same_pair(got, (round(want[0], digits), round(want[1], digits))) for digits in (1, 2, 3, 4)):
        return "the two errors look rounded: round when you print, not when you compute"
    return f"for {len(_GRADED)} answers in 4 families it should give ({want[0]:.4f}, {want[1]:.4f}) and gives ({got[0]:.4f}, {got[1]:.4f})"


def _everything_leaks(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    pairs = _without_family(answers)
    calibrated = fit(pairs)
    return error(pairs), error([(calibrated(c), right) for c, right in pairs])


def _fitted_on_all(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    unseen = _without_family(_halves(answers)[1])
    calibrated = fit(_without_family(answers))
    return error(unseen), error([(calibrated(c), right) for c, right in unseen])


def _judged_on_all(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    pairs = _without_family(answers)
    calibrated = fit(_without_family(_halves(answers)[0]))
    return error(pairs), error([(calibrated(c), right) for c, right in pairs])


def _judged_where_fitted(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    seen = _without_family(_halves(answers)[0])
    calibrated = fit(seen)
    return error(seen), error([(calibrated(c), right) for c, right in seen])


def _before_on_all(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    return error(_without_family(answers)), honest_errors(answers, fit, error)[1]


def _by_answer(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    seen, unseen = _without_family(answers[::2]), _without_family(answers[1::2])
    calibrated = fit(seen)
    return error(unseen), error([(calibrated(c), right) for c, right in unseen])


def _fitted_on_the_unseen(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    unseen = _without_family(_halves(answers)[1])
    calibrated = fit(unseen)
    return error(unseen), error([(calibrated(c), right) for c, right in unseen])


def _right_lost(answers: Sequence[Graded], fit: Fit, error: Any) -> tuple[float, float]:
    seen, unseen = (_without_family(half) for half in _halves(answers))
    calibrated = fit(seen)
    return error(unseen), error([calibrated(c) for c, _ in unseen])


def _never_applied(answers: Sequence[Graded], fit: Fit, error: Gap) -> tuple[float, float]:
    before = honest_errors(answers, fit, error)[0]
    return before, before


def _family_left_in(answers: Sequence[Graded], fit: Any, error: Gap) -> tuple[float, float]:
    seen, unseen = _halves(answers)
    calibrated = fit(seen)
    return error(_without_family(unseen)), error([(calibrated(c), right) for _, c, right in unseen])


# Exercise 5


def at_threshold(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    """Return how many wrong answers lie below the threshold, and how many answers do."""
    below = [right for c, right in zip(confidence, correct, strict=True) if c < threshold]
    return sum(not right for right in below), len(below)


# Six lie below 0.7, eight up to it, eleven from it on, nine above it, and seven of all are wrong: no two of these counts are the same.
_SAID = (0.95, 0.6, 0.7, 0.4, 0.95, 0.65, 0.8, 0.7, 0.5, 0.55, 0.9, 0.62, 0.77, 0.85, 0.88, 0.92, 0.98)
_TRUE = (False, False, True, True, True, False, True, False, False, False, False, True, True, True, True, True, True)
_CUT = 0.7
_COUNTS = ("errors caught", "escalations")


def _check_at_threshold(answer: Any) -> str | None:
    got = _pair(calling(answer, list(_SAID), list(_TRUE), _CUT), *_COUNTS)
    caught, escalated = at_threshold(_SAID, _TRUE, _CUT)
    pairs = list(zip(_SAID, _TRUE, strict=True))
    errors, below = sum(not right for right in _TRUE), [pair for pair in pairs if pair[0] < _CUT]
    upto, above = [pair for pair in pairs if pair[0] <= _CUT], [pair for pair in pairs if pair[0] >= _CUT]
    beyond = [pair for pair in pairs if pair[0] > _CUT]
    mistakes = (
        ((_wrong_ones(upto), len(upto)), "an answer exactly at the threshold is kept: escalate below it, with < and not <="),
        (
            (_wrong_ones(upto), len(below)),
            "it counts errors with <= and escalations with <; an answer exactly at the threshold is kept in both",
        ),
        ((_wrong_ones(beyond), len(beyond)), "it is upside down: low confidence escalates, not high"),
        ((_wrong_ones(above), len(above)), "it is upside down: low confidence escalates, not high"),
        (
            (len(below), len(below)),
            "it counts right answers as caught; only a wrong answer below the threshold is an error caught",
        ),
        ((len(below) - caught, escalated), "it counts the right answers among the escalated; caught are the wrong ones"),
        ((errors, escalated), "it counts every wrong answer as caught, also those above the threshold, which nobody looks at"),
        ((escalated, caught), "the two numbers are swapped: errors caught first, then escalations"),
        ((errors - caught, escalated), "these are the errors that slip through; count those below the threshold"),
        (
            (caught, errors),
            "the second number counts all wrong answers; escalations are all answers below the threshold, right or wrong",
        ),
        *(
            ((caught, kept), "the second number counts the answers that are kept; escalations are those below the threshold")
            for kept in (len(above), len(beyond))
        ),
        ((caught, len(pairs)), "the second number counts all answers; escalations are those below the threshold"),
        (
            (caught, escalated - caught),
            "the second number leaves the errors out; escalations are all answers below the threshold, right or wrong",
        ),
        (
            (sum(c < _CUT or not right for c, right in pairs), escalated),
            "caught are answers that are wrong and below the threshold; it counts those that are one or the other",
        ),
        ((caught / errors, escalated / len(_SAID)), "these are shares; give the two counts"),
        ((caught / errors, escalated), "the first number is a share; give the two counts"),
        ((caught / escalated, escalated), "the first number is a share; give the two counts"),
    )
    for value, says in mistakes:
        if _same_pair(got, value):
            return says
    if got[0] < 0:
        return "the errors caught are negative: `~` turns the Python values True and False into -2 and -1; write `not`"
    if not _same_pair(got, (caught, escalated)):
        return _each_count(got, caught, escalated, len(upto), len(beyond), errors)
    other = _pair(calling(answer, list(_SAID), list(_TRUE), 0.5, none_ok=True), *_COUNTS)
    if not _same_pair(other, at_threshold(_SAID, _TRUE, 0.5)):
        return f"at 0.5 it should give {at_threshold(_SAID, _TRUE, 0.5)} and gives {_plain(other)}; look for a fixed 0.7 where `threshold` should stand"
    return None


def _each_count(got: tuple[float, float], caught: int, escalated: int, upto: int, beyond: int, errors: int) -> str:
    """Return what is wrong where the two counts have a mistake each: the escalations first, as the errors caught are among them."""
    if close(got[1], upto):
        return "the escalations hold answers exactly at the threshold, which are kept: escalate below it, with < and not <=; then look at the errors"
    if close(got[1], beyond):
        return "the escalations are the answers above the threshold; low confidence escalates, not high; then look at the errors"
    if close(got[1], escalated) and close(got[0], errors):
        return "it counts every wrong answer as caught, also those above the threshold, which nobody looks at"
    return f"of {len(_SAID)} answers {escalated} lie below {_CUT}, and {caught} of these are wrong; it gives {_plain(got)}"


def _wrong_ones(pairs: Sequence[tuple[float, bool]]) -> int:
    return sum(not right for _, right in pairs)


def _pair(got: Any, first: str, second: str) -> tuple[float, float]:
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise NotYet(f"it returned {shown(got, 40)}, but must return two numbers: {first}, {second}")
    return number(got[0], f"the {first}"), number(got[1], f"the {second}")


def _same_pair(got: tuple[float, float], want: tuple[float, float]) -> bool:
    return close(got[0], want[0]) and close(got[1], want[1])


def _plain(got: tuple[float, float]) -> str:
    return f"({got[0]:g}, {got[1]:g})"


def _up_to(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    below = [right for c, right in zip(confidence, correct, strict=True) if c <= threshold]
    return sum(not right for right in below), len(below)


def _counts_kept(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    caught, escalated = at_threshold(confidence, correct, threshold)
    return caught, len(correct) - escalated


def _all_caught(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    escalated = at_threshold(confidence, correct, threshold)[1]
    return escalated, escalated


def _right_ones(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    caught, escalated = at_threshold(confidence, correct, threshold)
    return escalated - caught, escalated


def _high_escalates(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    above = [right for c, right in zip(confidence, correct, strict=True) if c >= threshold]
    return sum(not right for right in above), len(above)


def _every_error(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    return sum(not right for right in correct), at_threshold(confidence, correct, threshold)[1]


def _two_mistakes(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    return sum(not right for right in correct), sum(c <= threshold for c in confidence)


def _low_or_wrong(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    pairs = list(zip(confidence, correct, strict=True))
    return sum(c < threshold or not right for c, right in pairs), sum(c < threshold for c, _ in pairs)


def _tilde(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[int, int]:
    below = [int(right) for c, right in zip(confidence, correct, strict=True) if c < threshold]
    return sum(~right for right in below), len(below)


def _as_shares(confidence: Sequence[float], correct: Sequence[bool], threshold: float) -> tuple[float, float]:
    caught, escalated = at_threshold(confidence, correct, threshold)
    return caught / sum(not right for right in correct), escalated / len(correct)


# Exercise 6


def answers_needed(epsilon: float, delta: float) -> int:
    """Return the least m with (1 - epsilon)^m <= delta: so many answers without an error show an error of at most epsilon."""
    m = 1
    while (1 - epsilon) ** m > delta:
        m += 1
    return m


_PROMISE = (0.1, 0.05)
_FEWER = (0.02, 0.1)


def _check_answers_needed(answer: Any) -> str | None:
    epsilon, delta = _PROMISE
    got = number(calling(answer, epsilon, delta), "its result")
    want, exact = answers_needed(epsilon, delta), math.log(delta) / math.log(1 - epsilon)
    swapped = math.log(epsilon) / math.log(1 - delta)
    mixed = math.log10(delta) / math.log(1 - epsilon)
    powers = math.log(delta) / math.log(epsilon)
    sure = math.log(1 - delta) / math.log(1 - epsilon)
    two_sided = math.log(delta / 2) / math.log(1 - epsilon)
    mistakes = [
        (1 / epsilon, "1 / epsilon is how many answers hold one error on average; a run of so many right ones is still common"),
        (
            3 / epsilon,
            "that is the rule of three, 3 / epsilon: close and on the safe side, but made for delta 0.05; take the exact chance",
        ),
        (
            3 / delta,
            "that is the rule of three with delta in place of epsilon; epsilon is the error, delta the doubt that is left",
        ),
        (1 / delta, "1 / delta does not look at epsilon at all"),
        (-exact, "it is negative: divide the logarithm of delta by the logarithm of 1 - epsilon, both are negative"),
        (exact, "it is not a whole number; you cannot have a part of an answer, so round up"),
    ]
    taken = (
        (swapped, "epsilon and delta are swapped: epsilon is the error you tolerate, delta the doubt that is left"),
        (mixed, "it divides a logarithm to base 10 by one to base e; use the same base for both"),
        (powers, "it looks at m errors in a row, epsilon ** m; you want m right answers in a row, each with chance 1 - epsilon"),
        (
            sure,
            "it takes 1 - delta, how sure you want to be; the chance of a lucky run must fall to delta, the doubt that is left",
        ),
        (two_sided, "it halves delta, as for a range with two ends; a promise of *at most* has one end"),
    )
    # rounded up first: two of these slips meet when the one is rounded down
    mistakes += [(rounding(value), says) for rounding in (float, math.ceil, math.floor) for value, says in taken]
    case = f"epsilon {epsilon:g} and delta {delta:g}"
    if close(got, want - 1):
        return f"{want - 1} is one too few: the chance of so many right answers in a row is {(1 - epsilon) ** (want - 1):.4f}, still above {delta:g}; round up, not down"
    if close(got, want + 1):
        mistakes.append((want + 1, "it takes one answer more than needed"))
    mistakes.append((answers_needed(0.05, delta), f"it does not follow `epsilon`: {epsilon:g} was asked for, look for a fixed 0.05"))
    for value, says in mistakes:
        if not close(got, want) and close(got, value):
            return says
    if not close(got, want):
        return f"{case} take {want} answers and not {got:.6g}"
    return _other_promises(answer)


def _other_promises(answer: Any) -> str | None:
    fewer = number(calling(answer, *_FEWER, none_ok=True), "its result")
    if close(fewer, answers_needed(_FEWER[0], _PROMISE[1])):
        return f"it does not follow `delta`: {_FEWER[1]:g} was asked for, look for a fixed {_PROMISE[1]:g}"
    if not close(fewer, answers_needed(*_FEWER)):
        return f"epsilon {_FEWER[0]:g} and delta {_FEWER[1]:g} take {answers_needed(*_FEWER)} answers and not {fewer:.6g}"
    exactly = number(calling(answer, 0.5, 0.25, none_ok=True), "its result")
    if close(exactly, 2):
        return None
    return f"epsilon 0.5 and delta 0.25 take 2 answers and not {exactly:.6g}: two right ones in a row have a chance of exactly 0.25, and that is enough"


def _swapped_levels(epsilon: float, delta: float) -> int:
    return answers_needed(delta, epsilon)


def _mixed_bases(epsilon: float, delta: float) -> int:
    return math.ceil(math.log10(delta) / math.log(1 - epsilon))


def _one_over(epsilon: float, delta: float) -> int:
    return round(1 / epsilon)


def _rounds_down(epsilon: float, delta: float) -> int:
    return int(math.log(delta) / math.log(1 - epsilon))


def _unrounded(epsilon: float, delta: float) -> float:
    return math.log(delta) / math.log(1 - epsilon)


def _rule_of_three(epsilon: float, delta: float) -> int:
    return math.ceil(round(3 / epsilon, 6))


def _rule_of_three_swapped(epsilon: float, delta: float) -> int:
    return math.ceil(round(3 / delta, 6))


def _all_wrong(epsilon: float, delta: float) -> int:
    return math.ceil(math.log(delta) / math.log(epsilon))


def _how_sure(epsilon: float, delta: float) -> int:
    return math.ceil(math.log(1 - delta) / math.log(1 - epsilon))


def _strictly_below(epsilon: float, delta: float) -> int:
    return math.floor(math.log(delta) / math.log(1 - epsilon)) + 1


def _fixed_epsilon(epsilon: float, delta: float) -> int:
    return answers_needed(0.05, delta)


def _fixed_delta(epsilon: float, delta: float) -> int:
    return answers_needed(epsilon, 0.05)


# Exercise 7


def usd_per_answer(replies: Sequence[Charged]) -> float:
    """Return the USD spent on all replies for each valid answer among them; infinite if there is none."""
    spent = sum(usd for usd, _ in replies)
    valid = sum(answer is not None for _, answer in replies)
    return spent / valid if valid else math.inf


_ANSWER: Fields = {"answer": "42", "confidence": 4}
_CHARGED: tuple[Charged, ...] = ((0.00010, _ANSWER), (0.00030, None), (0.00020, _ANSWER), (0.00040, _ANSWER), (0.00050, None))


def _check_usd_per_answer(answer: Any) -> str | None:
    got = number(calling(answer, list(_CHARGED)), "its result")
    want = usd_per_answer(_CHARGED)
    if not close(got, want):
        return _per_answer_mistake(got, want)
    nothing = [(0.0001, None), (0.0002, None)]
    try:
        hopeless = calling(answer, nothing, none_ok=True)
    except NotYet as error:
        return f"{error} when no reply is valid; then the money bought nothing, and the price of an answer is math.inf"
    if not isinstance(hopeless, int | float) or math.isnan(hopeless):
        return f"it returned {shown(hopeless, 40)} when no reply is valid, which no price can be compared with; the price of an answer is then math.inf"
    if hopeless != math.inf:
        return f"it returned {hopeless:.8g} when no reply is valid, as if answers were cheap; the price of an answer is then math.inf"
    return None


def _per_answer_mistake(got: float, want: float) -> str:
    spent, kept = sum(usd for usd, _ in _CHARGED), [usd for usd, answer in _CHARGED if answer is not None]
    refused = len(_CHARGED) - len(kept)
    mistakes = (
        (sum(kept) / len(kept), "the invalid replies are left out of the bill; their tokens were used, so they are charged"),
        (spent / len(_CHARGED), "it divides by all replies; only the valid ones are answers"),
        (
            sum(kept) / len(_CHARGED),
            "it leaves the invalid replies out of the bill and divides by all replies; it is the other way round",
        ),
        (spent / refused, "it divides by the invalid replies; divide by the valid ones, which have an answer"),
        ((spent - sum(kept)) / len(kept), "only the invalid replies are on the bill; every reply is charged, the valid ones too"),
        (spent, "that is the whole bill; divide it by the number of valid answers"),
        (1 / want, "it is upside down: answers per USD, not USD per answer"),
    )
    for value, says in mistakes:
        if close(got, value):
            return says
    return f"5 replies for {spent:.4f} USD together, {len(kept)} of them valid, make {want:.8g} USD an answer and not {got:.8g}"


def _valid_only(replies: Sequence[Charged]) -> float:
    kept = [usd for usd, answer in replies if answer is not None]
    return sum(kept) / len(kept) if kept else math.inf


def _over_all(replies: Sequence[Charged]) -> float:
    return sum(usd for usd, _ in replies) / len(replies)


def _whole_bill(replies: Sequence[Charged]) -> float:
    return sum(usd for usd, _ in replies)


def _divides_by_zero(replies: Sequence[Charged]) -> float:
    return sum(usd for usd, _ in replies) / sum(answer is not None for _, answer in replies)


def _over_invalid(replies: Sequence[Charged]) -> float:
    return sum(usd for usd, _ in replies) / sum(answer is None for _, answer in replies)


def _none_if_none(replies: Sequence[Charged]) -> float | None:
    return usd_per_answer(replies) if any(answer is not None for _, answer in replies) else None


def _zero_if_none(replies: Sequence[Charged]) -> float:
    return usd_per_answer(replies) if any(answer is not None for _, answer in replies) else 0.0


# Exercise 8


def pick_threshold(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    """Return the lowest candidate at which at least `share` of the wrong answers of `tuning` lie below the threshold, and what it does to `test`.

    That is two counts: the wrong answers of `test` below it, and all answers of `test` below it.
    """
    threshold = _lowest(tuning, candidates, share)
    return (threshold, *_at(test, threshold))


def _at(pairs: Sequence[Pair], threshold: float) -> tuple[int, int]:
    return at_threshold([c for c, _ in pairs], [right for _, right in pairs], threshold)


def _lowest(pairs: Sequence[Pair], candidates: Sequence[float], share: float) -> float:
    return min(t for t in candidates if _at(pairs, t)[0] >= share * _wrong_ones(pairs))


_TUNING: tuple[Pair, ...] = (
    (0.3, False), (0.3, True), (0.3, True), (0.5, False), (0.5, True), (0.5, True), (0.5, True),
    (0.6, False), (0.6, True), (0.8, False), (0.8, False), (0.9, False), (0.9, True),
)  # fmt: skip
_KEPT_ASIDE: tuple[Pair, ...] = (
    *((0.3, False),) * 6, (0.5, True), (0.6, True), (0.6, False), (0.7, True), (0.8, True), (0.85, False), (0.9, True),
)  # fmt: skip
_CANDIDATES = (0.3, 0.5, 0.6, 0.8, 0.9, 1.01)
_TRIPLE = "three numbers: the threshold, the errors it catches in `test`, the escalations there"


def _check_pick_threshold(answer: Any) -> str | None:
    got = _triple(calling(answer, list(_TUNING), list(_KEPT_ASIDE), list(_CANDIDATES), 0.5))
    want = pick_threshold(_TUNING, _KEPT_ASIDE, _CANDIDATES, 0.5)
    if got != want:
        return _alike(answer, got[0]) or _picked_wrong(got[0], want[0]) or _counted_wrong(got, want)
    low = _triple(calling(answer, list(_TUNING), list(_KEPT_ASIDE), list(_CANDIDATES), 0.1))
    if low == want:
        return "it does not follow `share`: a tenth of the errors was asked for, look for a fixed 0.5"
    wanted = pick_threshold(_TUNING, _KEPT_ASIDE, _CANDIDATES, 0.1)
    return None if low == wanted else f"for a tenth of the 6 errors it should return {_three(wanted)} and returns {_three(low)}"


def _alike(answer: Any, got: float) -> str | None:
    """Tell mistakes apart that pick the same threshold for one half, by what they pick for another share; None if neither was made."""

    def picks(share: float) -> float | None:
        try:
            return _triple(calling(answer, list(_TUNING), list(_KEPT_ASIDE), list(_CANDIDATES), share))[0]
        except (NotYet, NotAttempted):  # a share that it cannot reach
            return None

    if close(got, 0.5) and picks(1.0) == 0.5:
        return "it compares the errors caught with the share itself; half of the errors of `tuning` is share times how many there are"
    if close(got, 0.9) and picks(0.3) == 0.8:
        return "it takes the share of the errors of `test`; count the errors of `tuning`, where the threshold is picked"
    return None


def _count_against_share(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    threshold = min(t for t in candidates if _at(tuning, t)[0] >= share)
    return (threshold, *_at(test, threshold))


def _errors_of_test(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    threshold = min(t for t in candidates if _at(tuning, t)[0] >= share * _wrong_ones(test))
    return (threshold, *_at(test, threshold))


def _picked_wrong(got: float, want: float) -> str | None:
    """Say what is wrong with a picked threshold; None if it is right."""
    mistakes = (
        (
            _lowest(_KEPT_ASIDE, _CANDIDATES, 0.5),
            "it picks the threshold on the test split, alone or together with `tuning`; then the report flatters it. Pick on `tuning`, measure on `test`",
        ),
        (0.9, "it wants more than half; exactly half is enough, and here 3 of the 6 errors of `tuning` lie below 0.8"),
        (0.3, "it takes the lowest candidate, which catches nothing; it has to catch the share first"),
        (
            0.6,
            "only 2 of the 6 errors of `tuning` lie below 0.6: count its errors caught, not the answers escalated, and an answer exactly at the threshold is kept",
        ),
        (
            1.01,
            "it takes the candidate that escalates everything; take the lowest one that is enough, and a share of the errors, not of the answers",
        ),
        (3.0, "3 is a count or a position; the first number is the candidate itself"),
    )
    if close(got, want):
        return None
    for value, says in mistakes:
        if close(got, value):
            return says
    return f"it should pick {want:g} and picks {got:g}: of the 6 errors of `tuning` 2 lie below 0.6, 3 lie below 0.8"


def _counted_wrong(got: tuple[float, float, float], want: tuple[float, int, int]) -> str:
    """Say what is wrong with the two counts behind a threshold that is right."""
    cut, counts = want[0], got[1:]
    errors = _wrong_ones(_KEPT_ASIDE)
    mistakes = (
        (
            _at(_TUNING, cut),
            "it reports on `tuning`, where the threshold was picked and catches half by construction; measure it on `test`",
        ),
        (
            _at((*_TUNING, *_KEPT_ASIDE), cut),
            "it reports on both splits together, so half of the report is about the answers it was picked on; measure on `test` alone",
        ),
        (want[:0:-1], "the two counts are swapped: errors caught first, then escalations"),
        ((want[1] / errors, want[2] / len(_KEPT_ASIDE)), "these are shares; give the two counts"),
        ((want[1] / errors, want[2]), "the second number is a share; give the count of errors caught"),
    )
    for value, says in mistakes:
        if _same_pair(counts, value):
            return says
    return f"threshold {cut:g} is right, but on `test` it should count {want[1:]} and counts {_plain(counts)}: errors caught and escalations, as in Exercise 5"


def _triple(got: Any) -> tuple[float, float, float]:
    if isinstance(got, int | float) and not isinstance(got, bool):
        raise NotYet(f"it returned {shown(got, 40)}, a threshold without a report; return {_TRIPLE}")
    if isinstance(got, tuple | list) and len(got) == 2 and isinstance(got[1], tuple | list):
        got = (got[0], *got[1])
    if not isinstance(got, tuple | list) or len(got) != 3:
        raise NotYet(f"it returned {shown(got, 40)}, but must return {_TRIPLE}")
    return number(got[0], "the threshold"), number(got[1], "the errors caught"), number(got[2], "the escalations")


def _three(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"


def _reported(threshold: float, test: Sequence[Pair]) -> tuple[float, int, int]:
    return (threshold, *_at(test, threshold))


def _tuned_on_test(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    return _reported(_lowest(test, candidates, share), test)


def _tuned_on_both(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    return _reported(_lowest([*tuning, *test], candidates, share), test)


def _reported_on_tuning(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    return _reported(_lowest(tuning, candidates, share), tuning)


def _reported_on_both(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    return _reported(_lowest(tuning, candidates, share), [*tuning, *test])


def _threshold_only(tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float) -> float:
    return _lowest(tuning, candidates, share)


def _more_than_share(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    return _reported(min(t for t in candidates if _at(tuning, t)[0] > share * _wrong_ones(tuning)), test)


def _share_escalated(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    return _reported(min(t for t in candidates if _at(tuning, t)[1] >= share * len(tuning)), test)


def _highest(tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float) -> tuple[float, int, int]:
    return _reported(max(t for t in candidates if _at(tuning, t)[0] >= share * _wrong_ones(tuning)), test)


def _always_half(
    tuning: Sequence[Pair], test: Sequence[Pair], candidates: Sequence[float], share: float
) -> tuple[float, int, int]:
    return pick_threshold(tuning, test, candidates, 0.5)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        id="ex1",
        title="A strict validator",
        minutes=5,
        level="core",
        objective="Validate a reply strictly, so that a rating the model never gave cannot reach a threshold.",
        hints=(
            "Two questions, one after the other: is the text one JSON object, and does the object hold what was asked for?",
            "json.loads raises a ValueError if the text is cut off, holds two objects, or is prose. What does your function return then?",
            "JSON can also be a list or a number. And a key can be missing: fields.get(name) gives None then, fields[name] raises.",
            'Say what is allowed, not what is forbidden. Five values are; 0, 6, "high" and None are then refused by themselves.',
        ),
        reference=valid_answer,
        check=_check_valid_answer,
        wrong=(
            Wrong("no upper bound", _no_upper_bound, "accepts confidence 6"),
            Wrong("no lower bound", _no_lower_bound, "accepts confidence 0"),
            Wrong("clamps to the scale", _clamps, "do not repair it"),
            Wrong("a default for a missing confidence", _default_confidence, "a default invents a rating"),
            Wrong("an answer is not needed", _answer_not_needed, "without an answer"),
            Wrong("takes the first of two objects", _first_object, "picks one of two objects"),
            Wrong("int() makes it fit", _rounds_with_int, "a text and not a number"),
            Wrong("a range instead of five values", _between_ratings, "between two ratings"),
            Wrong("takes true for a 1", _true_is_one, "it accepts true"),
            Wrong("takes any JSON for an object", _any_value_is_an_object, "do not raise"),
            Wrong("cuts the object out of prose", _object_in_prose, "prose before it"),
            Wrong("evaluates the text as Python", _evaluates, "Python and not JSON"),
            Wrong("raises on a cut-off reply", _raises_on_bad_json, "do not raise"),
            Wrong("raises on a word", _raises_on_a_word, "do not raise"),
        ),
    ),
    Exercise(
        id="ex2",
        title="Reliability bins",
        minutes=5,
        level="core",
        objective="Build a reliability table, which sets the share right beside the stated confidence, bin by bin.",
        hints=(
            "Go through the bins, k = 0, 1, ... bins - 1. Bin k reaches from k / bins to (k + 1) / bins. Which answers lie inside?",
            "Write the edges down first: above the lower one, up to and including the upper one. Where does 1.0 go, and where 0?",
            "A row needs three things about the answers inside: how many, the mean of what they stated, the share that was right.",
            "The mean over nothing does not exist. So what do you do with a bin that holds no answer?",
        ),
        reference=reliability_rows,
        check=_check_reliability_rows,
        wrong=(
            Wrong("int(c * bins)", _truncated, "1.0 belongs to the last bin"),
            Wrong("a bin holds its lower edge", _lower_edge, "upper edge of the second one"),
            Wrong("zero gets a bin of its own", _loses_zero, "confidence 0 is lost or stands alone"),
            Wrong("divides by an empty bin", _empty_bin_crash, "some bins hold no answer"),
            Wrong("keeps empty bins", _empty_bins_kept, "without answers"),
            Wrong("takes the middle of the bin", _middle_of_bin, "middle of the bin"),
            Wrong("swaps the columns", _swapped_columns, "swapped"),
            Wrong("always ten bins", _ten_bins, "use `bins`"),
            Wrong("divides by all answers", _means_over_all, "divided by all answers"),
            Wrong("returns inside the loop", _returns_early, "inside the loop"),
        ),
    ),
    Exercise(
        id="ex3",
        title="Calibration error by hand",
        minutes=3,
        level="core",
        objective="Compute the expected calibration error from a reliability table.",
        hints=(
            "Each row has a gap: how far is the share right from the mean confidence?",
            "A row that says too much and a row that says too little are both off. Should one make up for the other?",
            "A bin of 55 answers tells you more than a bin of 10. Weigh each gap by its answers, then divide by all answers.",
        ),
        reference=calibration_error,
        check=_check_calibration_error,
        wrong=(
            Wrong("every bin counts the same", _unweighted, "every bin counts the same"),
            Wrong("gaps cancel", _cancelling, "cancel"),
            Wrong("takes the size of the sum", _abs_of_the_sum, "bin by bin"),
            Wrong("does not divide", _not_normalised, "grows with the sample"),
            Wrong("takes the largest gap", _largest_gap, "largest gap"),
            Wrong("divides by the rows", _over_rows, "number of rows"),
            Wrong("overwrites in the loop", _last_bin_only, "only the last bin"),
            Wrong("rounds", _rounded_error, "looks rounded"),
        ),
    ),
    Exercise(
        id="ex4",
        title="Judge a map where it was not fitted",
        minutes=4,
        level="core",
        objective="Fit a calibration map on some scenarios and judge it on others, so that it is not graded on its own answers.",
        hints=(
            "A map can learn the very answers by heart. Which answers can show whether it learned something else?",
            "`seen` holds (confidence, right) of the families in `chosen`. Make the same list of all others. Which of the two does fit get?",
            "Before and after are two measurements of the same answers. Only the confidence differs; right stays right.",
            "fit returns a function. Calling it with a stated confidence gives the calibrated one.",
        ),
        reference=honest_errors,
        check=_check_honest_errors,
        wrong=(
            Wrong("fits and judges on everything", _everything_leaks, "the very answers that it was fitted on"),
            Wrong("fits on everything", _fitted_on_all, "has seen the answers"),
            Wrong("judges on everything", _judged_on_all, "judge on the others only"),
            Wrong("judges where it was fitted", _judged_where_fitted, "the families that the map was fitted on"),
            Wrong("measures before on everything", _before_on_all, "different answers"),
            Wrong("splits by answer", _by_answer, "near-duplicates"),
            Wrong("never applies the map", _never_applied, "both numbers are the error before"),
            Wrong("fits on the families it judges on", _fitted_on_the_unseen, "fitted to the families that it is judged on"),
            Wrong("loses the right answers", _right_lost, "together with its `right`"),
            Wrong("hands over the family", _family_left_in, "leave the family out"),
        ),
    ),
    Exercise(
        id="ex5",
        title="What a threshold catches",
        minutes=3,
        level="core",
        objective="Count the errors that a threshold catches and the escalations it takes.",
        hints=(
            "Two questions about the same group, the answers below the threshold: how many are there, and how many of them are wrong?",
            'The rule says "below". What happens to an answer that states exactly the threshold?',
            "An error is caught only if it is escalated. A right answer that is escalated is no catch, it is part of the price.",
        ),
        reference=at_threshold,
        check=_check_at_threshold,
        wrong=(
            Wrong("uses <=", _up_to, "with < and not <="),
            Wrong("counts right answers as caught", _all_caught, "counts right answers as caught"),
            Wrong("counts the kept as escalated", _counts_kept, "answers that are kept"),
            Wrong("counts the right ones", _right_ones, "caught are the wrong ones"),
            Wrong("escalates high confidence", _high_escalates, "upside down"),
            Wrong("every error is caught", _every_error, "also those above the threshold"),
            Wrong("<= and every error", _two_mistakes, "then look at the errors"),
            Wrong("low or wrong", _low_or_wrong, "one or the other"),
            Wrong("~ in place of not", _tilde, "write `not`"),
            Wrong("gives shares", _as_shares, "give the two counts"),
        ),
    ),
    Exercise(
        id="ex6",
        title="Before you may promise anything",
        minutes=3,
        level="core",
        objective="Say how many answers without an error it takes before any promise about accepted answers can be made.",
        hints=(
            "Suppose the model is wrong in exactly epsilon of all cases. How likely is one right answer? Two in a row? m in a row?",
            "A run of m right answers proves something only if such a model hardly ever has one: in at most delta of all tries.",
            "(1 - epsilon) ** m falls as m grows. Count m up from 1 until it is low enough, or solve for m with two logarithms.",
        ),
        reference=answers_needed,
        check=_check_answers_needed,
        wrong=(
            Wrong("swaps epsilon and delta", _swapped_levels, "epsilon and delta are swapped"),
            Wrong("mixes the bases of logarithms", _mixed_bases, "use the same base"),
            Wrong("takes 1 / epsilon", _one_over, "is still common"),
            Wrong("rounds down", _rounds_down, "round up, not down"),
            Wrong("does not round", _unrounded, "not a whole number"),
            Wrong("takes the rule of three", _rule_of_three, "rule of three, 3 / epsilon"),
            Wrong("takes the rule of three of delta", _rule_of_three_swapped, "delta in place of epsilon"),
            Wrong("m errors in a row", _all_wrong, "m errors in a row"),
            Wrong("takes how sure for how much doubt", _how_sure, "the doubt that is left"),
            Wrong("strictly below delta", _strictly_below, "exactly 0.25"),
            Wrong("always 95 percent", _fixed_delta, "does not follow `delta`"),
            Wrong("always 5 percent wrong", _fixed_epsilon, "does not follow `epsilon`"),
        ),
    ),
    Exercise(
        id="ex7",
        title="Charge the invalid reply",
        minutes=3,
        level="stretch",
        objective="Charge invalid replies to the answers you got, so that a model that fails often does not look cheap.",
        hints=(
            "What did you pay for, and what did you get? These are two different counts of the same list.",
            "Every reply has a price. Only a reply whose answer is not None is something you got.",
            "If you got nothing, no finite price is right. Python writes infinity as math.inf.",
        ),
        reference=usd_per_answer,
        check=_check_usd_per_answer,
        wrong=(
            Wrong("charges the valid only", _valid_only, "left out of the bill"),
            Wrong("divides by all replies", _over_all, "divides by all replies"),
            Wrong("returns the whole bill", _whole_bill, "the whole bill"),
            Wrong("divides by the invalid", _over_invalid, "divides by the invalid replies"),
            Wrong("divides by zero", _divides_by_zero, "math.inf"),
            Wrong("None if nothing is valid", _none_if_none, "no price can be compared with"),
            Wrong("nothing valid costs nothing", _zero_if_none, "as if answers were cheap"),
        ),
    ),
    Exercise(
        id="ex8",
        title="Pick a threshold",
        minutes=5,
        level="stretch",
        objective="Pick the lowest threshold that catches a given share of the errors, and report it where it was not picked.",
        hints=(
            "`caught_at` tells you for any candidate how many errors it catches. You only need to choose, and to decide in which of the two lists.",
            "The share is a share of all errors of the list you pick on. So count these errors first, once.",
            "Several candidates are enough. Which of them escalates the fewest answers?",
            "The answers that you report on must not have had a say in the choice. Which list is left for the report?",
        ),
        reference=pick_threshold,
        check=_check_pick_threshold,
        wrong=(
            Wrong("tunes the threshold on the test split", _tuned_on_test, "picks the threshold on the test split"),
            Wrong("tunes the threshold on both splits", _tuned_on_both, "picks the threshold on the test split"),
            Wrong("compares a count with the share", _count_against_share, "with the share itself"),
            Wrong("counts the errors of the test split", _errors_of_test, "count the errors of `tuning`"),
            Wrong("reports where it was picked", _reported_on_tuning, "by construction"),
            Wrong("reports on both splits", _reported_on_both, "on both splits together"),
            Wrong("returns the threshold only", _threshold_only, "without a report"),
            Wrong("wants more than the share", _more_than_share, "exactly half is enough"),
            Wrong("share that escalates", _share_escalated, "not the answers escalated"),
            Wrong("always half", _always_half, "does not follow `share`"),
            Wrong("takes the highest", _highest, "escalates everything"),
        ),
    ),
)
