"""What so many tickets a day take: calls a second, calls at once, quota, processes and USD, each by a formula that can be checked by hand."""

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil

from workshop_lib import catalog
from workshop_lib.errors import DataError
from workshop_lib.paths import DATA
from workshop_lib.tasks import TRIAGE, Ticket

DAY_S = 86_400
CALLS_A_PROCESS = 400.0
"""Calls a second of one process through boto3, about what one processor makes; `make bench` measures it on a machine."""
_RECORDED = DATA / "recorded" / "nemotron_sonnet_150.csv"
_NORMAL_P95 = 1.645
_MOST_PER_DAY = 1e15
_INPUT, _OUTPUT = 1260.0, 120.0


@dataclass(frozen=True)
class Load:
    """What one call of a tier is like: tokens in and out, milliseconds within which 95 % of answers come, and where the figures are from."""

    input_tokens: float
    output_tokens: float
    p95_ms: float
    source: str


@dataclass(frozen=True)
class TierNeed:
    """What one tier needs at the busiest time: calls a second, calls at once, requests and tokens of quota a minute; and USD on an average day."""

    key: str
    load: Load
    calls_per_second: float
    at_once: int
    rpm: int
    tpm: int
    usd_per_day: float


@dataclass(frozen=True)
class Plan:
    """A capacity plan; `peak` is how many times the mean rate the busiest time has."""

    per_day: float
    escalation: tuple[float, ...]
    peak: float
    max_tokens: int
    calls_per_process: float
    tiers: tuple[TierNeed, ...]

    @property
    def calls_per_second(self) -> float:
        """Return the calls a second of all tiers at the busiest time."""
        return sum(tier.calls_per_second for tier in self.tiers)

    @property
    def processes(self) -> int:
        """Return how many processes make so many calls: calls a second over calls a second of one process, rounded up."""
        return ceil(self.calls_per_second / self.calls_per_process)

    @property
    def usd_per_day(self) -> float:
        """Return the cost of a day at catalogue prices, without retries that are billed, judges and guardrails."""
        return sum(tier.usd_per_day for tier in self.tiers)

    def table(self) -> str:
        """Return the plan as text, with a table in Markdown and what its figures rest on."""
        shares = ", ".join(f"{share:.3g}" for share in self.escalation)
        peak = f", {self.peak:g} times that at the busiest time" if self.peak != 1 else ""
        lines = [
            f"{self.per_day:,.0f} tickets a day are {self.per_day / DAY_S:,.1f} a second{peak}; escalated: {shares or 'none'}.",
            "",
            "| tier | calls/s | p95 ms | calls at once | requests/min | tokens/min | USD/day |",
            "|---|--:|--:|--:|--:|--:|--:|",
            *(_row(tier) for tier in self.tiers),
            f"| all | {self.calls_per_second:,.1f} | | {sum(tier.at_once for tier in self.tiers):,} | | | {self.usd_per_day:,.0f} |",
            "",
            f"Processes: {self.processes}, at {self.calls_per_process:g} calls/s each. maxTokens: {self.max_tokens}.",
            *(f"{tier.key}: {tier.load.input_tokens:,.0f} tokens in, {tier.load.output_tokens:,.0f} out; {tier.load.source}." for tier in self.tiers),
            "Prices: the table of models, read on the days it names. Billed retries, judges and guardrails come on top.",
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Known:
    """What a user knows better than the recorded run or the catalogue, by model key."""

    input_tokens: Mapping[str, float] = field(default_factory=dict)
    output_tokens: Mapping[str, float] = field(default_factory=dict)
    p95_ms: Mapping[str, float] = field(default_factory=dict)


def plan(
    per_day: float,
    escalation: Sequence[float],
    *,
    tiers: Sequence[str] = ("nano", "sonnet"),
    peak: float = 1.0,
    max_tokens: int | None = None,
    calls_per_process: float = CALLS_A_PROCESS,
    known: Known | None = None,
) -> Plan:
    """Return what so many tickets a day take; `escalation[k]` is the share (0 to 1) of tier k's tickets that go on to tier k + 1.

    calls/s = tickets/s x (1 + escalation), for two tiers; concurrency = rate x p95 latency (Little's law, with the p95 in place of the mean so that
    slow answers do not starve the rate). Raises ValueError with the value that cannot be, UnknownModelError for a model that is not there.
    """
    _check(per_day, escalation, tiers, peak, calls_per_process)
    most = TRIAGE.request(Ticket(id="T", subject="s", body="b")).max_tokens if max_tokens is None else max_tokens
    if most < 1:
        raise ValueError(f"max_tokens must be at least 1, got {most}")
    needs = []
    rate = per_day / DAY_S
    for tier, share in zip(tiers, (1.0, *escalation), strict=True):
        rate *= share
        needs.append(_need(catalog.model(tier), rate, peak, most, known or Known()))
    return Plan(per_day, tuple(escalation), peak, most, calls_per_process, tuple(needs))


def tokens_per_minute(calls_per_second: float, at_once: float, load: Load, max_tokens: int, burndown: int) -> float:
    """Return the tokens a minute that a quota must have for so many calls.

    The service reserves input + maxTokens when a call begins and settles at input + output x burndown when it ends (Amazon Bedrock user guide, token
    burndown; 5 for the Claude 4 family named there, else 1). So a minute takes 60 x rate x settled, and calls under way hold the difference on top.
    """
    settled = load.input_tokens + load.output_tokens * burndown
    held = max(0.0, load.input_tokens + max_tokens - settled)
    return 60 * calls_per_second * settled + at_once * held


def _need(model: catalog.Model, rate: float, peak: float, max_tokens: int, known: Known) -> TierNeed:
    load = _load(model, known)
    busiest = rate * peak
    at_once = ceil(busiest * load.p95_ms / 1000)
    tpm = ceil(tokens_per_minute(busiest, at_once, load, max_tokens, model.burndown))
    usd = rate * DAY_S * (load.input_tokens * model.price.input + load.output_tokens * model.price.output) / catalog.MILLION
    return TierNeed(model.key, load, busiest, at_once, ceil(60 * busiest), tpm, usd)


def _load(model: catalog.Model, known: Known) -> Load:
    found = _recorded().get(model.key) or _catalogued(model, known)
    given = {name: values[model.key] for name, values in vars(known).items() if model.key in values}
    for name, value in given.items():
        if value <= 0:
            raise ValueError(f"{name} of {model.key} must be positive, got {value:g}")
    source = found.source + (f"; {', '.join(sorted(given))} as given" if given else "")
    return Load(**{**vars(found), **given, "source": source})


def _catalogued(model: catalog.Model, known: Known) -> Load:
    """Return a load for a model that nobody recorded: tokens like Nano's, latency by the catalogue's line with a normal spread."""
    tokens = known.output_tokens.get(model.key, _OUTPUT)
    latency = model.latency.intercept_ms + model.latency.per_output_token_ms * tokens + _NORMAL_P95 * model.latency.spread_ms
    return Load(_INPUT * model.tokens, tokens, latency, "assumed from the table of models, as no run of it is recorded")


@cache
def _recorded() -> Mapping[str, Load]:
    """Return mean tokens and p95 latency of the recorded run, all of its 150 tickets at both tiers."""
    try:
        with _RECORDED.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {key: _measured(rows, key) for key in ("nano", "sonnet")}
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"data/recorded/{_RECORDED.name} cannot be read ({error}). Restore it with: git checkout data/recorded") from error


