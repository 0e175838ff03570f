"""What goes into and comes out of the question answerer, and the budget of operations it works with."""

from dataclasses import dataclass

BOUND = 10**18


@dataclass(frozen=True)
class Capacity:
    """How much a stand-in model knows (`knowledge`, 1..3) and how many operations or hops it chains (`steps`)."""

    knowledge: int
    steps: int


@dataclass(frozen=True)
class Guess:
    """An answer, the model's own confidence in it (1..5) and one sentence of working."""

    answer: str
    confidence: int
    working: str


class StoppedError(Exception):
    """Raised inside the answerer when it has no step left; the outside never sees it."""


class Abacus:
    """Counts arithmetic operations and stops when the capacity's steps are spent."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.last: float | None = None
        self.log: list[str] = []

    def work(self, sign: str, a: float, b: float) -> float:
        """Compute `a sign b` as one step; raises StoppedError without steps, ValueError beyond the bounds."""
        if self.left <= 0:
            raise StoppedError
        self.left -= 1
        self.last = bounded(operate(sign, a, b))
        self.log.append(f"{show(a)} {sign} {show(b)} = {show(self.last)}")
        return self.last


def operate(sign: str, a: float, b: float) -> float:
    """Return `a sign b` in exact integers where both are whole; raises ValueError for what is undefined."""
    if sign in ("/", "//", "%") and b == 0:
        raise ValueError("division by zero")
    if sign == "**":
        return power(a, b)
    if sign == "+":
        return a + b
    if sign == "-":
        return a - b
    if sign == "*":
        return a * b
    if sign == "/":
        return a / b
    return a // b if sign == "//" else a % b


def power(a: float, b: float) -> float:
    """Return `a ** b` if the result stays small; raises ValueError otherwise."""
    if abs(b) > 64 or abs(a) > 10**6 or (a < 0 and b != int(b)) or (a == 0 and b < 0):
        raise ValueError("power out of bounds")
    return float(a**b) if b < 0 or b != int(b) else a ** int(b)


def bounded(value: float) -> float:
    """Return the value with whole floats made integers; raises ValueError beyond 10**18."""
    if not abs(value) < BOUND:
        raise ValueError("number out of bounds")
    return int(value) if value == int(value) else value


def show(value: float) -> str:
    """Write a number the way a person would: no trailing zeros, no floating-point dust."""
    if value == int(value):
        return str(int(value))
    rounded = round(value, 6)
    text = f"{rounded:.6f}".rstrip("0").rstrip(".")
    return text if float(text) else "0"
