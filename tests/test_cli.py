"""The command line, as a person types it: right things work, wrong things get one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workshop_lib.paths import ROOT


def workshop(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, in this environment."""
    import os

    command = [sys.executable, "-m", "workshop_lib.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **(env or {})}, timeout=120, check=False)


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert that a command failed with one line on standard error that holds the words, and without a traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.usefixtures("sandbox")
def test_triage_tells_every_step_with_its_cost_and_source() -> None:
    """Without it the shortest way to see a cascade could print nothing of use."""
    done = workshop("triage", "Two payments for one invoice this morning. Please refund one.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nano: ")
    assert "USD" in done.stdout
    assert done.stdout.strip().endswith("source: sandbox")


@pytest.mark.usefixtures("sandbox")
def test_bulk_writes_a_row_a_tier_and_says_what_it_cost(tmp_path: Path) -> None:
    """Without it a file of tickets could lose some on the way."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    assert workshop("data", "synthetic", "--n", "25", "--out", str(source)).returncode == 0
    done = workshop("bulk", str(source), "--out", str(out))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {row["ticket_id"] for row in rows} == {f"L-{n:07d}" for n in range(1, 26)}
    assert done.stdout.startswith("25 tickets, ")


def test_synthetic_tickets_are_the_same_for_the_same_seed() -> None:
    """Without it two load tests could not be compared."""
    first, again, other = (workshop("data", "synthetic", "--n", "5", "--seed", seed).stdout for seed in ("1", "1", "2"))
    assert first == again != other
    assert len(first.splitlines()) == 5


def test_wrong_backend_is_one_line() -> None:
    """Without it a typo in a variable would end in a traceback of a library."""
    assert_one_line(workshop("triage", "hello", env={"WORKSHOP_BACKEND": "snadbox"}), "WORKSHOP_BACKEND", "snadbox", "sandbox", "live")


def test_live_without_credentials_is_one_line(tmp_path: Path) -> None:
    """Without it somebody who goes live too early would wait for a time-out and read a stack."""
    nothing = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_EC2_METADATA_DISABLED": "true"}
    env = {"WORKSHOP_BACKEND": "live", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://bedrock-runtime.us-west-2.amazonaws.com"}
    assert_one_line(workshop("triage", "hello", env={**env, **nothing}), "no AWS credentials", "AWS_PROFILE")


@pytest.mark.usefixtures("sandbox")
def test_unknown_policy_is_one_line() -> None:
    """Without it a wrong name would be a KeyError."""
    assert_one_line(workshop("triage", "hello", "--policy", "strict"), "strict", "documented, published")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"id": "A", "subject": "s"}\n', ("in.ndjson line 1", "body")),
        ('{"id": "A", "subject": "s", "body": "b"}\nnot json\n', ("in.ndjson line 2",)),
        ("", ("in.ndjson",)),
    ],
    ids=["field missing", "not JSON", "empty"],
)
def test_broken_ticket_file_is_one_line_before_any_call(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """Without it a broken file would fail in the middle of a paid run."""
    source = tmp_path / "in.ndjson"
    source.write_text(text, encoding="utf-8")
    assert_one_line(workshop("bulk", str(source), "--out", str(tmp_path / "out.ndjson")), *words)
    assert not (tmp_path / "out.ndjson").exists()


def test_port_in_use_is_one_line() -> None:
    """Without it a second sandbox on a port would end in a stack of an event loop."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert_one_line(workshop("sandbox", "--port", str(taken.getsockname()[1])), "in use", "--port 0")


@pytest.mark.usefixtures("sandbox")
def test_doctor_is_well_on_this_checkout() -> None:
    """Without it the first advice of the README could itself be broken."""
    done = workshop("doctor")
    assert done.returncode == 0, done.stdout
    names = [line.split(":")[0].removeprefix("ok").strip() for line in done.stdout.splitlines()]
    assert names == ["python", "packages", "kernel", "data", "write access", "models", "settings", "sandbox"]


def test_doctor_names_the_wrong_setting() -> None:
    """Without it the doctor would fall ill of what it is asked to find."""
    done = workshop("doctor", env={"WORKSHOP_BACKEND": "snadbox"})
    assert done.returncode == 1
    assert "FAIL settings: WORKSHOP_BACKEND is 'snadbox'" in done.stdout
