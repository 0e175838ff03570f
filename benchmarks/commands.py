"""What the bulk benchmark measures in processes of their own: the command itself, killed, throttled, poisoned; and the journal alone."""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from loops import Stub, tickets, written

from workshop_lib.tasks import Ticket

MIB = 1024 * 1024
WARM_UP_S = 5.0
POISON = ("POISON-400", "POISON-500", "POISON-CUT", "POISON-TEXT", "POISON-HANG")


@dataclass
class Running:
    """A run of `workshop bulk`."""

    process: "subprocess.Popen[bytes]"
    out: Path
    started: float


@dataclass(frozen=True)
class Finished:
    """What a run came to: its exit status, peak resident memory, seconds (and those of the processor) to its first row, to its end, and its summary."""

    status: int
    peak_mib: float
    first_s: float
    first_cpu_s: float
    seconds: float
    summary: dict[str, Any]


def command(stub: Stub, source: Path, *more: str, concurrency: int, fast: bool = False, restart: bool = True, **environment: str) -> Running:
    """Start `workshop bulk` on a file, its output beside it."""
    out = source.with_suffix(".out")
    words = ["bulk", str(source), "--out", str(out), "--concurrency", str(concurrency), "--summary", str(source.with_suffix(".summary")), *more]
    variables = stub.environment(WORKSHOP_FAST_CLIENT="1" if fast else "0", **environment)
    if variables.pop("PYTHONDONTWRITEBYTECODE", None):  # what pip installs is compiled; here the first command of a benchmark compiles it
        variables["PYTHONPYCACHEPREFIX"] = str(source.parent / "bytecode")
    if restart:
        out.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "workshop_lib.cli", *words, *(["--restart"] if restart else [])], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return Running(process, out, time.perf_counter())


def finished(run: Running) -> Finished:
    """Wait for a run and return what it came to; memory is looked at every 10 ms, as what the system keeps of a child includes its parent's."""
    first_s, first_cpu_s, peak = math.inf, math.inf, 0
    seen = psutil.Process(run.process.pid)
    while run.process.poll() is None:
        with suppress(psutil.Error):
            peak = max(peak, seen.memory_info().rss)
        if first_s == math.inf and run.out.exists() and run.out.stat().st_size:
            first_s = time.perf_counter() - run.started
            with suppress(psutil.Error):
                first_cpu_s = sum(seen.cpu_times()[:2])
        time.sleep(0.01)
    seconds = time.perf_counter() - run.started
    return Finished(run.process.returncode, peak / MIB, first_s, first_cpu_s, seconds, json.loads(run.out.with_suffix(".summary").read_text()))


def rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of an output, without a last one that is torn."""
    return [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]


def answered(out: Path) -> Counter[str]:
    """Return how often each ticket has an answer that ends it: a row with a decision that did not escalate, or the second tier's."""
    return Counter(row["ticket_id"] for row in rows(out) if row.get("decision") and not row.get("escalated"))


@dataclass(frozen=True)
class Throttled:
    """A run against a limit: tickets lost, percent of the limit that was used, percent of calls wasted, p99 seconds from first send to answer."""

    lost: int
    goodput: float
    wasted: float
    p99_s: float


def throttled(stub: Stub, folder: Path, n: int, rate: int, *, stated: bool) -> Throttled:
    """Run n tickets against a service that takes so many calls a second."""
    stub.plan(50, rate=rate, burst=rate, track=True)
    options = ["--rpm", f"nano={rate * 60}"] if stated else []
    run = finished(command(stub, written(folder, "limited.ndjson", tickets(n)), *options, concurrency=64))
    counts = stub.counts()
    ideal_s = max(0, n - rate) / rate
    warm = sorted(ms / 1000 for first_s, ms in counts["waits_ms"] if first_s > counts["waits_ms"][0][0] + WARM_UP_S)
    p99_s = warm[int(0.99 * len(warm))] if warm else math.nan
    lost = n - sum(answered(folder / "limited.out").values())
    return Throttled(lost, 100 * ideal_s / run.summary["seconds"], 100 * counts["refused"] / n, p99_s)


@dataclass(frozen=True)
class Killed:
    """A run that was killed and gone on with: calls of the second run, how many are allowed, tickets missing or doubled in the output."""

    calls: int
    allowed: int
    wrong: int


def killed(stub: Stub, folder: Path, n: int, concurrency: int) -> Killed:
    """Kill a run when 40 % are answered, then let the same command go on."""
    stub.plan(50)
    source = written(folder, "killed.ndjson", tickets(n))
    run = command(stub, source, concurrency=concurrency)
    while stub.counts()["answered"] < 0.4 * n:
        time.sleep(0.01)
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    time.sleep(0.2)  # calls that were under way are answered, to nobody
    before = stub.counts()["answered"]
    stub.plan(50)
    finished(command(stub, source, concurrency=concurrency, restart=False))
    seen = answered(source.with_suffix(".out"))
    wrong = n - len(seen) + sum(count - 1 for count in seen.values())
    return Killed(stub.counts()["calls"], n - before + concurrency, wrong)


