"""Metrics as log lines in CloudWatch's embedded metric format: a function prints them, and no call is made or paid for."""

import json
import time
from typing import Any

from workshop_lib.cascade import Trace
from workshop_lib.metrics.listed import NAMESPACE, Metric
from workshop_lib.metrics.measuring import measurements

MOST_VALUES = 100
"""Values of one metric in one line."""


def emf_lines(trace: Trace[Any], namespace: str = NAMESPACE, at_ms: int | None = None) -> list[str]:
    """Return what one finished walk measured as lines of JSON, one for each value of a dimension; `at_ms` is ms since 1970, now if left out."""
    groups: dict[tuple[str | None, str | None], dict[Metric, list[float]]] = {}
    for one in measurements(trace):
        groups.setdefault((one.metric.dimension, one.where), {}).setdefault(one.metric, []).append(one.value)
    when = int(time.time() * 1000) if at_ms is None else at_ms
    return [_line(namespace, when, dimension, where, values) for (dimension, where), values in groups.items()]


def _line(namespace: str, when: int, dimension: str | None, where: str | None, values: dict[Metric, list[float]]) -> str:
    directive = {
        "Namespace": namespace,
        "Dimensions": [[dimension] if dimension else []],
        "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in values],
    }
    listed = {metric.name: found[0] if len(found) == 1 else found[:MOST_VALUES] for metric, found in values.items()}
    dimensions = {dimension: where} if dimension else {}
    return json.dumps({"_aws": {"Timestamp": when, "CloudWatchMetrics": [directive]}, **dimensions, **listed})
