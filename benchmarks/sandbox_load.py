"""Load test of the sandbox, figures beside the bar: `.venv/bin/python benchmarks/sandbox_load.py [--calls 200000] [--seconds 20]`, part of `make bench`.

It starts a sandbox of its own with no modelled latency and drives it with wrk (`apt-get install wrk`) over 64 connections: triage by the
small model with a forced tool, every text a new one, headers as a signing SDK sends them. Client and server share the machine, so a busy
machine gives lower figures; the load average is printed with them.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from workshop_lib import catalog

CONNECTIONS = 64
STARTS = 3
WARM_CALLS = 20_000
_MB = 1024 * 1024
_SCRIPT = Path(__file__).with_name("converse.lua")


@dataclass(frozen=True)
class Load:
    """What one run of wrk measured; times in ms."""

    calls: int
    per_second: float
    failed: int
    p50: float
    p99: float


@dataclass(frozen=True)
class Running:
    """A sandbox under test, and the seconds from its process to its first answer."""

    port: int
    process: psutil.Process
    start_s: float

    @property
    def rss_mb(self) -> float:
        """Return its resident memory in MB."""
        return float(self.process.memory_info().rss) / _MB


def main() -> int:
    """Measure, print the table, and return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000, help="over which memory has to stay flat")
    parser.add_argument("--seconds", type=int, default=20, help="how long throughput is measured")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("The load test needs wrk. Install it with: apt-get install wrk", file=sys.stderr)
        return 1
    print(f"source: sandbox, {os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}")
    starts = [_start_only() for _ in range(STARTS - 1)]
    with sandbox() as running:
        starts.append(running.start_s)
        sent = load(running.port, 3, 0).calls
        measured = load(running.port, arguments.seconds, sent)
        sent += measured.calls
        while sent < min(WARM_CALLS, arguments.calls):
            sent += load(running.port, 5, sent).calls
        warm, warm_at = running.rss_mb, sent
        failed = measured.failed
        while sent < arguments.calls:
            more = load(running.port, 10, sent)
            sent, failed = sent + more.calls, failed + more.failed
        end = running.rss_mb
        counted = _ledger(running.port)
    rows = [
        ("Converse calls per second, 64 connections", ">= 1,000", f"{measured.per_second:,.0f}", measured.per_second >= 1000),
        ("p99 of their latency", "< 50 ms", f"{measured.p99:.1f} ms (p50 {measured.p50:.1f})", measured.p99 < 50),
        ("cold start to the first answer, median of 3", "< 3 s", f"{statistics.median(starts):.2f} s", statistics.median(starts) < 3),
        (f"resident memory after {sent:,} calls", "< 300 MB", f"{end:.0f} MB", end < 300),
        (f"its growth since call {warm_at:,}", "< 10 MB", f"{end - warm:+.1f} MB", end - warm < 10),
        ("calls that failed", "0", str(failed), failed == 0),
        ("calls that the ledger lacks", "0", f"{max(0, sent - counted)}", counted >= sent),
    ]
    for name, bar, value, met in rows:
        print(f"{name:45} {bar:>9}   {value:22} {'met' if met else 'MISSED'}")
    return 0 if all(met for *_, met in rows) else 1


@contextmanager
def sandbox() -> Iterator[Running]:
    """Run a sandbox of our own on a free port; it ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.json"
        command = [sys.executable, "-m", "workshop_lib.sandbox", "--time-scale", "0", "--state-file", str(state)]
        began = time.perf_counter()
        process = subprocess.Popen(command)
        try:
            port = _answering(process, state)
            yield Running(port, psutil.Process(process.pid), time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait(10)


def load(port: int, seconds: int, first: int) -> Load:
    """Drive a sandbox for some seconds with texts numbered from `first`."""
    url = f"http://127.0.0.1:{port}/model/{catalog.model('nano').id}/converse"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(_SCRIPT), url, "--", str(first)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = next(line for line in said.splitlines() if line.startswith("RESULT")).split()[1:]
    calls, micros, failed, p50, p99 = (float(part) for part in found)
    return Load(int(calls), calls / micros * 1e6, int(failed), p50 / 1000, p99 / 1000)


def _start_only() -> float:
    with sandbox() as running:
        return running.start_s


def _answering(process: "subprocess.Popen[bytes]", state: Path) -> int:
    """Wait until the sandbox has answered a Converse call, and return its port."""
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}]}).encode()
    while process.poll() is None:
        try:
            port = int(json.loads(state.read_text(encoding="utf-8"))["port"])
            url = f"http://127.0.0.1:{port}/model/{catalog.model('nano').id}/converse"
            urllib.request.urlopen(urllib.request.Request(url, body, {"Authorization": "Bearer sandbox"})).read()
            return port
        except (OSError, ValueError, urllib.error.URLError):
            time.sleep(0.01)
    raise SystemExit("The sandbox ended while starting.")


def _ledger(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/sandbox/ledger") as answer:
        return int(json.loads(answer.read())["total"]["ok"])


if __name__ == "__main__":
    sys.exit(main())
