"""Faults on demand: what is to go wrong, whom it meets, and what it does to a request."""

from workshop_lib.sandbox.faults.active import Arrival, Faults, Plan
from workshop_lib.sandbox.faults.fault import Fault
from workshop_lib.sandbox.faults.kinds import Failure, Kind, in_stream

__all__ = ["Arrival", "Failure", "Fault", "Faults", "Kind", "Plan", "in_stream"]
