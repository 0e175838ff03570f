"""Tickets for load tests: any number, the same for a seed."""

from itertools import islice
from pathlib import Path

import pytest

from workshop_lib.bulk import synthetic
from workshop_lib.errors import DataError


def test_the_same_seed_gives_the_same_tickets() -> None:
    """Without it two load tests could not be compared."""
    assert list(synthetic.tickets(50, seed=1)) == list(synthetic.tickets(50, seed=1))
    assert list(synthetic.tickets(50, seed=1)) != list(synthetic.tickets(50, seed=2))


def test_ids_are_unique_and_mostly_so_are_bodies() -> None:
    """Without it a cache would answer the load test."""
    made = list(synthetic.tickets(2000))
    assert len({ticket.id for ticket in made}) == 2000
    assert made[0].id == "L-0000001"
    assert len({(ticket.subject, ticket.body) for ticket in made}) > 1800


def test_a_million_are_not_made_at_once() -> None:
    """Without it a load test would begin with filling the memory."""
    assert len(list(islice(synthetic.tickets(10**12), 3))) == 3


@pytest.mark.parametrize("text", [None, "{broken\n"])
def test_broken_training_data_say_how_to_restore_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None) -> None:
    """Without it a damaged file would be a traceback."""
    (tmp_path / "tickets").mkdir()
    if text is not None:
        (tmp_path / "tickets" / "training.jsonl").write_text(text)
    monkeypatch.setattr(synthetic, "DATA", tmp_path)
    with pytest.raises(DataError, match=r"data/tickets/training\.jsonl .* git checkout"):
        next(synthetic.tickets(1))
