"""The stub as a process to start, stop and start again, and the command to run against it."""

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import groupby
from pathlib import Path
from typing import Any

from workshop_lib.paths import ROOT

STUB = Path(__file__).with_name("stub_server.py")
NOISY = {"throttled": 0.10, "server": 0.02, "cut": 0.01, "malformed": 0.02}
PATIENCE_S = 120


@dataclass
class Service:
    """A stub that runs."""

    process: subprocess.Popen[str]
    port: int

    def get(self, path: str) -> dict[str, Any]:
        """Ask the stub for its ledger."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def answered(self) -> Counter[str]:
        """Return how often each "model ticket" was answered, that is paid."""
        return Counter(self.get("/ledger")["answered"])

    def end(self) -> None:
        """Kill the stub."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command that calls this stub; retries wait little, so that the tests are quick."""
        root = f"http://127.0.0.1:{self.port}"
        ours = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": root, "OPENAI_BASE_URL": f"{root}/v1", "WORKSHOP_RETRY_BASE_S": "0.01"}
        return {**os.environ, **ours, **more}

    def bulk(self, *arguments: str | Path, **more: str) -> "subprocess.Popen[str]":
        """Start `workshop bulk` against this stub."""
        command = [sys.executable, "-m", "workshop_lib.cli", "bulk", *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=self.environment(**more))


def start(faults: dict[str, Any], port: int = 0) -> Service:
    """Start a stub, and wait until it answers."""
    process = subprocess.Popen([sys.executable, str(STUB), str(port), json.dumps(faults)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Service(process, int(process.stdout.readline()))


@contextlib.contextmanager
def serving(faults: dict[str, Any]) -> Iterator[Service]:
    """Run a stub as long as the block."""
    service = start(faults)
    try:
        yield service
    finally:
        service.end()


def tickets(path: Path, count: int) -> list[str]:
    """Write so many tickets to a file; return their ids."""
    names = [f"T-{number}" for number in range(count)]
    path.write_text("".join(json.dumps({"id": name, "subject": "s", "body": "b"}) + "\n" for name in names))
    return names


def rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of an output, each of which must be whole."""
    return [json.loads(line) for line in out.read_text().splitlines()]


def assert_each_once(out: Path, names: Sequence[str]) -> None:
    """Assert that the output holds every ticket, its rows together, and none twice."""
    groups = [name for name, _ in groupby(row["ticket_id"] for row in rows(out))]
    assert Counter(groups) == Counter(names)
