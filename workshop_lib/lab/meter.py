"""The meter: how many calls a lab has made and what they would have cost and taken live, from the sandbox's own count."""

import json
import os
import re
import urllib.request
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from workshop_lib.settings import Settings

HEADER = "x-workshop-meter"
"""The header by which openai clients name their meter; boto3 clients do so in the user agent, as an application id."""

_APP = "AWS_SDK_UA_APP_ID"
_HEADERS = "OPENAI_CUSTOM_HEADERS"
_OURS = re.compile(r"lab\d*-[0-9a-f]{12}")
_ANSWER_S = 5.0
_LEAST_USD = 0.0001


@dataclass(frozen=True)
class Reading:
    """Calls answered, their cost in USD at the catalogue's prices for the sandbox's token counts, and their modelled latency in ms, summed."""

    calls: int = 0
    usd: float = 0.0
    latency_ms: int = 0

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(self.calls + other.calls, self.usd + other.usd, self.latency_ms + other.latency_ms)

    def line(self) -> str:
        """Return what the meter says: calls, cost and time, and below them where the figures are from."""
        if not self.calls:
            return "This lab so far: no calls."
        calls = "1 call" if self.calls == 1 else f"{self.calls:,} calls"
        return (
            f"This lab so far: {calls}. Live it would have cost {usd(self.usd)} and taken {duration(self.latency_ms)}, one call after the other\n"
            "(the sandbox's token counts at the prices of data/models.toml, modelled latency)."
        )


class Meter:
    """The meter of one lab in one kernel; clients of this process and its children that are made after `install` are counted."""

    def __init__(self, lab: str) -> None:
        self.name = f"lab{lab.partition('_')[0]}-{uuid4().hex[:12]}"
        self._before = Reading()  # counted by sandboxes that have stopped since
        self._last = Reading()

    def install(self, settings: Settings) -> None:
        """Make this process's clients name the meter: in the sandbox only, a vendor learns nothing of it."""
        ours = settings.backend == "sandbox"
        if ours:
            os.environ[_APP] = self.name
        elif _OURS.fullmatch(os.environ.get(_APP, "")):
            del os.environ[_APP]
        lines = [line for line in os.environ.get(_HEADERS, "").split("\n") if line.strip() and not line.lower().startswith(HEADER)]
        lines += [f"{HEADER}: {self.name}"] if ours else []
        os.environ.pop(_HEADERS, None)
        if lines:
            os.environ[_HEADERS] = "\n".join(lines)

    def line(self, settings: Settings) -> str:
        """Return the meter's line, or why there is none; never raises for the foreseeable."""
        if settings.backend != "sandbox":
            return "The meter counts calls in the sandbox only. Live, every reply carries its cost, and your account has the bill."
        now = self._read(settings)
        if now is None:
            return "The meter cannot be read: the sandbox does not answer, or is not the workshop's. Try lab.reconnect()."
        if now.calls < self._last.calls:  # another sandbox, which began to count anew
            self._before += self._last
        self._last = now
        return (self._before + now).line()

    def _read(self, settings: Settings) -> Reading | None:
        address = f"{settings.bedrock_endpoint}/sandbox/meter?name={self.name}"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy must not see loopback calls
        try:
            with direct.open(address, timeout=_ANSWER_S) as answer:
                found = json.load(answer)
            return Reading(int(found["ok"]), float(found["usd"]), int(found["latency_ms"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def usd(amount: float) -> str:
    """Return an amount in USD with two significant digits, and cents from 0.10 USD on."""
    if 0 < amount < _LEAST_USD:
        return f"less than {_LEAST_USD} USD"
    if amount >= 0.0995:
        return f"{amount:,.2f} USD"
    return f"{Decimal(f'{amount:.2g}'):f} USD"


def duration(ms: float) -> str:
    """Return a duration in words, rounded to the second, or to a tenth below ten seconds."""
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
