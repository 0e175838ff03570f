"""The state machine of deploy/, executed: branches, retries, catchers, many tickets, and the same decisions as the plain cascade."""

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from machine_room import Room

from workshop_lib.cascade import walk
from workshop_lib.cloud.deployment import deployment
from workshop_lib.cloud.emulator import Execution
from workshop_lib.cloud.record import result_document
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.llm import Gateway
from workshop_lib.tasks import TRIAGE, Ticket

pytestmark = pytest.mark.slow  # loading moto alone takes seconds

TICKETS = [one.ticket for one in load_tickets("test")]
BY_ID = {ticket.id: ticket.model_dump(exclude_none=True) for ticket in TICKETS}
CLEAR = BY_ID["E-005"]
URGENT = BY_ID["E-018"]  # the small stand-in asks for a person


def states(execution: Execution) -> list[str]:
    """Return the names of the states that an execution entered, in order."""
    return [event["stateEnteredEventDetails"]["name"] for event in execution.events if "stateEnteredEventDetails" in event]


def visited(execution: Execution) -> list[str]:
    """Return the states entered, without those between calls."""
    return [name for name in states(execution) if name not in ("Classify", "WhatNext", "Gate")]


def events(execution: Execution, kind: str) -> int:
    """Return how many events of a kind a history has."""
    return sum(event["type"] == kind for event in execution.events)


def same(room: Room, gateway: Gateway, tickets: Iterable[Ticket]) -> list[dict[str, Any]]:
    """Run tickets through the machine and through the plain cascade; return the machine's results after comparing both."""
    policy = deployment().policy()
    started = [(ticket, room.emulator.start(room.arn, {"ticket": ticket.model_dump(exclude_none=True)})) for ticket in tickets]
    results = []
    for ticket, arn in started:
        execution = room.emulator.wait(arn)
        plain = json.loads(json.dumps(result_document(walk(TRIAGE, ticket, policy, gateway))))
        assert execution.output == plain, f"{ticket.id}: {execution.status} {execution.cause}"
        results.append(plain)
    return results


def test_a_clear_ticket_ends_at_the_cheap_tier_and_an_urgent_one_goes_on(room: Room, gateway: Gateway) -> None:
    """Without it one of the two branches could be missing from what is deployed."""
    clear, urgent = room.run(CLEAR), room.run(URGENT)
    assert (clear.status, urgent.status) == ("SUCCEEDED", "SUCCEEDED")
    assert states(clear) == ["Classify", "WhatNext", "CheapTier", "Gate", "WhatNext", "Answered"]
    assert visited(urgent) == ["CheapTier", "StrongTier", "ForAPerson"]
    assert urgent.output is not None
    assert urgent.output["model_used"] == "sonnet"
    assert urgent.output["review_required"]


def test_a_few_tickets_as_in_the_plain_cascade(room: Room, gateway: Gateway) -> None:
    """Without it the fast suite would not notice that the deployed cascade decides otherwise."""
    assert {one["escalated"] for one in same(room, gateway, TICKETS[:6])} == {True, False}


def test_sixty_tickets_trace_for_trace(room: Room, gateway: Gateway) -> None:
    """Without it a reply, a verdict or a cent could differ between what was measured and what is deployed."""
    results = same(room, gateway, TICKETS[:60])
    assert len(results) == 60
    assert 10 < sum(one["escalated"] for one in results) < 50


def test_judge_and_shortcut_as_in_the_plain_cascade(room: Room, gateway: Gateway, deployed: Callable[..., None]) -> None:
    """Without it a ticket that is judged, or starts at the strong tier, could be charged or decided otherwise."""
    deployed(judge_rate=1, judge_below=5, min_confidence=0.3, skip_longer_than=380, ticket_budget_usd=1)
    results = same(room, gateway, TICKETS[:10])
    judged = [call["purpose"] for one in results for step in one["trace"]["steps"] for call in step["calls"]]
    assert judged
    assert set(judged) == {"judge"}
    assert {bool(one["trace"]["route"]["skips"]) for one in results} == {True, False}


def test_the_judge_is_a_state_of_its_own(room: Room, deployed: Callable[..., None]) -> None:
    """Without it the judge's branch could be drawn and never taken."""
    deployed(judge_rate=1)
    assert "Judge" in visited(room.run(CLEAR))


def test_a_long_ticket_skips_the_cheap_tier(room: Room, deployed: Callable[..., None]) -> None:
    """Without it the shortcut could ask, and charge, the cheap tier all the same."""
    deployed(skip_longer_than=20)
    assert visited(room.run(CLEAR))[0] == "StrongTier"


def test_a_budget_ends_the_walk(room: Room, deployed: Callable[..., None]) -> None:
    """Without it a ticket's budget would hold in a notebook and not in the cloud."""
    deployed(ticket_budget_usd=0.000001)
    done = room.run(URGENT)
    assert visited(done) == ["CheapTier", "ForAPerson"]
    assert done.output is not None
    assert done.output["trace"]["notes"][0]["rule"] == "budget"


