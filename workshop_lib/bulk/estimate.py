"""How many tickets a file holds and what they may cost: for a time of arrival, and to ask before money is spent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workshop_lib import catalog
from workshop_lib.bulk.sources import sample
from workshop_lib.cascade import Policy
from workshop_lib.llm import Request
from workshop_lib.llm.tokens import input_tokens, output_tokens
from workshop_lib.tasks import TRIAGE, Ticket


@dataclass(frozen=True)
class Estimate:
    """About how many entries a file holds, and USD at catalogue prices: if no ticket escalates, and if all do and every answer is as long as it may be."""

    entries: int
    least_usd: float
    most_usd: float

    @property
    def span(self) -> str:
        """Return how many tickets, and from what to what they cost, in words."""
        return f"About {self.entries:,} tickets, from about {self.least_usd:,.2f} USD if none escalates to {self.most_usd:,.2f} USD if all do"

    def line(self) -> str:
        """Return the estimate as one line."""
        return f"{self.span}, at catalogue prices; retries that are billed, judges and guardrails come on top."


def estimate(path: Path, policy: Policy) -> Estimate:
    """Return an estimate from the first entries of a file; raise DataError if it cannot be read."""
    return priced(*sample(path), policy)


def priced(tickets: Sequence[Ticket], entries: int, policy: Policy) -> Estimate:
    """Return what so many entries may cost if they are like these tickets."""
    return Estimate(entries, *least_and_most(policy, [TRIAGE.request(ticket) for ticket in tickets], entries, lambda model: model.price))


def least_and_most(policy: Policy, requests: Sequence[Request], entries: int, price: Callable[[catalog.Model], catalog.Price]) -> tuple[float, float]:
    """Return what so many entries like these requests cost in USD if none escalates, and if all do and every answer is as long as it may be."""
    least = _usd(policy.tiers[0], requests, output_tokens, price)
    most = sum(_usd(tier, requests, lambda request: request.max_tokens, price) for tier in policy.tiers)
    return least * entries, most * entries


def _usd(tier: str, requests: Sequence[Request], answer: Callable[[Request], int], price: Callable[[catalog.Model], catalog.Price]) -> float:
    """Return the mean cost of one call, with answers of so many tokens."""
    model = catalog.model(tier)
    total = sum(price(model).usd(round(input_tokens(model, request)), answer(request)) for request in requests)
    return total / max(1, len(requests))
