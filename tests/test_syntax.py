"""Python is parsed as `ast.parse` parses it, from any number of threads."""

import ast
import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from workshop_lib import syntax

CODE = "def work(items):\n" + "".join(f"    total = [(item + {n}) * (item - {n}) for item in items if (item % {n + 1}) > 0]\n" for n in range(20))


@pytest.fixture
def threads_change_often() -> Iterator[None]:
    """Let the collector run often, and another thread go on while it does."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()

    def slow(*_: object) -> None:
        sum(range(200))

    gc.callbacks.append(slow)
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)
    gc.callbacks.remove(slow)


def test_many_threads_parse_at_once(threads_change_often: None) -> None:
    """Without it a build, or the sandbox, would now and then end in a SystemError on Python before 3.11.8."""
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(lambda _: syntax.parse(CODE), range(40)))
    assert {ast.dump(tree) for tree in trees} == {ast.dump(ast.parse(CODE))}


@pytest.mark.parametrize("wrong", ["(", "a b", "\0"])
def test_what_is_not_python_raises_what_it_always_raised(wrong: str) -> None:
    """Without it a stand-in that reads code could break on a text that is none."""
    with pytest.raises((SyntaxError, ValueError)):
        syntax.parse(wrong)


def test_modes_and_flags() -> None:
    """Without it an expression, or a cell that awaits, could not be read."""
    assert isinstance(syntax.parse("1 + 1", "eval").body, ast.BinOp)
    assert isinstance(syntax.parse("await work()", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT).body[0], ast.Expr)
