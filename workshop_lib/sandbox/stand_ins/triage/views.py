"""Texts as numbers, in several views: words, pairs of words, stems, runs of letters, concepts, and concepts with their places.

Counts, rarity and length are what scikit-learn's TfidfVectorizer (sublinear, smooth, l2) computes, to the last bit; a test compares them.
They are written out here because loading scikit-learn takes a second, and asking it about one text takes longer than the answer.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from workshop_lib.sandbox.stand_ins import concepts

Block = Literal["words", "pairs", "stems", "letters", "concepts", "places"]
Matrix = NDArray[np.float64]
Row = tuple[NDArray[np.intp], Matrix]
"""The features that a text has, by rising number, and how much of each."""

BLOCKS: tuple[Block, ...] = get_args(Block)
_WORD = re.compile(r"\w+")
_STEM = 5
_LETTERS = (3, 4)
_LEAST: Mapping[Block, int] = {"words": 1, "pairs": 2, "stems": 2, "letters": 3}  # texts that must have a term before it counts as one


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of one view, in order; `rarity` is the inverse document frequency of each, None where only presence counts."""

    names: Sequence[str]
    rarity: Matrix | None

    @cached_property
    def places(self) -> dict[str, int]:
        """Return the number of every term."""
        return {name: place for place, name in enumerate(self.names)}

    @classmethod
    def learn(cls, block: Block, texts: Iterable[Sequence[str]]) -> "Terms":
        """Return the terms that enough of the texts have; a text is given as its terms."""
        frequency: Counter[str] = Counter()
        size = 0
        for found in texts:
            frequency.update(set(found))
            size += 1
        names = sorted(name for name, count in frequency.items() if count >= _LEAST[block])
        if block == "words":
            return cls(names, None)
        seen = np.array([frequency[name] for name in names], dtype=np.float64)
        return cls(names, np.log((size + 1) / (seen + 1)) + 1)

    def row(self, found: Iterable[str]) -> Row:
        """Return what a text with these terms has of the known ones: 1 of each, or (1 + log count) x rarity, scaled to length 1."""
        places = self.places
        if self.rarity is None:
            columns = np.array(sorted({places[term] for term in found if term in places}), dtype=np.intp)
            return columns, np.ones(len(columns))
        counts = sorted(Counter([places[term] for term in found if term in places]).items())
        columns = np.array([column for column, _ in counts], dtype=np.intp)
        amounts = (np.log(np.array([count for _, count in counts], dtype=np.float64)) + 1) * self.rarity[columns]
        return columns, _scaled(amounts)


@dataclass(frozen=True, eq=False)
class Reader:
    """Turns texts into numbers in several views; learned from texts once and shared by all capacities.

    `rarity` is that of the concepts.
    """

    terms: Mapping[Block, Terms]
    rarity: NDArray[np.float32]

    @classmethod
    def learn(cls, texts: Sequence[str]) -> "Reader":
        """Return a reader whose vocabulary and weights come from these texts."""
        folded = [concepts.plain(text) for text in texts]
        terms = {block: Terms.learn(block, map(analyse, folded)) for block, analyse in _ANALYSES.items()}
        counts = concepts.features(texts)[:, : concepts.width()[0]]
        return cls(terms, np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))).astype(np.float32))

    def width(self, block: Block) -> int:
        """Return how many features a view has."""
        if block in self.terms:
            return len(self.terms[block].names)
        return len(self.rarity) if block == "concepts" else concepts.width()[1]

    def rows(self, blocks: Sequence[Block], text: str) -> list[Row]:
        """Return a text in each of these views."""
        folded = concepts.plain(text)
        lexical = self._lexical(text) if any(block not in self.terms for block in blocks) else {}
        return [self.terms[block].row(_ANALYSES[block](folded)) if block in self.terms else lexical[block] for block in blocks]

    def _lexical(self, text: str) -> dict[Block, Row]:
        """Return the two views that come from counted concepts, by rarity: anywhere in the text, and with place and shape of the writing."""
        counts = concepts.features([text])[0]
        size = len(self.rarity)
        shapes = np.ones(len(counts) - 3 * size, dtype=np.float32)
        everywhere = np.concatenate((self.rarity, self.rarity / 2, self.rarity / 2, shapes))
        return {"concepts": _nonzero(counts[:size] * self.rarity), "places": _nonzero(counts * everywhere)}


def learn_words(texts: Sequence[str]) -> Reader:
    """Return a reader that knows words only: all that the smallest capacity needs, a tenth of the work."""
    words = Terms.learn("words", (_words(concepts.plain(text)) for text in texts))
    return Reader({"words": words}, np.zeros(0, dtype=np.float32))


def _words(folded: str) -> list[str]:
    return _WORD.findall(folded)


def _pairs(folded: str) -> list[str]:
    words = _words(folded)
    return [*words, *(f"{one} {other}" for one, other in pairwise(words))]


def _stems(folded: str) -> list[str]:
    """Return the first letters of each word and of each two neighbours: a stemmer that needs to know no language."""
    cut = [word[:_STEM] for word in _words(folded)]
    return [*cut, *(f"{one} {other}" for one, other in pairwise(cut))]


def _letters(folded: str) -> list[str]:
    """Return the runs of letters inside words, which begin and end with a space; a short word is one run."""
    found: list[str] = []
    for word in folded.split():
        padded = f" {word} "
        for length in _LETTERS:
            last = len(padded) - length
            if last <= 0:
                found.append(padded)
                break
            found += [padded[start : start + length] for start in range(last + 1)]
    return found


_ANALYSES: Mapping[Block, Callable[[str], list[str]]] = {"words": _words, "pairs": _pairs, "stems": _stems, "letters": _letters}


def _scaled(amounts: NDArray[np.floating]) -> Matrix:
    """Return amounts divided by their length; added up in order, as a compiled loop would, and divided in their own precision."""
    if not len(amounts):
        return amounts.astype(np.float64)
    length = float(np.sqrt(np.cumsum(amounts * amounts, dtype=np.float64)[-1]))
    return (amounts.astype(np.float64) / length).astype(amounts.dtype).astype(np.float64)


def _nonzero(values: NDArray[np.float32]) -> Row:
    columns = np.flatnonzero(values)
    return columns, _scaled(values[columns])
