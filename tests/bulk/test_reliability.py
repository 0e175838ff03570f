"""The command against a service that fails: killed, full disks, restarts, stuck servers, and a person at the keyboard."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import bulk_stub
import pytest
from bulk_stub import NOISY, PATIENCE_S, assert_each_once, rows, serving, tickets

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")]
SOAK = bool(os.environ.get("WORKSHOP_SOAK"))


def finished(run: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for a command; return its status and what it said, which is never a traceback."""
    out, said = run.communicate(timeout=60 * PATIENCE_S if SOAK else PATIENCE_S)
    assert "Traceback" not in said, said
    return run.returncode, out, said


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_twice(tmp_path: Path, processes: int) -> None:
    """Without it a machine that is lost at night would cost the answers it had paid for, or the morning's run would pay them again."""
    kills, count, concurrency = (20, 5000, 32) if SOAK else (3 if processes == 1 else 1, 200, 16)
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, count)
    draw = random.Random(processes)
    with serving({**NOISY, "latency_s": 0.002}) as stub:
        for kill in range(kills):
            run = stub.bulk(source, "--out", out, "--concurrency", str(concurrency), "--processes", str(processes))
            stub.get(f"/asked/{(kill + draw.random()) * count / kills:.0f}")
            run.kill()
            run.communicate()
        status, said, errors = finished(stub.bulk(source, "--out", out, "--concurrency", str(concurrency), "--processes", str(processes)))
        paid = stub.answered()
    assert status in (0, 1), errors
    assert said.startswith(f"{count} tickets, ")
    assert_each_once(out, names)
    assert not [row for row in rows(out) if row.get("error", {}).get("type") == "throttled"], "a throttled ticket waits, and is not lost"
    # What was in work, and finished but not yet written; a worker process goes on until it sees that the one above it is gone.
    in_flight = kills * (concurrency + concurrency // 8 + 2 if processes == 1 else 2 * concurrency)
    assert sum(paid[f"nano {name}"] for name in names) <= count + in_flight, "only what was in flight is paid again"
    assert "at least" in said, "what was in flight may have been charged, and is not known"


def test_what_fails_costs_itself_only(tmp_path: Path) -> None:
    """Without it one poisoned ticket would cost its neighbours, or be sent again and again."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 60)
    faults = {"refuse": ["T-3"], "always_500": ["T-5"], "never_valid": ["T-7"], "hang": ["T-9"]}
    with serving(faults) as stub:
        status, _, errors = finished(stub.bulk(source, "--out", out, WORKSHOP_READ_TIMEOUT_S="1"))
        ledger = stub.get("/ledger")
    assert status == 1, errors
    assert_each_once(out, names)
    failed = {row["ticket_id"]: row["error"]["type"] for row in rows(out) if "error" in row}
    assert failed == {"T-3": "validation", "T-5": "server", "T-7": "invalid", "T-9": "read_timeout"}
    assert ledger["statuses"]["400"] == 1, "a request that is wrong is sent once"
    assert ledger["statuses"]["500"] == 8, "four attempts at each tier"


def test_a_stuck_server_is_asked_once_a_tier(tmp_path: Path) -> None:
    """Without it a read timeout would start the same generation again and again, and each one be charged."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    tickets(source, 20)
    with serving({"hang": ["T-4"]}) as stub:
        status, said, _ = finished(stub.bulk(source, "--out", out, WORKSHOP_READ_TIMEOUT_S="1"))
        asked = stub.get("/ledger")["asked"]
    escalated = sum(row.get("model") == "claude" for row in rows(out))
    assert status == 1
    assert asked == 20 + escalated + 1, "the stuck ticket once at each tier"
    assert "at least" in said


def test_a_service_that_restarts_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    """Without it a restart of some seconds would turn tickets into errors, or end the run."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 300)
    stub = bulk_stub.start({"latency_s": 0.01})
    try:
        run = stub.bulk(source, "--out", out)
        stub.get("/asked/100")
        stub.end()
        stub = bulk_stub.start({}, stub.port)
        status, _, errors = finished(run)
    finally:
        stub.end()
    assert status == 0, errors
    assert_each_once(out, names)


def test_ctrl_c_finishes_what_is_in_work_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """Without it Ctrl-C would throw away answers that were paid for."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 400)
    with serving({"latency_s": 0.01}) as stub:
        run = stub.bulk(source, "--out", out, "--restart")
        stub.get("/asked/50")
        run.send_signal(signal.SIGINT)
        status, _, said = finished(run)
        assert status == 3
        assert f"Go on with: workshop bulk {source} --out {out}\n" in said
        done = {row["ticket_id"] for row in rows(out)}
        assert 0 < len(done) < 400
        assert set(stub.answered()) == {f"{'sonnet' if row['model'] == 'claude' else 'nano'} {row['ticket_id']}" for row in rows(out)}
        status, said, _ = finished(stub.bulk(source, "--out", out))
        paid = stub.answered()
    assert status == 0
    assert_each_once(out, names)
    assert set(paid.values()) == {1}
    assert "at least" not in said


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, processes: int) -> None:
    """Without it a stuck server would hold a terminal for two minutes after it was told to end."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 20)
    with serving({"hang": names}) as stub:
        run = stub.bulk(source, "--out", out, "--processes", str(processes))
        stub.get("/asked/16")
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        while "Press Ctrl-C again" not in run.stderr.readline():
            pass
        run.send_signal(signal.SIGTERM)
        status, _, said = finished(run)
    assert status == 130
    assert "Go on with: workshop bulk" in said
    with serving({}) as stub:
        assert finished(stub.bulk(source, "--out", out))[0] == 0
    assert_each_once(out, names)


def test_a_worker_process_that_dies_ends_the_run_with_one_line(tmp_path: Path) -> None:
    """Without it a run would wait for ever for what a killed process had in work."""
    import psutil

    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 300)
    with serving({"latency_s": 0.02}) as stub:
        run = stub.bulk(source, "--out", out, "--processes", "2")
        stub.get("/asked/50")
        workers = [child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())]
        workers[0].kill()
        status, _, said = finished(run)
        assert status == 1
        assert "ended on its own (signal 9). Run the same command again" in said
        assert finished(stub.bulk(source, "--out", out))[0] == 0
    assert_each_once(out, names)


def full_disk() -> None:
    """Let no file of this process grow beyond 20 kB, as a full disk would."""
    import resource  # of POSIX

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """Without it a full disk would end in a traceback, or in an output that no run can use."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 300)
    with serving({}) as stub:
        command = [sys.executable, "-m", "workshop_lib.cli", "bulk", str(source), "--out", str(out)]
        environment = {**stub.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=full_disk)
        status, _, said = finished(run)
        assert status == 1
        assert said.strip().endswith("Make room and run the same command again; it goes on where it stopped.")
        assert finished(stub.bulk(source, "--out", out))[0] == 0
    assert_each_once(out, names)


