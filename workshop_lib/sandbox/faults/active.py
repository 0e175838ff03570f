"""The faults in force: whom they meet, and what they do to a request.

A fault with a scope meets only requests that carry it (header `x-workshop-scope`, or `scope` in requestMetadata or metadata).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from workshop_lib import catalog
from workshop_lib.sandbox import draw
from workshop_lib.sandbox.bucket import Bucket
from workshop_lib.sandbox.faults.arrivals import Arrival, Arrivals
from workshop_lib.sandbox.faults.fault import DEFAULT_STALL_MS, Fault
from workshop_lib.sandbox.faults.kinds import BROKEN, REFUSED, Failure, failure
from workshop_lib.sandbox.latency import modelled_ms

_POISONED = "The model returned the following errors: the input was rejected (a sandbox fault: it contains the poisoned text)."
_RETRY_MS = 1000

__all__ = ["Arrival", "Faults", "Plan"]


@dataclass(frozen=True)
class Plan:
    """What the faults do to one request: wait, then fail; or answer, with what `broken` and `spoiled` name done to it."""

    failure: Failure | None = None
    wait_ms: float = 0.0
    broken: tuple[str, ...] = ()
    spoiled: tuple[str, ...] = ()
    stall_ms: float = DEFAULT_STALL_MS


NOTHING = Plan()


@dataclass
class _Active:
    fault: Fault
    buckets: dict[str, Bucket] = field(default_factory=dict)
    arrivals: Arrivals = field(default_factory=Arrivals)

    def meets(self, model: catalog.Model, scope: str | None) -> bool:
        return self.fault.scope in (None, scope) and self.fault.model in (None, model.key, model.id)


class Faults:
    """The faults in force; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._active: list[_Active] = []
        self._clock = clock

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._active.append(_Active(fault))

    def clear(self, scope: str | None = None) -> int:
        """End the faults of a scope ("" for those without one), or all; return how many ended."""
        kept = [active for active in self._active if scope is not None and (active.fault.scope or "") != scope]
        ended = len(self._active) - len(kept)
        self._active = kept
        return ended

    def describe(self, scope: str | None = None) -> list[dict[str, object]]:
        """Return the faults in force as plain data: those of a scope ("" for those without one), or all."""
        faults = [active.fault for active in self._active if scope is None or (active.fault.scope or "") == scope]
        return [fault.model_dump(mode="json", exclude_none=True) for fault in faults]

    def meet(self, model: catalog.Model, scope: str | None) -> bool:
        """Say whether any fault meets the requests to a model in a scope."""
        return any(active.meets(model, scope) for active in self._active)

    def plan(self, model: catalog.Model, scope: str | None, arrival: Arrival, text: str) -> Plan:
        """Return what happens to a request; the first fault that refuses it ends the search, the effects of the others add up.

        The n-th time the same content arrives is a draw of its own, so that a retry may succeed.
        """
        wait_ms, stall_ms, names = 0.0, DEFAULT_STALL_MS, []
        for active in self._active:
            if not active.meets(model, scope):
                continue
            number = active.arrivals.number(arrival)
            wait_ms += _delay(active.fault, arrival, number)
            found = self._outcome(active, model, arrival, number, text)
            if isinstance(found, Failure):
                return Plan(found, wait_ms)
            if found is not None:
                names.append(found)
                stall_ms = active.fault.stall_ms or stall_ms
        broken = tuple(name for name in names if name in BROKEN)
        spoiled = tuple(name for name in names if name not in BROKEN)
        return Plan(None, wait_ms, broken, spoiled, stall_ms)

    def _outcome(self, active: _Active, model: catalog.Model, arrival: Arrival, number: int, text: str) -> Failure | str | None:
        fault = active.fault
        if fault.poison is not None and fault.poison in text:
            return Failure("validation", _POISONED)
        if fault.throttle_rps is not None:
            most = fault.burst or max(1.0, fault.throttle_rps)
            bucket = active.buckets.setdefault(model.key, Bucket(most, fault.throttle_rps, self._clock()))
            wait_s = bucket.take(1, self._clock())
            if wait_s:
                return failure("throttled", max(1, round(wait_s * 1000)))
        if fault.script is not None:
            position = arrival.attempt - 1 if fault.per == "invocation" and arrival.invocation else active.arrivals.count(arrival) - 1
            step = fault.script[position] if position < len(fault.script) else "ok"
            if step != "ok":
                return _named(step)
        if fault.error_rate and draw.unit(arrival.key, _purpose(arrival, number)) < fault.error_rate:
            return _named(fault.kind)
        return None


def _named(name: str) -> Failure | str:
    if name not in REFUSED:
        return name
    return failure(name, _RETRY_MS if name == "throttled" else None)  # type: ignore[arg-type]  # REFUSED holds the kinds


def _purpose(arrival: Arrival, number: int) -> str:
    return f"fault {number}" if arrival.attempt == 1 else f"fault {number} attempt {arrival.attempt}"


def _delay(fault: Fault, arrival: Arrival, number: int) -> float:
    if fault.added_ms is None:
        return 0.0
    if fault.added_spread_ms is None:
        return fault.added_ms
    shape = catalog.Latency(intercept_ms=fault.added_ms, per_output_token_ms=0, spread_ms=fault.added_spread_ms, source="a fault")
    return modelled_ms(shape, 0, arrival.key[:32] + _purpose(arrival, number).encode()[:32])
