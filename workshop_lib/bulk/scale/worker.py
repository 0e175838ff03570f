"""One worker: takes parts one after the other, and routes each with the embedded engine into an output and a journal of its own."""

import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from workshop_lib.bulk.job import End, Job
from workshop_lib.bulk.journal import InUse, Journal, Totals, open_journal
from workshop_lib.bulk.scale import manifest
from workshop_lib.bulk.scale.leased import Lease, LeasedPacers, Quota
from workshop_lib.bulk.scale.ledger import Report
from workshop_lib.bulk.scale.parts import Part, entries
from workshop_lib.bulk.sources import Entry
from workshop_lib.bulk.station import Pace, Station
from workshop_lib.bulk.work import threads
from workshop_lib.cascade import Policy
from workshop_lib.errors import DataError, WorkshopError
from workshop_lib.settings import Settings

_HELD_S = 30.0
_LOOK_S = 0.2


@dataclass(frozen=True)
class Task:
    """What every worker of a run is told: where rows go, what is run, and how fast; `pace` has the limits of all and this worker's concurrency."""

    out: Path
    identity: Mapping[str, str]
    policy: Policy
    settings: Settings
    pace: Pace
    counted_calls: bool = False
    counted_usd: bool = False


@dataclass(frozen=True)
class Result:
    """What became of a part: `end` says why it ended, or `error`, one line, why it could not be worked on; `rows` is the size of its output in bytes."""

    part: int
    end: End
    totals: Totals
    rows: int = 0
    sources: tuple[str, ...] = ()
    trouble: str = ""
    error: str | None = None


class Worker:
    """Works on parts of one task; made once a process, so that connections and what was learned of the pace are kept from part to part."""

    def __init__(self, task: Task, quota: Quota, name: str | None = None) -> None:
        self.name = name or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._task = task
        self._quota = quota
        self._pacers = LeasedPacers(task.pace, quota.more_calls if task.counted_calls else None)
        self._ended: End | None = None
        self._station = Station(task.settings, task.policy, task.pace, self._pacers)

    def work(self, part: Part) -> Result:
        """Route what is left of a part; a foreseeable error is told in the result, so that no other worker meets it again."""
        try:
            while (result := self._once(part)) is None:
                continue  # the lease ran out, as if this machine had slept: with a new one it goes on
            return result
        except WorkshopError as error:
            return Result(part.number, "interrupted", Totals(), error=str(error))

    def _once(self, part: Part) -> Result | None:
        if self._ended is not None:
            return Result(part.number, self._ended, Totals())
        journal = self._journal(part)
        in_order = False
        try:
            job = Job(journal, threads(self._station.work, self._task.pace.concurrency), abandon=self._station.stop)

            def stop(end: End) -> None:
                self._ended = end
                job.stop(end)

            with Lease(self._quota, self.name, self._pacers, lambda: self._report(part, journal), stop) as lease:
                for _ in job.run(self._permitted(part, journal, job)):
                    pass
                journal.sync()
                lease.done = job.end == "finished"
            in_order = True
        finally:
            journal.close(nothing_in_work=in_order)
        if job.end == "interrupted" and self._ended is None:
            return None
        trouble = f"{job.trouble.tier} served none of the last tickets: {job.trouble.detail}" if job.trouble is not None else ""
        return Result(part.number, job.end, replace(journal.totals), journal.out.stat().st_size, tuple(sorted(job.sources)), trouble)

    def _permitted(self, part: Part, journal: Journal, job: Job) -> Iterator[Entry]:
        """Yield what is not finished, as long as there is money for it."""
        ceiling = 0.0 if self._task.counted_usd else float("inf")
        for entry in entries(part, journal.finished):
            spent = journal.totals.usd
            if spent >= ceiling:
                ceiling = self._quota.more_usd(part.number, spent)
                if spent >= ceiling:
                    job.stop("max_usd")
                    return
            yield entry

    def _report(self, part: Part, journal: Journal) -> Report:
        return Report(part.number, replace(journal.totals), self._station.counts(), self._station.guardrail_units)

    def _journal(self, part: Part) -> Journal:
        """Open a part's output; one that a worker still holds, which was just killed or cut off, is waited for."""
        if not manifest.path(self._task.out).exists():
            raise DataError(f"A worker on {socket.gethostname()} does not see {self._task.out}. Name a folder with --out that all machines share.")
        return waited(lambda: open_journal(output(self._task.out, part), part_identity(self._task.identity, part)))


def waited(open_: Callable[[], Journal], held_s: float = _HELD_S, clock: Callable[[], float] = time.monotonic) -> Journal:
    """Open a journal, and wait for one that another process holds, as long as a process may take to end; then raise InUse."""
    until = clock() + held_s
    while True:
        try:
            return open_()
        except InUse:
            if clock() >= until:
                raise
            time.sleep(_LOOK_S)


def output(out: Path, part: Part) -> Path:
    """Return the file with the rows of a part."""
    return out / f"{part.id}.ndjson"


def part_identity(identity: Mapping[str, str], part: Part) -> dict[str, str]:
    """Return what is run on one part, for its journal."""
    return {**identity, "part": f"{part.name} {part.kind} {part.begin} {part.end}"}
