"""The model card: measured, put between its markers, and honest about what does not hold."""

from pathlib import Path
from typing import get_args

import pytest

from workshop_lib.errors import DataError
from workshop_lib.evaluation import card
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.paths import ROOT
from workshop_lib.sandbox.faults.kinds import Outcome


def scores(small: int, medium: int, large: int, said: float) -> list[card.Score]:
    """Return made-up scores of a ladder on 100 tickets, where every stand-in says `said`."""

    def one(capacity: str, right: int) -> card.Score:
        row = [number < right for number in range(100)]
        return card.Score(capacity, {"category": row, "priority": row, "needs_human": row}, [said] * 100)

    return [one("small", small), one("medium", medium), one("large", large)]


def test_the_ladder_says_when_it_does_not_hold() -> None:
    """Without it a card could claim a ladder that the numbers do not show."""
    good = card.ladder(scores(50, 60, 70, 0.9))
    assert not any("DOES NOT HOLD" in line for line in good)
    assert "steps +10.0, +10.0 points" in good[0]
    flat = card.ladder(scores(50, 53, 70, 0.5))
    assert all("DOES NOT HOLD" in line for line in flat)


def test_a_stand_in_is_asked_through_the_labs_own_prompt() -> None:
    """Without it the card could measure something else than what the labs call."""
    tickets = load_tickets("samples")
    got = card.score("small", tickets)
    assert len(got.confidence) == len(got.all_three) == len(tickets)
    assert all(0 <= confidence <= 1 for confidence in got.confidence)
    assert got == card.score("small", tickets)


def test_the_page_is_replaced_between_its_markers_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it writing the card could eat the prose around it, or a stale card would pass."""
    monkeypatch.setattr(card, "PAGE", tmp_path / "sandbox.md")
    monkeypatch.setattr(card, "card", lambda: "- Ladder: DOES NOT HOLD")
    monkeypatch.setattr(card, "TABLES", {"a.py": lambda: iter(["| new |", "|---|"])})
    table = f"<!-- written from: a.py -->\n{{}}\n{card.END_OF_TABLE}\n"
    with pytest.raises(DataError, match="Restore it with: git checkout"):
        card.check()
    card.PAGE.write_text(f"before\n{table.format('| old |')}{card.BEGIN}\nold\n{card.END}\nafter\n")
    assert card.check() == ["docs/sandbox.md is out of date. Run: workshop sandbox card", "Ladder: DOES NOT HOLD"]
    assert card.write() == card.check() == ["Ladder: DOES NOT HOLD"]
    written = table.format("| new |\n|---|")
    assert card.PAGE.read_text() == f"before\n{written}{card.BEGIN}\n- Ladder: DOES NOT HOLD\n{card.END}\nafter\n"
    card.PAGE.write_text("no markers")
    with pytest.raises(DataError, match="lost the two comments"):
        card.check()


def test_the_page_names_every_kind_of_fault() -> None:
    """Without it a fault could be there that nobody can find, as the page is where people look for them."""
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    kinds = {name for group in get_args(Outcome) for name in (get_args(group) or (group,))}
    assert len(kinds) > 20
    assert not [name for name in sorted(kinds) if f"`{name}`" not in page]
