"""The dashboard, made from the list of metrics: a panel for each, so that none shows what nobody emits."""

from collections.abc import Sequence
from typing import Any

from workshop_lib.metrics.listed import METRICS, NAMESPACE, Metric

GATES = ("confidence", "stakes", "judge", "schema")
"""The kinds of gate that a deployment has; "schema" is a reply without a valid answer."""
_WIDTH, _HEIGHT, _ACROSS = 8, 6, 3


def dashboard(tiers: Sequence[str], judges: Sequence[str] = (), *, namespace: str = NAMESPACE, region: str, gates: Sequence[str] = GATES, period_s: int = 300) -> dict[str, Any]:
    """Return the body of a CloudWatch dashboard for the tiers and judges (catalogue keys) and the kinds of gate that a deployment uses."""
    values = {None: (None,), "Model": tuple(dict.fromkeys([*tiers, *judges])), "Tier": tuple(tiers), "Gate": tuple(gates)}
    return {"widgets": [_widget(place, one, values[one.dimension], namespace, region, period_s) for place, one in enumerate(METRICS)]}


def _widget(place: int, metric: Metric, values: Sequence[str | None], namespace: str, region: str, period_s: int) -> dict[str, Any]:
    series = [_series(metric, value, statistic, namespace) for value in values for statistic in metric.statistics]
    axis = {"min": 0, "max": 1} if metric.kind == "share" else {"min": 0}
    return {
        "type": "metric",
        "x": place % _ACROSS * _WIDTH,
        "y": place // _ACROSS * _HEIGHT,
        "width": _WIDTH,
        "height": _HEIGHT,
        "properties": {"title": metric.title, "region": region, "view": "timeSeries", "period": period_s, "metrics": series, "yAxis": {"left": axis}},
    }


def _series(metric: Metric, value: str | None, statistic: str, namespace: str) -> list[Any]:
    where = [metric.dimension, value] if value is not None else []
    label = " ".join(part for part in (value, statistic if metric.kind == "spread" else None) if part)
    return [namespace, metric.name, *where, {"stat": statistic, **({"label": label} if label else {})}]
