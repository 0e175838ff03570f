"""What a batch may cost: an estimate to ask with, and a bound to stop at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from workshop_lib import catalog
from workshop_lib.batch.records import Form, task
from workshop_lib.bulk.sources import sample
from workshop_lib.cascade import Policy
from workshop_lib.llm import Request
from workshop_lib.llm.tokens import FEWEST_CHARACTERS_A_TOKEN, input_tokens, output_tokens
from workshop_lib.tasks import Ticket


@dataclass(frozen=True)
class Estimate:
    """About how many entries a file holds, and USD: if no ticket escalates, and if all do and every answer is as long as it may be."""

    entries: int
    least_usd: float
    most_usd: float
    rates: str

    def line(self) -> str:
        """Return the estimate as one line."""
        spans = f"from about {self.least_usd:,.2f} USD if none escalates to {self.most_usd:,.2f} USD if all do"
        return f"About {self.entries:,} tickets, {spans}; {self.rates}."


def estimate(path: Path, policy: Policy, form: Form) -> Estimate:
    """Return an estimate from the first entries of a file; raise DataError if it cannot be read."""
    tickets, entries = sample(path)
    least = _usd(policy.tiers[0], tickets, form, output_tokens)
    most = sum(_usd(tier, tickets, form, lambda request: request.max_tokens) for tier in policy.tiers)
    return Estimate(entries, least * entries, most * entries, rates(policy.tiers))


def rates(tiers: Sequence[str]) -> str:
    """Return in words at which price each tier is counted."""
    words = []
    for tier in tiers:
        known = catalog.model(tier).price.has_batch
        words.append(f"{tier} at the batch price" if known else f"{tier} at the list price, as the table of models has no batch price for it")
    return ", ".join(words)


def bound(model: catalog.Model, request: Request, *, listed: bool = False) -> float:
    """Return what one record, or one ordinary call (`listed`), may cost at most in USD: input counted rather too high, and all output it may have."""
    price = model.price if listed else model.price.for_batch()
    return price.usd(ceil(input_tokens(model, request, FEWEST_CHARACTERS_A_TOKEN)), request.max_tokens)


def _usd(tier: str, tickets: Sequence[Ticket], form: Form, answer: Callable[[Request], int]) -> float:
    """Return the mean cost of one record, with answers of so many tokens."""
    model, price = catalog.model(tier), catalog.model(tier).price.for_batch()
    requests = map(task(form).request, tickets)
    return sum(price.usd(round(input_tokens(model, request)), answer(request)) for request in requests) / max(1, len(tickets))
