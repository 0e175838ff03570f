"""Word problems: special frames first, then the sequential reader; says how sure the model can be."""

import re

from workshop_lib.sandbox.stand_ins.questions.frames import FRAMES
from workshop_lib.sandbox.stand_ins.questions.ledger import balance
from workshop_lib.sandbox.stand_ins.questions.model import Abacus, Capacity, Guess, StoppedError, show
from workshop_lib.sandbox.stand_ins.questions.people import compare
from workshop_lib.sandbox.stand_ins.questions.quantities import (
    FRACTIONS,
    SIZES,
    Quantity,
    prepared,
    quantities,
    sign_of,
)
from workshop_lib.sandbox.stand_ins.questions.terms import goal_of, terms_of

PART = re.compile(
    r"\b(?P<times>twice|double[sd]?|triple[sd]?|thrice|(?P<count>\d+(?:\.\d+)?) times(?= as| the| more| that| what))\b"
    rf"|\b(?:(?P<top>\d+) |a |one )?(?P<part>{'|'.join(FRACTIONS)})\b(?= of|,| the| as| are| is| were)"
)


def solve(question: str, capacity: Capacity) -> Guess | None:
    """Answer an arithmetic word problem; None if there is nothing to calculate with."""
    text = prepared(question[:3000])
    items = counted(text)
    if not items:
        return None
    abacus = Abacus(capacity.steps)
    try:
        value = worked(question, text, items, abacus)
    except StoppedError:
        return stopped(text, items, abacus, capacity)
    except (ValueError, OverflowError, ZeroDivisionError, IndexError):
        return Guess(
            show(abacus.last or (items[-1].value if items else 0)),
            1,
            "I could not make the numbers fit together.",
        )
    if value is None:
        return None
    answer = value if isinstance(value, str) else show(round(value, 9))
    unused = max(0, len(items) - 1 - len(abacus.log)) + (0 if abacus.log else 3)
    return Guess(
        answer, max(1, 5 - (len(abacus.log) > 2) - unused), ("; ".join(abacus.log) or f"It is {answer}") + "."
    )


def worked(question: str, text: str, items: list[Quantity], abacus: Abacus) -> float | str | None:
    """Try the comparison of people, then each frame, then the ledger."""
    people = compare(question, text, abacus)
    if people is not None:
        return people
    goal = goal_of(text)
    for frame in FRAMES:
        result = frame(text, items, goal, abacus)
        if result is not None:
            return result
    if len(items) < 2:
        return None
    return balance(terms_of(items, goal), goal, abacus)


def counted(text: str) -> list[Quantity]:
    """List numbers and parts ('half of', 'twice') of a prepared text in reading order."""
    items = quantities(text)
    for match in list(PART.finditer(text))[:10]:
        items = [item for item in items if not match.start() <= item.at < match.end()]
        items.append(part_of(text, match))
    last = max((item.sentence for item in items), default=0)
    return [item for item in sorted(items, key=lambda item: item.at) if not repeats(item, items, last)]


def repeats(item: Quantity, items: list[Quantity], last: int) -> bool:
    """Say whether a number only refers back, as 'the 2 towns' does in the question."""
    back = (
        re.search(r"\b(?:the|these|those|all|of them)\s*$", item.before)
        and item.value <= 10
        and not item.percent
    )
    return (
        bool(back)
        and item.sentence == last > 0
        and item.unit not in SIZES
        and len(items) > 2
        and not item.role
    )


def part_of(text: str, match: re.Match[str]) -> Quantity:
    """Build the quantity of a fraction or a factor in words."""
    before = re.split(r"[.;?!]", text[: match.start()])[-1]
    after = re.split(r"[.;?!]", text[match.end() :])[0]
    if match["times"]:
        words = {"tw": 2.0, "do": 2.0, "tr": 3.0, "th": 3.0}
        value = float(match["count"]) if match["count"] else words[match["times"][:2]]
        role = "times"
    else:
        value, role = float(match["top"] or 1) * FRACTIONS[match["part"]], "fraction"
    sentence = len(re.findall(r"[.?!](?:\s|$)", text[: match.start()]))
    clause = re.split(r",|\band\b|\bthen\b|\bbut\b", before)[-1]
    return Quantity(
        value, "", "", sign_of(clause, after, before), match.start(), sentence, before, after, role=role
    )


def stopped(text: str, items: list[Quantity], abacus: Abacus, capacity: Capacity) -> Guess:
    """Return what there is when the steps are spent; only numbers within the model's view lower its confidence.

    The view ends with the sentence of the last number it used, plus one sentence for every further step.
    """
    used = min(len(items), 1 + len(abacus.log))
    view = (items[used - 1].sentence if items else 0) + capacity.steps - 1
    unused = sum(item.sentence <= view for item in items[used:])
    return Guess(show(abacus.last or 0), max(1, 4 - unused) if unused else 5, "; ".join(abacus.log) + ".")
