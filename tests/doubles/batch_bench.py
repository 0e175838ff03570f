"""A batch run without servers: the sandbox's own jobs over a bucket in memory, and a service that can die at any step."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from workshop_lib.batch.run import Batch, End, Wanted
from workshop_lib.batch.service import Standing
from workshop_lib.batch.state import State, StateFile
from workshop_lib.bulk.journal import Totals, open_journal
from workshop_lib.catalog import Model
from workshop_lib.llm import Reply, Request
from workshop_lib.paths import DATA
from workshop_lib.sandbox.batch import running, storage
from workshop_lib.sandbox.batch.routes import Sent
from workshop_lib.sandbox.server import Sandbox
from workshop_lib.sandbox.wire import Refusal

ROLE = "arn:aws:iam::123456789012:role/batch"


class Killed(BaseException):
    """The end of a process at this very step."""


class Bucket:
    """A bucket in memory, in the place of `storage.Storage`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def __call__(self, _url: str, _region: str) -> "Bucket":
        """Be opened at any address."""
        return self

    def inputs(self, uri: str) -> list[str]:
        """Return the keys of an input."""
        key = storage.split(uri)[1]
        return [name for name in self.objects if name == key or (name.startswith(key) and name.endswith(".jsonl"))]

    def lines(self, _uri: str, key: str) -> Iterator[bytes]:
        """Yield the lines of an object."""
        yield from self.objects[key].splitlines()

    def write(self, uri: str, content: IO[bytes]) -> None:
        """Keep an object."""
        self.objects[storage.split(uri)[1]] = content.read()


def sandbox_over(monkeypatch: pytest.MonkeyPatch, bucket: Bucket, fewest: int = 1) -> Sandbox:
    """Return a sandbox whose jobs use that bucket and may be as small as `fewest`."""
    monkeypatch.setattr(running, "Storage", bucket)
    monkeypatch.setattr(running, "FEWEST", fewest)
    monkeypatch.setenv(storage.ENDPOINT, "http://127.0.0.1:9")
    return Sandbox(0)


def handled(here: Sandbox, method: str, path: str, body: Any = None, query: str = "", sent: Sent | None = None) -> tuple[int, Any]:
    """Send one request to the routes of jobs, and let every job that it begins run to its end; return status and body."""

    async def once() -> tuple[int, Any]:
        try:
            status, _, said = here.batch.handle(method, path.encode(), query.encode(), body, sent or Sent())
        except Refusal as refused:
            status, _, said = refused.reply()
        await asyncio.gather(*here.batch._tasks)
        return status, said

    return asyncio.run(once())


class Bench:
    """A service in memory: every step of it is a place to die, before it is done and after."""

    def __init__(self, here: Sandbox, bucket: Bucket) -> None:
        self.here = here
        self.bucket = bucket
        self.steps = 0
        self.dies_at: int | None = None
        self.made: list[str] = []
        self.full = False

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.dies_at:
            raise Killed

    def upload(self, file: Path, key: str) -> None:
        """Keep a file."""
        self._step()
        self.bucket.objects[key] = file.read_bytes()
        self._step()

    def create(self, model: Model, key: str, out: str, *, name: str, token: str, invocation: str, hours: int) -> str | None:
        """Make a job and run it to its end, or refuse it once if the queue is full."""
        self._step()
        if self.full:
            self.full = False
            return None
        job = {
            "jobName": name, "clientRequestToken": token, "roleArn": ROLE, "modelId": model.id, "modelInvocationType": invocation,
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://bucket/{key}"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://bucket/{out}"}}, "timeoutDurationInHours": hours,
        }  # fmt: skip
        status, said = handled(self.here, "POST", "/model-invocation-job", job)
        assert status == 200, said
        self.made.append(token)
        self._step()
        return str(said["jobArn"])

    def find(self, name: str) -> str | None:
        """Return the job of a name."""
        self._step()
        found = handled(self.here, "GET", "/model-invocation-jobs", query=f"nameContains={name}")[1]["invocationJobSummaries"]
        return found[0]["jobArn"] if found else None

    def standing(self, arn: str) -> Standing:
        """Return how a job stands."""
        self._step()
        job = handled(self.here, "GET", f"/model-invocation-job/{arn}")[1]
        return Standing(job["status"], job.get("message", ""))

    def fetch(self, arn: str, out: str, file: Path) -> dict[str, int]:
        """Copy the outputs of a job, and return its manifest."""
        self._step()
        below = f"{out}{arn.rsplit('/', 1)[-1]}/"
        file.write_bytes(b"".join(content for name, content in self.bucket.objects.items() if name.startswith(below) and name.endswith(".jsonl.out")))
        self._step()
        manifest = self.bucket.objects.get(f"{below}manifest.json.out", b"{}")
        return dict(json.loads(manifest))


class Desk:
    """One output, gone on with as often as a test likes; `live` answers on-demand calls."""

    def __init__(self, folder: Path, bench: Any, wanted: Wanted, live: Callable[[str, Request], Reply] | None = None) -> None:
        self.out = folder / "out.ndjson"
        self.bench = bench
        self.wanted = wanted
        self.said: list[str] = []
        self.waited: list[float] = []
        self.totals = Totals()
        self.batch: Batch | None = None
        self._folder = folder / "out.ndjson.batch"
        self._live = live or _nobody

    def run(self, wanted: Wanted | None = None) -> End:
        """Run the command's part below the clients once."""
        known = StateFile(self._folder).load()
        journal = open_journal(self.out, {"test": "x"}, paid_elsewhere=known is None or not known.on_demand)
        self.batch = Batch(
            wanted or self.wanted, journal, self._folder, known or State(), self.bench, self._live, "sandbox", say=self.said.append, sleep=self.waited.append
        )
        try:
            end = self.batch.run()
        except Killed:
            journal._rows.close()  # as the system does when a process is killed: nothing is synced and nothing said
            journal._records.close()
            raise
        except BaseException:
            journal.close(nothing_in_work=False)
            raise
        journal.close()
        self.totals = journal.totals
        return end

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows written."""
        return [json.loads(line) for line in self.out.read_bytes().splitlines()]

    def sorted_rows(self) -> list[str]:
        """Return the rows in an order of their own."""
        return sorted(self.out.read_text().splitlines())


def _nobody(model: str, _request: Request) -> Reply:
    raise AssertionError(f"{model} was called on demand")


def tickets(path: Path, count: int) -> Path:
    """Write so many shipped tickets under new ids."""
    shipped = [json.loads(line) for name in ("test", "calibration") for line in (DATA / "tickets" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            one = shipped[number % len(shipped)]
            file.write(json.dumps({"id": f"N-{number}", "subject": one["subject"], "body": one["body"]}) + "\n")
    return path
