"""A bulk run: nothing lost, nothing twice, whatever ends it; and the same command goes on."""

import ast
import itertools
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
from workshop_lib.bulk.work import Outcome, Work, threads
from workshop_lib.cascade import documented
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.llm.errors import Kind
from workshop_lib.paths import ROOT
from workshop_lib.tasks import Ticket

USD = 0.001


def _tickets(n: int) -> list[Ticket]:
    return [Ticket(id=f"T-{number}", subject="s", body="b") for number in range(n)]


def _ask(model: str, request: Request, *, sure: float = 0.9) -> Reply:
    fields = {"category": "billing", "priority": "P3", "confidence": sure, "reasoning": "r", "needs_human": False}
    return Reply(model, "", fields, Usage(100, 20), Cost(USD), 5.0, "tool_use")


def _work(ask: Any = _ask) -> Work:
    return Work(documented(), ask)


def _run(out: Path, found: Iterable[Entry], work: Callable[[Ticket], Outcome] | None = None, **options: Any) -> Job:
    journal = open_journal(out, {"input": "i"})
    try:
        job = Job(journal, threads(work or _work(), 4), **options)
        for _ in job.run(found):
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

    def counted(ticket: Ticket) -> Outcome:
        calls.append(ticket.id)
        return _work()(ticket)

    assert _run(out, entries(_tickets(200)), counted).end == "finished"
    assert len(calls) == 200 - done, "nothing that was finished is paid again"
    assert Counter(row["ticket_id"] for row in _rows(out)) == Counter(f"T-{number}" for number in range(200))


def test_a_ticket_that_met_the_call_limit_is_left_for_the_next_run_and_its_cost_is_told(tmp_path: Path) -> None:
    """Without it a ticket that was not answered would stand in the output as failed, or money spent on it be forgotten."""
    out = tmp_path / "out.ndjson"

    def limited(model: str, request: Request) -> Reply:
        if int(request.tags["ticket"][2:]) >= 5 and model == "sonnet":
            raise CallLimitReached
        return _ask(model, request, sure=0.2)

    job = _run(out, entries(_tickets(6)), _work(limited))
    assert job.end == "max_calls"
    assert {row["ticket_id"] for row in _rows(out)} == {f"T-{number}" for number in range(5)}
    assert job.journal.totals.usd == pytest.approx(11 * USD)
    again = _run(out, entries(_tickets(6)))
    assert again.journal.totals.tickets == 6
    assert again.journal.totals.usd == pytest.approx(12 * USD), "what the first run spent in vain is remembered"


def test_stopping_from_outside_keeps_what_is_in_work(tmp_path: Path) -> None:
    """Without it Ctrl-C would throw away answers that were paid for."""
    out = tmp_path / "out.ndjson"
    journal = open_journal(out, {"input": "i"})
    asked: list[str] = []

    def work(ticket: Ticket) -> Outcome:
        asked.append(ticket.id)
        return _work()(ticket)

    job = Job(journal, threads(work, 4))
    for number, _ in enumerate(job.run(entries(_tickets(500)))):
        if number == 10:
            job.stop()
    journal.close()
    assert job.end == "interrupted"
    assert len(asked) < 500
    assert {row["ticket_id"] for row in _rows(out)} == set(asked)


def _down(kind: Kind, *, from_ticket: int = 0, model: str = "nano") -> Any:
    def ask(asked: str, request: Request) -> Reply:
        if asked == model and int(request.tags["ticket"][2:]) >= from_ticket:
            raise CallError(kind, asked, "refused.")
        return _ask(asked, request, sure=0.2 if model == "sonnet" else 0.9)

    return ask


@pytest.mark.parametrize("kind", ["access", "unreachable", "throttled"])
def test_a_service_that_is_down_ends_the_run_instead_of_failing_every_ticket(tmp_path: Path, kind: Kind) -> None:
    """Without it credentials that expire at night would turn the rest of a million tickets into error rows."""
    out = tmp_path / "out.ndjson"
    job = _run(out, entries(_tickets(200)), _work(_down(kind, from_ticket=50)))
    assert job.end == "outage"
    assert job.trouble is not None
    assert (job.trouble.tier, job.trouble.kind) == ("nano", kind)
    assert not any("error" in row for row in _rows(out))
    again = _run(out, entries(_tickets(200)))
    assert (again.end, again.journal.totals.tickets, again.journal.totals.failed) == ("finished", 200, 0)


def test_a_mistake_in_every_request_ends_the_run_and_writes_off_no_ticket(tmp_path: Path) -> None:
    """Without it a mistyped guardrail would make an error row of every ticket, and only a run begun anew would ask about them again."""
    out = tmp_path / "out.ndjson"
    job = _run(out, entries(_tickets(200)), _work(_down("validation")))
    assert (job.end, job.journal.totals.tickets) == ("outage", 0)
    again = _run(out, entries(_tickets(200)))
    assert (again.end, again.journal.totals.tickets, again.journal.totals.failed) == ("finished", 200, 0)


