"""How the stand-ins for triage are made: naive Bayes and ridge regression on the shipped training tickets and phrases."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA
from workshop_lib.sandbox.stand_ins.triage.labels import COLUMNS, FIELDS, WIDTH, Capacity
from workshop_lib.sandbox.stand_ins.triage.model import Model, offsets
from workshop_lib.sandbox.stand_ins.triage.views import BLOCKS, Block, Matrix, Reader, Row, learn_words

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Sample:
    """One text to learn from; a phrase has a category only."""

    text: str
    label: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One voice in a model: naive Bayes or ridge regression over some views of the text, and how loudly it speaks.

    `smoothing` is added to naive Bayes's counts, or is ridge's penalty. `balanced` weighs rare labels up.
    """

    kind: Literal["bayes", "ridge"]
    blocks: tuple[Block, ...]
    smoothing: float
    voice: float = 1.0
    balanced: bool = False


@dataclass(frozen=True)
class Recipe:
    """How a capacity is made: one in so many tickets and phrases is read, and the voices for the category and for the rest.

    `by_sentence` is the weight of a second reading, sentence by sentence, beside the reading of the whole text.
    """

    every_ticket: int
    every_phrase: int
    category: tuple[Part, ...]
    rest: tuple[Part, ...]
    by_sentence: float = 0.0

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Return the views that any of the voices reads, in their order."""
        return tuple(name for name in BLOCKS if any(name in part.blocks for part in (*self.category, *self.rest)))


RECIPES: Mapping[Capacity, Recipe] = {
    "small": Recipe(4, 4, (Part("bayes", ("words",), 0.3),), (Part("bayes", ("words",), 0.3),)),
    "medium": Recipe(
        3,
        3,
        (Part("ridge", ("pairs", "concepts"), 0.7, 2.0), Part("bayes", ("pairs", "concepts"), 0.1, 0.4)),
        (Part("ridge", ("pairs", "concepts"), 1.0, 3.0),),
    ),
    "large": Recipe(
        1,
        1,
        (Part("ridge", ("pairs", "letters", "concepts"), 0.7, 1.8), Part("bayes", ("pairs", "letters", "concepts"), 0.1, 0.4)),
        (Part("ridge", ("pairs", "letters", "places"), 0.7, 3.0, balanced=True),),
    ),
    "judge": Recipe(
        1,
        1,
        (
            Part("ridge", ("pairs", "stems", "letters", "concepts"), 0.7, 1.5),
            Part("bayes", ("pairs", "concepts"), 0.1, 0.8),
            Part("bayes", ("letters", "concepts"), 0.1, 0.4),
        ),
        (
            Part("ridge", ("pairs", "letters", "places"), 0.7, 2.0, balanced=True),
            Part("ridge", ("pairs", "letters", "places"), 0.7),
        ),
        by_sentence=0.5,
    ),
}
"""How each capacity is made; chosen by cross-validation over the scenario families of the training tickets."""


@dataclass(frozen=True, eq=False)
class Table:
    """One view of many texts: rows one after the other, where each begins, and how many features the view has."""

    begins: np.ndarray[Any, np.dtype[np.intp]]
    columns: np.ndarray[Any, np.dtype[np.intp]]
    amounts: Matrix
    width: int

    @classmethod
    def of(cls, rows: Sequence[Row], width: int) -> "Table":
        """Return the table of some rows."""
        begins = np.cumsum([0, *(len(columns) for columns, _ in rows)])
        return cls(begins, np.concatenate([columns for columns, _ in rows]), np.concatenate([amounts for _, amounts in rows]), width)

    def totals(self, rows: np.ndarray[Any, np.dtype[np.intp]], target: Matrix) -> Matrix:
        """Return how much of every feature the chosen rows have, by column of the target, which weighs the rows."""
        weights = np.zeros((len(self.begins) - 1, target.shape[1]))
        weights[rows] = target
        by_entry = weights[np.repeat(np.arange(len(weights)), np.diff(self.begins))]
        columns = [np.bincount(self.columns, self.amounts * by_entry[:, label], self.width) for label in range(target.shape[1])]
        return np.ascontiguousarray(np.array(columns).T)

    def sparse(self) -> "csr_matrix":
        """Return the table as scikit-learn takes it."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.amounts, self.columns, self.begins), shape=(len(self.begins) - 1, self.width))


