"""Monitoring of a cascade in use: a strong model in the shadow, drift against a reference window, and alarms as data."""

from workshop_lib.evaluation.monitoring.cusum import Cusum, Design, average_run_length, design
from workshop_lib.evaluation.monitoring.drift import BANDS, Drift, chance_level, drift, psi, psi_interval
from workshop_lib.evaluation.monitoring.monitor import Alarm, Monitor
from workshop_lib.evaluation.monitoring.reference import Reference, monitor_table
from workshop_lib.evaluation.monitoring.shadow import Look, Shadow, same_answer

__all__ = [
    "BANDS",
    "Alarm",
    "Cusum",
    "Design",
    "Drift",
    "Look",
    "Monitor",
    "Reference",
    "Shadow",
    "average_run_length",
    "chance_level",
    "design",
    "drift",
    "monitor_table",
    "psi",
    "psi_interval",
    "same_answer",
]
