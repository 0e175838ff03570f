"""A fault as the admin route, the command line and the config file take it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workshop_lib import catalog
from workshop_lib.sandbox.faults.kinds import STALLS, Outcome, Step

_CAUSES = ("throttle_rps", "error_rate", "poison", "script", "added_ms")
DEFAULT_STALL_MS = 1000.0


class Fault(BaseModel):
    """What is to go wrong, for which model and in which scope; at least one of the five causes.

    `throttle_rps` with `burst` is a token bucket, `error_rate` the share of requests that meet `kind`, `poison` a text that always fails,
    `script` the outcomes of one request's attempts in turn ("ok" after the last), counted by its content or by `per` invocation id, and
    `added_ms` a delay in real time, log-normal if it has a spread. `stall_ms` is how long a stall lasts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scope: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    model: str | None = None
    throttle_rps: float | None = Field(default=None, gt=0, le=1_000_000)
    burst: float | None = Field(default=None, ge=1, le=1_000_000)
    error_rate: float | None = Field(default=None, ge=0, le=1)
    kind: Outcome = "server"
    poison: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    script: Annotated[tuple[Step, ...], Field(min_length=1, max_length=100)] | None = None
    per: Literal["content", "invocation"] | None = None
    added_ms: float | None = Field(default=None, gt=0, le=600_000)
    added_spread_ms: float | None = Field(default=None, gt=0, le=600_000)
    stall_ms: float | None = Field(default=None, gt=0, le=600_000)

    @model_validator(mode="after")
    def _something(self) -> "Fault":
        if all(getattr(self, cause) is None for cause in _CAUSES):
            raise ValueError(f"name at least one of {', '.join(_CAUSES)}")
        for name, needed in (("burst", "throttle_rps"), ("per", "script"), ("added_spread_ms", "added_ms")):
            if getattr(self, name) is not None and getattr(self, needed) is None:
                raise ValueError(f"{name} needs {needed}")
        if self.stall_ms is not None and not STALLS & {self.kind, *(self.script or ())}:
            raise ValueError(f"stall_ms needs kind or script to name one of {', '.join(sorted(STALLS))}")
        if self.model is not None and self.model not in catalog.models():
            catalog.model(self.model)
        return self