@dataclass(frozen=True, eq=False)
class Material:
    """What all capacities learn from: the samples and the reader that learned from them."""

    reader: Reader
    tickets: Sequence[Sample]
    phrases: Sequence[Sample]

    @classmethod
    def of(cls, tickets: Sequence[Sample], phrases: Sequence[Sample], *, words_only: bool = False) -> "Material":
        """Return the material that tickets and phrases make; `words_only` is enough for the smallest capacity."""
        learn = learn_words if words_only else Reader.learn
        return cls(learn([sample.text for sample in (*tickets, *phrases)]), tickets, phrases)

    @cached_property
    def views(self) -> Mapping[Block, Table]:
        """Return every view of every sample."""
        blocks = [block for block in BLOCKS if block in self.reader.terms or len(self.reader.rarity)]
        rows = [self.reader.rows(blocks, sample.text) for sample in (*self.tickets, *self.phrases)]
        return {block: Table.of([row[place] for row in rows], self.reader.width(block)) for place, block in enumerate(blocks)}


def samples() -> tuple[list[Sample], list[Sample]]:
    """Return the shipped training tickets and phrases; DataError if a file is missing or broken."""
    tickets = [Sample(f"{line['subject']}\n{line['body']}", line["label"]) for line in _lines("training.jsonl", ("subject", "body", "label"))]
    phrases = [Sample(line["text"], {"category": line["category"]}) for line in _lines("phrases.jsonl", ("text", "category"))]
    return tickets, phrases


def train(recipe: Recipe, material: Material) -> Model:
    """Return the model that a recipe makes of the material."""
    tickets = np.arange(0, len(material.tickets), recipe.every_ticket)
    phrases = np.arange(0, len(material.phrases), recipe.every_phrase) + len(material.tickets)
    everything = (*material.tickets, *material.phrases)
    first = offsets(material.reader, recipe.blocks)
    table = np.zeros((sum(material.reader.width(block) for block in recipe.blocks), WIDTH))
    start = np.zeros(WIDTH)
    for name, values in FIELDS.items():
        rows = np.concatenate((tickets, phrases)) if name == "category" else tickets
        target = np.array([[everything[row].label[name] == value for value in values] for row in rows], dtype=np.float64)
        for part in recipe.category if name == "category" else recipe.rest:
            weights, offset = (_bayes if part.kind == "bayes" else _ridge)(part, material, rows, target)
            start[COLUMNS[name]] += part.voice * offset
            done = 0
            for block in part.blocks:
                size = material.reader.width(block)
                table[first[block] : first[block] + size, COLUMNS[name]] += part.voice * weights[done : done + size]
                done += size
    return Model(material.reader, recipe.blocks, table, start, recipe.by_sentence)


def _bayes(part: Part, material: Material, rows: np.ndarray[Any, np.dtype[np.intp]], target: Matrix) -> tuple[Matrix, Matrix]:
    """Return a part's weights (features by labels) and its starting score of each label."""
    counts = np.concatenate([material.views[block].totals(rows, target) for block in part.blocks]) + part.smoothing
    return np.log(counts / counts.sum(axis=0)), np.log((target.sum(axis=0) + 1) / (len(target) + target.shape[1]))


def _ridge(part: Part, material: Material, rows: np.ndarray[Any, np.dtype[np.intp]], target: Matrix) -> tuple[Matrix, Matrix]:
    """Return a part's weights (features by labels) and its starting score of each label."""
    from scipy.sparse import hstack
    from sklearn.linear_model import Ridge

    seen = hstack([material.views[block].sparse() for block in part.blocks]).tocsr()[rows]
    frequency = target.mean(axis=0)
    importance = (target / (target.shape[1] * np.maximum(frequency, 1e-9))).sum(axis=1) if part.balanced else None
    ridge = Ridge(alpha=part.smoothing, solver="sparse_cg", tol=1e-3).fit(seen, 2 * target - 1, sample_weight=importance)
    return ridge.coef_.T, ridge.intercept_


def _lines(name: str, members: Sequence[str]) -> list[dict[str, Any]]:
    path = DATA / "tickets" / name
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read what the stand-ins learn from ({error}). Restore the file from the repository.") from error
    if not lines or any(not isinstance(line, dict) or not line.keys() >= set(members) for line in lines):
        raise DataError(f"{path}: every line must be an object with {', '.join(members)}. Restore the file from the repository.")
    return lines
