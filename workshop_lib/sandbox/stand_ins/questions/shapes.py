"""Frames about time, way and shape: times of day, averages, speeds that meet, areas."""

import re
from math import pi

from workshop_lib.sandbox.stand_ins.questions.ledger import balance
from workshop_lib.sandbox.stand_ins.questions.model import Abacus
from workshop_lib.sandbox.stand_ins.questions.quantities import SIZES, Quantity, alike, dimension
from workshop_lib.sandbox.stand_ins.questions.terms import Goal, terms_of

BACKWARDS = re.compile(r"\b(?:must|should|latest|at the latest|need to|before|earlier|start\w*)\b")


def sums(values: list[float], abacus: Abacus) -> float:
    """Add values up; raises IndexError for none."""
    total = values[0]
    for value in values[1:]:
        total = abacus.work("+", total, value)
    return total


def clock(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | str | None:
    """Answer about times of day: a time plus durations, or the time between two times and what follows from it."""
    clocks = [item for item in items if item.clock]
    others = [item for item in items if not item.clock]
    if not clocks:
        return None
    if len(clocks) == 1 and re.search(r"what time|when\b", goal.text):
        minutes = Goal(goal.text, (), "minut", "time")
        spent = balance(terms_of(others, minutes), minutes, abacus)
        back = BACKWARDS.search(goal.text) and not re.search(r"arriv\w*|end|finish\w*|over\b", goal.text)
        return of_day(abacus.work("-" if back else "+", clocks[0].value, spent), text)
    if len(clocks) == 2:
        passed = abacus.work("-", clocks[1].value, clocks[0].value)
        if passed < 0:
            passed += 720 if passed > -720 else 1440
        duration = Quantity(passed, "minut", "", 1, clocks[0].at, clocks[0].sentence, "", "")
        wanted = (
            goal
            if goal.unit or goal.dimension == "money"
            else Goal(goal.text, goal.words, "minut", goal.dimension)
        )
        return balance(terms_of([duration, *others], wanted), wanted, abacus)
    return None


def of_day(minutes: float, text: str) -> str:
    """Write minutes since midnight as a time of day, with am or pm if the question uses them."""
    whole = round(minutes) % 1440
    hour, minute = divmod(whole, 60)
    if re.search(r"\d\s*[ap]\.?m\b", text):
        return f"{(hour - 1) % 12 + 1}:{minute:02d} {'pm' if hour >= 12 else 'am'}"
    return f"{hour}:{minute:02d}"


def average(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Return the mean of a list, or the average speed of a trip in parts."""
    if not re.search(r"\b(?:average|mean)\b", goal.text if len(goal.text) > 12 else text) or len(items) < 2:
        return None
    if "speed" in goal.text:
        return average_speed(items, abacus)
    values = [
        item.value
        for item in items
        if (not item.percent and not item.per and alike(item.unit, items[0].unit)) or not item.unit
    ]
    if len(values) < 2:
        return None
    return abacus.work("/", sums(values, abacus), len(values))


def average_speed(items: list[Quantity], abacus: Abacus) -> float | None:
    """Total distance over total time; a leg lacks one of distance, time and speed."""
    far = [item for item in items if dimension(item.unit) == "length" and not item.per]
    fast = [item for item in items if dimension(item.unit) == "length" and item.per]
    long = [item for item in items if dimension(item.unit) == "time" and not item.per]
    if far and len(far) == len(fast):
        times = [abacus.work("/", a.value, b.value) for a, b in zip(far, fast, strict=True)]
        return abacus.work("/", sums([item.value for item in far], abacus), sums(times, abacus))
    if fast and len(long) == len(fast):
        ways = [abacus.work("*", a.value, hours(b)) for a, b in zip(fast, long, strict=True)]
        return abacus.work("/", sums(ways, abacus), sums([hours(item) for item in long], abacus))
    if far and long:
        return abacus.work(
            "/", sums([item.value for item in far], abacus), sums([hours(item) for item in long], abacus)
        )
    return None


def hours(item: Quantity) -> float:
    """Return a duration in hours."""
    return item.value * SIZES[item.unit][1] / 3600


def meeting(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Two that move toward each other: the time is the gap over the sum of the speeds."""
    if not re.search(r"toward|meet|opposite directions", text):
        return None
    speeds = [item for item in items if dimension(item.unit) == "length" and item.per]
    gaps = [item for item in items if dimension(item.unit) == "length" and not item.per]
    heads = [item for item in items if dimension(item.unit) == "time" and not item.per]
    if len(speeds) != 2 or len(gaps) != 1 or len(heads) > 1 or gaps[0].unit != speeds[0].unit:
        return None
    first = abacus.work("*", speeds[0].value, hours(heads[0])) if heads else 0.0
    gap = abacus.work("-", gaps[0].value, first) if heads else gaps[0].value
    time = abacus.work("/", gap, abacus.work("+", speeds[0].value, speeds[1].value))
    if goal.dimension == "length":
        way = abacus.work("*", time, speeds[1 if "second" in goal.text else 0].value)
        return abacus.work("+", first, way) if heads and "second" not in goal.text else way
    return abacus.work("*", time, 60) if goal.unit in ("minut", "min") else time


def area(text: str, items: list[Quantity], goal: Goal, abacus: Abacus) -> float | None:
    """Perimeters, areas and volumes of everyday shapes."""
    wanted = re.search(r"\b(?:perimeter|area|volume|circumference)\b", text)
    price = next((item for item in items if item.per and dimension(item.unit) == "money"), None)
    plain = [item.value for item in items if dimension(item.unit) == "length" and not item.per]
    if price and len(plain) == 2 and goal.dimension == "money":
        around = re.search(r"\b(?:fenc\w+|border|around|fram\w+|edge)\b", text)
        size = abacus.work("*", 2, abacus.work("+", *plain)) if around else abacus.work("*", *plain)
        return abacus.work("*", size, price.value)
    sides = [
        item.value
        for item in items
        if not item.percent and not item.per and dimension(item.unit) in ("length", "")
    ]
    if wanted is None or not sides or len(items) > 4:
        return None
    kind, a = wanted.group(0), sides[0]
    if kind == "volume":
        b, c = (a, a) if "cube" in text else [*sides, 0, 0][1:3]
        return abacus.work("*", abacus.work("*", a, b), c)
    if "circle" in text or kind == "circumference":
        radius = abacus.work("/", a, 2) if "diameter" in text else a
        return abacus.work("*", 2 * pi, radius) if kind != "area" else abacus.work("*", pi, radius * radius)
    if re.search(r"\b(?:side|long|wide|length|width)\b", goal.text) and kind in ("perimeter", "area"):
        return missing_side(kind, sides, "square" in text, abacus)
    if "square" in text and len(sides) == 1:
        return abacus.work("*", a, a) if kind == "area" else abacus.work("*", 4, a)
    if len(sides) != 2:
        return sums(sides, abacus) if kind == "perimeter" and len(sides) > 2 else None
    if "triangle" in text and kind == "area":
        return abacus.work("/", abacus.work("*", a, sides[1]), 2)
    if kind == "area":
        return abacus.work("*", a, sides[1])
    return abacus.work("*", 2, abacus.work("+", a, sides[1])) if kind == "perimeter" else None


def missing_side(kind: str, sides: list[float], square: bool, abacus: Abacus) -> float | None:
    """Return the side of a square or rectangle from its perimeter or area."""
    if square and len(sides) == 1:
        return abacus.work("/", sides[0], 4) if kind == "perimeter" else abacus.work("**", sides[0], 0.5)
    if len(sides) != 2:
        return None
    whole, side = max(sides), min(sides)
    return (
        abacus.work("/", whole, side)
        if kind == "area"
        else abacus.work("-", abacus.work("/", whole, 2), side)
    )
