"""How many tickets a file holds and what they may cost: for a time of arrival, and to ask before money is spent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workshop_lib import catalog
from workshop_lib.bulk.sources import sample
from workshop_lib.cascade import Policy
from workshop_lib.llm import Request, Usage, price
from workshop_lib.llm.tokens import input_tokens, output_tokens
from workshop_lib.tasks import TRIAGE, Ticket


@dataclass(frozen=True)
class Estimate:
    """About how many entries a file holds, and USD at catalogue prices: if no ticket escalates, and if all do and every answer is as long as it may be."""

    entries: int
    least_usd: float
    most_usd: float

    def line(self) -> str:
        """Return the estimate as one line."""
        spans = f"from about {self.least_usd:,.2f} USD if none escalates to {self.most_usd:,.2f} USD if all do"
        return f"About {self.entries:,} tickets, {spans}, at catalogue prices; retries that are billed, judges and guardrails come on top."


def estimate(path: Path, policy: Policy) -> Estimate:
    """Return an estimate from the first entries of a file; raise DataError if it cannot be read."""
    return priced(*sample(path), policy)


def priced(tickets: Sequence[Ticket], entries: int, policy: Policy) -> Estimate:
    """Return what so many entries may cost if they are like these tickets."""
    least = _usd(policy.tiers[0], tickets, output_tokens)
    most = sum(_usd(tier, tickets, lambda request: request.max_tokens) for tier in policy.tiers)
    return Estimate(entries, least * entries, most * entries)


def _usd(tier: str, tickets: Sequence[Ticket], answer: Callable[[Request], int]) -> float:
    """Return the mean cost of one call, with answers of so many tokens."""
    model = catalog.model(tier)
    requests = map(TRIAGE.request, tickets)
    total = sum(price(model, Usage(round(input_tokens(model, request)), answer(request))).usd for request in requests)
    return total / max(1, len(tickets))
