"""Many items with bounded concurrency: threads pull from the input, results come as they finish, one bad item costs only itself."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

_POLL_S = 0.1


@dataclass(frozen=True)
class Done(Generic[In, Out]):
    """One finished item: its result, or the error that it ended with."""

    item: In
    result: Out | None
    error: Exception | None = None


@dataclass(frozen=True)
class _WorkerEnded:
    """Put by a worker that found no more input, with what ended it too early, if anything did."""

    error: BaseException | None = None


def run(items: Iterable[In], work: Callable[[In], Out], *, concurrency: int = 16) -> Generator[Done[In, Out], None, None]:
    """Yield a Done for every item, in the order they finish, with at most `concurrency` in work at once.

    The input is read as workers become free, never whole. Closing the iterator stops further calls; those in flight end. An
    error while reading the input is raised after the items before it are done.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, got {concurrency}")
    return _run(items, work, concurrency)


async def arun(items: Iterable[In], work: Callable[[In], Out], *, concurrency: int = 16) -> AsyncGenerator[Done[In, Out], None]:
    """Do as `run` does, for a caller in an event loop, which is never blocked; `work` runs in threads.

    Closing the iterator (`aclosing`, or a cancelled task) stops further calls; those in flight end.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, got {concurrency}")
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="bulk-results") as waiting:  # one, so that closing comes after the wait it may interrupt
        pool = _Pool(items, work, concurrency)
        results = pool.results()
        try:
            while (done := await loop.run_in_executor(waiting, next, results, None)) is not None:
                yield done
        finally:
            pool.begin_nothing()
            await asyncio.shield(loop.run_in_executor(waiting, pool.stop))


def _run(items: Iterable[In], work: Callable[[In], Out], concurrency: int) -> Generator[Done[In, Out], None, None]:
    pool = _Pool(items, work, concurrency)
    try:
        yield from pool.results()
    finally:
        pool.stop()


class _Pool(Generic[In, Out]):
    """Workers that pull: flat in memory, whatever the number of items."""

    def __init__(self, items: Iterable[In], work: Callable[[In], Out], concurrency: int) -> None:
        self._source = iter(items)
        self._source_lock = threading.Lock()
        self._work = work
        self._exhausted = False  # guarded by the source lock, as is reading
        self._stopped = threading.Event()
        self._finished: SimpleQueue[Done[In, Out] | _WorkerEnded] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()  # one entry for each result that may lie there (a Queue with a bound takes thrice the time)
        for _ in range(max(1, concurrency // 8)):  # few: what is finished and not taken is lost with the process, and would be paid again
            self._room.put(None)
        self._threads = [threading.Thread(target=self._worker, daemon=True, name=f"bulk-{n}") for n in range(concurrency)]
        for thread in self._threads:
            thread.start()

    def results(self) -> Iterator[Done[In, Out]]:
        """Yield results until every worker has ended."""
        running = len(self._threads)
        failure: BaseException | None = None
        while running:
            entry = self._finished.get()
            self._room.put(None)
            if isinstance(entry, _WorkerEnded):
                running -= 1
                failure = failure or entry.error
            else:
                yield entry
        if failure is not None:
            raise failure

    def begin_nothing(self) -> None:
        """Let workers end after the item in hand."""
        self._stopped.set()

    def stop(self) -> None:
        """Let workers end after the item in hand, and wait for them."""
        self.begin_nothing()
        for thread in self._threads:
            while thread.is_alive():
                self._discard()  # a worker may be waiting to hand over its last result
                thread.join(_POLL_S)

    def _discard(self) -> None:
        with suppress(Empty):
            while True:
                self._finished.get_nowait()
                self._room.put(None)

    def _worker(self) -> None:
        try:
            while taken := self._take():
                self._hand_over(self._one(taken[0]))
        except BaseException as error:  # a broken input, or a SystemExit in the work: ends the run, after what came before it
            self._stopped.set()
            self._hand_over(_WorkerEnded(error))
        else:
            self._hand_over(_WorkerEnded())

    def _hand_over(self, entry: "Done[In, Out] | _WorkerEnded") -> None:
        """Put an entry where it is taken from, once there is room."""
        self._room.get()
        self._finished.put(entry)

    def _take(self) -> tuple[In] | None:
        """Return the next item, or None if there is none or the run was stopped while waiting for it."""
        with self._source_lock:
            if self._exhausted or self._stopped.is_set():
                return None
            self._exhausted = True  # stays so if reading ends or raises
            for item in self._source:
                self._exhausted = False
                return None if self._stopped.is_set() else (item,)
            return None

    def _one(self, item: In) -> Done[In, Out]:
        try:
            return Done(item, self._work(item))
        except Exception as error:  # the boundary: whatever one item raises is its own result
            return Done(item, None, error)
