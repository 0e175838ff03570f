"""Progress while a run goes on: a bar on a terminal, else a plain line now and then; both on standard error."""

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Protocol

from workshop_lib.bulk.journal import Totals
from workshop_lib.bulk.paced import Counts

EVERY_S = 10.0
_BAR_EVERY_S = 0.2
_WINDOW_S = 30.0


class Shown(Protocol):
    """Where progress is shown: told now and then how many entries are done and what there is to say, and closed at the end."""

    def show(self, done: int, said: str) -> None:
        """Show how far the run is."""
        ...

    def close(self, done: int, said: str) -> None:
        """Show how far the run came, and leave the terminal as it was."""
        ...


class Progress:
    """Told of every finished ticket; `expected` is about how many the input holds, which may be wrong, and `counts` gives what was sent."""

    def __init__(
        self, totals: Totals, expected: int, counts: Callable[[], Mapping[str, Counts]], shown: Shown, every_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._totals = totals
        self._expected = expected
        self._counts = counts
        self._shown = shown
        self._every_s = every_s
        self._clock = clock
        self._next = clock() + every_s
        self._recent: deque[tuple[float, int]] = deque([(clock(), totals.tickets)])

    def ticket(self) -> None:
        """Show how far the run is, if it is time."""
        now = self._clock()
        if now >= self._next:
            self._next = now + self._every_s
            self._look(now)
            self._shown.show(self._totals.tickets, self.said())

    def close(self) -> None:
        """Show how far the run came."""
        self._look(self._clock())
        self._shown.close(self._totals.tickets, self.said())

    def _look(self, now: float) -> None:
        self._recent.append((now, self._totals.tickets))
        while len(self._recent) > 2 and self._recent[0][0] < now - _WINDOW_S:
            self._recent.popleft()

    def said(self) -> str:
        """Return rate, time left, escalation rate, cost so far and throttled calls, in words."""
        totals, (begun, then), (now, done) = self._totals, self._recent[0], self._recent[-1]
        rate = (done - then) / (now - begun) if now > begun else 0.0
        left = max(0, self._expected - done)
        parts = [f"{rate:.1f}/s", f"{_duration(left / rate) if rate else '?'} left"]
        parts.append(f"{totals.escalated / totals.tickets:.1%} escalated" if totals.tickets else "none escalated")
        parts.append(f"{'' if totals.cost_complete else 'at least '}{totals.usd:.4f} USD")
        throttled = sum(count.throttled for count in self._counts().values())
        failed = [f"{totals.failed} failed"] if totals.failed else []
        return ", ".join([*parts, *failed, f"{throttled} throttled"])


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Lines:
    """Progress as plain lines, for logs."""

    def __init__(self, expected: int, file: IO[str] | None = None) -> None:
        self._expected = expected
        self._file = file or sys.stderr

    def show(self, done: int, said: str) -> None:
        """Write a line."""
        print(f"{done} of about {max(done, self._expected)} tickets: {said}", file=self._file, flush=True)

    def close(self, done: int, said: str) -> None:
        """Do nothing: what was written stands, and the summary follows."""


class Bar:
    """Progress as a bar on a terminal."""

    def __init__(self, expected: int) -> None:
        from rich.console import Console  # only where there is a terminal
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
        self._task = self._rich.add_task("", total=expected)
        self._rich.start()

    def show(self, done: int, said: str) -> None:
        """Draw the bar."""
        self._rich.update(self._task, completed=done, total=max(done, self._rich.tasks[0].total or 0), description=said)

    def close(self, done: int, said: str) -> None:
        """Draw the bar once more and leave it there."""
        self.show(done, said)
        self._rich.stop()


def progress(totals: Totals, expected: int, counts: Callable[[], Mapping[str, Counts]]) -> Progress:
    """Return progress for standard error as it is: a bar on a terminal, else a line every 10 seconds."""
    if sys.stderr.isatty():
        return Progress(totals, expected, counts, Bar(expected), _BAR_EVERY_S)
    return Progress(totals, expected, counts, Lines(expected), EVERY_S)
