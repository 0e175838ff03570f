"""Everything one process needs to route tickets: clients behind pacers, retries within a budget, patience, a guardrail, and the walk."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workshop_lib import catalog
from workshop_lib.bulk.paced import Counts, Paced, Pacers
from workshop_lib.bulk.pacing import Limit
from workshop_lib.bulk.patient import Patience, Patient, patiently
from workshop_lib.bulk.work import Work
from workshop_lib.cascade import Policy
from workshop_lib.llm import Ask, Gateway, RetryBudget, RetryPolicy
from workshop_lib.llm.guarding import Guarded, guardrail_of
from workshop_lib.settings import Settings


@dataclass(frozen=True)
class Pace:
    """How fast one process may go: tickets in work at once, and by model key the stated limits and the calls under way at once."""

    concurrency: int = 16
    limits: Mapping[str, Limit] = field(default_factory=dict)
    at_once: Mapping[str, int] = field(default_factory=dict)
    max_calls: int | None = None

    def share(self, processes: int, number: int) -> "Pace":
        """Return the part of process `number` of so many: together they keep what is stated for all."""

        def part(whole: int) -> int:
            return whole // processes + (number < whole % processes)

        limits = {key: Limit(_over(limit.rpm, processes), _over(limit.tpm, processes)) for key, limit in self.limits.items()}
        at_once = {key: max(1, part(most)) for key, most in self.at_once.items()}
        return Pace(max(1, part(self.concurrency)), limits, at_once, None if self.max_calls is None else part(self.max_calls))


def _over(whole: float | None, parts: int) -> float | None:
    return None if whole is None else whole / parts


class Station:
    """Where one process's tickets are worked on; `work` is what its threads call, `stop` ends every wait at once."""

    def __init__(self, settings: Settings, policy: Policy, pace: Pace, pacers: Pacers | None = None) -> None:
        """Connect every provider that the policy needs, so that what is wrong with the settings is told before any ticket.

        `pacers` are used in place of new ones that keep to the pace.
        """
        self._pacers = pacers or Pacers(pace.limits, pace.at_once, pace.max_calls)
        raw = Gateway(settings, many=True)
        names = {catalog.model(key).provider for key in models_of(policy)} | ({"bedrock"} if settings.guardrail_id else set())
        providers = {name: Paced(raw.provider(name), self._pacers) for name in sorted(names)}
        retries = RetryPolicy(
            settings.max_retries, settings.retry_base_s, settings.retry_cap_s, sleep=self._pacers.sleep, budget=RetryBudget()
        )
        gateway = Gateway(settings, retries, providers)
        patience = Patience(sleep=self._pacers.sleep)
        self._guarded = _guarded(gateway, Patient(gateway, patience), settings, patience)
        ask: Ask = self._guarded or Patient(gateway, patience)
        self.work = Work(policy, ask)

    def counts(self) -> dict[str, Counts]:
        """Return what was sent so far, by model key."""
        return self._pacers.snapshot()

    @property
    def guardrail_units(self) -> int:
        """Return the text units of ApplyGuardrail so far."""
        return self._guarded.units if self._guarded is not None else 0

    def stop(self) -> None:
        """End every wait; what waits for its turn is not sent."""
        self._pacers.stop()


def _guarded(gateway: Gateway, ask: Ask, settings: Settings, patience: Patience) -> Guarded | None:
    guardrail = guardrail_of(settings)
    if guardrail is None:
        return None
    return Guarded(ask, guardrail, lambda guard, text, source: patiently(lambda: gateway.screen(guard, text, source), patience), settings.backend)


def models_of(policy: Policy) -> tuple[str, ...]:
    """Return the keys of all models that a policy may ask: its tiers, judges and a router."""
    named = [getattr(part, "model", None) for part in (*policy.gates, policy.router)]
    return tuple(dict.fromkeys([*policy.tiers, *(name for name in named if isinstance(name, str))]))
