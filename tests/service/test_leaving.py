"""Clients that go away: no call is begun for them, and nothing waits for them."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx
import pytest
from scripted import SETTINGS, TICKET, Scripted, says, tickets, until

from workshop_lib.cascade import documented
from workshop_lib.llm import Ask, CallError, Gateway, Reply, Request
from workshop_lib.llm.types import RawReply
from workshop_lib.service import Limits, calls, create_app, library_route, running

Serving = Callable[..., httpx.Client]


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> list[threading.Event]:
    """Give the events by which the service knows that clients went away, in the order of their requests."""
    seen: list[threading.Event] = []
    original = calls.Calls.of

    def of(self: calls.Calls, gone: threading.Event) -> Ask:
        seen.append(gone)
        return original(self, gone)

    monkeypatch.setattr(calls.Calls, "of", of)
    return seen


@pytest.fixture
def ended(caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    """Give a function that says whether a request that was left has ended, with all its threads."""
    caplog.set_level(logging.INFO, logger="workshop_lib.service")
    return lambda: any(record.event.get("client_gone") for record in caplog.records if hasattr(record, "event"))


def naive(tickets: Any, ask: Ask) -> Iterator[dict[str, Any]]:
    """Submit everything and leave the pool to its own devices, as a first attempt in lab 04 does: closing it waits for all."""
    from workshop_lib.tasks.triage import request

    with ThreadPoolExecutor(4) as pool:
        waiting = {pool.submit(ask, "nano", request(ticket)): ticket for ticket in tickets}
        for future in as_completed(waiting):
            yield {"ticket_id": waiting[future].id, "model": "nano", "error": None if future.exception() is None else {"type": "x", "message": ""}}


@pytest.mark.parametrize("route", [library_route(documented()), naive], ids=["library's", "naive"])
def test_leaving_a_bulk_request_stops_further_calls(
    serving: Serving, gone: list[threading.Event], ended: Callable[[], bool], route: Any
) -> None:
    """Without it a closed tab would go on spending: only the calls that were in flight may still end."""
    released = threading.Semaphore(10)

    def answer(model: str, request: Request) -> Reply:
        assert released.acquire(timeout=30)
        return says()

    ask = Scripted(answer)
    client = serving(ask, route, limits=Limits(workers=4))
    with client.stream("POST", "/api/triage/bulk", json={"tickets": tickets(300)}) as response:
        next(response.iter_lines())
    assert gone[0].wait(10)
    released.release(300)
    assert until(ended)
    assert len(ask.calls) <= 10 + 4


def test_leaving_a_cascade_stops_before_the_second_tier(serving: Serving, gone: list[threading.Event], ended: Callable[[], bool]) -> None:
    """Without it Claude would be asked, and charged, for nobody."""
    ask = Scripted(lambda model, request: says(0.2), hold=True)
    with serving(ask).stream("POST", "/api/triage/cascade", json=TICKET) as response:
        lines = response.iter_lines()  # kept: when it is dropped, httpx leaves at once
        next(lines)
        assert ask.called.wait(10)
        assert not gone[0].is_set()
    assert gone[0].wait(10)
    ask.go.set()
    assert until(ended)
    assert ask.calls == [("nano", "T-1")]


def test_leaving_ends_a_wait_for_a_retry(ended: Callable[[], bool]) -> None:
    """Without it a throttled call would be sent again, up to three times, for a client that has left."""
    sent = threading.Event()
    count = []

    class Throttled:
        def send(self, model: Any, request: Request) -> RawReply:
            count.append(model.key)
            sent.set()
            raise CallError("throttled", model.id, "slow down.", retry_after_s=50)

    patient = Gateway(SETTINGS, calls.gateway(SETTINGS).policy, {"bedrock": Throttled()})  # type: ignore[dict-item]
    with running(create_app(ask=patient, settings=SETTINGS)) as url:
        with httpx.Client(base_url=url, trust_env=False) as client, client.stream("POST", "/api/triage/cascade", json=TICKET) as response:
            lines = response.iter_lines()
            next(lines)
            assert sent.wait(10)
        assert until(ended)  # long before the 50 seconds are over
    assert count == ["nano"]


def test_a_slow_reader_gets_everything_in_the_end(serving: Serving) -> None:
    """Without it rows could be dropped when a client reads slower than tickets finish."""
    ask = Scripted()
    with serving(ask).stream("POST", "/api/triage/bulk", json={"tickets": tickets(1000)}) as response:
        lines = response.iter_lines()
        seen = {json.loads(next(lines))["ticket_id"]}
        assert until(lambda: len(ask.calls) >= 100)  # the service is far ahead of the reader
        seen |= {json.loads(line)["ticket_id"] for line in lines}
    assert seen == {f"T-{n}" for n in range(1000)}


@pytest.mark.slow
def test_four_clients_of_whom_one_is_cut_off(serving: Serving) -> None:
    """Without it one client that goes away could take rows of the others with it."""
    client = serving(Scripted(), limits=Limits(workers=4))
    url = str(client.base_url)

    def whole(_: int) -> int:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as own:
            return len({json.loads(line)["ticket_id"] for line in own.post("/api/triage/bulk", json={"tickets": tickets(1000)}).text.splitlines()})

    def cut_off() -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as own, own.stream("POST", "/api/triage/bulk", json={"tickets": tickets(1000)}) as response:
            next(response.iter_lines())

    with ThreadPoolExecutor(4) as pool:
        leaving = pool.submit(cut_off)
        assert list(pool.map(whole, range(3))) == [1000, 1000, 1000]
        leaving.result()
    assert until(lambda: client.post("/api/triage", json=TICKET).status_code == 200)
