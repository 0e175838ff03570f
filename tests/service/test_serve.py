"""`workshop serve` as a process: it starts, says what is wrong in one line, and ends without dropping what it works on."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from scripted import TICKET, stuck_service, tickets, until

from workshop_lib.paths import ROOT
from workshop_lib.sandbox import process

COMMAND = [sys.executable, "-m", "workshop_lib.cli", "serve"]


@pytest.fixture
def served(sandbox: process.Address) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give a running `workshop serve` and its address."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen([*COMMAND, "--port", "0", "--time-scale", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
    try:
        assert running.stdout is not None
        yield running, running.stdout.readline().split()[4]
    finally:
        running.kill()
        running.communicate()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once there")
def test_ending_it_lets_requests_at_work_end(served: tuple[subprocess.Popen[str], str]) -> None:
    """Without it a new version would cut off every stream of the old one, and throw away answers that were paid for."""
    running, url = served
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        with client.stream("POST", "/api/triage/bulk", json={"tickets": tickets(300)}) as response:
            lines = response.iter_lines()
            seen = {json.loads(next(lines))["ticket_id"]}
            running.send_signal(signal.SIGTERM)
            seen |= {row["ticket_id"] for row in map(json.loads, lines) if "error" not in row}
        assert len(seen) == 300
        with pytest.raises(httpx.TransportError):
            client.get("/healthz")
    _, logged = running.communicate(timeout=30)
    assert "Traceback" not in logged
    (line,) = [json.loads(line) for line in logged.splitlines() if '"request_id"' in line]
    assert (line["path"], line["tickets"], line["client_gone"]) == ("/api/triage/bulk", 300, False)


@pytest.mark.slow
def test_a_port_in_use_is_one_line(sandbox: process.Address) -> None:
    """Without it a second service would end in a stack of an event loop."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run([*COMMAND, "--port", str(taken.getsockname()[1])], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "in use" in done.stderr
    assert "--port 0" in done.stderr


@pytest.mark.slow
def test_it_listens_on_this_machine_only(served: tuple[subprocess.Popen[str], str]) -> None:
    """Without it anybody in the same network could spend the money of whoever runs the service."""
    import psutil

    addresses = {entry.laddr.ip for entry in psutil.Process(served[0].pid).net_connections(kind="inet") if entry.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process at once there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_call_that_hangs_does_not_keep_it_alive(number: int) -> None:
    """Without it one stuck model call would keep the old version running for as long as a read may take."""
    running, url = stuck_service()
    try:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client, client.stream("POST", "/api/triage/cascade", json=TICKET) as response:
            lines = response.iter_lines()  # kept: an iterator that is thrown away closes the connection
            next(lines)
            assert running.stdout is not None
            assert running.stdout.readline() == "asked\n"
            running.send_signal(number)
            _, logged = running.communicate(timeout=15)  # the call itself hangs for 30 seconds
        assert running.returncode == 0
        assert '"requests_given_up": 1' in logged
        assert "Traceback" not in logged
    finally:
        running.kill()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process at once there")
def test_a_second_signal_ends_it_without_a_traceback() -> None:
    """Without it who cannot wait for requests at work would be left with a stack of the server's own futures."""
    running, url = stuck_service(grace_s=30)
    try:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client, client.stream("POST", "/api/triage/cascade", json=TICKET) as response:
            lines = response.iter_lines()  # kept: an iterator that is thrown away closes the connection
            next(lines)
            running.send_signal(signal.SIGTERM)
            until(lambda: socket.socket().connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0)
            running.send_signal(signal.SIGINT)
            _, logged = running.communicate(timeout=15)
        assert running.returncode == 0
        assert "Traceback" not in logged
    finally:
        running.kill()
