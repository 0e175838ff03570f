"""Ctrl-C while a command is still being loaded: the console script ends with 130 and without Python's traceback."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from workshop_lib.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")

INTERRUPT = "import os, signal, sys\nos.kill(os.getpid(), signal.SIGINT)\n"
IN_A_CLASS_BODY = "class Descriptor:\n    def __set_name__(self, *_):\n        import os, signal\n        os.kill(os.getpid(), signal.SIGINT)\nclass Owner:\n    it = Descriptor()\n"
THEN_THE_REAL_ONE = "del sys.modules[__name__], sys.path[sys.path.index(os.path.dirname(__file__))]\n__import__(__name__)\n"


def console_script() -> str:
    """Return what an installer writes as the command `workshop`."""
    module, _, function = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]["workshop"].partition(":")
    return f"import sys; from {module} import {function}; sys.exit({function}())"


def interrupted(in_the_place_of: str, source: str, folder: Path, *command: str, ignored: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command that imports a source in the place of a module, with SIGINT as a terminal's processes have it, or ignored."""
    (folder / f"{in_the_place_of}.py").write_text(source)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)  # a child begins with the default, or ignoring it
    try:
        return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=env, timeout=120, check=False)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", [("-c", console_script(), "--help"), ("-m", "workshop_lib", "--help")], ids=["console script", "python -m"])
def test_ctrl_c_while_the_command_line_is_loaded_says_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Without it an impatient Ctrl-C right after Enter would print a screen of Python's own modules."""
    done = interrupted("typer", INTERRUPT, tmp_path, *command)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("source", [INTERRUPT, IN_A_CLASS_BODY], ids=["plain", "wrapped by Python"])
def test_ctrl_c_while_a_subcommand_is_loaded_says_nothing(tmp_path: Path, source: str) -> None:
    """Without it Ctrl-C in the imports of a subcommand would print a traceback where Python 3.11 makes another error of it."""
    done = interrupted("pydantic", source, tmp_path, "-c", console_script(), "bulk", "none.ndjson", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_command_whose_caller_ignores_ctrl_c_goes_on(tmp_path: Path) -> None:
    """Without it a command in the background of a shell script would end by the Ctrl-C that was meant for the foreground."""
    done = interrupted("typer", INTERRUPT + THEN_THE_REAL_ONE, tmp_path, "-c", console_script(), "--help", ignored=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: " in done.stdout


def test_another_error_of_the_start_is_told_whole(tmp_path: Path) -> None:
    """Without it a broken installation would end without a word about what is broken."""
    done = interrupted("typer", "raise RuntimeError('broken')", tmp_path, "-c", console_script(), "--help")
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: broken\n")
