"""Several processes for one run: each has its own clients and its share of the limits; this one reads, journals and counts.

One Python process makes some hundreds of calls a second and no more. The children talk to this process only, by a pipe each; when it is
gone, however it went, they end.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from workshop_lib.bulk.paced import Counts
from workshop_lib.bulk.runner import Done, run
from workshop_lib.bulk.sources import Rejected
from workshop_lib.bulk.station import Pace, Station
from workshop_lib.bulk.work import Outcome, Piece, broken, rejected
from workshop_lib.cascade import Policy
from workshop_lib.errors import WorkshopError
from workshop_lib.settings import Settings
from workshop_lib.tasks import Ticket

_REPORT_S = 0.5
_END_S = 5.0


@dataclass(frozen=True)
class _Report:
    """What a child tells now and then: its counts and guardrail units so far, or the error it could not start with."""

    counts: dict[str, Counts] = field(default_factory=dict)
    units: int = 0
    error: str | None = None


@dataclass
class _Child:
    process: BaseProcess
    pipe: Connection
    room: int
    working: dict[int, Piece] = field(default_factory=dict)
    report: _Report = field(default_factory=_Report)


class Processes:
    """Workers in processes of their own, an Engine; `counts` and `guardrail_units` are of all of them. Close it when the run has ended."""

    def __init__(self, settings: Settings, policy: Policy, pace: Pace, number: int) -> None:
        if number < 1:
            raise ValueError(f"processes must be at least 1, got {number}")
        context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks in whatever state they are
        self._children: list[_Child] = []
        with _deaf_children():
            for place in range(number):
                share = pace.share(number, place)
                here, there = context.Pipe()
                process = context.Process(target=_child, args=(there, settings, policy, share), daemon=True, name=f"bulk-{place}")
                process.start()
                there.close()  # so that the child's end is the only one, and its death is seen
                self._children.append(_Child(process, here, room=share.concurrency + max(2, share.concurrency // 4)))

    def __call__(self, pieces: Iterable[Piece]) -> Generator[Done[Piece, Outcome], None, None]:
        """Yield what becomes of each piece as it finishes; raise WorkshopError if a process could not start or ended on its own."""
        source = iter(pieces)
        more = True
        while more or any(child.working for child in self._children):
            while more and (free := self._freest()) is not None:
                piece = next(source, None)
                if piece is None:
                    more = False
                elif isinstance(piece.entry.ticket, Rejected):
                    yield Done(piece, rejected(piece.entry, piece.entry.ticket))
                else:
                    self._give(free, piece, piece.entry.ticket)
            yield from self._received()
        self._finish()

    def counts(self) -> dict[str, Counts]:
        """Return what was sent so far, by model key, as the processes last told."""
        total: dict[str, Counts] = {}
        for child in self._children:
            for key, count in child.report.counts.items():
                have = total.setdefault(key, Counts())
                total[key] = Counts(have.sends + count.sends, have.throttled + count.throttled)
        return total

    @property
    def guardrail_units(self) -> int:
        """Return the text units of ApplyGuardrail so far, as the processes last told."""
        return sum(child.report.units for child in self._children)

    def stop(self) -> None:
        """End the processes at once, with what they have in work."""
        for child in self._children:
            child.process.kill()

    def close(self) -> None:
        """Let the processes end, which they do when nothing more is asked of them; kill those that do not."""
        for child in self._children:
            child.pipe.close()
        for child in self._children:
            child.process.join(_END_S)
            if child.process.is_alive():
                child.process.kill()
                child.process.join()

    def _freest(self) -> _Child | None:
        child = min(self._children, key=lambda child: len(child.working) / child.room)
        return child if len(child.working) < child.room else None

    def _give(self, child: _Child, piece: Piece, ticket: Ticket) -> None:
        child.working[piece.entry.number] = piece
        try:
            child.pipe.send((piece.entry.number, ticket.model_dump(exclude_none=True)))
        except OSError:
            raise self._ended(child) from None

    def _received(self) -> Iterator[Done[Piece, Outcome]]:
        by_pipe = {child.pipe: child for child in self._children}
        for pipe in wait(list(by_pipe)) if any(child.working for child in self._children) else ():
            child = by_pipe[pipe]  # type: ignore[index]  # what wait() returns is what it was given
            try:
                message = child.pipe.recv()
            except (EOFError, OSError):
                raise self._ended(child) from None
            if isinstance(message, _Report):
                child.report = message
                if message.error is not None:
                    raise WorkshopError(message.error)
            else:
                number, outcome = message
                yield Done(child.working.pop(number), outcome)

    def _finish(self) -> None:
        """Take the last reports."""
        for child in self._children:
            child.pipe.send(None)
        for child in self._children:
            try:
                while isinstance(message := child.pipe.recv(), _Report):
                    child.report = message
            except (EOFError, OSError):
                continue

    def _ended(self, child: _Child) -> WorkshopError:
        child.process.join(_END_S)
        how = f"signal {-code}" if (code := child.process.exitcode or 0) < 0 else f"exit status {code}"
        return WorkshopError(f"Worker process {child.process.name} ended on its own ({how}). Run the same command again; it goes on where it stopped.")


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Let processes that are started here ignore Ctrl-C and SIGTERM, which reach the whole group: the parent decides, and they end with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _child(pipe: Connection, settings: Settings, policy: Policy, pace: Pace) -> None:
    """Work on what comes through the pipe until it is closed."""
    try:
        station = Station(settings, policy, pace)
    except WorkshopError as error:
        pipe.send(_Report(error=str(error)))
        return
    try:
        _serve(pipe, station, pace.concurrency)
    except (OSError, EOFError):
        os._exit(1)  # the parent is gone; calls in flight are nobody's any more


def _serve(pipe: Connection, station: Station, concurrency: int) -> None:
    gone = threading.Event()
    reported = time.monotonic()
    for done in run(_asked(pipe, gone), _one(station.work), concurrency=concurrency):
        number, ticket = done.item
        outcome = done.result or broken(ticket["id"], done.error)
        pipe.send((number, outcome))
        if time.monotonic() - reported >= _REPORT_S:
            reported = time.monotonic()
            pipe.send(_Report(station.counts(), station.guardrail_units))
    if not gone.is_set():
        pipe.send(_Report(station.counts(), station.guardrail_units))


def _one(work: Callable[[Ticket], Outcome]) -> Callable[[tuple[int, dict[str, str]]], Outcome]:
    return lambda asked: work(Ticket.model_validate(asked[1]))


def _asked(pipe: Connection, gone: threading.Event) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield what the parent asks; it says None at the end, and nothing more when it is gone."""
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            gone.set()
            return
        if message is None:
            return
        yield message
