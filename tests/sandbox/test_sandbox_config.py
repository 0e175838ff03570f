"""How a sandbox is to be: a TOML file, options that win, and one line for whatever is wrong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workshop_lib import paths
from workshop_lib.errors import SettingsError, WorkshopError
from workshop_lib.sandbox import config

FILE = """
port = 0
seed = 3
time_scale = 0
[[quota]]
model = "nano"
rpm = 60
[[fault]]
model = "sonnet"
error_rate = 0.1
kind = "throttled"
[upstream]
url = "http://127.0.0.1:8080"
map = {nano = "qwen2.5:7b"}
"""


def test_options_win_over_the_file_and_rules_add_up(tmp_path: Path) -> None:
    """Without it a person could not try one change without editing the file."""
    file = tmp_path / "sandbox.toml"
    file.write_text(FILE, encoding="utf-8")
    options = {"port": None, "seed": 4, "time_scale": None, "quota": (config.quota("*:tpm=1000"),), "fault": (), "upstream": {"url": "http://[::1]:1"}}
    found = config.read(file, options)
    assert (found.port, found.seed, found.time_scale) == (0, 4, 0)
    assert [quota.model for quota in found.quota] == ["nano", None]
    assert [fault.kind for fault in found.fault] == ["throttled"]
    assert found.upstream == {"url": "http://[::1]:1", "map": {"nano": "qwen2.5:7b"}}
    assert config.read(None, {}) == config.SandboxConfig()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = ", ("not TOML",)),
        ("prot = 1", ("prot",)),
        ("port = 70000", ("port", "65535")),
        ('[[fault]]\nkind = "server"', ("fault.0", "error_rate")),
        ("[[quota]]\nrpm = 0", ("quota.0.rpm",)),
        ("quota = 3", ("quota",)),
        ('[[quota]]\nmodel = "nanno"\nrpm = 1', ("nanno", "nano")),
    ],
)
def test_a_wrong_file_is_one_line_that_says_where(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """Without it a typo in the file would be ignored, or end in a traceback."""
    file = tmp_path / "sandbox.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(WorkshopError) as caught:
        config.read(file, {"quota": (config.quota("nano:rpm=1"),)})
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["", "nano", "nano:", "nano:rpm", "nano:rpm=x", "nano:rpm=1,day=2", ":rpm=1", "rpm=1"])
def test_a_wrong_quota_option_is_one_line(text: str) -> None:
    """Without it a mistyped limit would be no limit."""
    with pytest.raises(SettingsError, match="--quota") as caught:
        config.quota(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"error_rate": 2}', '{"error_rate": 1, "kind": "explosion"}', '{"script": []}', '{"error_rate": 1, "stall_ms": 5}'])
def test_a_wrong_fault_option_is_one_line(text: str) -> None:
    """Without it a mistyped fault would be no fault."""
    with pytest.raises(SettingsError, match="--fault") as caught:
        config.fault(text)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_command_prints_a_curl_that_works_and_leaves_at_once(tmp_path: Path) -> None:
    """Without it the first thing that a person copies from the screen could fail."""
    file = tmp_path / "sandbox.toml"
    file.write_text('port = 0\ntime_scale = 0\n[[quota]]\nrpm = 1000\n[[fault]]\nerror_rate = 1\nmodel = "sonnet"\n', encoding="utf-8")
    command = [sys.executable, "-m", "workshop_lib.cli", "sandbox", "--config", str(file)]
    serving: Any = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=paths.ROOT, env=dict(os.environ))
    with serving:
        banner = ""
        while "fault in force" not in banner:
            line = serving.stdout.readline()
            assert line, serving.stderr.read()
            banner += line
        curl = re.search(r"curl http.*?'\n", banner, re.DOTALL)
        assert curl is not None
        answered = subprocess.run(["sh", "-c", curl[0]], capture_output=True, text=True, timeout=60, check=True).stdout
        assert "391" in answered
        assert 'quota in force: {"rpm":1000.0}' in banner
        serving.terminate()
        assert serving.wait(20) == 0
        assert serving.stderr.read() == ""
