"""The metrics of a cascade in use: one list of them, measured from traces, sent to CloudWatch, to a log or to OpenTelemetry."""

from workshop_lib.metrics.cloudwatch import CloudWatch
from workshop_lib.metrics.dashboard import dashboard
from workshop_lib.metrics.emf import emf_lines
from workshop_lib.metrics.listed import METRICS, Metric, metric
from workshop_lib.metrics.measuring import Measurement, measurements
from workshop_lib.metrics.otel import OpenTelemetry

__all__ = ["METRICS", "CloudWatch", "Measurement", "Metric", "OpenTelemetry", "dashboard", "emf_lines", "measurements", "metric"]
