"""A cluster of threads in place of Ray: the same ledger and the same workers, so that what the driver does is tested in milliseconds."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from workshop_lib.bulk.journal import Totals
from workshop_lib.bulk.scale.ledger import Ledger, Limits
from workshop_lib.bulk.scale.parts import Part
from workshop_lib.bulk.scale.worker import Result, Task, Worker


class Threads:
    """Does as `cluster.Cluster` does, with threads."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.asked: list[int] = []

    def ledger(self, known: Mapping[int, Totals], parts_left: int, workers: int, limits: Limits) -> Ledger:
        """Return the ledger."""
        return Ledger(known, parts_left, workers, limits)

    def results(self, parts: Sequence[Part], task: Task, ledger: Ledger, workers: int, environment: Mapping[str, str]) -> Iterator[Result]:
        """Yield what becomes of each part."""
        left: SimpleQueue[Part] = SimpleQueue()
        ended: SimpleQueue[Result] = SimpleQueue()
        for part in parts:
            left.put(part)
            self.asked.append(part.number)

        def work() -> None:
            worker = Worker(task, ledger)
            try:
                while True:
                    ended.put(worker.work(left.get_nowait()))
            except Empty:
                return

        for _ in range(workers):
            threading.Thread(target=work, daemon=True).start()
        for _ in parts:
            yield ended.get(timeout=60)

    def kill(self) -> None:
        """Do nothing."""


class Connected:
    """In place of `cluster.connected`; remembers the clusters it made."""

    def __init__(self) -> None:
        self.made: list[Threads] = []

    @contextmanager
    def __call__(self, cpus: int) -> Iterator[Any]:
        """Give a cluster of threads."""
        self.made.append(Threads(cpus))
        yield self.made[-1]
