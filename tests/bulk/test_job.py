"""A bulk run: nothing lost, nothing twice, whatever ends it; and the same command goes on."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workshop_lib.bulk.job import Guards, Job
from workshop_lib.bulk.journal import open_journal
from workshop_lib.bulk.paced import CallLimitReached
from workshop_lib.bulk.sources import Entry, Rejected, entries
from workshop_lib.cascade import Trace, documented, walk
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

USD = 0.001


def _tickets(n: int) -> list[Ticket]:
    return [Ticket(id=f"T-{number}", subject="s", body="b") for number in range(n)]


def _ask(model: str, request: Request, *, sure: float = 0.9) -> Reply:
    fields = {"category": "billing", "priority": "P3", "confidence": sure, "reasoning": "r", "needs_human": False}
    return Reply(model, "", fields, Usage(100, 20), Cost(USD), 5.0, "tool_use")


def _triage(ticket: Ticket) -> Trace[RoutingDecision]:
    return walk(TRIAGE, ticket, documented(), _ask)


def _run(out: Path, found: Iterable[Entry], triage: Callable[[Ticket], Any] = _triage, **options: Any) -> Job:
    journal = open_journal(out, {"input": "i"})
    try:
        job = Job(journal, triage, **options)
        for _ in job.run(found, concurrency=4):
            pass
        return job
    finally:
        journal.close()


def _rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in out.read_text().splitlines()]


def test_every_ticket_has_its_rows_and_the_totals_count_them(tmp_path: Path) -> None:
    """Without it a ticket could be lost on the way, or the bill be wrong."""
    out = tmp_path / "out.ndjson"
    job = _run(out, entries(_tickets(50)))
    assert Counter(row["ticket_id"] for row in _rows(out)) == Counter(f"T-{number}" for number in range(50))
    assert (job.end, job.journal.totals.tickets, job.journal.totals.failed) == ("finished", 50, 0)
    assert job.journal.totals.usd == pytest.approx(50 * USD)


def test_bad_entries_and_second_ids_are_rows_and_cost_nothing(tmp_path: Path) -> None:
    """Without it one bad line would cost the batch, or one ticket be paid twice."""
    out = tmp_path / "out.ndjson"
    first, second = _tickets(2)
    found = [
        Entry(0, "line 1", first),
        Entry(1, "line 2", Rejected("T-9", "not UTF-8")),
        Entry(2, "line 3", Ticket(id=first.id, subject="again", body="b")),
        Entry(3, "line 4", second),
    ]
    job = _run(out, found)
    errors = {row["line"]: row["error"] for row in _rows(out) if "error" in row}
    assert errors[2] == {"type": "invalid_input", "message": "line 2: not UTF-8"}
    assert errors[3]["message"] == "line 3: an earlier ticket has the same id"
    assert (job.journal.totals.tickets, job.journal.totals.failed) == (4, 2)
    assert job.journal.totals.usd == pytest.approx(2 * USD)
    assert len(_rows(_run(out, found).journal.out)) == 4, "gone on with, everything is finished"


@pytest.mark.parametrize(("guards", "end"), [(Guards(max_usd=10 * USD), "max_usd"), (Guards(deadline_s=0.0), "deadline")])
def test_a_guard_ends_a_run_that_can_be_gone_on_with(tmp_path: Path, guards: Guards, end: str) -> None:
    """Without it a run could spend more than it may, or lose what it had paid for."""
    out = tmp_path / "out.ndjson"
    job = _run(out, entries(_tickets(200)), guards=guards)
    assert job.end == end
    done = job.journal.totals.tickets
    assert done < 60
    calls: list[str] = []

    def counted(ticket: Ticket) -> Trace[RoutingDecision]:
        calls.append(ticket.id)
        return _triage(ticket)

    assert _run(out, entries(_tickets(200)), counted).end == "finished"
    assert len(calls) == 200 - done, "nothing that was finished is paid again"
    assert Counter(row["ticket_id"] for row in _rows(out)) == Counter(f"T-{number}" for number in range(200))


def test_a_ticket_that_met_the_call_limit_is_left_for_the_next_run(tmp_path: Path) -> None:
    """Without it a ticket that was never sent would stand in the output as failed."""
    out = tmp_path / "out.ndjson"

    def limited(ticket: Ticket) -> Trace[RoutingDecision]:
        if int(ticket.id[2:]) >= 5:
            raise CallLimitReached
        return _triage(ticket)

    assert _run(out, entries(_tickets(20)), limited).end == "max_calls"
    assert {row["ticket_id"] for row in _rows(out)} == {f"T-{number}" for number in range(5)}
    assert _run(out, entries(_tickets(20))).journal.totals.tickets == 20


def test_stopping_from_outside_keeps_what_is_in_work(tmp_path: Path) -> None:
    """Without it Ctrl-C would throw away answers that were paid for."""
    out = tmp_path / "out.ndjson"
    journal = open_journal(out, {"input": "i"})
    asked: list[str] = []

    def triage(ticket: Ticket) -> Trace[RoutingDecision]:
        asked.append(ticket.id)
        return _triage(ticket)

    job = Job(journal, triage)
    for number, _ in enumerate(job.run(entries(_tickets(500)), concurrency=4)):
        if number == 10:
            job.stop()
    journal.close()
    assert job.end == "interrupted"
    assert len(asked) < 500
    assert {row["ticket_id"] for row in _rows(out)} == set(asked)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1), stops=st.lists(st.integers(0, 40), max_size=3))
def test_whatever_fails_and_whenever_it_is_stopped_the_union_is_the_input(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float, stops: list[int]
) -> None:
    """Without it some order of failures and stops could lose a ticket, or bring it twice."""
    out = tmp_path_factory.mktemp("union") / "out.ndjson"
    draw = random.Random(seed)

    def ask(model: str, request: Request) -> Reply:
        drawn = draw.random()
        if drawn < share / 2:
            raise CallError("server", model, "failed")
        return _ask(model, request, sure=0.3 if drawn < share else 0.9)

    def triage(ticket: Ticket) -> Trace[RoutingDecision]:
        return walk(TRIAGE, ticket, documented(), ask)

    for stop in [*stops, None]:
        journal = open_journal(out, {"input": "i"})
        job = Job(journal, triage)
        for number, _ in enumerate(job.run(entries(_tickets(40)), concurrency=4)):
            if number == stop:
                job.stop()
        journal.close()
    final = [row["ticket_id"] for row in _rows(out) if row.get("model", "nano") == "nano" and not ("error" in row and _answered(out, row["ticket_id"]))]
    assert Counter(final) == Counter(f"T-{number}" for number in range(40))


def _answered(out: Path, ticket_id: str) -> bool:
    return any(row["ticket_id"] == ticket_id and row.get("model") == "nano" for row in _rows(out))
