"""A batch run, killed at every step and in every way that a service lets one down."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_bench import Bench, Bucket, Desk, Killed, sandbox_over, tickets

from workshop_lib import catalog
from workshop_lib.batch.estimate import bound
from workshop_lib.batch.parts import Limits
from workshop_lib.batch.records import Form, number_of, reply, task
from workshop_lib.batch.run import Wanted
from workshop_lib.batch.service import Standing
from workshop_lib.bulk.ndjson import triage
from workshop_lib.cascade import documented
from workshop_lib.errors import DataError, WorkshopError
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage, connect
from workshop_lib.llm.errors import Kind
from workshop_lib.sandbox.batch import running
from workshop_lib.sandbox.faults import Fault
from workshop_lib.settings import load
from workshop_lib.tasks import Ticket

SMALL = Limits(records=6, fewest=2)
FEW = 16


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Give a service in memory."""
    bucket = Bucket()
    return Bench(sandbox_over(monkeypatch, bucket), bucket)


def wanted(folder: Path, count: int = FEW, **more: Any) -> Wanted:
    """Return a run over so many tickets, six to a job."""
    return Wanted(tickets(folder / "in.ndjson", count), documented(), **{"limits": SMALL, **more})


def answered(bench: Bench) -> int:
    """Return how many records were answered and are to be paid."""
    total = bench.here.batch_ledger.summary()["total"]
    assert isinstance(total, dict)
    return int(total["ok"])


def test_two_waves_bring_every_ticket_to_its_end(bench: Bench, tmp_path: Path) -> None:
    """Without it the cascade by batch would lose tickets, or ask the strong tier about all of them."""
    desk = Desk(tmp_path, bench, wanted(tmp_path, 200, limits=Limits(records=80, fewest=10)))
    assert desk.run() == "finished"
    rows = desk.rows()
    first, second = ([row for row in rows if row["model"] == name] for name in ("nano", "claude"))
    assert sorted(row["ticket_id"] for row in first) == sorted(f"N-{number}" for number in range(200))
    assert {row["ticket_id"] for row in second} == {row["ticket_id"] for row in first if row["escalated"]}
    assert 0 < len(second) < 200
    assert all(row["latencyMs"] is None for row in rows)
    assert answered(bench) == 200 + len(second)
    parts = desk.batch.state.parts  # type: ignore[union-attr]
    assert [part.records for part in parts if part.model == "nano"] == [80, 80, 40]
    assert sum(part.records for part in parts if part.model == "sonnet") == len(second)
    nano, sonnet = (sum(row["cost"] for row in part) for part in (first, second))
    models = bench.here.batch_ledger.summary()["models"]
    assert isinstance(models, dict)
    assert nano == pytest.approx(models[catalog.model("nano").id]["usd"])  # the sandbox counts at the batch price too
    assert sonnet == pytest.approx(models[catalog.model("sonnet").id]["usd"])
    assert (desk.totals.usd, desk.totals.cost_complete) == (pytest.approx(nano + sonnet), True)


@pytest.mark.usefixtures("sandbox")
def test_a_batch_decides_as_the_live_cascade_does(bench: Bench, tmp_path: Path) -> None:
    """Without it the form of a record could ask something else than a call, and the measured policy would not hold for batches."""
    run = wanted(tmp_path, 40, limits=Limits(fewest=2))
    desk = Desk(tmp_path, bench, run)
    desk.run()
    by_ticket = [Ticket.model_validate_json(line) for line in run.source.read_text().splitlines()]
    live = [row for rows in triage(by_ticket, documented(), connect(load())) for row in rows]
    known = {(row["ticket_id"], row["model"]): row for row in live}
    ours = {(row["ticket_id"], row["model"]): row for row in desk.rows()}
    # Which replies are not valid (Nano answers in prose now and then) is drawn from the body of a request, and Nano's own body is another than Converse's.
    valid = [key for key in known.keys() & ours.keys() if known[key]["decision"] and ours[key]["decision"]]
    assert len(valid) >= 0.85 * len(known)
    assert {model for _, model in valid} == {"nano", "claude"}
    for key in valid:
        assert known[key]["decision"] == ours[key]["decision"]
        assert known[key].get("escalated") == ours[key].get("escalated")


