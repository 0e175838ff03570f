"""Metrics through OpenTelemetry, to whatever the meter's provider exports to."""

from typing import TYPE_CHECKING, Any

from workshop_lib.cascade import Trace
from workshop_lib.errors import SettingsError
from workshop_lib.metrics.listed import METRICS, Metric
from workshop_lib.metrics.measuring import measurements

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, MeterProvider

_UNITS = {"Count": "1", "Milliseconds": "ms", "None": "1"}


class OpenTelemetry:
    """Records what walks measured with the instruments of a meter provider (the global one if none is given).

    Counts, amounts and shares are counters (a share is its counter divided by that of the tickets or calls), spreads are histograms. Raises
    SettingsError if OpenTelemetry is not installed.
    """

    def __init__(self, provider: "MeterProvider | None" = None) -> None:
        try:
            from opentelemetry import metrics
        except ModuleNotFoundError as error:
            raise SettingsError("OpenTelemetry is not installed. Run: pip install 'cascade-workshop[otel]'") from error
        meter = (provider or metrics.get_meter_provider()).get_meter("workshop_lib.metrics")
        self._instruments: dict[Metric, Counter | Histogram] = {}
        for one in METRICS:
            make = meter.create_histogram if one.kind == "spread" else meter.create_counter
            self._instruments[one] = make(otel_name(one), unit=_UNITS[one.unit], description=one.about)

    def observe(self, trace: Trace[Any]) -> None:
        """Take one finished walk."""
        for one in measurements(trace):
            attributes = {one.metric.dimension.lower(): one.where} if one.metric.dimension and one.where else {}
            instrument = self._instruments[one.metric]
            if hasattr(instrument, "record"):
                instrument.record(one.value, attributes)
            else:
                instrument.add(one.value, attributes)


def otel_name(metric: Metric) -> str:
    """Return a metric's name as OpenTelemetry writes names: `TicketCost` is `cascade.ticket_cost`."""
    return "cascade." + "".join(f"_{letter.lower()}" if letter.isupper() and at else letter.lower() for at, letter in enumerate(metric.name))
