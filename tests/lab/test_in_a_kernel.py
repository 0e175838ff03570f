"""Predictions, meter and progress in real kernels: the same words on every run, and a file only where a person sends the cells."""

import os
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from workshop_lib.lab.progress_file import read
from workshop_lib.sandbox.process import Address

pytestmark = pytest.mark.slow

CELLS = """
from pathlib import Path
from workshop_lib import paths
paths.STATE = Path({state!r})
from workshop_lib.lab import open_lab
from workshop_lib.llm import Request
lab = open_lab("01_call_tiers", seed=0)
lab.predict("ratio", {written}, within=1, confidence=0.8)
replies = [lab.ask(tier, Request("What is the capital of France?")) for tier in ("nano", "sonnet", "nim-8b")]
lab.score("ratio", 5, "times")
lab.check("ex1", ...)
lab.meter()
lab.my_calibration()
lab.progress()
"""


def _said(tmp_path: Path, written: str, *, person: bool) -> str:
    """Run the cells in a fresh kernel and return what they print; `person` says whether the front end could be asked for input."""
    manager = KernelManager(kernel_name="python3", connection_file=str(tmp_path / "kernel.json"))
    manager.start_kernel(env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}, extra_arguments=["--IPKernelApp.log_level=50"])
    client = manager.client()
    client.start_channels()
    text: list[str] = []
    try:
        client.wait_for_ready(timeout=120)
        code = CELLS.format(state=str(tmp_path / "state"), written=written)
        reply = client.execute_interactive(
            code, allow_stdin=person, timeout=180, output_hook=lambda message: text.append(message["content"].get("text", ""))
        )
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return "".join(text)


@pytest.mark.usefixtures("sandbox")
def test_the_same_words_twice_and_no_file_without_a_person(tmp_path: Path) -> None:
    """Without it a stored output could differ on every build, or a build could write into the learner's progress."""
    first, second = (_said(tmp_path, "...", person=False) for _ in range(2))
    assert first == second
    assert "This lab so far: 3 calls. Live it would have cost " in first
    assert "You wrote down no prediction. The result: 5 times." in first
    assert not (tmp_path / "state" / "progress.json").exists()


def test_a_person_finds_yesterdays_work(sandbox: Address, tmp_path: Path) -> None:
    """Without it a restarted kernel would forget, or a result seen yesterday could be predicted today."""
    assert "Written down: 3, give or take 1. You are 80 % sure." in _said(tmp_path, "3", person=True)
    again = _said(tmp_path, "5", person=True)
    assert "Written down, but after the result was shown, so the first one counts: 3, give or take 1." in again
    assert read(tmp_path / "state" / "progress.json").labs["01_call_tiers"].predictions["ratio"].right is False