@pytest.mark.parametrize("gone", ["out.ndjson", "out.ndjson.journal"])
def test_an_output_deleted_while_running_is_noticed(tmp_path: Path, gone: str) -> None:
    """Without it a run would pay for hours into a file that nobody can find, or that no run can go on with."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    tickets(source, 2000)
    with serving({"latency_s": 0.01}) as stub:
        run = stub.bulk(source, "--out", out, "--concurrency", "4")
        stub.get("/asked/50")
        (tmp_path / gone).unlink()
        status, _, said = finished(run)
        assert stub.get("/ledger")["asked"] < 2000
    assert status == 1
    assert said.count("deleted or replaced") == 1
    assert f"{gone} was deleted or replaced" in said
    assert "Traceback" not in said


def test_two_runs_on_one_output_are_refused(tmp_path: Path) -> None:
    """Without it two runs would pay every ticket twice and mix their rows."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 200)
    with serving({"hang": ["T-7"]}) as stub:
        first = stub.bulk(source, "--out", out)
        stub.get("/asked/20")
        status, _, said = finished(stub.bulk(source, "--out", out))
        assert status == 1
        assert "Another run is writing" in said
        first.kill()
        first.communicate()
    with serving({}) as stub:
        assert finished(stub.bulk(source, "--out", out))[0] == 0
    assert_each_once(out, names)


def test_an_outage_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Without it a provider's bad hour would become error rows, or a bill of the strong tier."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    names = tickets(source, 300)
    with serving({"always_500": names[100:]}) as down:
        status, _, said = finished(down.bulk(source, "--out", out, "--concurrency", "4"))
    assert status == 3
    assert "nano served none of the last tickets" in said
    with serving({}) as stub:
        assert finished(stub.bulk(source, "--out", out))[0] == 0
    assert_each_once(out, names)


