"""The command line, as a person types it: right things work, wrong things get one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workshop_lib.paths import ROOT

pytestmark = pytest.mark.slow  # each test starts the real command, most of them a sandbox


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
    assert_one_line(workshop("bulk", str(source), "--strict", "--out", str(tmp_path / "out.ndjson")), *words)
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
    assert names == ["python", "packages", "kernel", "port", "data", "write access", "models", "settings", "sandbox"]


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
    from workshop_lib import manifest
    from workshop_lib.doctor import here as doctor

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


def test_a_closed_standard_stream_is_not_the_next_file_that_is_opened() -> None:
    """Without it a run begun with 2>&- would end without a word, or write what it says into its own output."""
    lines = "import os; from workshop_lib import cli; cli._open_standard_streams(); print(open(os.devnull).fileno() > 2, sys.stderr.isatty())"
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, f"import sys; {lines}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.stdout == "True False\n"


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
    server: psutil.Process | None = None
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
        if server is not None and server.is_running():  # or a test that fails would leave it behind
            server.kill()


def test_doctor_goes_on_past_a_file_it_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it one unreadable file would hide what every other check has to say."""
    from workshop_lib import manifest
    from workshop_lib.doctor import here as doctor

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

    from workshop_lib.commands import bakeoff as bakeoff_command
    from workshop_lib.errors import SettingsError

    monkeypatch.setattr(bakeoff_command, "open_backend", lambda **_: pytest.fail("a call was made"))
    for options in (bakeoff_command.Options(out=tmp_path), bakeoff_command.Options(json=tmp_path / "none" / "b.json", report=False)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "access", lambda *_: False)
            with pytest.raises(SettingsError, match="cannot be written"):
                bakeoff_command.bakeoff(options)


def test_bakeoff_dry_run_prices_the_calls_and_makes_none(tmp_path: Path) -> None:
    """Without it nobody could know the bill before the run."""
    cache = tmp_path / "r.jsonl"
    nowhere = {"WORKSHOP_BACKEND": "sandbox", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:9"}
    done = workshop("bakeoff", "--dry-run", "--all", "--limit", "5", "--cache", str(cache), env=nowhere)
    assert done.returncode == 0, done.stderr
    assert "260 calls to make on the sandbox backend" in done.stdout  # 3 models on 85 tickets and a judge on 5
    assert "USD at most" in done.stdout
    assert not cache.exists()


@pytest.mark.usefixtures("sandbox")
def test_bakeoff_labels_once_and_composes_from_what_is_stored(tmp_path: Path) -> None:
    """Without it the stored replies would not be enough for the arms, or would be asked again."""
    cache, tables = tmp_path / "r.jsonl", tmp_path / "b.json"
    first = workshop("bakeoff", "--label", "--limit", "4", "--cache", str(cache))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("16 calls made; 16 replies")
    stored = cache.read_bytes()
    nowhere = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:9"}
    again = workshop("bakeoff", "--limit", "4", "--cache", str(cache), "--json", str(tables), "--no-report", env=nowhere)
    assert again.returncode == 0, again.stderr
    assert cache.read_bytes() == stored
    written = json.loads(tables.read_text(encoding="utf-8"))
    assert (written["tickets"], written["source"], written["provenance"]["backend"]) == (4, "sandbox", "sandbox")
    assert [row["arm"] for row in written["summary"]][:3] == ["nano_only", "super_only", "sonnet_only"]
    assert {"summary", "intervals", "judged", "agreement", "comparisons"} <= set(written)
    assert_one_line(workshop("bakeoff", "--limit", "4", "--cache", str(cache), "--seed", "3", "--no-report"), "seed was 0, is 3 now")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"id": "A", "subject": "s", "body": "b"}\n', ("1 of 1 tickets carry no label, such as A",)),
        ("not json\n", ("mine.jsonl line 1",)),
    ],
    ids=["no label", "not JSON"],
)
def test_bakeoff_on_broken_own_tickets_is_one_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """Without it a missing label would end in a traceback after the models were paid."""
    source = tmp_path / "mine.jsonl"
    source.write_text(text, encoding="utf-8")
    from workshop_lib.commands.bakeoff import Options, bakeoff
    from workshop_lib.errors import DataError

    with pytest.raises(DataError) as refused:
        bakeoff(Options(tickets=source))
    assert all(word in str(refused.value) for word in words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"split": "training"}, "No split 'training' to run on. Choose one of: test, calibration."),
        ({"calibration": Path("x.jsonl")}, "--calibration names tickets beside your own; give --tickets FILE too"),
        ({"cache": ROOT / "README.md", "report": False}, "README.md is no file of recorded replies"),
    ],
    ids=["split", "calibration", "cache"],
)
def test_bakeoff_options_that_do_not_fit_are_one_line(fields: dict[str, object], words: str) -> None:
    """Without it a slip would be a traceback, or be passed over."""
    from workshop_lib.commands.bakeoff import Options, bakeoff
    from workshop_lib.errors import WorkshopError

    with pytest.raises(WorkshopError) as refused:
        bakeoff(Options(**fields))  # type: ignore[arg-type]
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_live_bakeoff_is_not_begun_without_a_yes(tmp_path: Path) -> None:
    """Without it a script could spend money that nobody agreed to."""
    done = workshop("bakeoff", "--live", "--limit", "2", "--cache", str(tmp_path / "r.jsonl"), "--no-report")
    assert_one_line(done, "was not confirmed", "--yes", "--dry-run")
    assert "8 calls to make on the live backend" in done.stdout
    assert not (tmp_path / "r.jsonl").exists()


