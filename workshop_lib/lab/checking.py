"""What checks are made of: call a learner's function safely, compare with a tolerance, and judge an answer in three states."""

import ast
import asyncio
import contextvars
import copy
import ctypes
import inspect
import math
import re
import reprlib
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workshop_lib import syntax
from workshop_lib.lab.exercise import Exercise

LIMIT_S = 5.0
"""How long a learner's function may take in a check before it is stopped, in seconds."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class NotAttempted(Exception):
    """The answer is still the blank that was handed out."""


class NotYet(Exception):
    """The answer is wrong; the text is the reason, fit to follow "not yet, because"."""


@dataclass(frozen=True)
class Outcome:
    """How a check ended, with the reason if the answer is wrong."""

    state: Literal["not attempted", "not yet", "correct"]
    reason: str = ""

    def sentence(self, label: str) -> str:
        """Return the line a learner reads."""
        if self.state == "correct":
            return f"{label}: correct."
        because = "not attempted yet" if self.state == "not attempted" else f"not yet, because {self.reason.rstrip('.')}"
        return f"{label}: {because}. Going on with the reference."


def judge(exercise: Exercise, answer: Any) -> Outcome:
    """Judge an answer; never raises, whatever the answer is."""
    try:
        _refuse_blank(answer)
        reason = exercise.check(answer)
    except NotAttempted:
        return Outcome("not attempted")
    except NotYet as wrong:
        reason = str(wrong)
    except Exception as error:  # an answer can be anything, and a check that trips over it must still tell the learner
        reason = f"the check could not use {shown(answer)}: it raised {one_line(error)}"
    return Outcome("correct") if reason is None else Outcome("not yet", reason)


def calling(function: Any, *arguments: Any, limit_s: float | None = None, none_ok: bool = False, **named: Any) -> Any:
    """Call a learner's function on copies of the arguments and return its result.

    Coroutines are awaited; generators, also asynchronous ones, are read to their end and returned as a list. Raises NotAttempted if
    the body or the result is still `...`, and NotYet if it is no function, raises, returns None (unless `none_ok`), or takes longer
    than `limit_s` seconds (LIMIT_S unless given).
    """
    _refuse_no_function(function)
    copies = [_copied(argument) for argument in arguments]
    copied_names = {name: _copied(argument) for name, argument in named.items()}
    try:
        result = _within(lambda: _finished(function(*copies, **copied_names)), LIMIT_S if limit_s is None else limit_s)
    except NotYet:
        raise
    except NotImplementedError:
        raise NotAttempted from None
    except BaseException as error:  # also SystemExit: a learner's exit() must not end the kernel
        if isinstance(error, KeyboardInterrupt):
            raise
        if "ellipsis" in str(error):
            raise NotAttempted from error
        raise NotYet(f"it raised {one_line(error)}") from error
    if result is None and not none_ok:
        if _unwritten(function):
            raise NotAttempted
        raise NotYet("it returned nothing (None); every way through it ends with `return` and the result, print() is not enough")
    _refuse_blank(result, none_ok=True)
    return result


def close(got: Any, want: float, rel: float = 1e-6, absolute: float = 1e-9) -> bool:
    """Say whether a value is a number within a relative or absolute tolerance of another; anything else is not close."""
    if isinstance(got, bool | str | bytes):
        return False
    try:
        number = float(got)
    except (TypeError, ValueError, OverflowError):
        return False
    return abs(number - want) <= max(rel * abs(want), absolute)


def number(answer: Any, what: str = "the answer") -> float:
    """Return an answer as a float; raise NotYet if it is no number."""
    if isinstance(answer, bool | str | bytes) or callable(answer):
        raise NotYet(f"{what} is {_kind(answer)}, but must be a number")
    try:
        return float(answer)
    except (TypeError, ValueError, OverflowError):
        raise NotYet(f"{what} is {_kind(answer)}, but must be a number") from None


def diagnosed(got: float, want: float, mistakes: Sequence[tuple[float, str]], case: str) -> str | None:
    """Return None if a number is right, else what the mistake is that gives this very number, else both numbers.

    `mistakes` are (the number it leads to, the sentence for it); `case` says what was asked.
    """
    if close(got, want):
        return None
    for value, says in mistakes:
        if close(got, value):
            return says
    if _rounded(got, want):
        return f"{case} gives {want:.8g} and not {got:.8g}; this close, it looks rounded: round when you print, not when you compute"
    return f"{case} gives {want:.8g} and not {got:.8g}"


def _rounded(got: float, want: float) -> bool:
    """Say whether a number near another is that one with fewer decimals; merely being near is no sign of rounding."""
    if not abs(got - want) < 0.05 * abs(want):
        return False
    return any(close(got, cut(want * 10**digits) / 10**digits) for digits in range(9) for cut in (round, math.floor, math.ceil))


def shown(value: Any, width: int = 80) -> str:
    """Return a short repr without memory addresses, for use in a message."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = width
    return _ADDRESS.sub("", short.repr(value))