def killed_at(step: int, folder: Path, monkeypatch: pytest.MonkeyPatch, form: Form) -> tuple[Desk, Bench]:
    """Return a run that was killed at one step of the service and then gone on with to its end."""
    bucket = Bucket()
    folder.mkdir()
    other = Bench(sandbox_over(monkeypatch, bucket), bucket)
    other.dies_at = step
    desk = Desk(folder, other, wanted(folder, form=form))
    with pytest.raises(Killed):
        desk.run()
    assert desk.run() == "finished"
    return desk, other


def check_killed(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form, every: int) -> None:
    """Fail if a run that is killed at any `every`-th step differs from one that is not."""
    (tmp_path / "whole").mkdir()
    whole = Desk(tmp_path / "whole", bench, wanted(tmp_path / "whole", form=form))
    assert whole.run() == "finished"
    assert bench.steps > 20
    assert len(bench.made) > 3
    for step in range(1, bench.steps + 1, every):
        desk, other = killed_at(step, tmp_path / str(step), monkeypatch, form)
        assert desk.sorted_rows() == whole.sorted_rows()
        assert answered(other) == answered(bench)
        assert len(list(other.here.batch.jobs)) == len(set(other.made)) == len(bench.made)
        assert desk.totals.cost_complete


@pytest.mark.slow
@pytest.mark.parametrize("form", ["invoke", "converse"])
def test_killed_at_any_step_it_finishes_with_nothing_lost_or_paid_twice(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form) -> None:
    """Without it a machine that goes away at the wrong moment would cost tickets, or their jobs a second time."""
    check_killed(bench, tmp_path, monkeypatch, form, every=1)


