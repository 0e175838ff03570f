"""Metrics: measured from traces, sent three ways, and every panel of the dashboard read back."""

import json
import sys
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest
from botocore.exceptions import ClientError
from metered import INVALID, failed, says, score, traces, walked

from workshop_lib.errors import SettingsError
from workshop_lib.metrics import METRICS, CloudWatch, OpenTelemetry, dashboard, emf_lines, measurements, metric
from workshop_lib.metrics.alarms import ALARMS
from workshop_lib.metrics.cloudwatch import MOST_DATA, MOST_VALUES
from workshop_lib.metrics.otel import otel_name

SCHEMA = json.loads((Path(__file__).parent / "emf_schema.json").read_text(encoding="utf-8"))
NAMESPACE = "CascadeWorkshop/test"
AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def values(trace: Any) -> dict[tuple[str, str | None], list[float]]:
    """Return what a walk measured, by metric and place."""
    found: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    for one in measurements(trace):
        found[one.metric.name, one.where].append(one.value)
    return found


def test_what_one_walk_measures() -> None:
    """Without it a figure on the dashboard could be another than the trace's."""
    found = values(walked(nano=says(attempts=3), opus=score(2), sonnet=says(usd=0.01, ms=900)))
    assert found["Escalated", None] == [1.0]
    assert found["Cost", "nano"] == [0.001]
    assert found["Cost", "opus"] == [0.005]
    assert found["TicketCost", None] == [pytest.approx(0.016)]
    assert found["TicketLatency", None] == [1700.0]
    assert found["Retries", "nano"] == [2.0]
    assert found["GateReasons", "judge"] == [1.0]
    assert found["JudgeScore", None] == [2.0]
    assert ("GateReasons", "confidence") not in found


def test_costs_by_model_add_up_to_the_tickets() -> None:
    """Without it the bill by model would not be the bill."""
    for trace in traces():
        found = values(trace)
        assert sum(sum(listed) for (name, _), listed in found.items() if name == "Cost") == pytest.approx(found["TicketCost", None][0])


def test_failures_are_counted_as_what_they_are() -> None:
    """Without it throttling, invalid replies and unanswered tickets could hide in one another."""
    throttled = values(walked(nano=failed("throttled", 4)))
    assert (throttled["Throttled", "nano"], throttled["Retries", "nano"], throttled["Unanswered", None]) == ([1.0], [3.0], [1.0])
    assert ("Latency", "nano") not in throttled
    invalid = values(walked(nano=INVALID, sonnet=INVALID))
    assert (invalid["InvalidReplies", "nano"], invalid["ReviewRequired", None]) == ([1.0], [1.0])
    late = values(walked(nano=failed("read_timeout"), sonnet=says()))
    assert (late["CostIncomplete", None], late["Throttled", "nano"]) == ([1.0], [0.0])


def test_no_ticket_is_in_a_metric() -> None:
    """Without it an id would become a dimension, and each ticket a metric that is paid for."""
    for trace in traces():
        assert "secret" not in str([(one.metric.name, one.where) for one in measurements(trace)])
        assert "secret" not in "".join(emf_lines(trace))


def test_names_are_few_and_known() -> None:
    """Without it an alarm or a panel could name a metric that nobody emits."""
    assert len({one.name for one in METRICS}) == len(METRICS)
    assert {one.dimension for one in METRICS} == {None, "Model", "Tier", "Gate"}
    assert {alarm.metric for alarm in ALARMS} <= set(METRICS)
    with pytest.raises(ValueError, match="Escalations"):
        metric("Escalations")


class TestEmf:
    """The embedded metric format."""

    def test_lines_follow_the_format(self) -> None:
        """Without it CloudWatch would take the lines for text and extract nothing."""
        for trace in traces():
            for line in emf_lines(trace, NAMESPACE, at_ms=1_700_000_000_000):
                document = json.loads(line)
                jsonschema.validate(document, SCHEMA)
                (directive,) = document["_aws"]["CloudWatchMetrics"]
                for name in (*directive["Dimensions"][0], *(one["Name"] for one in directive["Metrics"])):
                    assert name in document
                assert "\n" not in line

    def test_the_schema_refuses_what_the_format_does(self) -> None:
        """Without it the test above could not fail."""
        document = json.loads(emf_lines(traces()[0])[0])
        for wrong in ({"_aws": {"Timestamp": 1}}, {**document, "Tickets": {"nested": 1}}, {**document, "_aws": {**document["_aws"], "Timestamp": "now"}}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, SCHEMA)

    def test_lines_say_what_was_measured(self) -> None:
        """Without it a value could be lost between two lines."""
        for trace in traces():
            said: dict[tuple[str, str | None], list[float]] = defaultdict(list)
            for line in map(json.loads, emf_lines(trace)):
                (directive,) = line["_aws"]["CloudWatchMetrics"]
                where = line[directive["Dimensions"][0][0]] if directive["Dimensions"][0] else None
                for one in directive["Metrics"]:
                    value = line[one["Name"]]
                    said[one["Name"], where] += value if isinstance(value, list) else [value]
            assert said == values(trace)


class Refusing:
    """A client that takes requests, or refuses the n-th."""

    def __init__(self, refuse: int | None = None) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked = 0
        self.refuse = refuse

    def put_metric_data(self, **request: Any) -> None:
        """Take a request."""
        self.asked += 1
        if self.asked == self.refuse:
            raise ClientError({"Error": {"Code": "Throttling", "Message": "slow down"}}, "PutMetricData")
        self.taken.append(request)

    def counted(self) -> dict[str, float]:
        """Return how many values of each metric were taken."""
        found: dict[str, float] = defaultdict(float)
        for datum in (datum for request in self.taken for datum in request["MetricData"]):
            found[datum["MetricName"]] += sum(datum["Counts"])
        return found