def one_line(error: BaseException) -> str:
    """Return an exception as "Name: first line", without memory addresses and final period."""
    lines = str(error).strip().splitlines()
    text = _ADDRESS.sub("", lines[0])[:200].rstrip(".") if lines else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _refuse_blank(answer: Any, none_ok: bool = False) -> None:
    if answer is ... or (answer is None and not none_ok):
        raise NotAttempted
    parts = list(answer.values()) if isinstance(answer, dict) else list(answer) if isinstance(answer, tuple | list) else []
    blanks = sum(part is ... for part in parts)
    if blanks and blanks == len(parts):
        raise NotAttempted
    if blanks:
        raise NotYet(f"{blanks} of its {len(parts)} parts {'is' if blanks == 1 else 'are'} still `...`")


def _refuse_no_function(function: Any) -> None:
    if function is ... or function is None:
        raise NotAttempted
    if inspect.isclass(function):
        raise NotYet(f"it is the class {function.__name__}, but must be a function; write it with def")
    if not callable(function):
        raise NotYet(f"it is {_kind(function)}, but must be a function; hand over its name without brackets or quotes")


def _unwritten(function: Any) -> bool:
    """Say whether a function that returned None still holds its blank or only `pass`; one without a readable source counts as such."""
    try:
        (made,) = syntax.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return True
    if not isinstance(made, ast.FunctionDef | ast.AsyncFunctionDef):
        return True
    if any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(made)):
        return True
    lines = [line for line in made.body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))]
    return all(isinstance(line, ast.Pass) for line in lines)


def _kind(value: Any) -> str:
    if callable(value):
        return f"the function {getattr(value, '__name__', type(value).__name__)}"
    return f"a value of type {type(value).__name__} ({shown(value, 40)})"


def _copied(argument: Any) -> Any:
    """Return a deep copy of plain data and arrays; clients, locks and functions pass through."""
    if isinstance(argument, dict | list | tuple | set) or hasattr(argument, "__deepcopy__"):
        try:
            return copy.deepcopy(argument)
        except TypeError:  # it holds something that cannot be copied, such as a client
            return argument
    return argument


def _finished(result: Any) -> Any:
    if inspect.isawaitable(result):
        return asyncio.run(_awaited(result))
    if inspect.isasyncgen(result):
        return asyncio.run(_collected(result))
    return list(result) if inspect.isgenerator(result) else result


async def _awaited(result: Any) -> Any:
    done = await result
    return await _collected(done) if inspect.isasyncgen(done) else done


async def _collected(rows: AsyncIterator[Any]) -> list[Any]:
    return [row async for row in rows]


def _within(work: Callable[[], Any], limit_s: float) -> Any:
    """Run work in a thread, so that an endless loop does not hang the notebook and `asyncio.run` works inside one."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # carried to the caller's thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        # A loop left running would slow every later cell; this stops one written in Python at its next step.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
        raise NotYet(f"it did not finish within {limit_s:g} seconds; look for a loop that never ends")
    if errors:
        raise errors[0]
    return results[0]