def _measured(rows: Sequence[Mapping[str, str]], key: str) -> Load:
    def column(name: str) -> list[float]:
        return [float(row[f"{key}_{name}"]) for row in rows]

    p95 = statistics.quantiles(column("latency_ms"), n=20, method="inclusive")[-1]
    return Load(statistics.mean(column("input_tokens")), statistics.mean(column("output_tokens")), p95, f"recorded, {len(rows)} tickets, 2026-08-31")


def _check(per_day: float, escalation: Sequence[float], tiers: Sequence[str], peak: float, calls_per_process: float) -> None:
    for name, value in (("per_day", per_day), ("calls_per_process", calls_per_process)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive, got {value:g}")
    if not 1 <= peak < float("inf"):
        raise ValueError(f"peak must be at least 1, got {peak:g}")
    if per_day * peak > _MOST_PER_DAY:
        raise ValueError(f"per_day times peak must be at most {_MOST_PER_DAY:g}, got {per_day:g} times {peak:g}")
    if len(escalation) != len(tiers) - 1:
        raise ValueError(f"{len(tiers)} tiers need {len(tiers) - 1} escalation shares, got {len(escalation)}")
    for share in escalation:
        if not 0 <= share <= 1:
            raise ValueError(f"an escalation share must be from 0 to 1, got {share:g}")


def _row(tier: TierNeed) -> str:
    figures = f"{tier.load.p95_ms:,.0f} | {tier.at_once:,} | {tier.rpm:,} | {tier.tpm:,}"
    return f"| {tier.key} | {tier.calls_per_second:,.1f} | {figures} | {tier.usd_per_day:,.0f} |"
