"""One bulk run: entries through workers into the journal, until the input or what the run may spend has ended."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from workshop_lib.bulk.bitmap import Ids, key_of
from workshop_lib.bulk.journal import NO_KEY, Journal
from workshop_lib.bulk.outage import Held, Outage
from workshop_lib.bulk.runner import Done
from workshop_lib.bulk.sources import Entry, Rejected
from workshop_lib.bulk.work import Engine, Met, Outcome, Piece, broken

End = Literal["finished", "max_usd", "max_calls", "deadline", "interrupted", "outage"]


@dataclass(frozen=True)
class Guards:
    """What a run may spend: known USD of the output over all its runs, and seconds of this one.

    Tickets in work when a limit is reached still end, and are kept, so the last ones may pass it.
    """

    max_usd: float | None = None
    deadline_s: float | None = None


class Job:
    """One run over one journal; `stop` may be called from another thread or a signal handler.

    `end` says why it ended, `trouble` what was met last if that was an outage, `sources` who answered. `abandon` is called when an error ends
    the run, so that what waits for its turn is not sent.
    """

    def __init__(
        self,
        journal: Journal,
        engine: Engine,
        guards: Guards | None = None,
        clock: Callable[[], float] = time.monotonic,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        self.journal = journal
        self.end: End = "finished"
        self.sources: frozenset[str] = frozenset()
        self._engine = engine
        self._guards = guards or Guards()
        self._clock = clock
        self._abandon = abandon
        self._stopping = threading.Event()
        self._begun = clock()
        self._outage = Outage(served_before=journal.totals.tickets > journal.totals.failed)

    @property
    def trouble(self) -> Met | None:
        """Return the tier that served no more tickets, with its last failure; None if there was no outage."""
        return self._outage.certain

    def stop(self, end: End = "interrupted") -> None:
        """Begin no further ticket; those in work end and are kept."""
        if not self._stopping.is_set():
            self.end = end
            self._stopping.set()

    def run(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield each entry once its rows are in the journal; raise DataError if they cannot be written."""
        with closing(self._engine(self._wanted(entries))) as results:
            try:
                for done in results:
                    for piece, outcome in self._taken(done):
                        yield self._kept(piece, outcome)
                    if self._outage.certain is not None:
                        self.stop("outage")
            except BaseException:
                self._abandon()
                raise
        if not self._stopping.is_set():
            for piece, outcome in self._outage.at_the_end():
                yield self._kept(piece, outcome)
            if self._outage.certain is not None:
                self.stop("outage")
        for outcome in self._outage.left():
            self._spent(outcome)

    def _taken(self, done: Done[Piece, Outcome]) -> list[Held]:
        """Return what can be written down now that an item is finished."""
        ticket = done.item.entry.ticket
        outcome = done.result or broken(ticket.ticket_id if isinstance(ticket, Rejected) else ticket.id, done.error)
        self.sources |= outcome.sources
        if outcome.unfinished is not None:
            self.stop("max_calls" if outcome.unfinished == "max_calls" else "interrupted")
            self._spent(outcome)
            return []
        return self._outage.after(done.item, outcome)

    def _wanted(self, entries: Iterable[Entry]) -> Iterator[Piece]:
        """Yield what is still to be done; a second ticket of the same id is told as an error, and not asked about."""
        for entry in entries:
            self._guard()
            if self._stopping.is_set():
                return
            if entry.number not in self.journal.finished:
                yield _piece(entry, self.journal.ids)

    def _guard(self) -> None:
        if self._guards.max_usd is not None and self.journal.totals.usd >= self._guards.max_usd:
            self.stop("max_usd")
        if self._guards.deadline_s is not None and self._clock() - self._begun >= self._guards.deadline_s:
            self.stop("deadline")

    def _kept(self, piece: Piece, outcome: Outcome) -> Entry:
        """Return an entry once its rows are in the journal."""
        self.journal.add(
            piece.entry.number,
            outcome.rows,
            outcome.usd,
            key=piece.key,
            failed=outcome.failed,
            escalated=outcome.escalated,
            cost_complete=outcome.cost_complete,
        )
        return piece.entry

    def _spent(self, outcome: Outcome) -> None:
        if outcome.usd or not outcome.cost_complete:
            self.journal.spent(outcome.usd, cost_complete=outcome.cost_complete)


def _piece(entry: Entry, seen: Ids) -> Piece:
    if isinstance(entry.ticket, Rejected):
        return Piece(entry, NO_KEY)
    key = key_of(entry.ticket.id)
    if seen.add(key):
        return Piece(entry, key)
    # Without a key in the journal: else, gone on with, it would make a duplicate of the first one.
    return Piece(Entry(entry.number, entry.where, Rejected(entry.ticket.id, "an earlier ticket has the same id")), NO_KEY)