def test_killed_at_some_steps_it_finishes_with_nothing_lost_or_paid_twice(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the quick tests would not see that going on is broken."""
    check_killed(bench, tmp_path, monkeypatch, "invoke", every=15)


def test_leaving_and_coming_back_goes_on(bench: Bench, tmp_path: Path) -> None:
    """Without it `--no-wait` would wait, or the same command begin anew."""
    run = wanted(tmp_path, wait=False)
    desk = Desk(tmp_path, bench, run)
    bench.full = True  # the first job is not taken at once
    assert desk.run() == "submitted"
    assert desk.waited == []
    assert desk.run(replace(run, wait=True)) == "finished"
    assert answered(bench) == len(desk.rows())


def test_a_full_queue_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    """Without it the quota of jobs under way would end the run."""
    bench.full = True
    desk = Desk(tmp_path, bench, wanted(tmp_path, first_poll_s=3, poll_s=4))
    assert desk.run() == "finished"
    assert desk.waited[0] == 3


def test_errors_of_records_escalate_or_are_told(bench: Bench, tmp_path: Path) -> None:
    """Without it a record that failed would vanish, or end the batch."""
    run = wanted(tmp_path)
    first = Ticket.model_validate_json(run.source.read_text().splitlines()[0])
    bench.here.faults.add(Fault(model="nano", poison=f"id: {first.id}\n"))
    bench.here.faults.add(Fault(model="sonnet", error_rate=1.0, kind="server"))
    desk = Desk(tmp_path, bench, run)
    assert desk.run() == "finished"
    rows = desk.rows()
    mine = [row for row in rows if row["ticket_id"] == first.id]
    assert [row.get("error", {}).get("type") for row in mine] == ["validation"]  # a request that is wrong is not asked of a dearer tier
    assert "batch record: 400" in mine[0]["error"]["message"]
    escalated = {row["ticket_id"] for row in rows if row.get("escalated")}
    assert escalated
    assert escalated <= {row["ticket_id"] for row in rows if "error" in row}
    assert len({row["ticket_id"] for row in rows}) == FEW
    assert (desk.totals.tickets, desk.totals.failed) == (FEW, len(escalated) + 1)


def test_a_job_that_ran_out_of_time_is_told_and_its_rest_asked_again(bench: Bench, tmp_path: Path) -> None:
    """Without it tickets without an output would be lost, or the whole job paid again."""
    run = wanted(tmp_path, limits=Limits(fewest=2))
    fifth = Ticket.model_validate_json(run.source.read_text().splitlines()[4])
    desk = Desk(tmp_path, bench, run)
    with _Stalls(bench, f"id: {fifth.id}\n"):
        assert desk.run() == "lacking"
    (part,) = desk.batch.lacking  # type: ignore[union-attr]
    assert (part.status, part.records, part.lacking) == ("PartiallyCompleted", FEW, FEW - 4)
    assert desk.run() == "lacking"  # what is said again costs nothing
    assert answered(bench) == 4
    assert desk.run(replace(run, resubmit=True)) == "finished"
    assert len({row["ticket_id"] for row in desk.rows()}) == FEW
    assert answered(bench) == len(desk.rows())


def test_a_job_that_fails_again_is_not_asked_a_third_time_by_the_same_command(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it `--resubmit` would make jobs for ever where each of them is refused, and never come back."""
    run = wanted(tmp_path)
    desk = Desk(tmp_path, bench, run)
    with monkeypatch.context() as refusing:
        refusing.setattr(running, "FEWEST", FEW + 1)  # every job is too small for the service
        assert desk.run() == "lacking"
        first = len(bench.made)
        assert desk.run(replace(run, resubmit=True)) == "lacking"
        assert len(bench.made) == 2 * first
        assert [part.status for part in desk.batch.lacking] == ["Failed"] * first  # type: ignore[union-attr]
    assert desk.run(replace(run, resubmit=True)) == "finished"
    assert len({row["ticket_id"] for row in desk.rows()}) == FEW


def _other_id(line: bytes) -> bytes:
    return json.dumps({**json.loads(line), "recordId": "00000000999"}).encode() + b"\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0][:50] + b"\n", *lines[1:]], lambda lines: [_other_id(lines[0]), *lines[1:]], lambda lines: [b'{"recordId": "CALL1"}\n', *lines[1:]],
        lambda lines: lines[1:], lambda lines: [lines[1], *lines[1:]], lambda lines: [b'{"recordId": "' + b"9" * 5000 + b'"}\n', *lines[1:]],
    ],
)  # fmt: skip
def test_outputs_that_lack_a_record_are_told_and_only_that_record_asked_again(bench: Bench, tmp_path: Path, damage: Any) -> None:
    """Without it one damaged, unknown or doubled line would end the run for good, though all else is paid, or look like an answer to the record it hides."""
    run = wanted(tmp_path, limits=Limits(fewest=2))
    live: list[str] = []
    desk = Desk(tmp_path, bench, run, lambda model, request: live.append(model) or Reply(model, "", None, Usage(1, 1), Cost(0.0), 1.0, "end_turn"))
    fetch = bench.fetch

    def damaged(arn: str, out: str, file: Path) -> dict[str, int]:
        counts = fetch(arn, out, file)
        if file.name.startswith("w1-nano"):
            file.write_bytes(b"".join(damage(file.read_bytes().splitlines(keepends=True))))
        return counts

    bench.fetch = damaged  # type: ignore[method-assign]
    with pytest.raises(WorkshopError, match=rf"counts {FEW} records in its manifest, but {FEW - 1} of .* or with --resubmit"):
        desk.run()
    assert desk.run(replace(run, resubmit=True)) == "finished"
    assert live[0] == "nano"
    assert "nano" not in live[1:]
    assert len({row["ticket_id"] for row in desk.rows()}) == FEW
    assert not desk.totals.cost_complete  # the record may have been charged, and is asked again


