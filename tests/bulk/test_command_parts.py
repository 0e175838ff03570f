"""What the command is made of: what a run is, what it may cost, how far it is, and what it came to."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from workshop_lib.bulk import estimate as estimates
from workshop_lib.bulk import identity as identities
from workshop_lib.bulk.estimate import estimate
from workshop_lib.bulk.identity import identity, input_digest, prompt_digest
from workshop_lib.bulk.job import Job
from workshop_lib.bulk.journal import Totals, open_journal
from workshop_lib.bulk.paced import Counts
from workshop_lib.bulk.pacing import Limit
from workshop_lib.bulk.progress import Bar, Lines, Progress
from workshop_lib.bulk.sources import check, entries, sample
from workshop_lib.bulk.station import Pace, models_of
from workshop_lib.bulk.summary import Summary, summary
from workshop_lib.bulk.work import Outcome, threads
from workshop_lib.cascade import JudgeGate, documented, published
from workshop_lib.errors import DataError
from workshop_lib.settings import load
from workshop_lib.tasks import TRIAGE, Ticket

SUMMARY = Summary("out", "finished", 4, 1, 2, 0.5, True, ("sandbox",), "documented", "abc", 1, 2.0, {"nano": 4}, {"nano": 1}, 0)


def _file(path: Path, count: int, body: str = "b") -> Path:
    path.write_text("".join(json.dumps({"id": f"T-{number}", "subject": "s", "body": body}) + "\n" for number in range(count)))
    return path


def test_a_run_is_told_by_everything_that_decides_its_rows(tmp_path: Path) -> None:
    """Without it rows of two policies, guardrails or backends could stand in one output."""
    source = _file(tmp_path / "in.ndjson", 3)
    first = identity(source, documented(), load())
    assert first == identity(source, documented(), load())
    assert first["models"] == "nano=nvidia.nemotron-nano-3-30b sonnet=us.anthropic.claude-sonnet-4-6"
    for name, other in {
        "policy": identity(source, published(), load()),
        "models": identity(source, documented(("nano", "opus")), load()),
        "guardrail": identity(source, documented(), load(guardrail_id="g", guardrail_version="1")),
        "backend": identity(source, documented(), load(backend="live")),
        "input": identity(_file(tmp_path / "other.ndjson", 4), documented(), load()),
    }.items():
        assert other[name] != first[name]


def test_a_changed_prompt_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a run could go on with another prompt than it began with."""
    before = prompt_digest()
    monkeypatch.setattr(identities, "TRIAGE", replace(TRIAGE, request=lambda ticket: replace(TRIAGE.request(ticket), system="Other.")))
    assert prompt_digest() != before


def test_a_copied_input_is_the_same_and_a_changed_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a run could not go on on another machine, or would go on with other tickets."""
    source, copy = _file(tmp_path / "in.ndjson", 3000), tmp_path / "copy.ndjson"
    copy.write_bytes(source.read_bytes())
    assert input_digest(source) == input_digest(copy)
    monkeypatch.setattr(identities, "_WHOLE", 100)  # as if the file were too large to be read whole
    monkeypatch.setattr(identities, "_PART", 64)
    sampled = input_digest(source)
    assert sampled == input_digest(copy)
    content = bytearray(source.read_bytes())
    content[-3] ^= 1
    copy.write_bytes(content)
    assert input_digest(copy) != sampled


def test_an_input_that_is_missing_is_one_line(tmp_path: Path) -> None:
    """Without it a wrong name would be a traceback."""
    with pytest.raises(DataError, match="cannot be read"):
        input_digest(tmp_path / "none")


@pytest.mark.parametrize("count", [3, 5000])
def test_an_estimate_counts_and_spans_what_it_may_cost(tmp_path: Path, count: int) -> None:
    """Without it somebody would pay for a file a hundred times larger than they thought."""
    found = estimate(_file(tmp_path / "in.ndjson", count, "word " * 100), documented())
    assert found.entries == pytest.approx(count, rel=0.02)
    assert 0 < found.least_usd < found.most_usd
    assert found.least_usd / count == pytest.approx(0.00008, rel=0.5)
    assert f"{found.entries:,} tickets" in found.line()


def test_an_estimate_of_a_file_without_tickets_costs_nothing(tmp_path: Path) -> None:
    """Without it a broken file would be a division by zero."""
    source = tmp_path / "in.ndjson"
    source.write_text("no\nticket\n")
    assert estimate(source, documented()) == estimates.Estimate(2, 0.0, 0.0)


def test_a_sample_counts_every_format(tmp_path: Path) -> None:
    """Without it the time left of a CSV or an array would be of another file."""
    tickets = [{"id": f"T-{number}", "subject": "s", "body": "b" * 50} for number in range(5000)]
    array, csv = tmp_path / "in.json", tmp_path / "in.csv"
    array.write_text(json.dumps(tickets))
    csv.write_text("id,subject,body\n" + "".join(f"{t['id']},{t['subject']},{t['body']}\n" for t in tickets))
    for path in (array, csv):
        found, count = sample(path, 2000)
        assert len(found) == 2000
        assert count == pytest.approx(5000, rel=0.5)
    assert sample(array, 10_000)[1] == 5000


def test_a_strict_check_names_the_first_and_counts_all(tmp_path: Path) -> None:
    """Without it --strict would not say where to look."""
    source = tmp_path / "in.ndjson"
    source.write_text('{"id": "A", "subject": "s", "body": "b"}\n{"id": "A", "subject": "s", "body": "b"}\nnot json\n')
    with pytest.raises(DataError, match=r"in.ndjson line 2: an earlier ticket has the same id; 2 of its entries"):
        check(source)
    check(_file(tmp_path / "good.ndjson", 3))


def test_processes_share_what_is_stated_for_all() -> None:
    """Without it two processes would make twice the calls that an account allows."""
    pace = Pace(10, {"nano": Limit(600, 3000), "sonnet": Limit(tpm=90)}, {"nano": 5}, 7)
    shares = [pace.share(3, number) for number in range(3)]
    assert [share.concurrency for share in shares] == [4, 3, 3]
    assert [share.max_calls for share in shares] == [3, 2, 2]
    assert [share.at_once["nano"] for share in shares] == [2, 2, 1]
    assert shares[0].limits == {"nano": Limit(200, 1000), "sonnet": Limit(None, 30)}
    assert Pace(2).share(2, 1).max_calls is None


def test_every_model_that_a_policy_asks_is_known() -> None:
    """Without it a judge's provider would be connected in the middle of a run, or its settings be found wrong there."""
    judged = documented().model_copy(update={"gates": (JudgeGate(model="opus"),)})
    assert models_of(judged) == ("nano", "sonnet", "opus")


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_progress_tells_rate_time_left_escalation_cost_and_throttles() -> None:
    """Without it nobody would know whether a run takes an hour or a week, or what it has cost."""
    clock, totals, file = Clock(), Totals(), io.StringIO()
    told = Progress(totals, 1000, lambda: {"nano": Counts(120, 7), "sonnet": Counts(3, 1)}, Lines(1000, file), 10.0, clock)
    for _ in range(100):
        totals.add(0.001, failed=False, escalated=False, cost_complete=True)
        clock.now += 0.0999
        told.ticket()
    assert file.getvalue() == "", "not before its time"
    totals.add(0.1, failed=True, escalated=True, cost_complete=False)
    clock.now = 10.1
    told.ticket()
    assert file.getvalue() == "101 of about 1000 tickets: 10.0/s, 1:30 left, 1.0% escalated, at least 0.2000 USD, 1 failed, 8 throttled\n"


