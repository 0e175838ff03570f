"""The lines of docs/batch.md, run as they are printed."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from workshop_lib.paths import ROOT

PAGE = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
SHELL = [text for kind, text in BLOCKS if kind == "sh"]
POLICIES = [text for kind, text in BLOCKS if kind == "json"]


def free_port() -> str:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the lines are for a Unix shell")
def test_lines_of_the_docs_do_what_they_say(tmp_path: Path) -> None:
    """Without it somebody's first batch, copied from the docs, could fail."""
    ports = {"5555": free_port(), "8000": free_port()}
    servers, lines = SHELL[:2], SHELL[2:]
    assert [block.split()[0] for block in servers] == ["moto_server", "workshop"]

    def as_printed(block: str) -> str:
        for printed, port in ports.items():
            block = block.replace(printed, port)
        return block

    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    running = [subprocess.Popen(["sh", "-c", f"exec {as_printed(block)}"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for block in servers]
    try:
        for port in ports.values():
            _wait(port)
        done = subprocess.run(["sh", "-ec", as_printed("".join(lines))], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    finally:
        for process in running:
            process.terminate()
            process.wait(10)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "summary.json").read_text())
    assert (found["end"], found["tickets"], found["failed"]) == ("finished", 300, 0)
    assert re.search(r"cascade-\w+-w1-nano-0001 nvidia\.nemotron-nano-3-30b Completed 300", done.stdout)


def _wait(port: str) -> None:
    """Wait until a server listens; a test that hangs is ended by its runner."""
    script = f"import socket, time\nfor _ in range(600):\n  if socket.socket().connect_ex(('127.0.0.1', {port})) == 0: break\n  time.sleep(0.05)\nelse: raise SystemExit(1)"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)


@pytest.mark.parametrize("text", POLICIES)
def test_policies_are_json_and_name_nothing_wider_than_needed(text: str) -> None:
    """Without it a policy could not be pasted, or open more than the bucket and the model."""
    for statement in json.loads(text)["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in actions)
        assert "*" not in statement.get("Resource", [])


def test_the_page_says_the_limits_that_the_code_has() -> None:
    """Without it a default could change and the page tell the old one."""
    from workshop_lib.batch.parts import Limits
    from workshop_lib.sandbox.batch import routes, running

    limits = Limits()
    assert (limits.fewest, limits.records) == (running.FEWEST, running.MOST)
    assert f"({limits.fewest}, {limits.records:,}, 1 GiB, {routes._UNDER_WAY})" in PAGE
    assert limits.bytes == 1024**3
