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


@pytest.mark.usefixtures("sandbox")
def test_bulk_refuses_to_write_over_its_own_tickets(tmp_path: Path) -> None:
    """Without it one wrong name would replace a person's tickets by their answers."""
    source = tmp_path / "in.ndjson"
    source.write_text('{"id": "A", "subject": "s", "body": "b"}\n', encoding="utf-8")
    before = source.read_bytes()
    assert_one_line(workshop("bulk", str(source), "--out", str(source)), "holds the tickets", "--out")
    assert source.read_bytes() == before


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Without it a missing folder or a full disk would end in a traceback."""
    assert_one_line(workshop("data", "synthetic", "--n", "1", "--out", str(tmp_path / "none" / "out.ndjson")), "out.ndjson", "No such file")


def test_doctor_goes_on_when_its_own_lists_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a damaged checkout would stop the one command that is to say what is damaged."""
    from workshop_lib import doctor, manifest

    broken = tmp_path / "MANIFEST"
    broken.write_text("nonsense\n", encoding="utf-8")
    monkeypatch.setattr(manifest, "MANIFEST", broken)
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    lines = [doctor._data().line(), doctor._packages().line()]
    assert lines[0].startswith("FAIL data: data/MANIFEST line 1 is not")
    assert lines[1].startswith("FAIL packages: requirements.lock is missing")


@pytest.mark.parametrize("text", ["", "  \n"], ids=["empty", "blank"])
def test_ticket_without_text_is_one_line(text: str) -> None:
    """Without it an empty argument would end in the traceback of a validator, and a blank one would be sent and paid for."""
    assert_one_line(workshop("triage", text), "no text", "workshop triage")


def test_ticket_that_is_too_long_is_one_line() -> None:
    """Without it a pasted log would end in the traceback of a validator."""
    assert_one_line(workshop("triage", "x" * 20_001), "body", "20000", "Shorten")


def test_bulk_never_writes_over_its_own_tickets(tmp_path: Path) -> None:
    """Without it a slip with --out would destroy the tickets."""
    source = tmp_path / "in.ndjson"
    text = '{"id": "A", "subject": "s", "body": "b"}\n'
    source.write_text(text, encoding="utf-8")
    assert_one_line(workshop("bulk", str(source), "--out", str(source)), "in.ndjson", "--out")
    assert source.read_text(encoding="utf-8") == text


def test_synthetic_tickets_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    """Without it a folder that is missing would end in a traceback."""
    assert_one_line(workshop("data", "synthetic", "--n", "1", "--out", str(tmp_path / "no" / "x")), "cannot be written", "--out")


def test_negative_seed_is_blamed_on_the_option() -> None:
    """Without it `--seed -5` would be blamed on a variable that nobody set."""
    done = workshop("run", "--seed", "-5")
    assert done.returncode == 2
    assert "--seed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process there")
@pytest.mark.usefixtures("sandbox")
def test_ctrl_c_ends_jupyterlab(tmp_path: Path) -> None:
    """Without it Ctrl-C would kill the server before it could end its kernels, or leave it running."""
    import os
    import signal

    import psutil

    command = [sys.executable, "-m", "workshop_lib.cli", "lab", "--no-browser", "--port", "0"]
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    env = {**os.environ, **folders, "PYTHONUNBUFFERED": "1"}
    lab = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=env)
    try:
        assert lab.stdout is not None
        assert any("is running at" in line for line in lab.stdout)
        [server] = [child for child in psutil.Process(lab.pid).children() if "jupyterlab" in child.cmdline()]
        lab.send_signal(signal.SIGINT)
        said, _ = lab.communicate(timeout=60)
        assert (lab.returncode, server.is_running()) == (0, False)
        assert "Stopping JupyterLab" in said
        assert "Traceback" not in said
    finally:
        lab.kill()


def test_doctor_goes_on_past_a_file_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it one unreadable file would hide what every other check has to say."""
    from workshop_lib import doctor, manifest

    def refused() -> list[str]:
        raise PermissionError(13, "Permission denied", "data/models.toml")

    monkeypatch.setattr(manifest, "problems", refused)
    monkeypatch.setattr(doctor, "_sandbox", refused)
    lines = {check.name: check.line() for check in doctor.checks()}
    assert lines["data"].startswith("FAIL data: data/models.toml cannot be used (Permission denied)")
    assert lines["sandbox"].startswith("FAIL sandbox: data/models.toml cannot be used")


def test_report_folder_that_cannot_be_written_is_refused_before_any_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it a bake-off would be run and paid for, and then its report lost."""
    import os

    from workshop_lib import headless
    from workshop_lib.errors import SettingsError

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(headless, "run_here", lambda **_: pytest.fail("a call was made"))
    with pytest.raises(SettingsError, match="cannot be written"):
        headless.run_bakeoff_report(out=tmp_path)