def test_throttling_is_retried_with_full_jitter_and_charged_once(room: Room, scope: str, call: Callable[..., Any]) -> None:
    """Without it the first burst of tickets would fail, or all retries would come at the same moment."""
    call("POST", "/sandbox/faults", {"scope": scope, "model": "nano", "script": ["throttled", "server", "ok"]})
    done = room.run(CLEAR)
    assert done.status == "SUCCEEDED"
    assert events(done, "TaskFailed") == 2
    assert done.output is not None
    assert done.output["trace"]["steps"][0]["attempts"] == 3
    assert len(room.waits) == 2
    assert all(0 <= wait <= most for wait, most in zip(room.waits, (1, 2), strict=True))
    assert len(set(room.waits)) == 2


def test_a_throttled_cheap_tier_is_caught_and_not_escalated(room: Room, gateway: Gateway, scope: str, call: Callable[..., Any]) -> None:
    """Without it a quota of the cheap tier would become a bill of the strong one, or the catcher would lose what happened."""
    call("POST", "/sandbox/faults", {"scope": scope, "model": "nano", "error_rate": 1, "kind": "throttled"})
    done = room.run(CLEAR)
    assert (done.status, done.error) == ("FAILED", "Cascade.NotAnswered")
    assert events(done, "TaskFailed") == 4
    assert visited(done) == ["CheapTier", "NotAnswered"]
    assert "ThrottlingException" in str(done.cause)


def test_a_cheap_tier_that_is_down_is_caught_and_escalated(room: Room, scope: str, call: Callable[..., Any]) -> None:
    """Without it an outage of one model would lose every ticket."""
    call("POST", "/sandbox/faults", {"scope": scope, "model": "nano", "error_rate": 1, "kind": "model_error"})
    done = room.run(CLEAR)
    assert visited(done)[:2] == ["CheapTier", "StrongTier"]
    assert done.output is not None
    assert done.output["model_used"] == "sonnet"
    assert not done.output["cost_complete"]
    assert room.waits == []


def test_a_strong_tier_that_is_down_leaves_the_cheap_answer(room: Room, scope: str, call: Callable[..., Any]) -> None:
    """Without it the answer at hand would be thrown away with the failure of a later tier."""
    call("POST", "/sandbox/faults", {"scope": scope, "model": "sonnet", "error_rate": 1, "kind": "unavailable"})
    done = room.run(URGENT)
    assert done.output is not None
    assert done.output["model_used"] == "nano"
    assert [note["rule"] for note in done.output["trace"]["notes"]] == ["later_tier"]
    waits = room.waits
    assert all(wait <= most for wait, most in zip(waits, (1, 2, 4), strict=True))
    assert any(one != other for one, other in pairwise(waits))


@pytest.mark.parametrize("kind", ["text_instead_of_tool", "malformed_tool", "broken_schema", "truncated"])
def test_a_reply_that_is_wrong_in_itself_is_read_as_in_the_plain_cascade(room: Room, scope: str, call: Callable[..., Any], kind: str) -> None:
    """Without it a model's bad day would fail an execution instead of escalating one ticket."""
    call("POST", "/sandbox/faults", {"scope": scope, "model": "nano", "error_rate": 1, "kind": kind})
    assert room.run(CLEAR).status == "SUCCEEDED"


@pytest.mark.parametrize("given", [{}, {"id": "T-1"}, {"id": "T 1", "subject": "s", "body": "b"}, {"id": "T-1", "subject": "s", "body": ""}])
def test_what_is_no_ticket_is_refused_before_a_call(room: Room, given: dict[str, Any]) -> None:
    """Without it a wrong input would cost money, or stand in the history as a failure of the machine."""
    done = room.run(given)
    assert (done.status, done.error) == ("FAILED", "Cascade.InvalidTicket")
    assert visited(done) == ["Refused"]


def test_many_tickets_from_a_file_and_one_that_is_none(room: Room) -> None:
    """Without it one bad line would end a whole file, or results would be lost."""
    bucket = "tickets-of-a-test"
    s3 = room.emulator.service("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    rows = [*(ticket.model_dump(exclude_none=True) for ticket in TICKETS[:8]), {"id": "none"}]
    s3.put_object(Bucket=bucket, Key="in.json", Body=json.dumps(rows))
    done = room.emulator.run(room.emulator.create("tickets", TicketsBucket=bucket), {"key": "in.json"})
    assert done.status == "SUCCEEDED", done.cause
    run = room.emulator.client.list_map_runs(executionArn=done.arn)["mapRuns"][0]["mapRunArn"]
    counts = room.emulator.client.describe_map_run(mapRunArn=run)["itemCounts"]
    assert (counts["succeeded"], counts["failed"], counts["total"]) == (8, 1, 9)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="results")["Contents"]  # moto writes the manifest only, AWS the results beside it
    assert any(one["Key"].endswith("manifest.json") for one in listed)
