"""The bars of bulk calls beside what is measured here: `.venv/bin/python benchmarks/bulk.py [--quick] [--only NAME ...]`.

The service is a stub on one core, this process is on another; ratios are taken in one run, in alternating order. On a busy machine trust
the ratios of processor time; a figure that depends on the wall clock (efficiency, goodput, first result) is a lower bound there.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from commands import command, finished, killed, million, poisoned, resumed, several, throttled
from loops import Stub, Whole, alternated, bare_boto3, plain_openai, ratio, serving, tickets, written

from workshop_lib.cascade import documented


@dataclass(frozen=True)
class Row:
    """One bar: what is measured, the figure, and the figure it must reach; `most` says that less is better."""

    what: str
    measured: float
    bar: float
    unit: str = ""
    most: bool = True

    def __str__(self) -> str:
        met = self.measured <= self.bar if self.most else self.measured >= self.bar
        word = "at most" if self.most else "at least"
        return f"{self.what:76} {self.measured:9.4g} {self.unit:7} {word:8} {self.bar:6g}  {'met' if met else 'MISSED'}"


@dataclass(frozen=True)
class Bench:
    """What every measurement is given."""

    stub: Stub
    folder: Path
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """Return how many tickets to run."""
        return quick if self.quick else full


NANO_SONNET = documented()
NIM = documented(("nim-8b", "nim-70b"))
QUARTER = 0.25


def cpu_bedrock(bench: Bench) -> Iterator[Row]:
    """Measure processor time a call of the whole runner, a quarter of the tickets escalated, against the bare loop."""
    n = bench.size(400, 240)
    bench.stub.plan({"nano": 50, "sonnet": 50})
    source, items = written(bench.folder, "cpu.ndjson", tickets(n, QUARTER)), list(tickets(n))
    bare, client, lean = bare_boto3(bench.stub, 32), Whole(bench.stub, NANO_SONNET, 32, fast=False), Whole(bench.stub, NANO_SONNET, 32, fast=True)
    calls = round(n * (1 + QUARTER))
    found = alternated({"bare": (lambda: bare(items), n), "client": (lambda: client(source), calls), "fast": (lambda: lean(source), calls)}, bench.size(31, 3))
    bare_ms, client_ms, fast_ms = map(statistics.median, found.values())
    print(f"  bare loop {bare_ms:.2f} ms a call, runner {client_ms:.2f} ms, runner on the fast path {fast_ms:.2f} ms")
    yield Row("CPU a call, runner on boto3, of a bare boto3 loop (C = 32)", ratio(found, "client", "bare"), 1.10, "x")
    yield Row("CPU a call, runner on the fast path, of a bare boto3 loop (C = 32)", ratio(found, "fast", "bare"), 0.60, "x")


def cpu_openai(bench: Bench) -> Iterator[Row]:
    """Measure processor time a call of the whole runner on chat completions against AsyncOpenAI with a semaphore."""
    n = bench.size(1200, 200)
    bench.stub.plan(50)
    source, items = written(bench.folder, "cpu.ndjson", tickets(n, QUARTER)), list(tickets(n))
    calls = round(n * (1 + QUARTER))
    for concurrency, bar in ((32, 0.40), (128, 0.30)):
        plain, lean = plain_openai(bench.stub, concurrency), Whole(bench.stub, NIM, concurrency, fast=True)
        found = alternated({"plain": (lambda plain=plain: plain(items), n), "fast": (lambda lean=lean: lean(source), calls)}, bench.size(3, 1))
        plain_ms, fast_ms = map(statistics.median, found.values())
        print(f"  AsyncOpenAI {plain_ms:.2f} ms a call, runner on the fast path {fast_ms:.2f} ms (C = {concurrency})")
        yield Row(f"CPU a call, runner on chat completions, of AsyncOpenAI (C = {concurrency})", ratio(found, "fast", "plain"), bar, "x")


def efficiency(bench: Bench) -> Iterator[Row]:
    """Measure the share of N * L / C in the wall time of the whole runner."""
    cases = [
        ("boto3, L = 1 s, C = 128", NANO_SONNET, False, 1000, 128, 95, 256),
        ("boto3, L = 50 ms, C = 32", NANO_SONNET, False, 50, 32, 82, 400),
        ("fast path, L = 50 ms, C = 32", NANO_SONNET, True, 50, 32, 92, 400),
        ("chat completions, L = 50 ms, C = 32", NIM, True, 50, 32, 88, 400),
    ]
    for name, policy, fast, latency_ms, concurrency, bar, few in cases:
        n = bench.size(10_000, few)
        bench.stub.plan(latency_ms)
        took = Whole(bench.stub, policy, concurrency, fast=fast)(written(bench.folder, "all.ndjson", tickets(n)))
        yield Row(f"efficiency, {name}, N = {n}", 100 * n * latency_ms / 1000 / concurrency / took, bar, "%", most=False)
    n = bench.size(10_000, 400)
    bench.stub.plan({"nano": 50, "sonnet": 250})
    took = Whole(bench.stub, NANO_SONNET, 32, fast=False)(written(bench.folder, "all.ndjson", tickets(n, QUARTER)))
    yield Row(f"efficiency, cascade 25 % escalated, 50/250 ms, C = 32, N = {n}", 100 * n * (0.05 + QUARTER * 0.25) / 32 / took, 88, "%", most=False)


def memory(bench: Bench) -> Iterator[Row]:
    """Measure resident memory of the command at C = 128, and how soon its first row is written."""
    bench.stub.plan(50)
    source = written(bench.folder, "small.ndjson", tickets(1000))
    finished(command(bench.stub, written(bench.folder, "one.ndjson", tickets(1)), concurrency=128, fast=True))  # compiles what is not yet
    small = finished(command(bench.stub, source, concurrency=128, fast=True))
    yield Row("resident memory at C = 128, 1,000 tickets, peak", small.peak_mib, 80, "MiB")
    again = [small, *(finished(command(bench.stub, source, concurrency=128, fast=True)) for _ in range(bench.size(4, 1)))]
    yield Row("first result after start, C = 128, median", statistics.median(run.first_s for run in again), 1, "s")
    yield Row("processor time to the first result, C = 128, median", statistics.median(run.first_cpu_s for run in again), 1, "s")
    n = bench.size(50_000, 2000)
    bench.stub.plan(20)
    large = finished(command(bench.stub, written(bench.folder, "large.ndjson", tickets(n)), concurrency=128, fast=True))
    yield Row(f"resident memory, {n:,} tickets over 1,000, peak", large.peak_mib - small.peak_mib, 16, "MiB")


def resume(bench: Bench) -> Iterator[Row]:
    """Measure the journal alone: what it costs a ticket, and a million records read back."""
    n = bench.size(1_000_000, 50_000)
    found = resumed(bench.folder, n)
    yield Row(f"journal, CPU a ticket, {n:,} tickets", found.cpu_ms, 0.05, "ms")
    yield Row(f"resume of a journal of {n:,} rows", found.seconds, 5 * n / 1_000_000, "s")
    yield Row(f"resume of a journal of {n:,} rows, processor time", found.cpu_s, 5 * n / 1_000_000, "s")
    yield Row(f"resident memory of the resumed state, {n:,} rows", found.grown_mib, 16, "MiB")


def limits(bench: Bench) -> Iterator[Row]:
    """Run against a service that takes 50, or 20, calls a second and refuses the rest, with and without the limit stated."""
    for rate, goodput, full, quick in ((50, 95, 2000, 300), (20, 93, 2000, 0)):
        n = bench.size(full, quick)
        for stated in (False, True) if n and not bench.quick else (False,) if n else ():
            found = throttled(bench.stub, bench.folder, n, rate, stated=stated)
            name = f"{rate} calls/s, {'stated' if stated else 'not stated'}, N = {n}"
            yield Row(f"tickets lost, {name}", found.lost, 0)
            yield Row(f"goodput, {name}", found.goodput, goodput, "%", most=False)
            yield Row(f"wasted calls, {name}", found.wasted, 3, "%")
            yield Row(f"first send to answer after warm-up, 99th percentile, {name}", found.p99_s, 2, "s")


def kill(bench: Bench) -> Iterator[Row]:
    """Kill a run (-9) at 40 %, and the same command again."""
    n = bench.size(2000, 400)
    found = killed(bench.stub, bench.folder, n, 32)
    yield Row(f"kill -9: calls of the second run, N - answered + C = {found.allowed}", found.calls, found.allowed)
    yield Row("kill -9: tickets missing from the output, or in it twice", found.wrong, 0)


def poison(bench: Bench) -> Iterator[Row]:
    """Run five tickets that the service answers badly, each in its own way."""
    found = poisoned(bench.stub, bench.folder, 200)
    yield Row("poison: results of 195 good tickets", found.results, 195, most=False)
    yield Row("poison: rows with an error, of 5 bad tickets", found.errors, 5)
    yield Row("poison: calls of the ticket that is refused with 400", found.refused, 1)
    yield Row("poison: wall time with a read timeout of 2 s", found.seconds, 20, "s")


def processes(bench: Bench) -> Iterator[Row]:
    """Run two processes against one, on two cores that the stub shares."""
    n = bench.size(6000, 800)
    one, two = several(bench.stub, bench.folder, n, bench.size(3, 1))
    yield Row(f"tickets a second, --processes 2 of --processes 1, N = {n}", two / one, 1.25, "x", most=False)


def endless(bench: Bench) -> Iterator[Row]:
    """Run a million tickets through the command's parts with a provider in the process: only with --only endless, as it takes minutes."""
    yield Row("resident memory, 1,000,000 tickets over 1,000", million(bench.folder, 1_000_000) - million(bench.folder, 1000), 16, "MiB")


