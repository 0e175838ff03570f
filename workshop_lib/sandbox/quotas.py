"""Quotas as on the service: requests per minute, and tokens per minute that are reserved at the start and settled on what was used."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workshop_lib import catalog
from workshop_lib.sandbox.ask import Completion
from workshop_lib.sandbox.bucket import Bucket
from workshop_lib.sandbox.faults import Failure

MOST_OUTPUT = 65_536
"""Tokens reserved for the output of a request that names no limit: the maximum of a large model."""
_MINUTE_S = 60.0


class Quota(BaseModel):
    """What one model, or each model, may be asked in a minute; with a scope, only requests that carry it are limited, and apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    scope: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    rpm: float | None = Field(default=None, gt=0, le=1e9)
    tpm: float | None = Field(default=None, gt=0, le=1e12)

    @model_validator(mode="after")
    def _something(self) -> "Quota":
        if self.rpm is None and self.tpm is None:
            raise ValueError("name at least one of rpm, tpm")
        if self.model is not None:
            catalog.model(self.model)
        return self

    def meets(self, model: catalog.Model, scope: str | None) -> bool:
        """Say whether requests to a model in a scope count against this quota."""
        return self.scope in (None, scope) and self.model in (None, model.key, model.id)


class Quotas:
    """The quotas in force, none at first; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._quotas: list[Quota] = []
        self._requests: dict[tuple[Quota, str], Bucket] = {}
        self._tokens: dict[tuple[Quota, str], Bucket] = {}
        self._clock = clock

    def add(self, quota: Quota) -> None:
        """Put a quota in force, in place of one for the same model and scope; its buckets are full."""
        self._keep(lambda other: (other.model, other.scope) != (quota.model, quota.scope))
        self._quotas.append(quota)

    def clear(self, scope: str | None = None) -> int:
        """End the quotas of a scope ("" for those without one), or all; return how many ended."""
        before = len(self._quotas)
        self._keep(lambda quota: scope is not None and (quota.scope or "") != scope)
        return before - len(self._quotas)

    def describe(self, scope: str | None = None) -> list[dict[str, object]]:
        """Return the quotas in force as plain data: those of a scope ("" for those without one), or all."""
        return [quota.model_dump(exclude_none=True) for quota in self._quotas if scope is None or (quota.scope or "") == scope]

    def limit(self, model: catalog.Model, scope: str | None) -> bool:
        """Say whether any quota counts requests to a model in a scope."""
        return any(quota.meets(model, scope) for quota in self._quotas)

    def admit(self, model: catalog.Model, scope: str | None, input_tokens: int, max_tokens: int | None) -> "Admission | Failure":
        """Admit a request and reserve input + `max_tokens`, or return the throttling with its delay; one refused takes nothing."""
        now = self._clock()
        reserved = input_tokens + (MOST_OUTPUT if max_tokens is None else max_tokens)
        taken: list[tuple[Bucket, float]] = []
        held: list[Bucket] = []
        for quota in self._quotas:
            if not quota.meets(model, scope):
                continue
            for name, limit, buckets, amount in (("requests", quota.rpm, self._requests, 1), ("tokens", quota.tpm, self._tokens, reserved)):
                if limit is None:
                    continue
                bucket = buckets.setdefault((quota, model.id), Bucket(limit, limit / _MINUTE_S, now))
                wait_s = bucket.take(amount, now)
                if wait_s:
                    for earlier, had in taken:
                        earlier.give(had, now)
                    return _throttled(name, wait_s, amount, limit)
                taken.append((bucket, amount))
                if buckets is self._tokens:
                    held.append(bucket)
        return Admission(tuple(held), reserved, model.burndown, self._clock)

    def _keep(self, wanted: Callable[[Quota], bool]) -> None:
        self._quotas = [quota for quota in self._quotas if wanted(quota)]
        self._requests = {key: bucket for key, bucket in self._requests.items() if wanted(key[0])}
        self._tokens = {key: bucket for key, bucket in self._tokens.items() if wanted(key[0])}


@dataclass(frozen=True)
class Admission:
    """A request under way, with the tokens reserved for it."""

    buckets: tuple[Bucket, ...]
    reserved: int
    output_factor: int
    clock: Callable[[], float]

    def settle(self, done: Sequence[Completion]) -> None:
        """Give back what was reserved and not used: input and cache writes count once, output times the burndown, cache reads not at all."""
        used = sum(one.input_tokens + one.cache_write_tokens + one.output_tokens * self.output_factor for one in done)
        for bucket in self.buckets:
            bucket.give(self.reserved - used, self.clock())


def _throttled(what: str, wait_s: float, amount: float, limit: float) -> Failure:
    if amount > limit:
        message = f"Too many {what}: this request reserves {amount:.0f}, and the quota is {limit:.0f} a minute. Ask for fewer with maxTokens."
        return Failure("throttled", message, round(_MINUTE_S * 1000))
    return Failure("throttled", f"Too many {what}, please wait before trying again.", max(1, round(wait_s * 1000)))