def test_lines_of_no_record_and_doubled_ones_beside_all_the_others_change_nothing(bench: Bench, tmp_path: Path) -> None:
    """Without it an empty line, or a record that came twice, once as an error, would end a run that has everything or turn an answer into an error."""
    (tmp_path / "whole").mkdir()
    whole = Desk(tmp_path / "whole", bench, wanted(tmp_path / "whole"))
    assert whole.run() == "finished"
    fetch = bench.fetch

    def more(arn: str, out: str, file: Path) -> dict[str, int]:
        counts = fetch(arn, out, file)
        first = json.loads(file.read_bytes().splitlines()[0])
        error = json.dumps({"recordId": first["recordId"], "error": {"errorCode": 500, "errorMessage": "x"}}).encode()
        file.write_bytes(b"\n" + file.read_bytes() + error + b"\n\n")
        return counts

    bench.fetch = more  # type: ignore[method-assign]
    desk = Desk(tmp_path, bench, wanted(tmp_path))
    assert desk.run() == "finished"
    assert desk.sorted_rows() == whole.sorted_rows()


def test_a_stopped_job_without_a_manifest_leaves_the_cost_open(bench: Bench, tmp_path: Path) -> None:
    """Without it records that were processed and lost with the manifest would be told as not charged."""
    run = wanted(tmp_path)
    desk = Desk(tmp_path, bench, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "standing", lambda arn: Standing("Stopped"))
        patch.setattr(bench, "fetch", lambda arn, out, file: (file.write_bytes(b""), {})[1])
        assert desk.run() == "lacking"
    assert desk.run(replace(run, resubmit=True)) == "finished"
    assert not desk.totals.cost_complete


class _Stalls:
    """While it lasts, a record with a certain text holds its job up."""

    def __init__(self, bench: Bench, text: str) -> None:
        self._faults = bench.here.faults
        self._text = text

    def __enter__(self) -> None:
        plan = self._faults.plan

        def stalled(model: Any, scope: Any, arrival: Any, text: str) -> Any:
            found = plan(model, scope, arrival, text)
            return replace(found, broken=("stall_in_body",)) if self._text in text else found

        self._faults.add(Fault(error_rate=0.0))
        self._faults.plan = stalled  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        del self._faults.plan  # type: ignore[method-assign]


def test_too_few_for_a_job_are_asked_on_demand(bench: Bench, tmp_path: Path) -> None:
    """Without it a small second wave would be refused for ever, or be filled up with records that somebody pays for."""
    asked: list[str] = []

    def live(model: str, request: Request) -> Reply:
        asked.append(model)
        fields = {"category": "other", "priority": "P3", "confidence": 0.99, "reasoning": "x", "needs_human": False, "ticket_id": "?"}
        return Reply(model, "", fields, Usage(10, 10), Cost(0.5), 12.0, "tool_use")

    desk = Desk(tmp_path, bench, wanted(tmp_path, limits=Limits(fewest=14)), live)
    assert desk.run() == "finished"
    strong = [row for row in desk.rows() if row["model"] == "claude"]
    assert asked == ["sonnet"] * len(strong)
    assert 0 < len(strong) < 14
    assert all((row["latencyMs"], row["cost"]) == (12.0, 0.5) for row in strong)
    assert any("fewer than a job may have (14)" in line for line in desk.said)
    assert len(desk.batch.state.on_demand) == len(strong)  # type: ignore[union-attr]


def test_an_on_demand_call_that_fails_is_an_error_row(bench: Bench, tmp_path: Path) -> None:
    """Without it one call that fails would end the run after the jobs were paid."""

    def live(model: str, request: Request) -> Reply:
        raise CallError("server", model, "down.")

    desk = Desk(tmp_path, bench, wanted(tmp_path, limits=Limits(fewest=14)), live)
    assert desk.run() == "finished"
    assert desk.totals.failed == len(desk.batch.state.on_demand)  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "tickets_of_it", "up_for"), [("unreachable", 40, 21), ("access", 40, 21), ("unreachable", 3, 0)])