def test_a_bar_shows_where_the_run_ended(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a finished run would look as if some tickets were missing, or the terminal stay without its cursor."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    totals = Totals()
    told = Progress(totals, 3, dict, Bar(3), 1000.0)
    for _ in range(3):
        totals.add(0.001, failed=False, escalated=False, cost_complete=True)
        told.ticket()
    told.close()
    said = capsys.readouterr().err
    assert "3/3" in said
    assert said.rstrip().endswith("\x1b[?25h")


def test_progress_counts_only_what_this_run_did() -> None:
    """Without it a run that goes on would promise the speed of what was finished before."""
    clock, totals, file = Clock(), Totals(tickets=5000), io.StringIO()
    told = Progress(totals, 5000, dict, Lines(5000, file), 10.0, clock)
    clock.now = 10.0
    told.ticket()
    assert "0.0/s, ? left" in file.getvalue()


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"failed": 0}, 0), ({}, 1), ({"end": "max_usd", "failed": 0}, 3), ({"end": "interrupted"}, 3)],
)
def test_the_exit_status_tells_how_a_run_ended(changes: dict[str, object], status: int) -> None:
    """Without it a script could not tell a run to go on with from one that is done."""
    assert replace(SUMMARY, **changes).exit_status == status  # type: ignore[arg-type]


def test_a_summary_is_one_line_and_json() -> None:
    """Without it a person or a script would have to count rows."""
    assert SUMMARY.line() == "4 tickets, 2 escalated, 1 failed, 0.500000 USD (sandbox) -> out"
    assert replace(SUMMARY, cost_complete=False).line().startswith("4 tickets, 2 escalated, 1 failed, at least 0.500000 USD")
    told = json.loads(SUMMARY.json())
    assert (told["succeeded"], told["escalation_rate"], told["tickets_per_second"], told["exit_status"]) == (3, 0.5, 1.5, 1)


def test_a_summary_is_of_the_output_and_says_what_this_run_added(tmp_path: Path) -> None:
    """Without it a run that goes on would report the tickets of the first one as its own speed."""
    journal = open_journal(tmp_path / "out", {"input": "i"})
    job = Job(journal, threads(lambda ticket: Outcome(rows=b"{}\n", usd=0.5, sources=frozenset({"sandbox"})), 2))
    before = replace(journal.totals)
    for _ in job.run(entries(Ticket(id=f"T-{n}", subject="s", body="b") for n in range(3))):
        pass
    found = summary(job, backend="live", policy="p", digest="d", before=before, seconds=1.0, counts={"nano": Counts(3, 1)}, guardrail_units=2)
    journal.close()
    assert (found.tickets, found.tickets_before, found.usd, found.sources) == (3, 0, 1.5, ("sandbox",))
    assert (found.calls, found.throttled, found.guardrail_units) == ({"nano": 3}, {"nano": 1}, 2)
