"""The bulk table: many tickets at once, with a bar for the pile, a bar for the escalations, and a row a ticket that says where it stands."""

import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from textwrap import fill
from typing import TYPE_CHECKING

import pandas as pd

from workshop_lib.bulk import run
from workshop_lib.cascade import Policy, Step, Trace, walk
from workshop_lib.cascade.story import usd
from workshop_lib.evaluation.tables import text_table
from workshop_lib.lab.interactive import markup
from workshop_lib.lab.interactive.piece import WIDTH, Piece
from workshop_lib.lab.shell import explain
from workshop_lib.llm import CallError, Cost
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

if TYPE_CHECKING:
    from ipywidgets import Widget

    from workshop_lib.lab.session import Lab

QUESTION = "Run it with 1 ticket at once, then with 16. Which of these change: the order in which tickets finish, what is decided, the bill? What does that say about a reader of the rows?"
MOST = 64
_PAINT_S = 0.2
_PRINTED = 10
_RUNNING = "Running ..."
_NOTHING = Cost(0.0)
_HEAD = ("ticket", "where it stands", "decision", "calls", "USD")


@dataclass(frozen=True)
class Row:
    """Where one ticket stands: `state` in words, then what was decided, by how many calls, for how much; `place` is when it finished, from 1."""

    ticket_id: str
    state: str = "waiting"
    decision: str = ""
    calls: int = 0
    cost: Cost = _NOTHING
    escalated: bool = False
    failed: bool = False
    place: int | None = None


