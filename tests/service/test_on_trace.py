"""What the service tells of its walks."""

from collections.abc import Callable
from typing import Any

import httpx
from scripted import TICKET, Scripted, says, tickets

from workshop_lib.cascade import Trace, documented
from workshop_lib.metrics import CloudWatch
from workshop_lib.service import library_route

Serving = Callable[..., httpx.Client]


class Taking:
    """A CloudWatch client that remembers what it is sent."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []

    def put_metric_data(self, Namespace: str, MetricData: list[dict[str, Any]]) -> None:
        """Take a request."""
        self.data += MetricData


def test_metrics_of_both_cascade_routes(serving: Serving) -> None:
    """Without it a service in use would show nothing on the dashboard that was made for it."""
    taking: Any = Taking()
    sink = CloudWatch(taking)
    policy = documented()
    client = serving(Scripted(lambda model, request: says(0.2 if model == "nano" else 0.9)), library_route(policy, sink.observe), on_trace=sink.observe)
    assert client.post("/api/triage/cascade", json=TICKET).status_code == 200
    assert client.post("/api/triage/bulk", json={"tickets": tickets(3)}).status_code == 200
    assert client.post("/api/triage", json=TICKET).status_code == 200
    sink.flush()
    counts = {(datum["MetricName"], *(one["Value"] for one in datum["Dimensions"])): sum(datum["Counts"]) for datum in taking.data}
    assert counts["Tickets",] == 4
    assert counts["Calls", "nano"] == 4


def test_a_walk_is_told_once(serving: Serving) -> None:
    """Without it tickets could be counted at every tier."""
    told: list[Trace[Any]] = []
    serving(Scripted(), on_trace=told.append).post("/api/triage/cascade", json=TICKET)
    assert [trace.item_id for trace in told] == ["T-1"]
