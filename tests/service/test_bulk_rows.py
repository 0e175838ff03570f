"""Bulk routes of any make: every ticket gets a row, every row is JSON, and a route may be anything that yields."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Scripted, says, tickets

from workshop_lib.cascade import documented, walk
from workshop_lib.llm import Ask, CallError, Reply, Request
from workshop_lib.service.bulk_rows import library_route, produced
from workshop_lib.tasks import TRIAGE, Ticket

Serving = Callable[..., httpx.Client]


def made(n: int) -> tuple[Ticket, ...]:
    """Return n tickets."""
    return tuple(Ticket(**fields) for fields in tickets(n))


def rows(route: Any, n: int = 3, ask: Ask | None = None) -> list[dict[str, Any]]:
    """Return the rows that the service sends for a route."""
    lines: list[str] = []
    produced(route, made(n), ask or Scripted(), 4, lines.append)
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def answered(ticket_id: str) -> dict[str, Any]:
    """Return a row."""
    return {"ticket_id": ticket_id, "model": "nano", "decision": None, "escalated": False, "latencyMs": 1, "cost": 0.5}


@pytest.mark.parametrize(
    "wrap",
    [lambda row: row, lambda row: [row], lambda row: json.dumps(row) + "\n", lambda row: json.dumps(row), lambda row: (json.dumps(row) + "\n").encode()],
    ids=["dictionary", "list", "line", "line without its end", "bytes"],
)
def test_a_route_may_yield_rows_or_lines(wrap: Callable[[dict[str, Any]], Any]) -> None:
    """Without it a learner's route would have to guess which of the usual forms is wanted."""
    assert rows(lambda tickets, ask: (wrap(answered(ticket.id)) for ticket in tickets)) == [answered(f"T-{n}") for n in range(3)]


def test_the_route_of_lab_04_is_told_its_concurrency(serving: Serving) -> None:
    """Without it the route that a learner has just built could not be mounted as it is."""

    def bulk_route(tickets: Any, ask: Ask, concurrency: int) -> Iterator[str]:
        for ticket in tickets:
            decision = walk(TRIAGE, ticket, documented(), ask).answer
            yield json.dumps({"ticket_id": ticket.id, "model": "nano", "concurrency": concurrency, "decision": decision and decision.model_dump()}) + "\n"

    client = serving(Scripted(), bulk_route)
    told = [json.loads(line) for line in client.post("/api/triage/bulk", json={"tickets": tickets(2)}).text.splitlines()]
    assert [(row["ticket_id"], row["concurrency"]) for row in told] == [("T-0", 8), ("T-1", 8)]


def test_a_route_that_has_chosen_its_concurrency_keeps_it() -> None:
    """Without it a default or a partial would be overruled."""
    assert rows(lambda tickets, ask, concurrency=2: [{"ticket_id": ticket.id, "c": concurrency} for ticket in tickets])[0]["c"] == 2


def test_tickets_that_a_route_leaves_out_are_told() -> None:
    """Without it a lost ticket would look like one that was never sent."""
    told = rows(lambda tickets, ask: [answered("T-1")])
    assert [(row["ticket_id"], row.get("error", {}).get("type")) for row in told] == [("T-1", None), ("T-0", "lost"), ("T-2", "lost")]


def broken(tickets: Any, ask: Ask) -> Iterator[Any]:
    """Answer one ticket and raise."""
    yield answered("T-0")
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        (broken, "ZeroDivisionError"),
        (lambda tickets, ask: iter(["not json"]), "JSONDecodeError"),
        (lambda tickets, ask: iter(["[1]"]), "ValueError"),
        (lambda tickets, ask: iter([3]), "ValueError"),
        (lambda tickets, ask: None, "TypeError"),
        (lambda tickets, ask: [{"ticket_id": "T-0", "decision": object()}], "TypeError"),
    ],
    ids=["raises", "no JSON", "no object", "no row", "yields nothing", "not serialisable"],
)
def test_a_route_that_breaks_says_so_in_rows(route: Any, kind: str) -> None:
    """Without it a bug in a learner's route would cut the stream, and the page could not say why."""
    errors = {row["ticket_id"]: row["error"] for row in rows(route) if "error" in row}
    assert {"T-1", "T-2"} <= set(errors)
    assert {error["type"] for error in errors.values()} == {kind}


@given(st.lists(st.sampled_from(["kept", "escalated", "invalid", "nano fails", "claude fails", "bug"]), min_size=1, max_size=12))
def test_every_ticket_ends_whatever_happens_to_it(fates: list[str]) -> None:
    """Without it a ticket could be left escalating for ever, or a row be sent twice, under some interleaving."""

    def ask(model: str, request: Request) -> Reply:
        fate = fates[int(request.tags["ticket"].removeprefix("T-"))]
        if fate == "bug":
            raise KeyError("x")
        if (fate, model) in {("nano fails", "nano"), ("claude fails", "sonnet")}:
            raise CallError("throttled", model, "x.")
        if fate == "invalid":
            return says(category="nonsense")
        return says(0.9 if fate == "kept" else 0.2)

    told = rows(library_route(documented()), len(fates), ask)
    for number, fate in enumerate(fates):
        own = [row for row in told if row["ticket_id"] == f"T-{number}"]
        kinds = ["error" if "error" in row else row["model"] for row in own]
        expected = {
            "kept": ["nano"], "escalated": ["nano", "claude"], "invalid": ["nano", "claude", "error"],
            "nano fails": ["error"], "claude fails": ["nano", "error"], "bug": ["error"],
        }
        assert kinds == expected[fate]
