"""The routes: exactly the contract, whatever the models do."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from scripted import TICKET, Scripted, says, tickets

from workshop_lib.llm import CallError, Reply, Request

Serving = Callable[..., httpx.Client]
DECISION = {"ticket_id": "T-1", "category": "auth", "priority": "P2", "confidence": 0.9, "reasoning": "r", "needs_human": False}


def by_tier(**outcomes: Reply | Exception) -> Scripted:
    """Return an `Ask` with one outcome per tier."""

    def answer(model: str, request: Request) -> Reply:
        outcome = outcomes[model]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Scripted(answer)


def events(client: httpx.Client) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of one ticket's cascade."""
    response = client.post("/api/triage/cascade", json=TICKET)
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block.splitlines() for block in response.text.split("\n\n") if block]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def rows(client: httpx.Client, n: int = 1, **query: str) -> list[dict[str, Any]]:
    """Return the rows of a bulk request."""
    response = client.post("/api/triage/bulk", json={"tickets": tickets(n)}, params=query)
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def test_triage_asks_the_strong_model_only(serving: Serving) -> None:
    """Without it the plain route could answer with the cheap model, or charge for both."""
    ask = by_tier(sonnet=says(usd=0.01))
    answer = serving(ask).post("/api/triage", json=TICKET)
    assert answer.json() == {"decision": DECISION, "modelUsed": "claude", "latencyMs": 640.0, "cost": 0.01}
    assert ask.calls == [("sonnet", "T-1")]


@pytest.mark.parametrize(
    ("outcome", "status", "kind"),
    [
        (CallError("throttled", "sonnet", "slow down.", retry_after_s=7), 503, "throttled"),
        (CallError("read_timeout", "sonnet", "x."), 504, "read_timeout"),
        (CallError("access", "sonnet", "x."), 502, "access"),
        (says(category="nonsense"), 502, "invalid"),
        (says(stop="guardrail_intervened"), 502, "guardrail"),
    ],
    ids=["throttled", "timeout", "access", "invalid", "guardrail"],
)
def test_triage_without_a_decision_says_why(serving: Serving, outcome: Reply | Exception, status: int, kind: str) -> None:
    """Without it a client could not tell what may be tried again from what a person must route."""
    answer = serving(by_tier(sonnet=outcome)).post("/api/triage", json=TICKET)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.headers.get("retry-after") == ("7" if kind == "throttled" else None)


def test_an_incomplete_cost_is_said_on_every_route(serving: Serving) -> None:
    """Without it a lower bound would be read as the cost."""
    client = serving(by_tier(nano=says(complete=False), sonnet=says(complete=False)))
    assert client.post("/api/triage", json=TICKET).json()["costComplete"] is False
    assert [data.get("costComplete") for _, data in events(client)] == [None, False, False]


def test_a_kept_ticket_is_three_events(serving: Serving) -> None:
    """Without it a client built to the contract could not follow a walk."""
    assert events(serving(by_tier(nano=says()))) == [
        ("nano-start", {}),
        ("nano-result", {"decision": DECISION, "escalating": False, "latencyMs": 640.0, "cost": 0.001}),
        ("done", {"finalDecision": DECISION, "modelUsed": "nano", "escalated": False, "reviewRequired": False, "totalLatencyMs": 640.0, "totalCost": 0.001}),
    ]


def test_an_escalated_ticket_tells_why_and_charges_both(serving: Serving) -> None:
    """Without it the page could not say why Claude was asked, or would show half of the bill."""
    told = events(serving(by_tier(nano=says(0.2, needs_human=True), sonnet=says(usd=0.01))))
    assert [name for name, _ in told] == ["nano-start", "nano-result", "claude-start", "claude-result", "done"]
    assert told[1][1]["escalating"] is True
    assert "confidence 0.2 < 0.7" in told[2][1]["because"]
    assert told[3][1] == {"decision": DECISION, "escalating": False, "latencyMs": 640.0, "cost": 0.01}
    assert told[4][1] == {"finalDecision": DECISION, "modelUsed": "claude", "escalated": True, "reviewRequired": True, "totalLatencyMs": 1280.0, "totalCost": pytest.approx(0.011)}


