"""Predictions: written down before the result exists, judged by it afterwards, and drawn as the learner's own calibration curve."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop_lib.lab.book import Answer, Book, Predicted
from workshop_lib.lab.keeper import Keeper

if TYPE_CHECKING:
    from workshop_lib.evaluation.metrics import ReliabilityRow

FEWEST = 5
"""Fewer scored predictions than this draw no curve."""

YES_NO = ("yes", "no")
_BLANK = "No prediction yet. Write one over the dots; without one everything runs all the same."


class Refused(Exception):
    """What was written is no prediction; the text says why."""


@dataclass(frozen=True)
class Asked:
    """What may be predicted: one of `among`, or a number that counts as right if the result is at most `within` away."""

    within: float = 0.0
    among: tuple[str, ...] = ()

    def read(self, written: Any) -> Answer | None:
        """Return what was written as a prediction, None if it is still blank; raise Refused for anything else."""
        if written is ... or written is None or written == "":
            return None
        return self._choice(written) if self.among else self._number(written)

    def right(self, answer: Answer, actual: Any) -> bool:
        """Say whether a prediction came true."""
        if self.among:
            return answer == self._choice(actual)
        low, high = answer if isinstance(answer, tuple) else (float(answer) - self.within, float(answer) + self.within)
        slack = 1e-9 * max(1.0, abs(low), abs(high))  # 0.3 is within 0.1 of 0.4, whatever the last bit says
        return low - slack <= float(actual) <= high + slack

    def shown(self, answer: Answer, unit: str = "") -> str:
        """Return a prediction in words, such as "3, give or take 1"."""
        if isinstance(answer, tuple):
            return f"from {plain(answer[0])} to {plain(answer[1], unit)}"
        if self.among or isinstance(answer, str):
            return str(answer)
        return plain(answer, unit) + (f", give or take {plain(self.within)}" if self.within else "")

    def _choice(self, written: Any) -> str:
        if isinstance(written, bool | _numpy_bool()) and self.among == YES_NO:
            written = "yes" if written else "no"
        named = {choice.casefold(): choice for choice in self.among}
        found = named.get(str(written).strip().casefold()) if isinstance(written, str | int | float) else None
        if found is None:
            raise Refused(f"{_excerpt(written)} is none of {', '.join(map(repr, self.among))}")
        return found

    def _number(self, written: Any) -> Answer:
        if isinstance(written, tuple | list):
            if len(written) != 2:
                raise Refused(f"{_excerpt(written)} is no interval; write two numbers, such as (2, 5), or one number")
            low, high = sorted(_finite(part) for part in written)
            return low, high
        return _finite(written)


def predict(keeper: Keeper, lab: str, name: str, written: Any, asked: Asked, confidence: Any = ...) -> str:
    """Write a prediction down and return the line that says so; never raises for what a learner may write.

    After the result was shown a prediction is kept as `later` and does not count.
    """
    try:
        answer = asked.read(written)
        stated, remark = _confidence(confidence)
    except Refused as refused:
        return f"Not written down: {refused}. Without a prediction everything runs all the same."
    before = keeper.book().lab(lab).prediction(name).model_copy()
    if answer is None:
        return _BLANK if before.answer is None else f"Blank now; what you wrote down earlier stays: {asked.shown(before.answer)}."
    changed = answer != before.answer

    def edit(book: Book) -> None:
        book.last = lab
        entry = book.lab(lab).prediction(name)
        if not entry.seen:
            entry.answer, entry.confidence = answer, stated
        elif answer != entry.answer:
            entry.later = answer
        else:
            entry.later = None

    keeper.change(edit)
    if before.seen and changed:
        counts = "it does not count" if before.answer is None else f"the first one counts: {asked.shown(before.answer)}"
        return f"Written down, but after the result was shown, so {counts}. `workshop progress --reset {lab[:2]}` begins this lab anew."
    again = " instead" if changed and before.answer is not None else ""
    sure = f" You are {percent(stated)} sure." if stated is not None else ""
    return f"Written down{again}: {asked.shown(answer)}.{sure}{remark}"


def score(keeper: Keeper, lab: str, name: str, actual: Any, asked: Asked, unit: str = "") -> str:
    """Judge a prediction by the result and return the line that says so; from here on it can no longer be changed."""
    result = str(asked.read(actual)) if asked.among else plain(float(actual), unit)

    def edit(book: Book) -> None:
        entry = book.lab(lab).prediction(name)
        entry.seen = True
        if entry.answer is not None and entry.right is None:
            entry.right = asked.right(entry.answer, actual)

    entry = keeper.change(edit).lab(lab).prediction(name)
    if entry.answer is None:
        after = "" if entry.later is None else f" What you wrote afterwards, {asked.shown(entry.later, unit)}, does not count."
        return f"You wrote down no prediction. The result: {result}.{after}"
    sure = "" if entry.confidence is None else f", {percent(entry.confidence)} sure"
    verdict = "right" if asked.right(entry.answer, actual) else _missed(asked, entry.answer, actual)
    later = "" if entry.later is None else f" Changed after the result was shown to {asked.shown(entry.later, unit)}; the first one counts."
    return f"You predicted {asked.shown(entry.answer, unit)}{sure}. The result: {result}. That is {verdict}.{later}"


def scored(book: Book) -> Iterator[Predicted]:
    """Yield the predictions of all labs that have a stated confidence and were judged by a result."""
    for lab in book.labs.values():
        yield from (entry for entry in lab.predictions.values() if entry.confidence is not None and entry.right is not None)


def calibration(book: Book, bins: int = 5) -> tuple[str, "list[ReliabilityRow]"]:
    """Return a sentence about the learner's own predictions, and the rows for `reliability_figure`: none while there are fewer than FEWEST."""
    from workshop_lib.evaluation.metrics import reliability

    done = list(scored(book))
    if len(done) < FEWEST:
        have = {0: "there is none", 1: "there is one"}.get(len(done), f"there are {len(done)}")
        return f"Your own curve takes {FEWEST} predictions with a confidence, each with its result shown; so far {have}.", []
    stated = [float(entry.confidence or 0) for entry in done]
    right = [bool(entry.right) for entry in done]
    words = f"{len(done)} predictions of yours: {percent(sum(stated) / len(done))} sure on average, {sum(right)} of {len(done)} came true."
    return words, reliability(stated, right, bins)


