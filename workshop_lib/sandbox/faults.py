"""Faults on demand: throttling by a token bucket, a share of failing requests, and a text that always fails.

A fault with a scope meets only requests that carry it (header `x-workshop-scope`, or `scope` in requestMetadata or metadata).
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workshop_lib import catalog
from workshop_lib.sandbox import draw

Kind = Literal["throttled", "server", "unavailable", "validation", "model_timeout", "model_error"]
_REMEMBERED = 100_000


class Fault(BaseModel):
    """What is to go wrong, as the admin route takes it; at least one of the three causes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scope: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    model: str | None = None
    throttle_rps: float | None = Field(default=None, gt=0, le=1_000_000)
    burst: float | None = Field(default=None, ge=1, le=1_000_000)
    error_rate: float | None = Field(default=None, ge=0, le=1)
    kind: Literal["server", "unavailable"] = "server"
    poison: Annotated[str, Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _something(self) -> "Fault":
        if self.throttle_rps is None and self.error_rate is None and self.poison is None:
            raise ValueError("name at least one of throttle_rps, error_rate, poison")
        if self.burst is not None and self.throttle_rps is None:
            raise ValueError("burst needs throttle_rps")
        if self.model is not None and self.model not in catalog.models():
            catalog.model(self.model)
        return self


@dataclass(frozen=True)
class Failure:
    """How one request is to fail; `retry_after_ms` is set for throttling."""

    kind: Kind
    message: str
    retry_after_ms: int | None = None


@dataclass
class _Bucket:
    level: float
    filled_at: float


@dataclass
class _Active:
    fault: Fault
    buckets: dict[str, _Bucket] = field(default_factory=dict)
    seen: Counter[bytes] = field(default_factory=Counter)


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
        return [fault.model_dump(exclude_none=True) for fault in faults]

    def failure(self, model: catalog.Model, scope: str | None, key: bytes, text: str) -> Failure | None:
        """Return how a request fails, or None; `key` identifies its content, so that the draws are the same on every run.

        The n-th time the same content arrives is a draw of its own, so that a retry may succeed.
        """
        for active in self._active:
            fault = active.fault
            if fault.scope not in (None, scope) or fault.model not in (None, model.key, model.id):
                continue
            found = self._poisoned(fault, text) or self._throttled(active, model) or self._failed(active, key)
            if found is not None:
                return found
        return None

    def _poisoned(self, fault: Fault, text: str) -> Failure | None:
        if fault.poison is None or fault.poison not in text:
            return None
        return Failure(
            "validation",
            "The model returned the following errors: the input was rejected (a sandbox fault: it contains the poisoned text).",
        )

    def _throttled(self, active: _Active, model: catalog.Model) -> Failure | None:
        rate = active.fault.throttle_rps
        if rate is None:
            return None
        now, most = self._clock(), active.fault.burst or max(1.0, rate)
        bucket = active.buckets.setdefault(model.key, _Bucket(most, now))
        bucket.level = min(most, bucket.level + (now - bucket.filled_at) * rate)
        bucket.filled_at = now
        if bucket.level >= 1:
            bucket.level -= 1
            return None
        wait_ms = max(1, round((1 - bucket.level) / rate * 1000))
        return Failure("throttled", "Too many requests, please wait before trying again.", wait_ms)

    def _failed(self, active: _Active, key: bytes) -> Failure | None:
        share = active.fault.error_rate
        if not share:
            return None
        if len(active.seen) >= _REMEMBERED:
            active.seen.clear()
        active.seen[key] += 1
        if draw.unit(key, f"fault {active.seen[key]}") >= share:
            return None
        if active.fault.kind == "unavailable":
            return Failure("unavailable", "The service is temporarily unavailable (a sandbox fault).")
        return Failure("server", "The system encountered an unexpected error during processing (a sandbox fault).")
