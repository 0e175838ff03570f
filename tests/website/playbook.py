"""The blocks of a how-to page as steps: files to write, commands to run, and what they print."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workshop_lib.paths import ROOT, STATE

_BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)
_TIMEOUT_S = 240
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".workshop", "out", ".*_cache", ".hypothesis", "*.egg-info")


@dataclass(frozen=True)
class Step:
    """One block: its language, the file it goes to if it has a title, and its text."""

    language: str
    title: str | None
    text: str


def steps(page: str) -> list[Step]:
    """Return the blocks of a page in order."""
    return [Step(found["language"], found["title"], found["text"]) for found in _BLOCK.finditer(page)]


def copy_of_the_house(folder: Path) -> Path:
    """Return a copy of the repository in which everything may be changed.

    What was compiled and trained before comes along, as in the folder of somebody who works there.
    """
    house = folder / "house"
    shutil.copytree(ROOT, house, ignore=_LEFT_OUT)
    (house / ".workshop").mkdir()
    for trained in STATE.glob("stand-ins-*.npz"):
        shutil.copy2(trained, house / ".workshop")
    return house


def carry_out(page: str, house: Path) -> int:
    """Do what a page says in a copy of the repository; return how many commands ran.

    A block with a title is added to that file. A block of `sh` is run, and must succeed; a block of `text` after it is what it prints ("..."
    stands for any lines).
    """
    printed, ran = "", 0
    for step in steps(page):
        if step.title is not None:
            file = house / step.title
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as target:
                target.write(step.text)
        elif step.language == "sh":
            printed, ran = _run(step.text, house), ran + 1
        elif step.language == "text":
            assert says(printed, step.text), f"the page says\n{step.text}\nbut what came is\n{printed}"
        else:
            raise AssertionError(f"a block of {step.language} without a title is neither run nor written")
    return ran


def _run(command: str, house: Path) -> str:
    python = Path(sys.executable).parent
    surroundings = {
        **os.environ,
        "PATH": os.pathsep.join([str(python), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(house), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        ["bash", "-euc", command], cwd=house, env=surroundings, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def says(printed: str, expected: str) -> bool:
    """Say whether a command printed what a page says it does."""
    parts = [re.escape(part.strip("\n")) for part in expected.split("...\n")]
    return re.fullmatch(r"(?:.*\n)?".join(parts), printed.strip("\n"), re.DOTALL) is not None
