"""What the bulk benchmark measures in its own process: the loops ours is compared with, and the whole runner."""

import asyncio
import json
import os
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from workshop_lib import catalog
from workshop_lib.bulk.identity import identity
from workshop_lib.bulk.job import Job
from workshop_lib.bulk.journal import open_journal
from workshop_lib.bulk.sources import read
from workshop_lib.bulk.station import Pace, Station
from workshop_lib.bulk.work import threads
from workshop_lib.cascade import Policy
from workshop_lib.settings import Settings, load
from workshop_lib.tasks import TRIAGE, Ticket

STUB = Path(__file__).with_name("stub.py")
TEXT = "We were charged twice for March. Please refund one of the two payments, and send a corrected invoice to our accounts team. " * 3


@dataclass
class Stub:
    """A running stub server."""

    port: int

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def plan(self, latency_ms: float | Mapping[str, float] = 0.0, **more: Any) -> None:
        """Say how calls are answered from now on, and set all counts to zero; latency by model key."""
        by_model = latency_ms if isinstance(latency_ms, Mapping) else {}
        plain = 0.0 if isinstance(latency_ms, Mapping) else latency_ms
        self._ask("PUT", "/plan", {"latency_ms": {"default": plain, **{catalog.model(key).id: ms for key, ms in by_model.items()}}, **more})

    def counts(self) -> dict[str, Any]:
        """Return what was asked since."""
        return self._ask("GET", "/counts", None)

    def settings(self, **overrides: Any) -> Settings:
        """Return settings that call it."""
        return load(**{"backend": "sandbox", "bedrock_endpoint": self.url, "openai_base_url": f"{self.url}/v1", **overrides})

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command that calls it."""
        ours = {"WORKSHOP_BACKEND": "sandbox", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url, "OPENAI_BASE_URL": f"{self.url}/v1"}
        return {**os.environ, **ours, **more}

    def _ask(self, method: str, path: str, body: object) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path, json.dumps(body))
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()


@contextmanager
def serving(core: int | None) -> Iterator[Stub]:
    """Run a stub, on one core if it is named."""
    command = [sys.executable, str(STUB), *([] if core is None else ["--core", str(core)])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Stub(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait()


def tickets(n: int, unsure: float = 0.0) -> Iterator[Ticket]:
    """Yield tickets with ids B-1 and on; a share of them, evenly spread, makes the stub unsure, so that they escalate."""
    for number in range(1, n + 1):
        mark = " UNSURE" if int(number * unsure) > int((number - 1) * unsure) else ""
        yield Ticket(id=f"B-{number}", subject="Two invoices for one month", body=TEXT + mark)


def written(folder: Path, name: str, items: Iterator[Ticket]) -> Path:
    """Write tickets as NDJSON and return the file."""
    path = folder / name
    with path.open("w") as file:
        file.writelines(ticket.model_dump_json(exclude_none=True) + "\n" for ticket in items)
    return path


def pulled(send: Callable[[Ticket], object], items: Sequence[Ticket], concurrency: int) -> None:
    """Send every item from threads that pull from a queue, and nothing else."""
    waiting: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while True:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            send(item)

    workers = [threading.Thread(target=work) for _ in range(concurrency)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def bare_boto3(stub: Stub, concurrency: int) -> Callable[[Sequence[Ticket]], None]:
    """Return the tuned bare loop: threads on a queue, one boto3 client, a pool as wide, no validation, one attempt."""
    import boto3
    from botocore.config import Config

    from workshop_lib.llm.bedrock import converse_arguments

    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, max_pool_connections=concurrency, parameter_validation=False, proxies={})
    client: Any = boto3.Session("sandbox", "sandbox", region_name="us-west-2").client("bedrock-runtime", endpoint_url=stub.url, config=config)
    model = catalog.model("nano")
    return lambda items: pulled(lambda ticket: client.converse(**converse_arguments(model, TRIAGE.request(ticket))), items, concurrency)


def plain_openai(stub: Stub, concurrency: int) -> Callable[[Sequence[Ticket]], None]:
    """Return what is usually written: AsyncOpenAI, a task a ticket, a semaphore."""
    import openai

    from workshop_lib.llm.openai_chat import chat_arguments

    model = catalog.model("nim-8b")

    async def all_of(items: Sequence[Ticket]) -> None:
        limit = asyncio.Semaphore(concurrency)
        async with openai.AsyncOpenAI(base_url=f"{stub.url}/v1", api_key="sandbox", max_retries=0) as client:

            async def one(ticket: Ticket) -> None:
                async with limit:
                    await client.chat.completions.create(**chat_arguments(model, TRIAGE.request(ticket)))

            await asyncio.gather(*map(one, items))

    return lambda items: asyncio.run(all_of(items))


class Whole:
    """The whole runner as `workshop bulk` puts it together: file, walk, gates, pacing, retries, journal, rows. Made once, run many times."""

    def __init__(self, stub: Stub, policy: Policy, concurrency: int, *, fast: bool) -> None:
        self._settings = stub.settings(max_connections=max(64, concurrency), fast_client=fast)
        self._policy = policy
        self._concurrency = concurrency
        self._station = Station(self._settings, policy, Pace(concurrency))

    def __call__(self, source: Path) -> float:
        """Route a file and return the seconds it took; every ticket must succeed."""
        folder = Path(tempfile.mkdtemp(dir=source.parent))
        try:
            journal = open_journal(folder / "out.ndjson", identity(source, self._policy, self._settings))
            started = time.perf_counter()
            for _ in Job(journal, threads(self._station.work, self._concurrency)).run(read(source)):
                pass
            journal.close()
            took = time.perf_counter() - started
            assert journal.totals.failed == 0, (folder / "out.ndjson").read_text()[:500]
            return took
        finally:
            shutil.rmtree(folder)


def cpu_ms(work: Callable[[], object], calls: int) -> float:
    """Return the processor milliseconds of this process for each call of a piece of work."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000 / calls


def alternated(cases: Mapping[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, list[float]]:
    """Return each case's processor milliseconds a call in rounds that alternate in order, after one that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name in list(cases) if number % 2 else reversed(list(cases)):
            work, calls = cases[name]
            took = cpu_ms(work, calls)
            if number:
                found[name].append(took)
    return found


def ratio(found: Mapping[str, Sequence[float]], name: str, base: str) -> float:
    """Return the median over the rounds of one case by another: what else a machine does changes from round to round, and meets both."""
    return statistics.median(one / other for one, other in zip(found[name], found[base], strict=True))
