"""Frames: word problems of a known kind (percentages, proportions, parts, two numbers, what there was at first)."""

import re
from collections.abc import Callable

from workshop_lib.sandbox.stand_ins.questions.model import Abacus
from workshop_lib.sandbox.stand_ins.questions.quantities import MORE, SIZES, Quantity, alike, dimension
from workshop_lib.sandbox.stand_ins.questions.shapes import area, average, clock, hours, meeting, sums
from workshop_lib.sandbox.stand_ins.questions.terms import CONTAINED, Goal
from workshop_lib.sandbox.stand_ins.questions.words import listed, stem

Frame = Callable[[str, list[Quantity], Goal, Abacus], float | str | None]
WORKERS = listed(
    "worker machin printer pump painter people person man woman men women builder cook tap pipe hors "
    "chicken hen robot farmer child"
)


def pace(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """How much per hour, day or piece: one quantity over another."""
    asked = re.search(
        r"\bper ([a-z]+)|\b(?:each|every|in 1) (second|minute|hour|day|week|month|year)\b|speed\b", goal.text
    )
    if asked is None or len(items) != 2 or any(item.per or item.percent or item.role for item in items):
        return None
    per = stem(asked.group(1) or asked.group(2) or "hour")
    below = [item for item in items if alike(item.unit, per) or dimension(item.unit) == dimension(per) != ""]
    if len(below) != 1:
        return None
    above = items[0] if below[0] is items[1] else items[1]
    ratio = SIZES[below[0].unit][1] / SIZES[per][1] if dimension(per) else 1.0
    under = below[0].value if ratio == 1 else abacus.work("*", below[0].value, ratio)
    return abacus.work("/", above.value, under)


def origin(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Return what there was at first: what is left plus what went, minus what came."""
    if not re.search(
        r"\b(?:start\w* with|originally|at first|initially|to begin with|at the beginning|begin with)\b",
        goal.text,
    ):
        return None
    if len(items) < 2 or any(item.per or item.percent or item.role for item in items):
        return None
    total = 0.0
    for item in sorted(
        items, key=lambda item: not re.search(r"\b(?:left|remain\w*|now|still)\b", item.after[:40])
    ):
        came = MORE.search(re.split(r",|\band\b", item.before)[-1]) and not re.search(
            r"left|remain", item.after[:30]
        )
        total = abacus.work("-" if came else "+", total, item.value) if total else item.value
    return total


def percentage(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Say what percentage one number is of another, or by how many percent a number changed."""
    if not re.search(r"\b(?:what|how many) (?:percent\w*|per cent)\b|percentage", goal.text):
        return None
    values = [item.value for item in items if not item.percent]
    if len(values) != 2:
        return None
    if re.search(r"increase|decrease|change|rise|rose|drop|fell|reduc|discount|grow|profit", text):
        change = abs(abacus.work("-", values[1], values[0]))
        return abacus.work("*", abacus.work("/", change, values[0]), 100)
    part, whole = (values[1], values[0]) if values[0] > values[1] else values
    return abacus.work("*", abacus.work("/", part, whole), 100)


def proportion(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """If a of these go with b of those, what goes with c: direct, or inverse for workers and time."""
    plain = [item for item in items if not item.percent and not item.role]
    if len(plain) != 3 or len(items) != 3 or any(item.per for item in items):
        return None
    a, b, c = plain
    if (a.unit and alike(a.unit, b.unit)) or CONTAINED.search(b.before):
        return None
    labour = (WORKERS & (a.nouns | {a.unit})) and dimension(b.unit) == "time"
    rate = re.search(
        r"\b(?:same|at th(?:is|at) rate|if|recipe|needs?|needed|serves|costs?|uses?|takes?|for)\b", text
    )
    start = len(text) - len(goal.text)
    if c.at < start - 90 or (c.at < start and not rate):
        return None
    if re.search(r"\b(?:change|left|altogether|in total|more|remain\w*|then)\b", text) and not labour:
        return None
    if (a.unit and alike(a.unit, c.unit)) or (a.nouns & c.nouns):
        if labour and re.search(r"how (?:long|many (?:days|hours|minutes|weeks))", goal.text):
            return abacus.work("/", abacus.work("*", a.value, b.value), c.value)
        return abacus.work("*", abacus.work("/", b.value, a.value), c.value)
    if (b.unit and alike(b.unit, c.unit)) or (b.nouns & c.nouns):
        if labour:
            return abacus.work("/", abacus.work("*", a.value, b.value), c.value)
        return abacus.work("*", abacus.work("/", a.value, b.value), c.value)
    return None


def together(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Two or three who work at once: the reciprocal of the sum of reciprocals."""
    times = [item for item in items if dimension(item.unit) == "time" and not item.per]
    if len(times) not in (2, 3) or len(times) != len(items) or goal.dimension != "time":
        return None
    if not re.search(r"\b(?:together|both|at the same time|simultaneously)\b", text) or not re.search(
        r"\b(?:fill|paint|mow|clean|finish|job|dig|build|do|complete|type|wash|print)\w*\b", text
    ):
        return None
    speeds = [abacus.work("/", 1, item.value) for item in times]
    return abacus.work("/", 1, sums(speeds, abacus))


def leftover(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Return what is left when things go into equal groups."""
    if len(items) != 2 or not re.search(r"\b(?:left over|leftover|remain\w*|remainder|spare)\b", goal.text):
        return None
    if not re.search(
        r"\b(?:each|equal\w*|as many|full|rows of|boxes of|bags of|packs of|groups of|teams of|shar\w+|divid\w+|possible)\b",
        text,
    ):
        return None
    large, small = sorted((items[0].value, items[1].value), reverse=True)
    return abacus.work("%", large, small)


def rest(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Return the rest of a whole of which some parts, fractions or percentages are named."""
    parts = [item for item in items if item.percent or item.role == "fraction"]
    plain = [item for item in items if not item.percent and not item.role and not item.per]
    if (
        not re.search(r"\bthe (?:rest|others|remainder)\b", text)
        or not parts
        or len(plain) + len(parts) != len(items)
        or not plain
    ):
        return None
    whole = max(item.value for item in plain)
    left = whole
    for item in items:
        base = left if re.search(r"of the (?:rest|remain\w+|others)", item.after[:30]) else whole
        if item in parts:
            left = abacus.work(
                "-", left, abacus.work("*", base, item.value / 100 if item.percent else item.value)
            )
        elif item.value != whole:
            left = abacus.work("-", left, item.value)
    return left


def fitting(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """How many pieces of one size fit into a whole of the same dimension."""
    pieces = [
        item
        for item in items
        if dimension(item.unit)
        and any(alike(word, noun) for word in goal.words for noun in item.nouns - {item.unit})
    ]
    wholes = [
        item
        for item in items
        if item not in pieces and pieces and dimension(item.unit) == dimension(pieces[0].unit)
    ]
    if (
        len(pieces) != 1
        or len(wholes) != 1
        or len(items) != 2
        or dimension(pieces[0].unit) in ("money", "time")
    ):
        return None
    ratio = SIZES[wholes[0].unit][1] / SIZES[pieces[0].unit][1]
    whole = wholes[0].value if ratio == 1 else abacus.work("*", wholes[0].value, ratio)
    return abacus.work("/", whole, pieces[0].value)


def numbers(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Two numbers with a known sum and difference, or consecutive numbers with a known sum."""
    small = bool(re.search(r"\b(?:small\w*|lesser|first|least)\b", goal.text))
    run = re.search(r"\b(\d+) consecutive (even |odd )?(?:whole |positive )?(?:integers|numbers)", text)
    if run and len(items) == 2:
        count, gap = int(run.group(1)), 2 if run.group(2) else 1
        middle = abacus.work("/", max(item.value for item in items), count)
        edge = gap * (count - 1) / 2
        return middle if "middle" in goal.text else abacus.work("-" if small else "+", middle, edge)
    pair = [item.value for item in items if not (item.value == 2 and "number" in item.nouns)]
    if (
        len(pair) != 2
        or not re.search(r"\b2 (?:whole |positive )?(?:numbers|integers)\b", text)
        or not re.search(r"sum|add", text)
        or not re.search(r"differ|more|larger|less", text)
    ):
        return None
    return abacus.work("/", abacus.work("-" if small else "+", max(pair), min(pair)), 2)


def single(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Return the price or size of one of several, or simple interest on a sum."""
    money = [item for item in items if dimension(item.unit) == "money" and not item.per]
    rates = [item for item in items if item.percent]
    years = [item for item in items if dimension(item.unit) == "time"]
    if "interest" in goal.text and len(money) == len(rates) == 1 and len(items) <= 3:
        year = abacus.work("*", money[0].value, rates[0].value / 100)
        return abacus.work("*", year, hours(years[0]) / 8760) if years and years[0].value != 1 else year
    if (
        len(items) == 2
        and len(money) == 1
        and re.search(r"\b(?:does|is|for|costs?|of) (?:one|each|a single) \w+|\beach\b.*\bcost", goal.text)
    ):
        other = next(item for item in items if item is not money[0])
        return abacus.work("/", money[0].value, other.value) if not other.per and not other.role else None
    return None


def conversion(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """One quantity in another unit of the same dimension."""
    if len(items) != 1 or not goal.unit or dimension(items[0].unit) != goal.dimension:
        return None
    ratio = SIZES[items[0].unit][1] / SIZES[goal.unit][1]
    if ratio == 1:
        return None
    if ratio > 1:
        return abacus.work("*", items[0].value, ratio)
    return abacus.work("/", items[0].value, round(1 / ratio, 9))


FRAMES: tuple[Frame, ...] = (
    clock, meeting, average, area, percentage, leftover, together, proportion, conversion, rest, fitting,
    numbers, single, pace, origin,
)  # fmt: skip
