"""Ray, and nothing else of this package knows it: a cluster, the ledger as an actor of it, and the parts through Ray Data's pool of workers."""

import importlib.util
import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

import psutil

from workshop_lib.bulk.job import End
from workshop_lib.bulk.journal import Totals
from workshop_lib.bulk.scale.ledger import Ledger, Limits, Report, Share, Told
from workshop_lib.bulk.scale.parts import Part
from workshop_lib.bulk.scale.worker import Result, Task, Worker
from workshop_lib.errors import SettingsError, WorkshopError

ADDRESS = "RAY_ADDRESS"
_STORE_BYTES = 100 * 1024 * 1024  # only names and numbers pass through it; Ray takes no less than 75 MiB
_ANSWER_S = 60.0
_STARTS = 4
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # which would be sent over the network
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a call after the end would start a cluster of its own
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def check() -> None:
    """Raise SettingsError, one line with the remedy, if Ray Data is not installed."""
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pyarrow") is None:
        raise SettingsError("--engine ray needs Ray Data, which is not installed. Run: pip install 'cascade-workshop[ray]'")


class Remote:
    """The ledger from anywhere in the cluster; raises WorkshopError if it is gone, or does not answer for a minute."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def renew(self, worker: str, report: Report | None = None) -> Share:
        """Report, and take a share for some seconds."""
        share: Share = self._asked("renew", worker, report)
        return share

    def leave(self, worker: str, report: Report | None, calls_left: int = 0, *, done: bool) -> None:
        """Report, and hand the share and unused calls back."""
        self._asked("leave", worker, report, calls_left, done=done)

    def more_calls(self) -> int:
        """Take a batch of calls."""
        return int(self._asked("more_calls"))

    def more_usd(self, part: int, usd: float) -> float:
        """Return how much a part may cost in all."""
        return float(self._asked("more_usd", part, usd))

    def stop(self, end: End) -> None:
        """Let no worker begin a further ticket."""
        self._asked("stop", end)

    def told(self) -> Told:
        """Return what the run came to so far."""
        told: Told = self._asked("told")
        return told

    def _asked(self, method: str, *given: Any, **named: Any) -> Any:
        import ray

        try:
            return ray.get(getattr(self._actor, method).remote(*given, **named), timeout=_ANSWER_S)
        except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError) as error:
            raise WorkshopError("The process that keeps the run's account does not answer. Run the same command again; it goes on where it stopped.") from error


class _Pooled:
    """A worker as Ray Data makes it: a process of the pool takes one part at a time."""

    def __init__(self, task: Task, ledger: Remote, environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        self._task = task
        self._quota = ledger
        self._worker: Worker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work on the part of a batch of one."""
        part: Part = batch["item"][0]
        try:
            self._worker = self._worker or Worker(self._task, self._quota)
            result = self._worker.work(part)
        except WorkshopError as error:  # such as settings that this machine lacks
            result = Result(part.number, "interrupted", Totals(), error=str(error))
        if result.error is not None:
            self._worker = None  # its sends may have been stopped for good
        return {"result": [result]}


class Cluster:
    """A cluster that is connected: how many processors it has, the run's ledger, and the parts' results as they come."""

    def __init__(self, cpus: int, processes: Sequence[psutil.Process] = (), logs: str | None = None) -> None:
        self.cpus = cpus
        self._processes = processes
        self._logs = logs

    def ledger(self, known: Mapping[int, Totals], parts_left: int, workers: int, limits: Limits) -> "Remote":
        """Start the ledger of a run, which ends with this process."""
        import ray

        return Remote(ray.remote(num_cpus=0)(Ledger).remote(known, parts_left, workers, limits))

    def results(self, parts: Sequence[Part], task: Task, ledger: "Remote", workers: int, environment: Mapping[str, str]) -> Iterator[Result]:
        """Yield the result of each part as it ends; a part whose worker dies is given to another, for as long as it takes."""
        import ray
        import ray.data

        pool = ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1)
        dataset = ray.data.from_items([{"item": part} for part in parts], override_num_blocks=len(parts))
        given = (task, ledger, dict(environment))
        try:
            for row in dataset.map_batches(_Pooled, batch_size=1, compute=pool, num_cpus=1, fn_constructor_args=given).iter_rows():
                yield row["result"]
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise WorkshopError(f"A worker failed ({reason[:300]}). Run the same command again; it goes on where it stopped.") from error

    def kill(self) -> None:
        """End at once what was started on this machine."""
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._logs is not None:
            shutil.rmtree(self._logs, ignore_errors=True)


@contextmanager
def connected(cpus: int) -> Iterator[Cluster]:
    """Connect to the cluster of RAY_ADDRESS, or start one of so many processors on this machine, and let go of it at the end.

    Ray keeps quiet while the block lasts: its own log files, in a temporary folder that is deleted if it was made here, hold what it says.
    """
    os.environ.update(_QUIET)
    address = os.environ.get(ADDRESS)
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # bind to this machine only
    import ray

    before = {process.pid for process in _children()}
    logs = None if address else tempfile.mkdtemp(prefix="ray-")
    try:
        with redirect_stdout(io.StringIO()):
            started: dict[str, Any] = {} if address else {"num_cpus": cpus, "object_store_memory": _STORE_BYTES, "include_dashboard": False, "_temp_dir": logs}
            _start(address, started, before)
            _silence()
            try:
                ours = [] if address else _children(before)
                yield Cluster(int(ray.cluster_resources().get("CPU", 0)), ours, logs)
            finally:
                ray.shutdown()
    finally:
        if logs is not None:
            shutil.rmtree(logs, ignore_errors=True)


def _start(address: str | None, options: dict[str, Any], before: set[int]) -> None:
    """Connect, or start what is to be connected to; on a machine that is busy Ray may need more than the half minute it gives itself."""
    import ray

    attempts = 1 if address else _STARTS
    for attempt in range(attempts):
        try:
            with _unheard():
                ray.init(address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, namespace="cascade-workshop", **options)
            return
        except Exception as error:  # which is what Ray raises for a start that took too long
            ray.shutdown()
            if attempt + 1 == attempts:
                raise WorkshopError(_not_there(address, error)) from error


def _children(before: Container[int] = ()) -> list[psutil.Process]:
    """Return the processes below this one that were not there before."""
    return [process for process in psutil.Process().children(recursive=True) if process.pid not in before]


@contextmanager
def _unheard() -> Iterator[None]:
    """Send what is written to standard error nowhere, below Python: Ray's core announces there that it was told to keep quiet."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _silence() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setLevel(logging.CRITICAL + 1)


def _not_there(address: str | None, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    if address is None:
        return f"Ray could not be started on this machine ({reason}). Is it very busy, or out of memory? Try again later, or use --processes without --engine ray."
    return f"No Ray cluster answers at {ADDRESS}={address} ({reason}). Start it, or unset {ADDRESS} to use this machine."
