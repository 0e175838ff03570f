"""The glossary says what the labs say: its terms stand in the labs it names, and what a lab defines stands in it."""

import re

import pytest

from workshop_lib.paths import ROOT

LABS = sorted(path.parent.name for path in (ROOT / "notebooks").glob("*/source.py"))
EMPHASIS = r"\*{1,2}([A-Za-z][\w -]{2,40}?)\*{1,2}"
DEFINED = re.compile(rf"\b(?:[Aa]n?|called|known as) {EMPHASIS}|{EMPHASIS} (?:is|are|means)\b|{EMPHASIS} \(")
"""A lab defines a word where it emphasises it after an article, or before "is", "means" or a parenthesis."""
NO_TERMS = {"the last valid answer", "certain categories", "unsure", "input", "output", "right", "four faults", "fields", "random", "list", "proxy", "as it finishes",
            "stop at the first that fails", "trusted", "opus"}  # fmt: skip
"""Emphasised in such a place, and no term: ordinary words, and halves of terms that have an entry."""


def entries() -> dict[str, str]:
    """Return the glossary's text by term."""
    parts = re.split(r"^### (.+)$", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {term: " ".join(text.split()) for term, text in zip(parts[1::2], parts[2::2], strict=True)}


def prose(lab: str) -> str:
    """Return a lab's source as one line, without comment marks and markup of the cells."""
    source = (ROOT / "notebooks" / lab / "source.py").read_text(encoding="utf-8")
    return " ".join(re.sub(r"^# ?", "", line) for line in source.splitlines() if not line.startswith("# %%"))


def forms(term: str) -> list[str]:
    """Return the spellings under which a term may stand in a text: hyphen or space, the stem of a verb, `_` as in code."""
    stem = re.sub(r"e$", "", term.lower())
    return [stem, stem.replace("-", " "), stem.replace(" ", "_"), stem.replace("-", "_")]


def test_there_are_enough_terms_in_order() -> None:
    """Without it the glossary could shrink to a few words, or hide them out of order."""
    terms = list(entries())
    assert len(terms) >= 40
    assert terms == sorted(terms, key=str.lower)


@pytest.mark.parametrize("term", entries())
def test_each_term_stands_in_the_lab_it_names(term: str) -> None:
    """Without it the glossary would explain words that the course no longer uses, or send a reader to the wrong lab."""
    named = re.findall(r"\[Lab \d\d\]\(\.\./notebooks/(\w+)/lab\.ipynb\)", entries()[term])
    assert len(named) == 1
    text = prose(named[0]).lower()
    assert any(form in text for form in forms(term)), f"{named[0]} does not say {term!r}"


@pytest.mark.parametrize("lab", LABS)
def test_what_a_lab_defines_is_in_the_glossary(lab: str) -> None:
    """Without it a learner would look a term up in vain."""
    known = {form for term in entries() for form in forms(term)}
    defined = {next(filter(None, groups)).lower() for groups in DEFINED.findall(prose(lab))} - NO_TERMS
    missing = sorted(word for word in defined if not any(form in word for form in known))
    assert not missing, f"{lab} defines {missing}: add them to docs/glossary.md, or to NO_TERMS if they are no terms"
