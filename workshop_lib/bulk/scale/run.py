"""A scale-out from the driver's side: what is to be done, the parts through a cluster, and what it came to."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from workshop_lib.bulk.identity import run_identity
from workshop_lib.bulk.job import End
from workshop_lib.bulk.journal import Totals, open_journal
from workshop_lib.bulk.paced import Counts
from workshop_lib.bulk.scale import parts as parting
from workshop_lib.bulk.scale.cluster import Cluster, Remote, connected
from workshop_lib.bulk.scale.ledger import Limits
from workshop_lib.bulk.scale.manifest import Manifest, open_manifest, recorded
from workshop_lib.bulk.scale.parts import Part
from workshop_lib.bulk.scale.places import SUFFIXES, File, is_remote
from workshop_lib.bulk.scale.worker import Result, Task, output, part_identity, waited
from workshop_lib.bulk.station import Pace
from workshop_lib.bulk.summary import Summary
from workshop_lib.cascade import Policy
from workshop_lib.errors import SettingsError, WorkshopError
from workshop_lib.settings import BEDROCK_ENDPOINT, OPENAI_BASE, Settings

_LOOK_S = 0.5
_OF_THE_SANDBOX = (BEDROCK_ENDPOINT, OPENAI_BASE, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED", "OPENAI_API_KEY")


@dataclass(frozen=True)
class Wanted:
    """What the user asked for; `workers` None takes one a processor, `part_bytes` None what the output was begun with, or a size that fits."""

    source: str
    out: Path
    pace: Pace
    workers: int | None = None
    part_bytes: int | None = None
    max_usd: float | None = None
    deadline_s: float | None = None
    restart: bool = False


class ScaleRun:
    """One run over an output; `stop` may be called from a signal handler. `totals` and `counts` are as the workers last told."""

    def __init__(self, wanted: Wanted, policy: Policy, settings: Settings, parts: list[Part], identity: Mapping[str, str], manifest: Manifest) -> None:
        self.totals = Totals()
        self.end: End = "finished"
        self.trouble = ""
        self._wanted = wanted
        self._policy = policy
        self._settings = settings
        self._parts = parts
        self._identity = identity
        self._manifest = manifest
        self._known = self._held()
        self._before = sum(totals.tickets for totals in self._known.values())
        self._counts: Mapping[str, Counts] = {}
        self._units = 0
        self._sources: set[str] = set()
        self._error: str | None = None
        self._asked_to_end: End | None = None
        self._told_to_end = False
        self._kill: Callable[[], None] = lambda: None
        self._begun = time.monotonic()

    def counts(self) -> Mapping[str, Counts]:
        """Return what was sent in this run, by model key."""
        return self._counts

    def stop(self, end: End = "interrupted") -> None:
        """Begin no further ticket; those in work end and are kept."""
        self._asked_to_end = self._asked_to_end or end

    def end_at_once(self) -> None:
        """End every process that was started here, with what it has in work."""
        self._kill()

    def run(self) -> Iterator[None]:
        """Work on what is left, and yield about twice a second; raise WorkshopError for what is foreseeable."""
        self._begun = time.monotonic()
        left = [part for part in self._parts if part.number not in self._manifest.done]
        left.sort(key=lambda part: (part.number not in self._known, part.number))  # what was begun first
        if left:
            with connected(self._workers(os.cpu_count() or 1, len(left))) as cluster:
                yield from self._work(cluster, left)
        else:
            self._sum()
        if self._error is not None:
            raise WorkshopError(self._error)

    def summary(self) -> Summary:
        """Return what the run came to."""
        return Summary(
            out=str(self._wanted.out),
            end=self.end,
            **vars(self.totals),
            sources=tuple(sorted(self._sources)) or (self._settings.backend,),
            policy=self._policy.name,
            policy_digest=self._policy.digest,
            tickets_before=self._before,
            seconds=time.monotonic() - self._begun,
            calls={key: count.sends for key, count in self._counts.items()},
            throttled={key: count.throttled for key, count in self._counts.items()},
            guardrail_units=self._units,
        )

    def _work(self, cluster: Cluster, left: list[Part]) -> Iterator[None]:
        self._kill = cluster.kill
        workers = self._workers(cluster.cpus, len(left))
        limits = Limits(self._wanted.max_usd, self._wanted.pace.max_calls)
        ledger = cluster.ledger(self._known, len(left), workers, limits)
        ended: SimpleQueue[Result | BaseException | None] = SimpleQueue()

        def follow() -> None:
            try:
                for result in cluster.results(left, self._task(workers), ledger, workers, self._environment()):
                    ended.put(result)
                ended.put(None)
            except BaseException as error:  # told where it is waited for
                ended.put(error)

        threading.Thread(target=follow, daemon=True, name="bulk-parts").start()
        more = True
        while more:
            self._end_if_due(ledger)
            try:
                found = ended.get(timeout=_LOOK_S)
            except Empty:
                self._look(ledger)
                yield
                continue
            if isinstance(found, BaseException):
                raise found
            if found is None:
                more = False
            else:
                self._take(found)
        self._look(ledger)
        yield

    def _take(self, result: Result) -> None:
        self._sources.update(result.sources)
        if result.error is not None:
            self._error = self._error or result.error
            self.stop()
        elif result.end == "finished":
            part = self._parts[result.part]
            self._manifest.finish(part.number, output(self._wanted.out, part).name, result.totals, result.rows)
        else:
            self.end = result.end if self.end == "finished" else self.end
            self.trouble = self.trouble or result.trouble
            self.stop(result.end)

    def _end_if_due(self, ledger: Remote) -> None:
        deadline = self._wanted.deadline_s
        if deadline is not None and time.monotonic() - self._begun >= deadline:
            self.stop("deadline")
        if self._asked_to_end is not None and not self._told_to_end:
            ledger.stop(self._asked_to_end)
            self._told_to_end = True

    def _look(self, ledger: Remote) -> None:
        told = ledger.told()
        self._counts, self._units = told.counts, told.units
        vars(self.totals).update(vars(told.totals))  # in place: who shows it holds on to it

    def _sum(self) -> None:
        for one in self._known.values():
            self.totals.merge(one)

    def _held(self) -> dict[int, Totals]:
        """Return what the parts hold that are done or begun; raise SettingsError if a begun one is of another run."""
        known = dict(self._manifest.done)
        for part in self._parts:
            rows = output(self._wanted.out, part)
            if part.number not in known and rows.exists():
                journal = waited(partial(open_journal, rows, part_identity(self._identity, part)))
                known[part.number] = replace(journal.totals)
                journal.close()
        return known

    def _workers(self, cpus: int, parts: int) -> int:
        return max(1, self._wanted.workers or min(cpus, parts, self._wanted.pace.concurrency))

    def _task(self, workers: int) -> Task:
        pace = self._wanted.pace
        each = Pace(max(1, pace.concurrency // workers), pace.limits, {key: max(1, most // workers) for key, most in pace.at_once.items()})
        counted = pace.max_calls is not None, self._wanted.max_usd is not None
        return Task(self._wanted.out, self._identity, self._policy, self._settings, each, *counted)

    def _environment(self) -> dict[str, str]:
        """Return the variables that workers need beside the settings: those of the sandbox, which no machine but this one has set."""
        return {name: os.environ[name] for name in _OF_THE_SANDBOX if name in os.environ} if self._settings.backend == "sandbox" else {}


@contextmanager
def prepared(wanted: Wanted, policy: Policy, settings: Settings, files: list[File]) -> Iterator[ScaleRun]:
    """Give a run over an output that is kept for it; raise SettingsError or DataError, one line, if it cannot be begun or gone on with."""
    size = wanted.part_bytes or (0 if wanted.restart else int(recorded(wanted.out).get("part size", "0")))
    size = size or parting.part_bytes(files, wanted.workers or os.cpu_count() or 1)
    parts = parting.plan(files, size)
    identity = {**run_identity(policy, settings), "input": parting.digest(parts), "part size": str(size)}
    manifest = open_manifest(wanted.out, identity, restart=wanted.restart)
    try:
        manifest.drop_damaged({part.number: output(wanted.out, part) for part in parts})
        yield ScaleRun(wanted, policy, settings, parts, identity, manifest)
    finally:
        manifest.close()


def check_folders(source: str, out: Path) -> None:
    """Raise SettingsError if the output cannot be a folder, or would lie among the tickets."""
    if "://" in str(out) or ":/" in str(out):
        raise SettingsError(f"--out {out} is an address. Name a folder that all workers see, and copy it when the run has ended.")
    if out.is_file() or (not out.exists() and out.suffix.lower() in SUFFIXES):
        raise SettingsError(f"{out} is {'a file' if out.exists() else 'the name of a file'}. With --engine ray, --out names a folder: each part of the input has a file of its own there.")
    if not is_remote(source) and (found := Path(source)).is_dir() and out.resolve().is_relative_to(found.resolve()):
        raise SettingsError(f"{out} lies among the tickets of {source}. Name another folder with --out.")
