"""A trained stand-in: one table of weights, added up over what a text has of every feature."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from workshop_lib.sandbox.stand_ins.triage.labels import COLUMNS, FIELDS, URGENT_UP_TO, Opinion
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
        used, amounts = self._row(text)
        scores = self._scores((used, amounts))
        shares = {name: _softmax(scores[columns]) for name, columns in COLUMNS.items()}
        if self.by_sentence:
            shares["category"] = self._with_sentences(text, shares["category"])
        category, priority, needs = (np.round(shares[name], 2) for name in FIELDS)
        urgent = int(priority.argmax()) < URGENT_UP_TO
        return Opinion(
            category=dict(zip(FIELDS["category"], category.tolist(), strict=True)),
            priority=dict(zip(FIELDS["priority"], priority.tolist(), strict=True)),
            needs_human=max(float(needs[1]), 0.51 if urgent else 0.0),
            evidence=self._evidence(used, amounts, int(category.argmax())),
            exact={name: dict(zip(FIELDS[name], shares[name].tolist(), strict=True)) for name in ("category", "priority")},
        )

    def _row(self, text: str) -> Row:
        rows = self.reader.rows(self.blocks, text)
        if len(rows) == 1:
            return rows[0]
        columns = [columns + self._offsets[block] for block, (columns, _) in zip(self.blocks, rows, strict=True)]
        return np.concatenate(columns), np.concatenate([amounts for _, amounts in rows])

    def _scores(self, row: Row) -> Matrix:
        columns, amounts = row
        weights: Matrix = (amounts[:, np.newaxis] * self.table[columns]).sum(axis=0)
        return weights + self.start

    def _with_sentences(self, text: str, whole: Matrix) -> Matrix:
        sentences = [part for part in _SENTENCES.split(text) if len(part.strip()) >= _SHORTEST_SENTENCE][:_MOST_SENTENCES] or [text]
        scores = [self._scores(self._row(sentence))[COLUMNS["category"]] for sentence in sentences]
        average = np.mean([_softmax(score) for score in scores], axis=0)
        return _softmax((np.log(whole + 1e-9) + self.by_sentence * np.log(average + 1e-9)) / (1 + self.by_sentence))

    def _evidence(self, used: NDArray[np.intp], amounts: Matrix, category: int) -> tuple[str, ...]:
        """Return up to three words or pairs of words that spoke most for a category rather than for the others."""
        names, first = self._names
        inside = (used >= first) & (used < first + len(names))
        rows, amounts = used[inside], amounts[inside]
        pull = amounts * (self.table[rows, COLUMNS["category"].start + category] - self._middle[rows])
        telling: list[str] = []
        for place in np.argsort(-pull, kind="stable").tolist():
            word = names[int(rows[place]) - first]
            if len(telling) == _MOST_EVIDENCE or pull[place] <= 0:
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
        middle: Matrix = self.table[:, COLUMNS["category"]].mean(axis=1)
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