class BulkTable(Piece):
    """The table: `run(concurrency)` does all tickets, `stop()` ends it early, `rows` holds one Row a ticket, `frame` the same as a table."""

    def __init__(self, lab: "Lab", tickets: Sequence[Ticket], policy: Policy, concurrency: int, *, interactive: bool = True) -> None:
        super().__init__(interactive=interactive)
        policy.check_learned({})
        self._lab, self._tickets, self._policy, self._concurrency = lab, tuple(tickets), policy, concurrency
        self._rows = {ticket.id: Row(ticket.id) for ticket in self._tickets}
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._stop = threading.Event()
        self.trouble: str | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return one row a ticket, in the order of the tickets, as they are now."""
        with self._lock:
            return tuple(self._rows.values())

    @property
    def frame(self) -> pd.DataFrame:
        """Return the rows as a table: ticket, state, decision, calls, usd, finished (the place, 1 for the first)."""
        return pd.DataFrame(
            [{"ticket": row.ticket_id, "state": row.state, "decision": row.decision, "calls": row.calls, "usd": row.cost.usd, "finished": row.place} for row in self.rows]
        )

    def run(self, concurrency: int | None = None) -> None:
        """Walk every ticket, so many at once; a lost connection ends the run, and `trouble` then says so in one line."""
        with self._running:  # two runs at a time would write the same rows
            self._stop.clear()
            self.trouble = None
            ask = self._lab.ask
            with self._lock:
                self._rows = {ticket.id: Row(ticket.id) for ticket in self._tickets}

            def one(ticket: Ticket) -> None:
                self._put(ticket.id, state=f"asking {self._policy.tiers[0]}")
                observed = walk(TRIAGE, ticket, self._policy, ask, observe=lambda step, goes_on: self._stepped(ticket.id, step, goes_on))
                self._finished(observed)  # here, because what is in work when the run is stopped still ends, and is charged

            with closing(run(self._tickets, one, concurrency=concurrency or self._concurrency)) as results:
                for done in results:
                    if done.error is not None:
                        self._put(done.item.id, finished=True, state=f"failed: {type(done.error).__name__}", failed=True)
                    if self._stop.is_set():
                        break
            with self._lock:
                self._rows = {key: row if row.place else replace(row, state="not begun") for key, row in self._rows.items()}

    def stop(self) -> None:
        """Begin no further ticket; those in work end."""
        self._stop.set()

    def summary(self) -> str:
        """Return what the run came to so far, in one sentence."""
        rows = self.rows
        done, failed, raised = (sum(map(bool, column)) for column in zip(*((row.place, row.failed, row.escalated) for row in rows), strict=True))
        bill = Cost.total(row.cost for row in rows)
        return f"{done} of {len(rows)} tickets finished, {raised} escalated, {failed} failed, {usd(bill)} ({self._lab.settings.backend})."

    def tell(self) -> None:
        """Run all tickets, then print the first rows, the summary and the question."""
        self.run()
        print(f"Bulk table, policy {self._policy.name}: {len(self._tickets)} tickets, {self._concurrency} at once.\n")
        shown = self.frame[["ticket", "state", "decision", "calls", "usd"]]
        print(text_table(shown.head(_PRINTED)))
        if len(shown) > _PRINTED:
            print(f"... and {len(shown) - _PRINTED} rows more, in the object's .frame")
        print(f"\n{self.summary()}" if self.trouble is None else f"\n{self.summary()}\nProblem: {self.trouble}")
        print(f"\n{fill(f'Question: {QUESTION}', WIDTH)}")
        print("With other numbers: bulk_table(lab, tickets, policy, concurrency=1, interactive=False).frame has the column finished")

    def panel(self) -> "Widget":
        """Return the controls, the bars and the table."""
        import ipywidgets as widgets

        at_once = widgets.BoundedIntText(
            description="Tickets at once", min=1, max=MOST, value=self._concurrency, layout=widgets.Layout(width="14em"), style={"description_width": "8em"}
        )
        start, stop = (widgets.Button(description=name, layout=widgets.Layout(width="auto")) for name in ("Run the pile", "Stop"))
        stop.disabled = True
        costs = "" if self._lab.settings.backend == "sandbox" else " Live: every run costs money on your account."
        about = f"{len(self._tickets)} tickets, policy {self._policy.name}.{costs}"
        head = widgets.HTML(markup.page(markup.paragraph(about, "Bulk table:"), markup.paragraph(QUESTION, "Question:")))
        result = widgets.HTML(self._painted("Not started."))

        def work() -> None:
            worker = threading.Thread(target=self.run, args=(at_once.value,), daemon=True, name="bulk-table")
            worker.start()
            try:
                while worker.is_alive():
                    result.value = self._painted(_RUNNING)
                    worker.join(_PAINT_S)
            finally:
                result.value = self._painted("Stopped." if self._stop.is_set() else "Done.")
                start.disabled, stop.disabled = False, True

        def begin(_: object) -> None:
            if start.disabled:  # a second press that was on its way already
                return
            start.disabled, stop.disabled = True, False
            threading.Thread(target=work, daemon=True, name="bulk-table-painter").start()  # so that the kernel hears the press on Stop

        start.on_click(begin)
        stop.on_click(lambda _: self.stop())
        return widgets.VBox([head, at_once, widgets.HBox([start, stop]), result])

    def _painted(self, state: str) -> str:
        rows = self.rows
        # newest first, so that what moves is in sight; then those in work, then those that wait
        order = sorted(rows, key=lambda row: (-(row.place or 0), row.state == "waiting"))
        cells = [(row.ticket_id, row.state, row.decision, str(row.calls or ""), f"{row.cost.usd:.6f}" if row.calls else "") for row in order]
        trouble = "" if self.trouble is None else markup.problem(self.trouble)
        bars = markup.bar("Finished", sum(row.place is not None for row in rows), len(rows)) + markup.bar("Escalated", sum(row.escalated for row in rows), len(rows))
        # while rows move, a screen reader is left alone; it hears how the run ended
        said = markup.paragraph(f"{state} {self.summary()}") if state == _RUNNING else markup.status(f"{state} {self.summary()}" if any(row.place for row in rows) else state)
        return markup.page(trouble, said, bars, markup.table("Tickets, the last finished first", _HEAD, cells, numbers=("calls", "USD")))

    def _stepped(self, ticket_id: str, step: Step[RoutingDecision], goes_on: bool) -> None:
        after = self._policy.tiers.index(step.tier) + 1
        if goes_on:
            self._put(ticket_id, state=f"escalates, asking {self._policy.tiers[after]}", escalated=True)

    def _finished(self, trace: Trace[RoutingDecision]) -> None:
        error = trace.steps[-1].error
        if trace.answer is None:
            state, decision = f"failed: {error.kind if error else trace.outcome}", ""
        else:
            state, decision = f"done by {trace.model_used}", f"{trace.answer.category} {trace.answer.priority}"
        asked = sum(step.reply is not None for step in trace.steps) + len(trace.calls)
        self._put(
            trace.item_id, finished=True, state=state, decision=decision, calls=asked, cost=trace.cost, escalated=trace.escalated, failed=trace.answer is None
        )  # fmt: skip
        if error is not None and trace.answer is None:
            self._lost(error)

    def _lost(self, error: CallError) -> None:
        """End the run where every further ticket would fail in the same way."""
        if error.kind in ("unreachable", "access", "not_found"):
            self.trouble = explain(error, self._lab.settings.backend).replace("run this cell again", "run the pile again")
            self.stop()

    def _put(self, ticket_id: str, *, finished: bool = False, **changed: object) -> None:
        with self._lock:
            place = 1 + sum(row.place is not None for row in self._rows.values()) if finished else None
            self._rows[ticket_id] = replace(self._rows[ticket_id], place=place, **changed)  # type: ignore[arg-type]


def bulk_table(lab: "Lab", tickets: Sequence[Ticket], policy: Policy, *, concurrency: int = 8, interactive: bool = True) -> BulkTable:
    """Show the bulk table: buttons to run and stop a pile of tickets with live rows and bars, or one run as text.

    As text it runs at once; live, that costs money. Raises ValueError without tickets, for two of the same id, a `concurrency` outside 1 to 64, or
    a policy that needs a learned model.
    """
    if not tickets:
        raise ValueError("the bulk table needs at least one ticket")
    if len({ticket.id for ticket in tickets}) < len(tickets):
        raise ValueError("two of the tickets have the same id; every ticket needs its own row")
    if not 1 <= concurrency <= MOST:
        raise ValueError(f"concurrency must be from 1 to {MOST}, got {concurrency}")
    table = BulkTable(lab, tickets, policy, concurrency, interactive=interactive)
    table.show()
    return table
