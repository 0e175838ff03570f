"""A trained stand-in: one table of weights, added up over what a text has of every feature."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from workshop_lib.sandbox.stand_ins.triage.labels import COLUMNS, FIELDS, URGENT_UP_TO, WIDTH, Opinion
from workshop_lib.sandbox.stand_ins.triage.views import BLOCKS, Block, Matrix, Reader, Row

_SENTENCES = re.compile(r"(?<=[.!?\u3002\uff1f])\s+|\n+")
_TELLING = re.compile(r"[^\W\d_]{3,}(?: [^\W\d_]{2,})?")
_COMMON = re.compile(
    "a|all|also|and|any|are|as|at|be|but|by|can|could|do|doing|does|for|from|goes|had|has|have|how|if|in|is|it|itself|its|let|lets|me|my|not|of|on|or|our"
    "|per|so|than|that|the|their|them|then|there|these|they|this|those|to|too|was|we|were|what|when|which|who|will|with|would|you|your"
)
_SHORTEST_SENTENCE = 4
_MOST_SENTENCES = 40
_MOST_EVIDENCE = 3
_CATEGORY, _PRIORITY = COLUMNS["category"], COLUMNS["priority"]  # the category's columns are the first


@dataclass(frozen=True, eq=False)
class Model:
    """A trained stand-in: a row of weights for every feature of its views, a column for every label of every field, and where scores start.

    `by_sentence` is the weight of a second reading, sentence by sentence, beside the reading of the whole text.
    """

    reader: Reader
    blocks: tuple[Block, ...]
    table: Matrix
    start: Matrix
    by_sentence: float

    def opinion(self, text: str) -> Opinion:
        """Return what this model makes of a text."""
        row = self._row(text)
        scores = self._scores(row)
        shares = np.empty(WIDTH)
        for columns in COLUMNS.values():
            shares[columns] = _softmax(scores[columns])
        if self.by_sentence:
            shares[_CATEGORY] = self._with_sentences(text, shares[_CATEGORY])
        exact, rounded = shares.tolist(), shares.round(2).tolist()
        categories, priorities = rounded[_CATEGORY], rounded[_PRIORITY]
        return Opinion(
            category=dict(zip(FIELDS["category"], categories, strict=True)),
            priority=dict(zip(FIELDS["priority"], priorities, strict=True)),
            needs_human=max(rounded[-1], 0.51 if priorities.index(max(priorities)) < URGENT_UP_TO else 0.0),
            evidence=self._evidence(row, categories.index(max(categories))),
            exact={
                "category": dict(zip(FIELDS["category"], exact[_CATEGORY], strict=True)),
                "priority": dict(zip(FIELDS["priority"], exact[_PRIORITY], strict=True)),
            },
        )

    def _row(self, text: str) -> Row:
        rows = self.reader.rows(self.blocks, text)
        if len(rows) == 1:
            return rows[0]
        columns = [columns + self._offsets[block] for block, (columns, _) in zip(self.blocks, rows, strict=True)]
        return np.concatenate(columns), np.concatenate([amounts for _, amounts in rows])

    def _scores(self, row: Row) -> Matrix:
        columns, amounts = row
        weights = self.table.take(columns, axis=0)
        if self.blocks != ("words",):  # of a word there is always 1
            weights *= amounts[:, np.newaxis]
        scores: Matrix = weights.sum(axis=0) + self.start
        return scores

    def _with_sentences(self, text: str, whole: Matrix) -> Matrix:
        sentences = [part for part in _SENTENCES.split(text) if len(part.strip()) >= _SHORTEST_SENTENCE][:_MOST_SENTENCES] or [text]
        scores = [self._scores(self._row(sentence))[_CATEGORY] for sentence in sentences]
        average = np.mean([_softmax(score) for score in scores], axis=0)
        return _softmax((np.log(whole + 1e-9) + self.by_sentence * np.log(average + 1e-9)) / (1 + self.by_sentence))

    def _evidence(self, row: Row, category: int) -> tuple[str, ...]:
        """Return up to three words or pairs of words that spoke most for a category rather than for the others."""
        names, first = self._names
        used, amounts = row
        begin, end = np.searchsorted(used, (first, first + len(names))).tolist()
        rows = used[begin:end]
        pull = amounts[begin:end] * (self.table[rows, category] - self._middle[rows])
        strongest = sorted(zip((-pull).tolist(), rows.tolist(), strict=True))
        telling: list[str] = []
        for pulled, place in strongest:
            word = names[place - first]
            if len(telling) == _MOST_EVIDENCE or pulled >= 0:
                break
            if _tells(word) and not any(set(word.split()) & set(other.split()) for other in telling):
                telling.append(word)
        return tuple(telling)

    @cached_property
    def _offsets(self) -> dict[Block, int]:
        return offsets(self.reader, self.blocks)

    @cached_property
    def _names(self) -> tuple[Sequence[str], int]:
        """Return the words or pairs that may be named as evidence, and the number of the first."""
        named: Block = "words" if "words" in self.blocks else "pairs"
        return self.reader.terms[named].names, self._offsets[named]

    @cached_property
    def _middle(self) -> Matrix:
        """Return the mean weight of every row over the categories."""
        middle: Matrix = self.table[:, _CATEGORY].mean(axis=1)
        return middle


def offsets(reader: Reader, blocks: Sequence[Block]) -> dict[Block, int]:
    """Return the number of each view's first feature in a table over several views."""
    found: dict[Block, int] = {}
    done = 0
    for block in BLOCKS:
        if block in blocks:
            found[block] = done
            done += reader.width(block)
    return found


@lru_cache(maxsize=8192)
def _tells(word: str) -> bool:
    """Say whether a word or a pair of words says something by itself."""
    return _TELLING.fullmatch(word) is not None and not all(map(_COMMON.fullmatch, word.split()))


def _softmax(scores: Matrix) -> Matrix:
    powers = np.exp(scores - scores.max())
    shares: Matrix = powers / powers.sum()
    return shares
