"""Bare arithmetic: an expression in signs or in words, worked out one operation at a time."""

import ast
import re
from collections.abc import Callable

from workshop_lib import syntax
from workshop_lib.sandbox.stand_ins.questions.model import (
    Abacus,
    Capacity,
    Guess,
    StoppedError,
    bounded,
    show,
)
from workshop_lib.sandbox.stand_ins.questions.words import digits_for_words, listed, plain

N = r"(\d+(?:\.\d+)?|\([^()]*\))"
JOIN = r"(?:\s+and\s+|\s*,\s*(?:and\s+)?)"
SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
}  # fmt: skip
# Words become signs; `a @ b` is "a percent of b", one operation.
PHRASES: tuple[tuple[str, str], ...] = (
    (r"(?<=\d),(?=\d{3}\b)", ""),
    (r"\bto the power (?:of )?|\braised to (?:the )?(?:power )?(?:of )?|\^", " ** "),
    (rf"\b(?:the )?square root of {N}", r"(\1 ** 0.5)"),
    (rf"\b(?:the )?cube root of {N}", r"(\1 ** (1/3))"),
    (rf"{N} squared", r"(\1 ** 2)"),
    (rf"{N} cubed", r"(\1 ** 3)"),
    (rf"\b(?:the )?square of {N}", r"(\1 ** 2)"),
    (rf"\b(?:the )?cube of {N}", r"(\1 ** 3)"),
    (rf"\b(?:the )?(?:sum|total) of {N}{JOIN}{N}{JOIN}{N}", r"(\1 + \2 + \3)"),
    (rf"\b(?:the )?(?:sum|total) of {N}{JOIN}{N}", r"(\1 + \2)"),
    (rf"\b(?:the )?product of {N}{JOIN}{N}{JOIN}{N}", r"(\1 * \2 * \3)"),
    (rf"\b(?:the )?product of {N}{JOIN}{N}", r"(\1 * \2)"),
    (rf"\b(?:the )?quotient of {N}{JOIN}{N}", r"(\1 / \2)"),
    (rf"\b(?:the )?(?:positive )?difference (?:between|of) {N}{JOIN}{N}", r"(\1 - \2)"),
    (
        rf"\bremainder (?:when|if|of|after)(?: you)?(?: divid\w+)? {N} (?:is )?(?:divided )?by {N}",
        r"(\1 % \2)",
    ),
    (rf"\bsubtract(?:ing)? {N} from {N}", r"(\2 - \1)"),
    (rf"{N} (?:is )?(?:subtracted|taken away|taken) from {N}", r"(\2 - \1)"),
    (rf"\badd(?:ing)? {N} (?:to|and) {N}", r"(\1 + \2)"),
    (rf"\bmultiply(?:ing)? {N} (?:by|and|with) {N}", r"(\1 * \2)"),
    (rf"\bdivid(?:e|ing) {N} by {N}", r"(\1 / \2)"),
    (rf"{N} is added to {N}", r"(\1 + \2)"),
    (rf"{N} more than {N}", r"(\1 + \2)"),
    (rf"{N} (?:less|fewer) than {N}", r"(\2 - \1)"),
    (rf"(\d+)/(\d+) of {N}", r"(\3 * \1 / \2)"),
    (rf"(\d+) (?:quarters|fourths) of {N}", r"(\2 * \1 / 4)"),
    (rf"(\d+) thirds of {N}", r"(\2 * \1 / 3)"),
    (rf"(\d+) fifths of {N}", r"(\2 * \1 / 5)"),
    (rf"{N}\s*(?:%|percent|per cent) of {N}", r"(\1 @ \2)"),
    (rf"\b(?:one )?half (?:of )?{N}|\b(?:one )?half of {N}", r"(\1 / 2)"),
    (rf"\b(?:a|one) third of {N}", r"(\1 / 3)"),
    (rf"\b(?:a|one) quarter of {N}", r"(\1 / 4)"),
    (rf"\b(?:a|one) fifth of {N}", r"(\1 / 5)"),
    (rf"\b(?:double|twice) {N}", r"(2 * \1)"),
    (rf"\b(?:triple|three times) {N}", r"(3 * \1)"),
    (r"\b(?:multiplied by|times)\b|(?<=\d)\s*x\s*(?=\d)", " * "),
    (r"\b(?:integer|floor) divided by\b", " // "),
    (r"\b(?:divided by|over)\b", " / "),
    (r"\b(?:plus|added to)\b", " + "),
    (r"\b(?:minus|less|take away)\b", " - "),
    (r"\b(?:mod|modulo)\b", " % "),
)
FILLER = listed(
    "what is what's whats the a of compute calculate evaluate work out find result value equals equal "
    "to how much solve please answer give me sum total number get do you if and then in does come so "
    "quickly exactly python tell can could hi hello by result's add up add"
)
RUN = re.compile(r"(?<![-(])[-(]{0,20}\d[\d\s.+\-*/%()@]*")


def in_signs(question: str) -> str:
    """Return the question with number words as digits and operation words as signs."""
    text = digits_for_words(plain(question))
    for pattern, sign in PHRASES:
        text = re.sub(pattern, sign, text)
    return text


def reckon(question: str, capacity: Capacity) -> Guess | None:
    """Answer a question that is little more than an expression; None if it is something else."""
    text = in_signs(question[:2000])
    runs = [run.strip(" .") for run in RUN.findall(text)]
    runs = [run for run in runs if re.search(r"\d\)*\s*[-+*/%@]", run) and len(re.findall(r"\d+", run)) > 1]
    if len(runs) != 1:
        return None
    rest = [word for word in re.findall(r"[a-z']+", text.replace(runs[0], " ")) if word not in FILLER]
    tree = parsed(runs[0])
    if tree is None or len(rest) > 3 or re.search(r"(?<!\*)\*\*?\s*$", runs[0]):
        return None
    return worked(tree, capacity)


def parsed(text: str) -> ast.expr | None:
    """Parse an arithmetic expression; None if it is not one or is nested absurdly deep."""
    if text.count("(") > 30 or len(text) > 400:
        return None
    text = re.sub(r"\b0+(?=\d)", "", text + ")" * (text.count("(") - text.count(")")))
    try:
        return syntax.parse(text.strip(), "eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def worked(tree: ast.expr, capacity: Capacity) -> Guess | None:
    """Evaluate operation by operation; what does not fit the steps is left undone."""
    abacus = Abacus(capacity.steps)
    total = sum(isinstance(node, ast.BinOp) for node in ast.walk(tree))
    try:
        value = evaluate(tree, abacus.work)
    except StoppedError:
        left = total - capacity.steps
        noticed = left > 2 * capacity.steps
        return Guess(show(abacus.last or 0), 2 if noticed else 4, "; ".join(abacus.log) + ".")
    except (ValueError, OverflowError, RecursionError):
        return Guess("undefined", 2, "That is out of the bounds of what can be computed.")
    return Guess(show(value), 5, ("; ".join(abacus.log) or show(value)) + ".")


def evaluate(node: ast.expr, work: Callable[[str, float, float], float]) -> float:
    """Evaluate numbers, signs and parentheses; raises ValueError for anything else."""
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        return bounded(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = evaluate(node.operand, work)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        a, b = evaluate(node.left, work), evaluate(node.right, work)
        if isinstance(node.op, ast.MatMult):
            return work("*", a / 100, b)
        if type(node.op) in SIGNS:
            return work(SIGNS[type(node.op)], a, b)
    raise ValueError("not arithmetic")