def test_events_arrive_while_the_walk_goes_on(serving: Serving) -> None:
    """Without it the page would stand still until the last tier has answered."""
    held = Scripted(lambda model, request: says(0.2), hold=True)
    with serving(held).stream("POST", "/api/triage/cascade", json=TICKET) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: nano-start"
        held.go.set()
        assert any(line == "event: done" for line in lines)


@pytest.mark.parametrize(
    ("nano", "word"),
    [(CallError("throttled", "nano", "slow down."), "slow down"), (says(stop="guardrail_intervened"), "guardrail"), (KeyError("oops"), "KeyError")],
    ids=["throttled", "guardrail", "bug"],
)
def test_a_walk_without_an_answer_ends_with_an_error_event(serving: Serving, nano: Reply | Exception, word: str) -> None:
    """Without it a client would wait for a `done` that never comes."""
    told = events(serving(by_tier(nano=nano)))
    assert told[-1][0] == "error"
    assert list(told[-1][1]) == ["message"]
    assert word in told[-1][1]["message"]


def test_a_failed_second_tier_leaves_the_first_answer(serving: Serving) -> None:
    """Without it an answer that was paid for would be thrown away when Claude is down."""
    told = events(serving(by_tier(nano=says(0.2), sonnet=CallError("server", "sonnet", "x."))))
    assert (told[3][1]["decision"], told[3][1]["latencyMs"], told[3][1]["error"]["type"]) == (None, None, "server")
    assert (told[4][0], told[4][1]["modelUsed"]) == ("done", "nano")


def test_bulk_rows_follow_the_contract(serving: Serving) -> None:
    """Without it a client built to the contract could not read the stream."""
    first, second = rows(serving(by_tier(nano=says(0.2), sonnet=says(usd=0.01))))
    decision = {**DECISION, "ticket_id": "T-0"}
    assert list(first.items()) == [
        ("ticket_id", "T-0"), ("model", "nano"), ("decision", {**decision, "confidence": 0.2}), ("escalated", True), ("latencyMs", 640.0), ("cost", 0.001),
    ]
    assert list(second.items()) == [("ticket_id", "T-0"), ("model", "claude"), ("decision", decision), ("latencyMs", 640.0), ("cost", 0.01)]


def test_a_failing_ticket_is_a_row_among_many(serving: Serving) -> None:
    """Without it one failure would end the stream, or vanish from it."""

    def answer(model: str, request: Request) -> Reply:
        if request.tags["ticket"] == "T-7":
            raise CallError("model", model, "poisoned.")
        return says()

    written = rows(serving(Scripted(answer)), 20)
    assert {row["ticket_id"] for row in written} == {f"T-{n}" for n in range(20)}
    assert {row["ticket_id"]: row["error"]["type"] for row in written if "error" in row} == {"T-7": "model"}


def test_every_row_is_sent_at_once(serving: Serving) -> None:
    """Without it the page would stay empty until the slowest ticket is done."""
    held = Scripted()

    def answer(model: str, request: Request) -> Reply:
        if request.tags["ticket"] != "T-0":
            assert held.called.wait(30)
        return says(0.2 if request.tags["ticket"] == "T-0" and model == "nano" else 0.9) if model == "nano" else _after(held)

    with serving(Scripted(answer)).stream("POST", "/api/triage/bulk", json={"tickets": tickets(2)}) as response:
        lines = response.iter_lines()
        first = json.loads(next(lines))
        assert (first["ticket_id"], first["escalated"]) == ("T-0", True)  # before its second tier answered, and before T-1
        held.called.set()
        assert {(row["ticket_id"], row["model"]) for row in map(json.loads, lines)} == {("T-1", "nano"), ("T-0", "claude")}


def _after(held: Scripted) -> Reply:
    assert held.called.wait(30)
    return says(usd=0.01)