@dataclass(frozen=True)
class Poisoned:
    """A run with bad tickets: good results, error rows, calls of the one that is refused with 400, and seconds."""

    results: int
    errors: int
    refused: int
    seconds: float


def poisoned(stub: Stub, folder: Path, n: int) -> Poisoned:
    """Run n tickets of which five are answered badly."""
    stub.plan(20)
    items = [*tickets(n - len(POISON)), *(Ticket(id=f"P-{mark}", subject="x", body=f"This is {mark}.") for mark in POISON)]
    source = written(folder, "poisoned.ndjson", iter(items[::-1]))
    run = finished(command(stub, source, concurrency=32, WORKSHOP_READ_TIMEOUT_S="2"))
    bad = sum("error" in row for row in rows(source.with_suffix(".out")))
    good = len(answered(source.with_suffix(".out")))
    return Poisoned(good, bad, stub.counts()["marks"].get("POISON-400", 0), run.seconds)


def several(stub: Stub, folder: Path, n: int, rounds: int) -> tuple[float, float]:
    """Return tickets a second with one process and with two, alternating."""
    stub.plan(20)
    source = written(folder, "several.ndjson", tickets(n))
    found: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for processes in (1, 2) if number % 2 else (2, 1):
            run = finished(command(stub, source, "--processes", str(processes), concurrency=64))
            found[processes].append(n / run.summary["seconds"])
    return statistics.median(found[1]), statistics.median(found[2])


@dataclass(frozen=True)
class Resumed:
    """A journal read back: CPU ms a ticket when it was written, seconds (and those of the processor) to read it, and MiB that it takes."""

    cpu_ms: float
    seconds: float
    cpu_s: float
    grown_mib: float


_WRITE = """
import sys, time
from pathlib import Path
from workshop_lib.bulk.bitmap import key_of
from workshop_lib.bulk.journal import open_journal
n, out = int(sys.argv[1]), Path(sys.argv[2])
row = b'{"ticket_id":"B-0000001","model":"nano","decision":{"category":"billing","priority":"P3"},"latencyMs":50,"cost":0.0001}\\n'
journal = open_journal(out, {"policy": "p"})
started = time.process_time()
for number in range(n):
    journal.add(number, row, 0.0001, key=key_of(f"B-{number}"))
journal.close()
print((time.process_time() - started) * 1000 / n)
"""
_READ = """
import sys, time
from pathlib import Path
import psutil
from workshop_lib.bulk.journal import open_journal
resident = psutil.Process().memory_info
before = resident().rss
started = time.perf_counter(), time.process_time()
journal = open_journal(Path(sys.argv[2]), {"policy": "p"})
took = time.perf_counter() - started[0], time.process_time() - started[1]
assert journal.totals.tickets == int(sys.argv[1])
print(*took, (resident().rss - before) / 1048576)
"""
_MILLION = """
import sys
from pathlib import Path
import psutil
from loops import TEXT
from workshop_lib.bulk.job import Job
from workshop_lib.bulk.journal import open_journal
from workshop_lib.bulk.sources import Entry
from workshop_lib.bulk.work import Work, threads
from workshop_lib.cascade import documented
from workshop_lib.llm import Cost, Reply, Usage
from workshop_lib.tasks import Ticket
n, out = int(sys.argv[1]), Path(sys.argv[2])
said = {"category": "billing", "priority": "P3", "confidence": 0.95, "reasoning": "Charged twice.", "needs_human": False}
ready = Reply("nano", "", said, Usage(590, 74), Cost(0.0001), 50.0, "tool_use")
journal = open_journal(out, {"policy": "p"})
entries = (Entry(number, f"line {number + 1}", Ticket(id=f"B-{number}", subject="s", body=TEXT)) for number in range(n))
for _ in Job(journal, threads(Work(documented(), lambda model, request: ready), 128)).run(entries):
    pass
journal.close()
assert journal.totals.tickets == n
print(psutil.Process().memory_info().rss / 1048576)
"""


def resumed(folder: Path, n: int) -> Resumed:
    """Write a journal of n tickets, and read it back in another process."""
    out = folder / "resumed.out"
    cpu_ms = float(_script(_WRITE, n, out))
    seconds, cpu_s, grown = map(float, _script(_READ, n, out).split())
    return Resumed(cpu_ms, seconds, cpu_s, grown)


def million(folder: Path, n: int) -> float:
    """Return the resident MiB at the end of n tickets through workers, walk and journal, answered in the process."""
    out = folder / f"million{n}.out"
    peak = float(_script(_MILLION, n, out))
    out.unlink()
    return peak


def _script(text: str, n: int, out: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", text, str(n), str(out)], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()