def plain(number: float, unit: str = "") -> str:
    """Return a number as a person writes it, with at most four significant digits after the point, and its unit."""
    value = float(number)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text} {unit}" if unit else text


def percent(share: float) -> str:
    """Return a share as a whole percentage."""
    return f"{share * 100:.0f} %"


def _missed(asked: Asked, answer: Answer, actual: Any) -> str:
    if asked.among:
        return "not right"
    ends = answer if isinstance(answer, tuple) else (float(answer), float(answer))
    away = min(abs(float(actual) - end) for end in ends)
    return f"not right: {plain(away)} away"


def _confidence(written: Any) -> tuple[float | None, str]:
    """Return a stated confidence from 0 to 1, None if there is none, and a remark if it was given in percent."""
    if written is ... or written is None:
        return None, " Add how sure you are, such as confidence=0.8, and it counts for your own curve in lab 02."
    try:
        value = _finite(written)
    except Refused as refused:
        raise Refused(f"as a confidence {refused}") from None
    if 0 <= value <= 1:
        return value, ""
    if 1 < value <= 100:
        return value / 100, f" ({plain(value)} was read as {plain(value)} %.)"
    raise Refused(f"a confidence lies between 0 and 1, and {plain(value)} does not")


def _finite(written: Any) -> float:
    if isinstance(written, str | bytes):
        raise Refused(f"{_excerpt(written)} is text; write a number without quotes, such as 3")
    if isinstance(written, bool):
        raise Refused(f"{written} is yes or no; write a number, such as 3")
    try:
        value = float(written)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"{_excerpt(written)} is no number; write one, such as 3") from None
    if not math.isfinite(value):
        raise Refused(f"{value} is no number one can be near to")
    return value


def _numpy_bool() -> type:
    import numpy as np

    return np.bool_


def _excerpt(written: Any) -> str:
    from workshop_lib.lab.checking import shown

    return shown(written, 40)


def asked(within: float | None, among: Sequence[str] | None) -> Asked:
    """Return what may be predicted; raise ValueError if a lab asks for both, for nothing to choose from, or for a negative tolerance."""
    if within is not None and among is not None:
        raise ValueError("a prediction has `within` (a number) or `among` (a choice), not both")
    if among is not None and len(set(among)) < 2:
        raise ValueError(f"`among` must name two choices or more, got {list(among)}")
    if within is not None and not within >= 0:
        raise ValueError(f"`within` must be 0 or more, got {within}")
    return Asked(float(within or 0), tuple(among or ()))
