"""Metrics to CloudWatch by PutMetricData, batched: equal values are counted, and a request is never larger than the service takes."""

import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from workshop_lib.cascade import Trace
from workshop_lib.metrics.listed import NAMESPACE, Metric
from workshop_lib.metrics.measuring import measurements

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

MOST_DATA = 1000
"""Metrics in one request; a request may have 1 MB besides."""
MOST_VALUES = 150
"""Different values of one metric in one entry of a request."""
MOST_IN_REQUEST = 10_000
"""Different values in one request, so that it stays far below 1 MB."""

_Series = tuple[Metric, str | None]
_Datum = tuple[_Series, Mapping[float, int]]


class CloudWatch:
    """Gathers what walks measured and sends it when told to; safe to share between threads.

    What could not be sent is kept, and the next `flush` sends it; botocore's error is passed on.
    """

    def __init__(self, client: "CloudWatchClient", namespace: str = NAMESPACE) -> None:
        self._client = client
        self._namespace = namespace
        self._gathered: dict[_Series, Counter[float]] = {}
        self._lock = threading.Lock()

    def observe(self, trace: Trace[Any]) -> None:
        """Take one finished walk."""
        with self._lock:
            for one in measurements(trace):
                self._gathered.setdefault((one.metric, one.where), Counter())[one.value] += 1

    def flush(self, at: datetime | None = None) -> int:
        """Send what was gathered, as of now or of a time; return how many requests it took."""
        when, sent = at or datetime.now(UTC), 0
        while part := self._take():
            try:
                self._client.put_metric_data(Namespace=self._namespace, MetricData=[_datum(*one, when) for one in part])  # type: ignore[misc]  # plain mappings
            except BaseException:
                self._put_back(part)
                raise
            sent += 1
        return sent

    def _take(self) -> list[_Datum]:
        """Take so many entries out of what was gathered as fit one request."""
        part: list[_Datum] = []
        values = 0
        with self._lock:
            while self._gathered and len(part) < MOST_DATA and values < MOST_IN_REQUEST:
                series, counted = next(iter(self._gathered.items()))
                taken = dict(islice(counted.items(), MOST_VALUES))
                for value in taken:
                    del counted[value]
                if not counted:
                    del self._gathered[series]
                part.append((series, taken))
                values += len(taken)
        return part

    def _put_back(self, part: list[_Datum]) -> None:
        with self._lock:
            for series, counted in part:
                self._gathered.setdefault(series, Counter()).update(counted)


def _datum(series: _Series, counted: Mapping[float, int], when: datetime) -> dict[str, Any]:
    metric, where = series
    dimensions = [{"Name": metric.dimension, "Value": where}] if metric.dimension else []
    return {
        "MetricName": metric.name,
        "Dimensions": dimensions,
        "Timestamp": when,
        "Values": list(counted),
        "Counts": [float(count) for count in counted.values()],
        "Unit": metric.unit,
    }