PINNED: tuple[Callable[[Bench], Iterator[Row]], ...] = (cpu_bedrock, cpu_openai, efficiency, memory, resume, limits, kill, poison)
FREE: tuple[Callable[[Bench], Iterator[Row]], ...] = (processes,)
ON_DEMAND: tuple[Callable[[Bench], Iterator[Row]], ...] = (endless,)


def main() -> int:
    """Print every bar; return 1 if one is missed."""
    names = [measure.__name__ for measure in (*PINNED, *FREE, *ON_DEMAND)]
    parser = argparse.ArgumentParser(description="Bulk calls, measured beside their bars.")
    parser.add_argument("--quick", action="store_true", help="few tickets, about a minute; wall-clock figures are then rough")
    parser.add_argument("--only", nargs="+", choices=names, help="only these")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    chosen = set(options.only or [measure.__name__ for measure in (*PINNED, *FREE)])
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"source: a stub on loopback, no model; {platform.system()}, Python {platform.python_version()}, {len(cores) or os.cpu_count()} cores{load}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for group, pin in ((PINNED, len(cores) > 1), (FREE + ON_DEMAND, False)):
            wanted = [measure for measure in group if measure.__name__ in chosen]
            if not wanted:
                continue
            if pin:
                os.sched_setaffinity(0, {cores[1]})
            with serving(cores[0] if pin else None) as stub:
                for measure in wanted:
                    rows += shown(measure(Bench(stub, Path(folder), options.quick)))
            if pin:
                os.sched_setaffinity(0, set(cores))
    if options.json:
        options.json.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
    return int(any("MISSED" in str(row) for row in rows))


def shown(rows: Iterator[Row]) -> list[Row]:
    """Print rows as they come, and return them."""
    kept = []
    started = time.perf_counter()
    for row in rows:
        print(row, flush=True)
        kept.append(row)
    print(f"  ({time.perf_counter() - started:.0f} s)", flush=True)
    return kept


if __name__ == "__main__":
    sys.exit(main())
