"""A finished walk as rows: those of the bulk run, with `latencyMs` null where a batch gave none."""

import math
from dataclasses import dataclass

from workshop_lib.bulk.ndjson import line, rows
from workshop_lib.bulk.runner import Done
from workshop_lib.cascade import Trace
from workshop_lib.tasks import RoutingDecision, Ticket


@dataclass(frozen=True)
class Told:
    """The rows of a ticket as bytes, and what they came to."""

    rows: bytes
    usd: float
    cost_complete: bool
    failed: bool
    escalated: bool


def told(ticket: Ticket, trace: Trace[RoutingDecision]) -> Told:
    """Return a finished walk as rows.

    The members are those of the bulk rows, so that who reads one reads the other; a record of a batch has no latency of its own, and null
    says so where zero or the hours of the job would be taken for one.
    """
    written = rows(Done(ticket, trace))
    for row in written:
        if "latencyMs" in row and math.isnan(row["latencyMs"]):
            row["latencyMs"] = None
    cost = trace.cost
    return Told("".join(map(line, written)).encode(), cost.usd, cost.complete, "error" in written[-1], trace.escalated)
