"""The alarms: what of the metrics is watched, against which parameter of the deployment."""

from dataclasses import dataclass
from typing import Literal

from workshop_lib.metrics.listed import Metric, metric

HOUR_S, DAY_S = 3600, 86_400


@dataclass(frozen=True)
class Alarm:
    """One alarm: in so many periods of `period_s` seconds in a row, a statistic of a metric is beyond the parameter named `limit`."""

    name: str
    metric: Metric
    statistic: Literal["Average", "Sum", "p95"]
    beyond: Literal["GreaterThanThreshold", "LessThanThreshold"]
    limit: str
    period_s: int
    periods: int
    about: str


ALARMS: tuple[Alarm, ...] = (
    Alarm("Escalation", metric("Escalated"), "Average", "GreaterThanThreshold", "MaxEscalationRate", HOUR_S, 3, "More tickets escalate than the cascade pays for."),
    Alarm("DailyCost", metric("TicketCost"), "Sum", "GreaterThanThreshold", "DailyBudgetUsd", DAY_S, 1, "The calls of a day cost more than the budget."),
    Alarm("Quality", metric("JudgeScore"), "Average", "LessThanThreshold", "MinJudgeScore", DAY_S, 1, "The judge scores the sampled cheap answers too low."),
    Alarm("Unanswered", metric("Unanswered"), "Average", "GreaterThanThreshold", "MaxUnansweredRate", HOUR_S, 1, "Too many tickets have no decision."),
    Alarm("Review", metric("ReviewRequired"), "Average", "GreaterThanThreshold", "MaxReviewRate", HOUR_S, 3, "More tickets need a person than there are people for."),
    Alarm("Latency", metric("TicketLatency"), "p95", "GreaterThanThreshold", "MaxLatencyMs", HOUR_S, 3, "Tickets take too long."),
)