def test_a_service_that_is_gone_costs_no_ticket(bench: Bench, tmp_path: Path, kind: Kind, tickets_of_it: int, up_for: int) -> None:
    """Without it every ticket asked on demand after the service went away would be written off as failed, and no later run would ask it again."""
    served: list[str] = []
    most = [up_for]

    def live(model: str, request: Request) -> Reply:
        if len(served) >= most[0]:
            raise CallError(kind, model, "nothing answers there.")
        served.append(model)
        fields = {"category": "other", "priority": "P3", "confidence": 0.1, "reasoning": "x", "needs_human": False, "ticket_id": "?"}
        return Reply(model, "", fields, Usage(1, 1), Cost(0.5), 1.0, "tool_use")

    desk = Desk(tmp_path, bench, wanted(tmp_path, tickets_of_it, limits=Limits(fewest=50)), live)
    with pytest.raises(WorkshopError, match=r"nothing answers there.*The tickets that met it are left for later: run the same command again"):
        desk.run()
    assert all("error" not in row for row in desk.rows())
    most[0] = 1000
    assert desk.run() == "finished"
    assert {row["ticket_id"] for row in desk.rows()} == {f"N-{number}" for number in range(tickets_of_it)}
    assert (desk.totals.tickets, desk.totals.failed) == (tickets_of_it, 0)
    assert desk.totals.usd == pytest.approx(0.5 * len(served))  # with what was paid for tickets that met it half way


def test_a_wave_that_may_cost_too_much_is_not_begun(bench: Bench, tmp_path: Path) -> None:
    """Without it `--max-usd` would be looked at only after the money is spent: a job cannot be stopped between two tickets."""
    run = wanted(tmp_path)
    desk = Desk(tmp_path, bench, replace(run, max_usd=0.0))
    assert desk.run() == "max_usd"
    assert answered(bench) == 0
    enough_for_nano = desk.batch.refused_usd  # type: ignore[union-attr]
    assert desk.run(replace(run, max_usd=enough_for_nano)) == "max_usd"
    assert answered(bench) == FEW
    limit = desk.batch.refused_usd  # type: ignore[union-attr]
    assert desk.run(replace(run, max_usd=limit)) == "finished"
    assert desk.totals.usd <= limit


def test_the_bound_of_what_is_asked_on_demand_is_at_the_list_price_with_what_may_follow(bench: Bench, tmp_path: Path) -> None:
    """Without it few tickets, which go by ordinary calls through both tiers, would be bounded as records of the first alone."""
    desk = Desk(tmp_path, bench, wanted(tmp_path, 6, limits=Limits(fewest=10), max_usd=0.0))
    assert desk.run() == "max_usd"
    requests = [task("invoke").request(Ticket.model_validate_json(line)) for line in (tmp_path / "in.ndjson").read_text().splitlines()]
    both = sum(bound(catalog.model(key), request, listed=True) for request in requests for key in ("nano", "sonnet"))
    assert desk.batch.refused_usd == pytest.approx(both)  # type: ignore[union-attr]


def lacking_one(bench: Bench, tmp_path: Path, live: Any = None) -> Desk:
    """Return a run of one job that ended without its last record, which no manifest counts."""
    desk = Desk(tmp_path, bench, wanted(tmp_path, limits=Limits(fewest=2)), live)
    fetch = bench.fetch

    def without(arn: str, out: str, file: Path) -> dict[str, int]:
        fetch(arn, out, file)
        lines = sorted(file.read_bytes().splitlines(keepends=True), key=number_of)
        file.write_bytes(b"".join(lines[:-1]))
        return {}

    bench.fetch = without  # type: ignore[method-assign]
    assert desk.run() == "lacking"
    bench.fetch = fetch  # type: ignore[method-assign]
    return desk


