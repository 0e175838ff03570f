"""The lexicon of concepts: what an entry matches, and that the shipped file holds together."""

import tomllib

import numpy as np
import pytest

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA
from workshop_lib.sandbox.stand_ins import concepts

BOOK = concepts.compile_lexicon(
    {"starts": ["refund", "prelevement"], "whole": ["down "], "phrase": ["charged * twice", "i cant "], "japanese": ["請求"]}
)


def names(text: str) -> set[str]:
    """Return the names of the concepts found in a text."""
    return {BOOK.names[number] for _, number in concepts.found(concepts.plain(text), BOOK)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two REFUNDS are due", {"starts"}),
        ("a prefund", set()),
        ("Prélèvement refusé", {"starts"}),
        ("the site is down", {"whole"}),
        ("please download it", set()),
        ("we were charged for this twice", {"phrase"}),
        ("charged once, then a month later again, then twice", set()),
        ("I can't see it", {"phrase"}),
        ("it can't be", set()),
        ("今月の請求について", {"japanese"}),
        ("", set()),
    ],
)
def test_an_entry_matches_as_the_file_says(text: str, expected: set[str]) -> None:
    """Without it word starts, whole words, gaps, accents, contractions or Japanese could stop matching unseen."""
    assert names(text) == expected


def test_a_hit_says_where_it_is() -> None:
    """Without it what the first line or the last sentence says would not be told from the rest."""
    assert concepts.found("no refund yet", BOOK) == [(3, 0)]


def test_the_shipped_entries_are_plain_and_unique() -> None:
    """Without it an entry with an accent or a capital would look alive and a double one would count twice."""
    with (DATA / "concepts.toml").open("rb") as file:
        entries = {name: value["stems"] for name, value in tomllib.load(file).items()}
    assert len(entries) >= 60
    for name, stems in entries.items():
        assert len(stems) == len(set(stems)), name
        assert all(stem == concepts.plain(stem) for stem in stems if stem.isascii()), name


def test_features_have_one_row_a_text_and_are_finite_for_hostile_text() -> None:
    """Without it an empty, huge or broken text could stop the sandbox."""
    texts = ["", "x", "\ud800\x00", "1" * 20_000, "1," * 10_000, "\n" * 20_000 + " .", "a" * 20_000, "charged " * 2_500]
    rows = concepts.features(texts)
    assert rows.shape == (len(texts), concepts.width()[1])
    assert np.isfinite(rows).all()


def test_the_last_sentence_is_seen_apart() -> None:
    """Without it a wish at the end of a story could not be told from one in passing."""
    size = concepts.width()[0]
    wish = concepts.lexicon().names.index("wish")
    row = concepts.features(["Boards\nWe plan on paper. It would be great to have a timeline."])[0]
    assert row[wish] > 0
    assert row[size + wish] == 0
    assert row[2 * size + wish] == 1


def test_a_broken_file_is_refused_in_one_line(tmp_path, monkeypatch) -> None:
    """Without it a damaged lexicon would end in a traceback."""
    (tmp_path / "concepts.toml").write_text("[broken", encoding="utf-8")
    monkeypatch.setattr(concepts, "DATA", tmp_path)
    concepts.lexicon.cache_clear()
    try:
        with pytest.raises(DataError, match=r"concepts\.toml.*Restore"):
            concepts.lexicon()
    finally:
        monkeypatch.undo()
        concepts.lexicon.cache_clear()
