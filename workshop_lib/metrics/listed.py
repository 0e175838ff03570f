"""The one list of metrics: what is emitted, drawn and watched; a name that is not in it can be none of these."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["Count", "Milliseconds", "None"]
Kind = Literal["count", "share", "amount", "spread"]
Dimension = Literal["Model", "Tier", "Gate"]
NAMESPACE = "CascadeWorkshop"


@dataclass(frozen=True)
class Metric:
    """One metric: a count, a share (the average of zeros and ones), an amount that adds up, or a spread whose percentiles matter.

    `dimension` is what it is split by; never an id, as every value of a dimension is a metric that is paid for.
    """

    name: str
    kind: Kind
    unit: Unit
    title: str
    about: str
    dimension: Dimension | None = None

    @property
    def statistics(self) -> tuple[str, ...]:
        """Return the statistics that a panel shows, in CloudWatch's words."""
        return {"count": ("Sum",), "share": ("Average",), "amount": ("Sum",), "spread": ("p50", "p95")}[self.kind]


METRICS: tuple[Metric, ...] = (
    Metric("Tickets", "count", "Count", "Tickets", "Walks that ended."),
    Metric("Escalated", "share", "None", "Escalation rate", "Share of tickets for which more than one tier was asked."),
    Metric("ReviewRequired", "share", "None", "Review required", "Share of tickets that a person must look at."),
    Metric("Unanswered", "share", "None", "Unanswered", "Share of tickets without a decision: invalid replies, a guardrail, failed calls."),
    Metric("TicketCost", "amount", "None", "Cost of tickets (USD)", "Everything that ran for a ticket."),
    Metric("CostIncomplete", "share", "None", "Cost incomplete", "Share of tickets whose cost is a lower bound."),
    Metric("TicketLatency", "spread", "Milliseconds", "Latency of tickets (ms)", "Latencies of all calls of a ticket, added up."),
    Metric("Calls", "count", "Count", "Calls by model", "Calls that tiers, judges and routers made.", "Model"),
    Metric("Cost", "amount", "None", "Cost by model (USD)", "What those calls cost.", "Model"),
    Metric("Latency", "spread", "Milliseconds", "Latency by model (ms)", "Latency of the calls that were answered.", "Model"),
    Metric("Retries", "count", "Count", "Retries by model", "Attempts beyond the first.", "Model"),
    Metric("Throttled", "count", "Count", "Throttled by model", "Calls given up because every attempt was throttled.", "Model"),
    Metric("InvalidReplies", "share", "None", "Invalid replies by tier", "Share of a tier's replies that hold no valid answer.", "Tier"),
    Metric("GateReasons", "count", "Count", "Reasons to escalate", "Times that a gate would not let an answer pass.", "Gate"),
    Metric("JudgeScore", "spread", "None", "Judge's score (1 to 5)", "Score of the cheap answers that a judge sampled."),
)

_BY_NAME = {one.name: one for one in METRICS}


def metric(name: str) -> Metric:
    """Return a metric by name; raise ValueError if nobody emits one of that name."""
    if name not in _BY_NAME:
        raise ValueError(f"no metric {name!r}; there are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
