"""Tickets for load tests: any number, seeded, recombined from the training tickets. They measure throughput, never quality."""

import json
import random
from collections.abc import Iterator

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA
from workshop_lib.tasks import Ticket


def tickets(n: int, seed: int = 0) -> Iterator[Ticket]:
    """Yield `n` tickets, each made of one to five sentences of training tickets of one category, with ids L-0000001 and on."""
    rng = random.Random(seed)
    by_category = _sentences()
    categories = sorted(by_category)
    for number in range(1, n + 1):
        subjects, sentences = by_category[rng.choice(categories)]
        body = " ".join(rng.sample(sentences, k=rng.randint(1, 5)))
        tier = rng.choice(("free", "pro", "enterprise", None))
        yield Ticket(id=f"L-{number:07d}", subject=rng.choice(subjects), body=body, customer_tier=tier)


def _sentences() -> dict[str, tuple[list[str], list[str]]]:
    path = DATA / "tickets" / "training.jsonl"
    try:
        with path.open(encoding="utf-8") as lines:
            tickets = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise DataError(f"data/tickets/{path.name} cannot be read ({error}). Restore it with: git checkout data/tickets") from error
    found: dict[str, tuple[list[str], list[str]]] = {}
    for ticket in tickets:
        subjects, sentences = found.setdefault(ticket["label"]["category"], ([], []))
        subjects.append(ticket["subject"])
        sentences.extend(part.strip() + "." for part in ticket["body"].split(".") if len(part.split()) > 2)
    return found
