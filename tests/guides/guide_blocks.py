"""The blocks of a guide: code that is run, and the output that is printed after it."""

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

from workshop_lib.paths import ROOT

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str


def page(name: str) -> str:
    """Return the text of a page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[Block]:
    """Return the fenced blocks of a page of docs/ in order."""
    return [Block(found["language"], found["text"]) for found in _BLOCK.finditer(page(name))]


def run_python(name: str, folder: Path) -> list[tuple[str, str]]:
    """Run the Python of a page as one program in a folder; return each printed text with the one that the page shows after it.

    A block of `text` directly after one of `python` is what that one prints, and code that prints must be followed by such a block.
    """
    said: list[tuple[str, str]] = []
    known: dict[str, object] = {}
    printed = ""
    with contextlib.chdir(folder):
        for block in blocks(name):
            if block.language == "python":
                assert printed == "", f"{name}: the page does not show what this prints:\n{printed}"
                with contextlib.redirect_stdout(io.StringIO()) as caught:
                    exec(compile(block.text, name, "exec"), known)
                printed = _trimmed(caught.getvalue())
            elif block.language == "text":
                said.append((printed, _trimmed(block.text)))
                printed = ""
    assert printed == "", f"{name}: the page does not show what its last code prints:\n{printed}"
    return said


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