@pytest.mark.parametrize(("strategy", "tier", "name"), [("nano", "nano", "nano"), ("claude", "sonnet", "claude")])
def test_one_tier_alone_for_comparison(serving: Serving, strategy: str, tier: str, name: str) -> None:
    """Without it the page's columns could show the cascade three times."""
    ask = by_tier(**{tier: says(0.2)})
    (row,) = rows(serving(ask), strategy=strategy)
    assert (row["model"], row["escalated"], ask.calls) == (name, False, [(tier, "T-0")])


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "not JSON"),
    "nothing": (b"", "body"),
    "not UTF-8": (b'{"tickets": [{"id": "A", "subject": "s", "body": "\xff"}]}', "not JSON, or nested too deeply, or not UTF-8."),
    "too deep": (b"[" * 100_000, "not JSON, or nested too deeply"),
    "no tickets": (b"{}", "tickets"),
    "empty": (b'{"tickets": []}', "tickets: List should have"),
    "empty body": (b'{"tickets": [{"id": "A", "subject": "s", "body": ""}]}', "tickets.0.body: String"),
    "bad id": (b'{"tickets": [{"id": "a b", "subject": "s", "body": "SECRET"}]}', "tickets.0.id"),
    "unknown field": (b'{"tickets": [{"id": "A", "subject": "s", "body": "b", "SECRET": 1}]}', "tickets.0"),
    "twice": (json.dumps({"tickets": [*tickets(2), tickets(1)[0]]}).encode(), "tickets"),
    "too many": (json.dumps({"tickets": tickets(1001)}).encode(), "1000"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_invalid_input_is_refused_before_any_call(serving: Serving, name: str) -> None:
    """Without it a wrong batch would be paid for in part, or its text repeated in an error."""
    body, word = BAD_BODIES[name]
    ask = Scripted()
    answer = serving(ask).post("/api/triage/bulk", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, ask.calls) == (400, [])
    assert list(answer.json()) == ["error"]
    assert word in answer.json()["error"]["message"]
    assert "SECRET" not in answer.json()["error"]["message"] or name == "unknown field"


def test_without_a_bulk_route_the_answer_says_where_to_build_it(serving: Serving) -> None:
    """Without it a learner before lab 04 would meet a bare 404."""
    client = serving(bulk_route=None)
    answer = client.post("/api/triage/bulk", json={"tickets": tickets(1)})
    assert (answer.status_code, answer.json()["error"]["type"]) == (501, "not_built")
    assert "build it in lab 04" in answer.json()["error"]["message"]
    assert client.get("/api/about").json()["bulk"] == {"ready": False, "message": answer.json()["error"]["message"]}


def test_figures_are_labelled_with_who_answered(serving: Serving) -> None:
    """Without it a replayed or live reply would be shown as the sandbox's, or the other way round."""
    from dataclasses import replace

    client = serving(Scripted(lambda model, request: replace(says(), source="local")))
    assert client.get("/api/about").json()["source"] == "sandbox"  # what the settings say, until somebody has answered
    client.post("/api/triage", json=TICKET)
    assert client.get("/api/about").json()["source"] == "local"


def test_openapi_describes_what_is_there(serving: Serving) -> None:
    """Without it a generated client would expect the framework's own errors."""
    described = serving().get("/openapi.json").json()
    assert {"/api/triage", "/api/triage/cascade", "/api/triage/bulk", "/healthz"} <= set(described["paths"])
    answers = described["paths"]["/api/triage/bulk"]["post"]["responses"]
    assert {"200", "400", "501"} == set(answers)
    assert "application/x-ndjson" in answers["200"]["content"]
    assert "HTTPValidationError" not in json.dumps(described)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/api/triage", 405), ("GET", "/static/../app.py", 404)])
def test_wrong_addresses_have_the_same_shape_of_error(serving: Serving, method: str, path: str, status: int) -> None:
    """Without it a client would need a second parser for errors."""
    answer = serving().request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"type", "message"}