def test_tickets_that_are_refused_are_told_once_any_was_served(tmp_path: Path) -> None:
    """Without it a stretch of tickets that are too long would stop the run, or every run that goes on with them."""
    out = tmp_path / "out.ndjson"
    job = _run(out, entries(_tickets(60)), _work(_down("validation", from_ticket=20)))
    assert (job.end, job.journal.totals.tickets, job.journal.totals.failed) == ("finished", 60, 40)
    more = _run(out, entries(_tickets(90)), _work(_down("validation")))
    assert (more.end, more.journal.totals.tickets, more.journal.totals.failed) == ("finished", 90, 70)
    few = _run(tmp_path / "few.ndjson", entries(_tickets(3)), _work(_down("validation")))
    assert (few.end, few.journal.totals.failed) == ("finished", 3)


def test_a_strong_tier_that_is_refused_ends_the_run_too(tmp_path: Path) -> None:
    """Without it every escalated ticket would fail while the cheap tier's successes hide it."""
    job = _run(tmp_path / "out.ndjson", entries(_tickets(200)), _work(_down("access", model="sonnet")))
    assert (job.end, job.journal.totals.tickets) == ("outage", 0)
    assert job.trouble is not None
    assert job.trouble.tier == "sonnet"
    assert job.journal.totals.usd >= 12 * USD, "what the cheap tier cost is told"


def test_a_cheap_tier_that_is_down_does_not_send_the_pile_to_the_strong_one(tmp_path: Path) -> None:
    """Without it an outage of the cheap tier would become a bill of the strong one."""
    job = _run(tmp_path / "out.ndjson", entries(_tickets(200)), _work(_down("server")))
    assert job.end == "outage"
    assert job.journal.totals.tickets <= 12 + 3 * 4 + 1, "those in a row, in work, and finished but not yet looked at"


def test_one_ticket_that_the_service_refuses_is_one_error_row(tmp_path: Path) -> None:
    """Without it a ticket that a gateway's filter answers with 403 would stop the run again and again."""
    out = tmp_path / "out.ndjson"

    def ask(model: str, request: Request) -> Reply:
        if request.tags["ticket"] in ("T-3", "T-29"):
            raise CallError("access", model, "a filter refused the text.")
        return _ask(model, request)

    job = _run(out, entries(_tickets(30)), _work(ask))
    assert (job.end, job.journal.totals.tickets, job.journal.totals.failed) == ("finished", 30, 2)
    assert sorted(row["ticket_id"] for row in _rows(out) if "error" in row) == ["T-29", "T-3"]


def test_an_unforeseen_error_costs_its_ticket_only(tmp_path: Path) -> None:
    """Without it a bug met by one ticket would end a run of a million."""
    out = tmp_path / "out.ndjson"

    def work(ticket: Ticket) -> Outcome:
        return {"T-1": None}[ticket.id] or _work()(ticket) if ticket.id == "T-2" else _work()(ticket)

    job = _run(out, entries(_tickets(5)), work)
    assert (job.end, job.journal.totals.failed) == ("finished", 1)
    [row] = [row for row in _rows(out) if "error" in row]
    assert row == {"ticket_id": "T-2", "error": {"type": "KeyError", "message": "'T-2'"}}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.1, 0.5]), stops=st.lists(st.integers(0, 15), max_size=2))
def test_whatever_fails_and_whenever_it_is_stopped_the_union_is_the_input(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float, stops: list[int]
) -> None:
    """Without it some order of failures and stops could lose a ticket, or bring it twice."""
    out = tmp_path_factory.mktemp("union") / "out.ndjson"
    draw = random.Random(seed)
    asked: Counter[str] = Counter()

    def ask(model: str, request: Request) -> Reply:
        drawn = draw.random()
        asked[request.tags["ticket"]] += model == "nano"
        if drawn < share / 2:
            raise CallError("model", model, "failed")
        return _ask(model, request, sure=0.3 if drawn < share else 0.9)

    for stop in [*stops, None]:
        journal = open_journal(out, {"input": "i"})
        job = Job(journal, threads(_work(ask), 4))
        for number, _ in enumerate(job.run(entries(_tickets(16)))):
            if number == stop:
                job.stop()
        journal.close()
    rows = _rows(out)
    groups = [ticket_id for ticket_id, _ in itertools.groupby(row["ticket_id"] for row in rows)]
    assert sorted(groups) == sorted(f"T-{number}" for number in range(16)), "each ticket's rows stand together, once"
    assert set(asked.values()) == {1}, "nothing is paid twice, as every stop was orderly"
    assert job.journal.totals.tickets == 16


def test_nothing_of_a_run_reads_the_wall_clock() -> None:
    """Without it a clock that is set back, or jumps at the end of summer time, could stall a run or end it."""
    read = [
        f"{path.name}: {node.attr}"
        for path in [*(ROOT / "workshop_lib" / "bulk").rglob("*.py"), ROOT / "workshop_lib" / "llm" / "retry.py", ROOT / "workshop_lib" / "commands" / "bulk.py"]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"time", "now", "utcnow", "today", "time_ns"} and isinstance(node.value, ast.Name) and node.value.id in {"time", "datetime", "date"}
    ]
    assert read == []
