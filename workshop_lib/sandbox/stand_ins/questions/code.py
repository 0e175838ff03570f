"""Code questions: find the snippet in the question, run it and say what it prints or evaluates to."""

import ast
import re
from typing import Any

from workshop_lib import syntax
from workshop_lib.sandbox.stand_ins.questions.interpreter import Interpreter
from workshop_lib.sandbox.stand_ins.questions.model import Capacity, Guess
from workshop_lib.sandbox.stand_ins.questions.python_known import Leave, SpentError, UnknownError

LONGEST = 1_500
FENCE = re.compile(r"```(?:[a-zA-Z0-9]*\n|[pP]ython3?\b)?(.*?)(?:```|\Z)", re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LOOKS_LIKE_CODE = re.compile(
    r"\w+\(.*\)|\[[^\]]*\]|['\"][^'\"]*['\"]\s*[.*+%\[]|\b(?:not|and|or|in)\b.*(?:True|False)|==|//|\*\*"
)


def run(question: str, capacity: Capacity) -> Guess | None:
    """Return what the code in the question gives, or None if there is no code in it."""
    found = snippet(question)
    if found is None:
        return None
    interpreter = Interpreter(capacity)
    try:
        interpreter.run(found)
    except SpentError:
        return halted(interpreter, found, 4 if interpreter.statement == len(found) - 1 else 2)
    except (UnknownError, Leave):
        return halted(interpreter, found, 2)
    except (RecursionError, MemoryError):
        return Guess("RecursionError", 1, "This runs deeper than I can follow.")
    except Exception as error:  # the snippet's own exception is the answer
        return Guess(type(error).__name__, 3, f"Running it raises {type(error).__name__}.")
    return Guess(result(interpreter), 5, "I ran the code line by line in my head.")


def halted(interpreter: Interpreter, found: list[ast.stmt], confidence: int) -> Guess:
    """Return the last value a model had when it stopped: the printed text, a value, or the code itself."""
    answer = result(interpreter) or ast.unparse(found[-1])[:80]
    return Guess(answer, confidence, f"I followed the code up to statement {interpreter.statement + 1}.")


def result(interpreter: Interpreter) -> str:
    """Return the printed output, or else the last value as text."""
    if interpreter.printed:
        return "".join(interpreter.printed).strip("\n")[:500]
    return written(interpreter.last)[:500]


def written(value: Any) -> str:
    """Write a value as Python prints it; a function has no short form."""
    return "" if callable(value) else str(value)


def snippet(question: str) -> list[ast.stmt] | None:
    """Find code in a question: a fenced block, backticks, or the longest stretch of text that parses as code."""
    fenced = [block for block in FENCE.findall(question) if block.strip()]
    if fenced:
        return parsed("\n".join(fenced))
    inline = INLINE.findall(question)
    if inline:
        return parsed("\n".join(inline)) or next(
            (tree for part in reversed(inline) if (tree := parsed(part))), None
        )
    return bare(question)


def bare(question: str) -> list[ast.stmt] | None:
    """Find the longest stretch of words that parses and looks like code."""
    if len(question) > LONGEST or not LOOKS_LIKE_CODE.search(question):
        return None
    words = question.strip().rstrip("?").split(" ")
    if len(words) > 60:
        return None
    ends = range(len(words), max(0, len(words) - 12), -1)
    for first in range(len(words)):
        for end in ends:
            text = " ".join(words[first:end]).strip(" :,?.")
            if first < end and LOOKS_LIKE_CODE.search(text) and (tree := parsed(text)):
                return tree
    return None


def parsed(text: str) -> list[ast.stmt] | None:
    """Parse a snippet; None for what is not Python, too long or nested too deep."""
    if len(text) > LONGEST or text.count("(") + text.count("[") > 60:
        return None
    try:
        return syntax.parse(dedented(text)).body or None
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def dedented(text: str) -> str:
    """Remove the indentation of the first line from every line, and prompt signs."""
    lines = [re.sub(r"^\s*>>> ?", "", line).rstrip() for line in text.strip("\n").split("\n")]
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[margin:] if not line[:margin].strip() else line for line in lines)
