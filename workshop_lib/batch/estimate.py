"""What a batch may cost: an estimate to ask with, and a bound to stop at."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from workshop_lib import catalog
from workshop_lib.batch.records import Form, task
from workshop_lib.bulk import estimate as bulk
from workshop_lib.bulk.sources import sample
from workshop_lib.cascade import Policy
from workshop_lib.llm import Request
from workshop_lib.llm.tokens import FEWEST_CHARACTERS_A_TOKEN, input_tokens


@dataclass(frozen=True)
class Estimate(bulk.Estimate):
    """The same as of a bulk run, at batch prices where there are some; `rates` says where."""

    rates: str

    def line(self) -> str:
        """Return the estimate as one line."""
        return f"{self.span}; {self.rates}."


def estimate(path: Path, policy: Policy, form: Form) -> Estimate:
    """Return an estimate from the first entries of a file; raise DataError if it cannot be read."""
    tickets, entries = sample(path)
    requests = [task(form).request(ticket) for ticket in tickets]
    return Estimate(entries, *bulk.least_and_most(policy, requests, entries, lambda model: model.price.for_batch()), rates(policy.tiers))


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
