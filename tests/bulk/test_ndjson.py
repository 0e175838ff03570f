"""The bulk route's rows: exactly the contract, one object a line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.bulk import Done, line, rows, triage
from workshop_lib.cascade import documented, published
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import Ticket

AWKWARD = "one\ntwo\r\u2028three\u2029four\x85five\x0bsix\x1cseven \"quoted\" \U0001f600 äöü"


def says(confidence: float = 0.9, usd: float = 0.001, stop: str = "tool_use", complete: bool = True, **decision: Any) -> Reply:
    """Return a reply of the forced tool."""
    tool = {"category": "auth", "priority": "P2", "confidence": confidence, "reasoning": "r", "needs_human": False, **decision}
    return Reply("m", "", tool, Usage(1, 1), Cost(usd, complete), 640.0, stop)


def ticket(number: int = 1, body: str = "b") -> Ticket:
    """Return a ticket."""
    return Ticket(id=f"T-{number}", subject="s", body=body)


def routed(nano: Reply | Exception, sonnet: Reply | Exception | None = None) -> list[dict[str, Any]]:
    """Return the rows of one ticket under the documented policy."""
    def ask(model: str, request: Request) -> Reply:
        outcome = {"nano": nano, "sonnet": sonnet}[model]
        assert outcome is not None, "this tier was not meant to be asked"
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    (written,) = triage([ticket()], documented(), ask, concurrency=1)
    return written


DECISION = {"ticket_id": "T-1", "category": "auth", "priority": "P2", "confidence": 0.9, "reasoning": "r", "needs_human": False}


def test_a_kept_ticket_is_one_row() -> None:
    """Without it a client built to the contract could not read the stream."""
    (row,) = routed(says())
    assert row == {"ticket_id": "T-1", "model": "nano", "decision": DECISION, "escalated": False, "latencyMs": 640.0, "cost": 0.001}
    assert list(row) == ["ticket_id", "model", "decision", "escalated", "latencyMs", "cost"]


def test_an_escalated_ticket_is_two_rows_nano_first() -> None:
    """Without it the page would show the second answer before the first, or not at all."""
    first, second = routed(says(0.2), says(usd=0.01))
    assert (first["model"], first["escalated"], first["decision"]["confidence"]) == ("nano", True, 0.2)
    assert second == {"ticket_id": "T-1", "model": "claude", "decision": DECISION, "latencyMs": 640.0, "cost": 0.01}


def test_a_failed_ticket_is_an_error_row() -> None:
    """Without it a throttled ticket would end the stream, or vanish from it."""
    (row,) = routed(CallError("throttled", "nano", "slow down."))
    assert set(row) == {"ticket_id", "error"}
    assert row["error"]["type"] == "throttled"
    assert "slow down" in row["error"]["message"]


def test_a_failed_second_tier_keeps_the_first_row() -> None:
    """Without it the answer one has would be lost, or the failure not be told."""
    first, second = routed(says(0.2), CallError("server", "sonnet", "x."))
    assert (first["model"], second["error"]["type"]) == ("nano", "server")


def test_an_invalid_reply_is_a_row_without_decision_and_is_charged() -> None:
    """Without it the stream's costs would not add up to the bill."""
    first, second, error = routed(says(category="nonsense"), says(stop="max_tokens", usd=0.01))
    assert (first["decision"], first["cost"], first["escalated"], second["decision"], second["cost"]) == (None, 0.001, True, None, 0.01)
    assert error["error"]["type"] == "invalid"


def test_a_guardrail_is_its_own_error() -> None:
    """Without it a blocked ticket would look like a broken model."""
    first, error = routed(says(stop="guardrail_intervened"))
    assert (first["decision"], first["escalated"], error["error"]["type"]) == (None, False, "guardrail")


def test_an_incomplete_cost_is_said() -> None:
    """Without it a lower bound would be read as the cost."""
    (row,) = routed(says(complete=False))
    assert row["costComplete"] is False


def test_an_unforeseen_error_is_a_row_too() -> None:
    """Without it a bug met by one ticket would take the stream down."""
    (row,) = routed(KeyError("oops"))
    assert row == {"ticket_id": "T-1", "error": {"type": "KeyError", "message": "'oops'"}}
    assert rows(Done(ticket(), None))[0]["ticket_id"] == "T-1"


def test_a_poisoned_ticket_among_many() -> None:
    """Without it one failure could cost its neighbours."""

    def ask(model: str, request: Request) -> Reply:
        if request.tags["ticket"] == "T-7":
            raise CallError("model", model, "poisoned.")
        return says()

    written = [row for group in triage((ticket(n) for n in range(20)), published(), ask, concurrency=4) for row in group]
    assert sorted(row["ticket_id"] for row in written) == sorted(f"T-{n}" for n in range(20))
    assert [row["ticket_id"] for row in written if "error" in row] == ["T-7"]


def test_one_object_a_line_whatever_the_text() -> None:
    """Without it a line separator in a ticket would split its row for readers that break lines as Unicode does."""
    written = line({"ticket_id": "T-1", "decision": {"reasoning": AWKWARD}})
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    assert json.loads(written)["decision"]["reasoning"] == AWKWARD


@given(st.text(alphabet=st.characters()))
def test_any_text_is_one_line_that_can_be_sent(text: str) -> None:
    """Without it a lone surrogate in an error message would break the stream when it is encoded."""
    written = line({"error": {"message": text}})
    assert len(written.splitlines()) == 1
    assert json.loads(written.encode("utf-8")) == {"error": {"message": text}}


@pytest.mark.parametrize("bad", ["\ud800"])
def test_a_lone_surrogate_can_be_sent(bad: str) -> None:
    """Without it the text of an odd exception could end the stream."""
    assert line({"message": bad}).encode("utf-8") == b'{"message":"\\ud800"}\n'