def test_stopped_bakeoff_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it somebody who pressed Ctrl-C would not know that nothing is lost, or what to type."""
    import typer

    from workshop_lib.commands import bakeoff as bakeoff_command
    from workshop_lib.llm import Cost, Reply, Request, Usage

    asked = []

    def ask(model: str, request: Request) -> Reply:
        asked.append(model)
        if len(asked) > 40:
            raise KeyboardInterrupt
        return Reply("nvidia.nemotron-nano-3-30b", "", {}, Usage(1, 1), Cost(0.0), 1.0, "tool_use")

    path = tmp_path / "my replies.jsonl"
    monkeypatch.setattr(bakeoff_command, "open_backend", lambda **_: None)
    monkeypatch.setattr(bakeoff_command, "connect", lambda settings: ask)
    with pytest.raises(typer.Exit) as stopped:
        bakeoff_command.bakeoff(bakeoff_command.Options(label=True, cache=path), ["--label", "--cache", str(path)])
    said = capsys.readouterr().err
    assert stopped.value.exit_code == 130
    assert "Stopped. 40 replies are in" in said
    assert f"600 are missing. Go on with: workshop bakeoff --label --cache '{path}'" in said


def test_bakeoff_takes_own_tickets_and_reviews(tmp_path: Path) -> None:
    """Without it own data would need the shipped tickets' calibration, or one ticket be fitted and tested on."""
    from workshop_lib.errors import DataError, SettingsError
    from workshop_lib.evaluation.bakeoff_data import own, shipped

    line = '{{"id": "{}", "subject": "s", "body": "b", "label": {{"category": "auth", "priority": "P3", "needs_human": false}}}}\n'
    mine, fit, same = (tmp_path / name for name in ("mine.jsonl", "fit.jsonl", "same.jsonl"))
    mine.write_text(line.format("A") + line.format("B"), encoding="utf-8")
    fit.write_text(line.format("C"), encoding="utf-8")
    same.write_text(line.format("B"), encoding="utf-8")
    data = own(mine, fit, limit=1)
    assert ([entry.ticket.id for entry in data.tickets], [entry.ticket.id for entry in data.calibration]) == (["A"], ["C"])
    assert {name: len(entries) for name, entries in data.whole.items()} == {"mine.jsonl": 2, "fit.jsonl": 1}
    with pytest.raises(DataError, match="1 tickets are in both files, such as B"):
        own(mine, same)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mine.jsonl").write_text(line.format("D"), encoding="utf-8")
    with pytest.raises(SettingsError, match="Both files are named"):
        own(mine, tmp_path / "deep" / "mine.jsonl")
    assert (len(shipped("test", fit=True).calibration), len(shipped("calibration", fit=True).calibration)) == (80, 0)