def replies_usd(bench: Bench, desk: Desk) -> float:
    """Return what the records cost that are on this machine."""
    parts = desk.batch.state.parts  # type: ignore[union-attr]
    found = (reply(line, catalog.model(part.model), "invoke", "x")[1] for part in parts for line in (desk._folder / f"{part.name}.jsonl.out").read_bytes().splitlines())
    return sum(one.cost.usd for one in found if isinstance(one, Reply))


def test_what_is_asked_again_on_demand_is_bounded_too(bench: Bench, tmp_path: Path) -> None:
    """Without it `--resubmit` would spend on ordinary calls whatever they come to, however little `--max-usd` allows."""
    asked: list[str] = []
    desk = lacking_one(bench, tmp_path, lambda model, request: asked.append(model) or Reply(model, "", None, Usage(1, 1), Cost(0.0), 1.0, "end_turn"))
    run = replace(desk.wanted, resubmit=True)
    spent = replies_usd(bench, desk)
    assert desk.run(replace(run, max_usd=spent)) == "max_usd"
    assert desk.run(replace(run, max_usd=0.0)) == "max_usd"
    assert (asked, len(bench.made), desk.batch.state.on_demand) == ([], 1, [])  # type: ignore[union-attr]
    last = task("invoke").request(Ticket.model_validate_json(run.source.read_text().splitlines()[-1]))
    most = spent + sum(bound(catalog.model(key), last, listed=True) for key in ("nano", "sonnet"))
    assert desk.batch.refused_usd == pytest.approx(most)  # type: ignore[union-attr]
    assert desk.run(replace(run, max_usd=most)) == "max_usd"  # before the second wave, which is bounded by itself
    assert asked == ["nano", "sonnet"]
    assert desk.batch.begun == (pytest.approx(desk.batch._left.spent), True)  # type: ignore[union-attr]
    assert desk.run(run) == "finished"