class TestCloudWatch:
    """PutMetricData."""

    def test_requests_stay_within_the_limits(self) -> None:
        """Without it the service would refuse a busy minute as a whole."""
        client: Any = Refusing()
        sink = CloudWatch(client)
        for number in range(40_000):
            sink._gathered.setdefault((METRICS[number % 15], None), Counter())[float(number)] += 1
        assert sink.flush() > 1
        for request in client.taken:
            assert len(request["MetricData"]) <= MOST_DATA
            assert all(len(datum["Values"]) == len(datum["Counts"]) <= MOST_VALUES for datum in request["MetricData"])
            assert len(json.dumps(request, default=str)) < 1_000_000
        assert sum(client.counted().values()) == 40_000
        assert sink.flush() == 0

    def test_equal_values_are_sent_once(self) -> None:
        """Without it every ticket would add to the size of a request."""
        client: Any = Refusing()
        sink = CloudWatch(client)
        for _ in range(500):
            sink.observe(traces()[0])
        sink.flush()
        (request,) = client.taken
        (tickets,) = [datum for datum in request["MetricData"] if datum["MetricName"] == "Tickets"]
        assert (tickets["Values"], tickets["Counts"]) == ([1.0], [500.0])

    def test_what_was_refused_is_sent_later_and_once(self) -> None:
        """Without it a throttled request would lose a minute, or send half of it twice."""
        client: Any = Refusing(refuse=1)
        sink = CloudWatch(client)
        for trace in traces():
            sink.observe(trace)
        with pytest.raises(ClientError):
            sink.flush()
        sink.observe(traces()[0])
        sink.flush()
        assert client.counted()["Tickets"] == len(traces()) + 1

    def test_threads_may_share_it(self) -> None:
        """Without it walks that end at once could lose each other's measurements."""
        client: Any = Refusing()
        sink, trace = CloudWatch(client), traces()[0]
        threads = [threading.Thread(target=lambda: [sink.observe(trace) for _ in range(200)] and sink.flush()) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.counted()["Tickets"] == 800


class TestDashboard:
    """The dashboard, and what the emulator has for each of its panels."""

    @pytest.mark.slow
    def test_every_panel_is_read_back(self) -> None:
        """Without it a panel could show a metric, or a model's part of it, that nobody emits."""
        from moto import mock_aws

        with mock_aws():
            client = boto3.client("cloudwatch", region_name="us-west-2")
            sink = CloudWatch(client, NAMESPACE)
            for trace in traces():
                sink.observe(trace)
            sink.flush(AT)
            body = dashboard(("nano", "sonnet"), ("opus",), namespace=NAMESPACE, region="us-west-2")
            client.put_dashboard(DashboardName="d", DashboardBody=json.dumps(body))
            kept = json.loads(client.get_dashboard(DashboardName="d")["DashboardBody"])
            read = [self.read(client, series) for widget in kept["widgets"] for series in widget["properties"]["metrics"]]
        wanted = {(name, where) for trace in traces() for name, where in values(trace)}
        assert {(name, where) for name, where, _ in read} >= wanted
        by_place = {(name, where): value for name, where, value in read}
        assert by_place["Tickets", None] == 8.0
        assert by_place["Escalated", None] == pytest.approx(5 / 8)
        assert by_place["Throttled", "nano"] == 1.0

    def read(self, client: Any, series: list[Any]) -> tuple[str, str | None, float]:
        """Return a panel's figure from the emulator; fail if there is none."""
        namespace, name, *rest = series
        *where, options = rest
        dimensions = [{"Name": where[0], "Value": where[1]}] if where else []
        stat = {"Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}, "Period": 300, "Stat": "Average" if options["stat"].startswith("p") else options["stat"]}
        asked = {"StartTime": AT - timedelta(minutes=5), "EndTime": AT + timedelta(minutes=5)}
        found = client.get_metric_data(MetricDataQueries=[{"Id": "m", "MetricStat": stat}], **asked)["MetricDataResults"][0]["Values"]
        assert found, series
        return name, where[1] if where else None, found[0]

    def test_panels_do_not_overlap(self) -> None:
        """Without it one panel would lie on another."""
        widgets = dashboard(("nano", "sonnet"), ("opus",), region="us-west-2")["widgets"]
        places = {(one["x"], one["y"]) for one in widgets}
        assert len(places) == len(widgets) == len(METRICS)
        assert all(one["x"] + one["width"] <= 24 for one in widgets)


class TestOpenTelemetry:
    """The SDK's own reader reads what was recorded."""

    def test_values_are_read_back(self) -> None:
        """Without it whoever collects with OpenTelemetry would see other figures than CloudWatch's."""
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        reader = InMemoryMetricReader()
        sink = OpenTelemetry(MeterProvider(metric_readers=[reader]))
        for trace in traces():
            sink.observe(trace)
        data: Any = reader.get_metrics_data()
        found = {one.name: one for one in data.resource_metrics[0].scope_metrics[0].metrics}
        assert set(found) == {otel_name(one) for one in METRICS}
        assert found["cascade.tickets"].data.data_points[0].value == 8
        assert {point.attributes["model"] for point in found["cascade.calls"].data.data_points} == {"nano", "sonnet", "opus"}
        assert found["cascade.ticket_latency"].data.data_points[0].count == 8
        assert found["cascade.ticket_latency"].unit == "ms"

    def test_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without it a missing extra would be a traceback."""
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
        with pytest.raises(SettingsError, match=r"cascade-workshop\[otel\]"):
            OpenTelemetry()
