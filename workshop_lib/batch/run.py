"""One batch run: waves of jobs until every walk has ended.

Every pass walks all unfinished tickets with the replies of the waves so far. A walk that ends is written to the output; one that comes to a
call that no wave has made puts that call into the next wave. So gates, rules for trouble and traces are those of a live walk. What was asked
of which job is on disk before it is asked, and a job's output is on this machine before it is used.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal

from workshop_lib import catalog
from workshop_lib.batch import records
from workshop_lib.batch.next_wave import NextWave
from workshop_lib.batch.parts import Limits, Splitter
from workshop_lib.batch.records import Form
from workshop_lib.batch.replay import Answers, Onward, Replay, Unanswered
from workshop_lib.batch.service import ENDED, Service
from workshop_lib.batch.state import Part, State, StateFile
from workshop_lib.batch.telling import Told, told
from workshop_lib.bulk.bitmap import Ids, key_of
from workshop_lib.bulk.journal import Journal
from workshop_lib.bulk.outage import Outage
from workshop_lib.bulk.runner import run as run_many
from workshop_lib.bulk.sources import Entry, Rejected, read, refused
from workshop_lib.bulk.work import Outcome, Piece, broken, rejected
from workshop_lib.cascade import Policy, walk
from workshop_lib.errors import DataError, WorkshopError
from workshop_lib.llm import Ask
from workshop_lib.tasks import Ticket

End = Literal["finished", "submitted", "lacking", "max_usd"]
"""Why a run ended: all is done; jobs are under way; jobs ended without some of their records; the next wave may cost more than is allowed."""
_AT_ONCE = 8
_SLOWER = 1.5
_ROUNDING = 1 + 1e-9  # the same sum comes out otherwise in another order


@dataclass(frozen=True)
class Wanted:
    """What is to be run; `resubmit` asks records again whose jobs ended without them, `first_poll_s` grows by half up to `poll_s`."""

    source: Path
    policy: Policy
    form: Form = "invoke"
    limits: Limits = field(default_factory=Limits)
    hours: int = 24
    max_usd: float | None = None
    wait: bool = True
    resubmit: bool = False
    first_poll_s: float = 5.0
    poll_s: float = 60.0


class Batch:
    """A run over one output; `folder` holds its files, `source` labels replies. `run` may be called again in a later process."""

    def __init__(
        self, wanted: Wanted, journal: Journal, folder: Path, state: State, service: Service, live: Ask, source: str,
        *, say: Callable[[str], None] = lambda _line: None, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.state = state
        self._wanted = wanted
        self._journal = journal
        self._folder = folder
        self._file = StateFile(folder)
        self._service = service
        self._live = live
        self._task = records.task(wanted.form)
        self._source = source
        self._say = say
        self._sleep = sleep
        self._doubtful = {part.name for part in state.parts if part.arn is None}  # of an earlier run, which may have made their jobs
        self._again: set[str] = set()  # parts made by this run of records that were asked before: once in a run is enough
        self._left: NextWave | None = None

    @property
    def begun(self) -> tuple[float, bool]:
        """Return what is spent on tickets that are not finished, in USD, and whether that is all of it: not while jobs are under way or lack records."""
        if self._left is None:
            return 0.0, all(part.read for part in self.state.parts) and not self.lacking
        return self._left.spent, self._left.spent_complete and not self.lacking

    @property
    def refused_usd(self) -> float:
        """Return what the wave that was not begun might have brought the whole output to, in USD."""
        return self._journal.totals.usd + self._left.spent + self._left.most if self._left is not None else 0.0

    @property
    def lacking(self) -> list[Part]:
        """Return the parts whose jobs ended without some of their records, which nobody has asked again."""
        return [part for part in self.state.parts if part.lacking and not part.replaced]

    def run(self) -> End:
        """Go on until all is done or there is a reason to stop; raise WorkshopError, one line, for what goes wrong on the way."""
        for part in self.state.parts:
            for name in (f"{part.name}.jsonl", f"{part.name}.jsonl.out")[: 1 + part.read]:
                if not (self._folder / name).is_file():
                    raise DataError(f"{self._folder / name}, which belongs to this run, is gone. Restore it, or begin anew with --restart.")
        while True:
            self._file.save(self.state)
            if not self._settled():
                return "submitted"
            if self.lacking:
                if not self._wanted.resubmit or any(part.name in self._again for part in self.lacking):
                    return "lacking"
                if self._owes_too_much():
                    return "max_usd"
                self._ask_again()
                continue
            if self._waiting():
                if self._owes_too_much():
                    return "max_usd"
                self._answer_on_demand()
            found = self._pass()
            if not found.parts and not found.few:
                return "finished"
            if self._too_much(found):
                return "max_usd"
            if found.few:
                self._say(f"{len(found.few)} records are fewer than a job may have ({self._wanted.limits.fewest}), or too large for a file of so many: they are asked on demand, at the list price.")
            self.state.on_demand += found.few
            self.state.parts += found.parts
            self.state.waves += bool(found.parts)

    def _too_much(self, found: NextWave) -> bool:
        """Say whether what is to be asked next may bring the output to more than is allowed, and keep it if so."""
        limit = self._wanted.max_usd
        if limit is None or self._journal.totals.usd + found.spent + found.most <= limit * _ROUNDING:
            return False
        self._left = found
        return True

    def _owes_too_much(self) -> bool:
        """Say the same of what was in a wave before and is asked again, or was never asked: the limit may be another now, and what was lost is paid again."""
        return self._wanted.max_usd is not None and self._too_much(self._owed())

    def _waiting(self) -> set[int]:
        """Return the entries that are to be asked on demand and are not finished."""
        return {number for number in self.state.on_demand if number not in self._journal.finished}

    def _owed(self) -> NextWave:
        """Return what is to be asked again, or waits to be asked on demand; the first by a job if there are enough of them, without those of the waves after."""
        found, waiting = NextWave(), self._waiting()
        again: dict[int, str] = {}
        for part in self.lacking:
            again.update(dict.fromkeys(self._unanswered(part), part.name))
            if (part.lacking or 0) >= self._wanted.limits.fewest:
                found.parts.append(part)
        answers, waves = self._answers(), [self.state.wave(number) for number in range(self.state.waves)]
        for entry, ticket in self._unfinished():
            known = answers.of(entry.number, waves)
            found.spend(known)
            if entry.number in again or entry.number in waiting:
                try:
                    walk(self._task, ticket, self._wanted.policy, Replay(known))
                except Unanswered as asked:
                    found.ask(again.get(entry.number, ""), asked, self._from(catalog.model(asked.model)))
        return found

    def _pass(self) -> NextWave:
        """Write what is finished, and return what is to be asked next."""
        found, splitter = NextWave(), Splitter(self._folder, self.state.waves, self._wanted.limits)
        answers, waves = self._answers(), [self.state.wave(number) for number in range(self.state.waves)]
        for entry, ticket in self._unfinished():
            known = answers.of(entry.number, waves)
            if len(known) < len(waves):
                raise DataError(f"{entry.where} has no output in wave {len(known) + 1}. Were files of {self._folder} taken away? Begin anew with --restart.")
            try:
                self._keep(entry.number, key_of(ticket.id), told(ticket, walk(self._task, ticket, self._wanted.policy, Replay(known))))
            except Unanswered as asked:
                model = catalog.model(asked.model)
                part = splitter.add(entry.number, model.key, records.record(entry.number, model, asked.request, self._wanted.form))
                found.spend(known)
                found.ask(part, asked, self._from(model))
        found.parts, found.few = splitter.close()
        return found

    def _from(self, model: catalog.Model) -> Sequence[catalog.Model]:
        """Return the models that a walk may ask from a model on."""
        tiers = [catalog.model(tier) for tier in self._wanted.policy.tiers]
        return tiers[tiers.index(model) :] if model in tiers else [model, *tiers]

    def _unfinished(self) -> Iterator[tuple[Entry, Ticket]]:
        """Yield the tickets that are not done yet; write what is none."""
        seen = Ids()
        for entry in read(self._wanted.source):
            reason = refused(entry, seen)
            if entry.number in self._journal.finished:
                continue
            if isinstance(entry.ticket, Ticket) and reason is None:
                yield entry, entry.ticket
                continue
            wrong = entry.ticket if isinstance(entry.ticket, Rejected) else Rejected(entry.ticket.id, str(reason))
            self._journal.add(entry.number, rejected(entry, wrong).rows, 0.0, failed=True)

    def _keep(self, number: int, key: bytes, done: Told | Outcome) -> None:
        self._journal.add(number, done.rows, done.usd, key=key, failed=done.failed, escalated=done.escalated, cost_complete=done.cost_complete)

    def _answers(self) -> Answers:
        return Answers(self._folder, self._wanted.form, self._source)

    def _settled(self) -> bool:
        """Bring every job to its end and its output here; False if that takes time and nobody is to wait."""
        pause = self._wanted.first_poll_s
        while True:
            for part in self.state.parts:
                if part.arn is None:
                    self._submit(part)
                if part.arn is not None and not part.read:
                    self._look(part, part.arn)
            if all(part.read for part in self.state.parts):
                return True
            if not self._wanted.wait:
                return False
            self._sleep(pause)
            pause = min(pause * _SLOWER, self._wanted.poll_s)

    def _submit(self, part: Part) -> None:
        """Make a part's job, unless an earlier run did; the service may not take it yet."""
        name, key = self.state.job(part), f"{self.state.run}/in/{part.name}.jsonl"
        if part.name in self._doubtful:
            part.arn = self._service.find(name)
        if part.arn is None:
            self._service.upload(self._folder / f"{part.name}.jsonl", key)
            part.arn = self._service.create(
                catalog.model(part.model), key, self._out, name=name, token=self.state.token(part), hours=self._wanted.hours,
                invocation=records.INVOCATION[self._wanted.form],
            )  # fmt: skip
        if part.arn is not None:
            self._file.save(self.state)
            self._say(f"{part.name}: {part.records} records to {part.model}, job {part.arn}")

    def _look(self, part: Part, arn: str) -> None:
        """See how a part's job stands, and fetch its output once it has ended."""
        standing = self._service.standing(arn)
        if standing.status != part.status:
            part.status, part.message = standing.status, standing.message
            self._say(f"{part.name}: {part.status}{f' ({part.message})' if part.message else ''}")
        if part.status not in ENDED:
            return
        file = self._folder / f"{part.name}.jsonl.out"
        part.counts = self._service.fetch(arn, self._out, file)
        found = part.records - len(self._unanswered(part))
        processed = part.counts.get("processedRecordCount", found)
        if found < min(processed, part.records) and not self._wanted.resubmit:
            raise WorkshopError(
                f"The job {arn} counts {processed} records in its manifest, but {found} of those that were asked are in its outputs, the others not there or damaged. "
                "Run the same command again later, or with --resubmit to ask the others again, which may be charged twice."
            )
        part.lacking = part.records - found
        self._file.save(self.state)

    def _unanswered(self, part: Part) -> set[int]:
        """Return the entries that were asked in a part and of which its output tells nothing that can be read."""
        with (self._folder / f"{part.name}.jsonl").open("rb") as asked, (self._folder / f"{part.name}.jsonl.out").open("rb") as lines:
            return records.numbers(asked) - records.numbers(lines)

    @property
    def _out(self) -> str:
        return f"{self.state.run}/out/"

    def _ask_again(self) -> None:
        """Put the records that jobs ended without into new parts of the same wave; those that are too few are asked on demand."""
        for part in self.lacking:
            again = sum(one.replaced for one in self.state.parts) + 1
            splitter = Splitter(self._folder, part.wave, self._wanted.limits, f"r{again}")
            unanswered = self._unanswered(part)
            with (self._folder / f"{part.name}.jsonl").open("rb") as lines:
                for line in lines:
                    if (number := records.number_of(line)) in unanswered:
                        splitter.add(number, part.model, line)
            parts, few = splitter.close()
            part.replaced = True
            if _may_be_charged(part):
                self._journal.spent(0.0, cost_complete=False)
            self._again.update(one.name for one in parts)
            self.state.parts += parts
            self.state.on_demand += few

    def _answer_on_demand(self) -> None:
        """Ask what was too little for a job by ordinary calls, at the list price; every ticket is kept as it ends."""
        numbers = self._waiting()
        answers, waves = self._answers(), [self.state.wave(number) for number in range(self.state.waves)]

        spent: dict[int, float] = {}

        def work(item: tuple[Entry, Ticket]) -> Outcome:
            entry, ticket = item
            ask = Onward(known[entry.number], self._live)
            done = told(ticket, walk(self._task, ticket, self._wanted.policy, ask))
            spent[entry.number] = ask.usd
            return Outcome(done.rows, done.usd, done.cost_complete, done.failed, done.escalated, met=tuple(ask.met))

        chosen = [(entry, ticket) for entry, ticket in self._unfinished() if entry.number in numbers]
        known = {entry.number: answers.of(entry.number, waves) for entry, _ in chosen}
        outage = Outage(served_before=self._journal.totals.tickets > self._journal.totals.failed)
        for done in run_many(takewhile(lambda _: outage.certain is None, chosen), work, concurrency=_AT_ONCE):
            entry, ticket = done.item
            for piece, outcome in outage.after(Piece(entry, key_of(ticket.id)), done.result or broken(ticket.id, done.error)):
                self._keep(piece.entry.number, piece.key, outcome)
        for piece, outcome in outage.at_the_end():
            self._keep(piece.entry.number, piece.key, outcome)
        if outage.certain is not None:
            for piece, outcome in outage.held():
                self._journal.spent(spent[piece.entry.number], cost_complete=outcome.cost_complete)
            raise WorkshopError(f"{outage.certain.detail.rstrip('.')}. The tickets that met it are left for later: run the same command again, it goes on where it stopped.")


def _may_be_charged(part: Part) -> bool:
    """Say whether records that a job ended without may have been charged: where they went is not known, or the manifest counts more than there are."""
    processed = part.counts.get("processedRecordCount", 0 if part.status == "Expired" else part.records)  # a job expires that has not begun
    return part.status in ("Completed", "Failed") or processed > part.records - (part.lacking or 0)