def test_jobs_that_are_made_again_are_bounded_too(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a lower `--max-usd` would hold for every wave but the one that is made again."""
    run = wanted(tmp_path)
    desk = Desk(tmp_path, bench, run)
    with monkeypatch.context() as refusing:
        refusing.setattr(running, "FEWEST", FEW + 1)
        assert desk.run() == "lacking"
    first = len(bench.made)
    assert desk.run(replace(run, resubmit=True, max_usd=0.0)) == "max_usd"
    assert len(bench.made) == first
    enough = desk.batch.refused_usd  # type: ignore[union-attr]
    requests = [task("invoke").request(Ticket.model_validate_json(line)) for line in run.source.read_text().splitlines()]
    assert enough == pytest.approx(sum(bound(catalog.model("nano"), request) for request in requests))
    assert desk.run(replace(run, resubmit=True, max_usd=enough)) == "max_usd"
    assert len(bench.made) == 2 * first


def test_what_waits_to_be_asked_on_demand_is_bounded_by_the_limit_of_now(bench: Bench, tmp_path: Path) -> None:
    """Without it a run that was stopped in its ordinary calls would go on with them whatever is allowed now."""

    def killed(model: str, request: Request) -> Reply:
        raise KeyboardInterrupt

    run = wanted(tmp_path, 6, limits=Limits(fewest=10))
    desk = Desk(tmp_path, bench, run, killed)
    with pytest.raises(KeyboardInterrupt):
        desk.run()
    desk._live = lambda model, request: Reply(model, "", None, Usage(1, 1), Cost(0.0), 1.0, "end_turn")
    assert desk.run(replace(run, max_usd=0.0)) == "max_usd"
    enough = desk.batch.refused_usd  # type: ignore[union-attr]
    assert desk.run(replace(run, max_usd=enough)) == "finished"


def test_the_cost_of_a_run_that_stopped_half_way_holds_what_was_paid(bench: Bench, tmp_path: Path) -> None:
    """Without it a run that stopped after its first wave would be told to have cost nothing for the tickets that escalate, as a complete cost."""
    run = wanted(tmp_path)
    desk = Desk(tmp_path, bench, replace(run, max_usd=0.001))
    assert desk.run() == "max_usd"
    usd, complete = desk.batch.begun  # type: ignore[union-attr]
    assert usd > 0
    assert complete
    assert desk.totals.usd + usd == pytest.approx(replies_usd(bench, desk))
    other = tmp_path / "other"
    other.mkdir()
    waiting = wanted(other, wait=False)
    desk = Desk(other, bench, waiting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "standing", lambda arn: Standing("InProgress"))
        assert desk.run() == "submitted"
    assert not desk.batch.begun[1]  # type: ignore[union-attr]


def test_a_ticket_too_large_for_the_file_of_a_job_is_asked_on_demand_and_bounded_so(bench: Bench, tmp_path: Path) -> None:
    """Without it the service would refuse its job each time, or `--max-usd` bound it at the batch price."""
    run = wanted(tmp_path, limits=Limits(records=6, fewest=2, bytes=20_000), max_usd=0.0)
    lines = run.source.read_text().splitlines()
    lines[3] = json.dumps({"id": "N-3", "subject": "x", "body": "word " * 3_900})
    run.source.write_text("\n".join(lines))
    desk = Desk(tmp_path, bench, run, lambda model, request: Reply(model, "", None, Usage(1, 1), Cost(0.0), 1.0, "end_turn"))
    assert desk.run() == "max_usd"
    requests = [task("invoke").request(Ticket.model_validate_json(line)) for line in lines]
    most = sum(bound(catalog.model("nano"), request) for request in (*requests[:3], *requests[4:]))
    most += sum(bound(catalog.model(key), requests[3], listed=True) for key in ("nano", "sonnet"))
    assert desk.batch.refused_usd == pytest.approx(most)  # type: ignore[union-attr]
    assert desk.run(replace(run, max_usd=None)) == "finished"
    assert desk.batch.state.on_demand[0] == 3  # type: ignore[union-attr]
    assert len({row["ticket_id"] for row in desk.rows()}) == FEW


def test_what_is_no_ticket_is_a_row(bench: Bench, tmp_path: Path) -> None:
    """Without it a broken line, or an id that came twice, would be paid for or be lost."""
    run = wanted(tmp_path)
    with run.source.open("a") as file:
        file.write("nonsense\n" + json.dumps({"id": "N-1", "subject": "again", "body": "x"}) + "\n")
    desk = Desk(tmp_path, bench, run)
    assert desk.run() == "finished"
    wrong = [row for row in desk.rows() if "error" in row]
    assert [(row["ticket_id"], row["line"]) for row in wrong] == [("", FEW + 1), ("N-1", FEW + 2)]
    assert (desk.totals.tickets, desk.totals.failed) == (FEW + 2, 2)


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.out"])
def test_a_file_of_the_run_that_is_gone_is_named(bench: Bench, tmp_path: Path, ending: str) -> None:
    """Without it a person would be told to make room on the disk, or nothing about how to go on."""
    run = wanted(tmp_path)
    desk = Desk(tmp_path, bench, replace(run, max_usd=0.001))
    assert desk.run() == "max_usd"
    (tmp_path / "out.ndjson.batch" / f"w1-nano-0002{ending}").unlink()
    with pytest.raises(DataError, match=r"w1-nano-0002\.jsonl.* is gone.*--restart"):
        desk.run(run)


def test_outputs_that_were_taken_away_are_one_line(bench: Bench, tmp_path: Path) -> None:
    """Without it a lost file would look like tickets that nobody has asked yet."""
    run = wanted(tmp_path)
    desk = Desk(tmp_path, bench, replace(run, max_usd=0.001))
    assert desk.run() == "max_usd"
    out = next((tmp_path / "out.ndjson.batch").glob("*.out"))
    out.write_bytes(b"".join(out.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(DataError, match=r"has no output in wave 1.*--restart"):
        desk.run(run)
