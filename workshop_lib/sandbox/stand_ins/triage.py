"""Text classifiers of rising capacity, trained at start on the training tickets and phrases, that stand in for models in triage."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA
from workshop_lib.sandbox.stand_ins import concepts

Capacity = Literal["small", "medium", "large", "judge"]
Block = Literal["words", "pairs", "stems", "letters", "concepts", "places"]
Matrix = NDArray[np.float64]

FIELDS: Mapping[str, tuple[Any, ...]] = {
    "category": ("billing", "auth", "integration", "performance", "bug_report", "feature_request", "abuse", "other"),
    "priority": ("P0", "P1", "P2", "P3"),
    "needs_human": (False, True),
}
"""What is decided about a ticket, and the values each field can take."""

_SENTENCES = re.compile(r"(?<=[.!?\u3002\uff1f])\s+|\n+")
_WORD = re.compile(r"\w+")
_TELLING = re.compile(r"[^\W\d_]{3,}(?: [^\W\d_]{2,})?")
_COMMON = re.compile(
    "a|all|also|and|any|are|as|at|be|but|by|can|could|do|doing|does|for|from|goes|had|has|have|how|if|in|is|it|itself|its|let|lets|me|my|not|of|on|or|our"
    "|per|so|than|that|the|their|them|then|there|these|they|this|those|to|too|was|we|were|what|when|which|who|will|with|would|you|your"
)


@dataclass(frozen=True)
class Opinion:
    """What one stand-in makes of a text: shares of each label that sum to about 1, and the words that spoke for its category.

    Shares have two digits, as a model would write them; `exact` holds those of category and priority before rounding.
    """

    category: Mapping[str, float]
    priority: Mapping[str, float]
    needs_human: float
    evidence: tuple[str, ...]
    exact: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


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
class Reader:
    """Turns texts into numbers in several views; learned from texts once and shared by all capacities."""

    counters: Mapping[Block, Any]
    rarity: NDArray[np.float32]

    @classmethod
    def learn(cls, texts: Sequence[str]) -> tuple["Reader", dict[Block, csr_matrix]]:
        """Return a reader whose vocabulary and weights come from these texts, and all views of them."""
        counters: dict[Block, Any] = {
            "words": CountVectorizer(analyzer=_words, binary=True),
            "pairs": TfidfVectorizer(
                preprocessor=concepts.plain, token_pattern=_WORD.pattern, ngram_range=(1, 2), min_df=2, sublinear_tf=True
            ),
            "stems": TfidfVectorizer(analyzer=_stems, min_df=2, sublinear_tf=True),
            "letters": TfidfVectorizer(
                preprocessor=concepts.plain, analyzer="char_wb", ngram_range=(3, 4), min_df=3, sublinear_tf=True
            ),
        }
        views = {name: counter.fit_transform(texts) for name, counter in counters.items()}
        counts = concepts.features(texts)
        seen = (counts[:, : concepts.width()[0]] > 0).sum(axis=0)
        reader = cls(counters, np.log((1 + len(texts)) / (1 + seen)).astype(np.float32))
        return reader, {**views, **reader.lexical(counts)}

    def views(self, blocks: Sequence[Block], texts: Sequence[str]) -> dict[Block, csr_matrix]:
        """Return views of texts, one row each."""
        found: dict[Block, csr_matrix] = {name: self.counters[name].transform(texts) for name in blocks if name in self.counters}
        return found if len(found) == len(blocks) else {**found, **self.lexical(concepts.features(texts))}

    def lexical(self, counts: NDArray[np.float32]) -> dict[Block, csr_matrix]:
        """Return the two views that come from counted concepts, by rarity: anywhere in the text, and with place and shape of the writing."""
        size = len(self.rarity)
        shapes = np.ones(counts.shape[1] - 3 * size, dtype=np.float32)
        everywhere = np.concatenate((self.rarity, self.rarity / 2, self.rarity / 2, shapes))
        return {
            "concepts": normalize(csr_matrix(counts[:, :size] * self.rarity)),
            "places": normalize(csr_matrix(counts * everywhere)),
        }


@dataclass(frozen=True, eq=False)
class Model:
    """A trained stand-in: one table of weights, a row for every feature of its views, a column for every label of every field.

    `middle` is the mean weight of every row over the categories.
    """

    reader: Reader
    blocks: tuple[Block, ...]
    table: Matrix
    start: Matrix
    by_sentence: float
    vocabulary: Mapping[str, int]
    names: Sequence[str]
    names_from: int
    middle: Matrix

    def opinion(self, text: str) -> Opinion:
        """Return what this model makes of a text."""
        scores, used, amounts = self._scores(text)
        shares = {name: _softmax(scores[columns]) for name, columns in _COLUMNS.items()}
        if self.by_sentence:
            shares["category"] = self._with_sentences(text, shares["category"])
        category, priority, needs = (np.round(shares[name], 2) for name in FIELDS)
        urgent = int(priority.argmax()) < _URGENT_UP_TO
        return Opinion(
            category=dict(zip(FIELDS["category"], category.tolist(), strict=True)),
            priority=dict(zip(FIELDS["priority"], priority.tolist(), strict=True)),
            needs_human=max(float(needs[1]), 0.51 if urgent else 0.0),
            evidence=self._evidence(used, amounts, int(category.argmax())),
            exact={name: dict(zip(FIELDS[name], shares[name].tolist(), strict=True)) for name in ("category", "priority")},
        )

    def _scores(self, text: str) -> tuple[Matrix, NDArray[np.intp], Matrix]:
        if self.blocks == ("words",):
            # The cheapest stand-in answers a thousand calls a second: its one view is a set of words, so its rows are simply added up.
            words = set(_words(text))
            used = np.array(sorted(self.vocabulary[word] for word in words if word in self.vocabulary), dtype=np.intp)
            return self.table[used].sum(axis=0) + self.start, used, np.ones(len(used))
        row = self._rows([text])
        return np.asarray(row @ self.table)[0] + self.start, row.indices, row.data

    def _rows(self, texts: Sequence[str]) -> csr_matrix:
        views = self.reader.views(self.blocks, texts)
        return hstack([views[name] for name in self.blocks]).tocsr()

    def _with_sentences(self, text: str, whole: Matrix) -> Matrix:
        sentences = [part for part in _SENTENCES.split(text) if len(part.strip()) >= _SHORTEST_SENTENCE][:_MOST_SENTENCES] or [
            text
        ]
        scores = np.asarray(self._rows(sentences) @ self.table)[:, _COLUMNS["category"]] + self.start[_COLUMNS["category"]]
        average = np.mean([_softmax(score) for score in scores], axis=0)
        return _softmax((np.log(whole + 1e-9) + self.by_sentence * np.log(average + 1e-9)) / (1 + self.by_sentence))

    def _evidence(self, used: NDArray[np.intp], amounts: Matrix, category: int) -> tuple[str, ...]:
        """Return up to three words or pairs of words that spoke most for a category rather than for the others."""
        inside = (used >= self.names_from) & (used < self.names_from + len(self.names))
        rows, amounts = used[inside], amounts[inside]
        pull = amounts * (self.table[rows, _COLUMNS["category"].start + category] - self.middle[rows])
        telling: list[str] = []
        for place in np.argsort(-pull, kind="stable"):
            word = self.names[int(rows[place]) - self.names_from]
            if len(telling) == _MOST_EVIDENCE or pull[place] <= 0:
                break
            if _tells(word) and not any(set(word.split()) & set(other.split()) for other in telling):
                telling.append(word)
        return tuple(telling)


def opinion(text: str, capacity: Capacity) -> Opinion:
    """Return what the stand-in of a capacity makes of a text; the same text always gets the same opinion."""
    return _remembered(text, capacity)


def warm_up() -> None:
    """Train all capacities now, so that no caller waits for it."""
    for capacity in RECIPES:
        _model(capacity)


def samples() -> tuple[list[Sample], list[Sample]]:
    """Return the shipped training tickets and phrases; DataError if a file is missing or broken."""
    tickets = [
        Sample(f"{line['subject']}\n{line['body']}", line["label"])
        for line in _lines("training.jsonl", ("subject", "body", "label"))
    ]
    phrases = [Sample(line["text"], {"category": line["category"]}) for line in _lines("phrases.jsonl", ("text", "category"))]
    return tickets, phrases


@dataclass(frozen=True, eq=False)
class Material:
    """What all capacities learn from: the samples, the reader that learned from them, and every view of every sample."""

    reader: Reader
    tickets: Sequence[Sample]
    phrases: Sequence[Sample]
    views: Mapping[Block, csr_matrix]

    @classmethod
    def of(cls, tickets: Sequence[Sample], phrases: Sequence[Sample]) -> "Material":
        """Return the material that tickets and phrases make."""
        reader, views = Reader.learn([sample.text for sample in (*tickets, *phrases)])
        return cls(reader, tickets, phrases, views)


def train(recipe: Recipe, material: Material) -> Model:
    """Return the model that a recipe makes of the material."""
    tickets = np.arange(0, len(material.tickets), recipe.every_ticket)
    phrases = np.arange(0, len(material.phrases), recipe.every_phrase) + len(material.tickets)
    everything = (*material.tickets, *material.phrases)
    parts = (*recipe.category, *recipe.rest)
    blocks = tuple(name for name in _BLOCKS if any(name in part.blocks for part in parts))
    offsets = dict(zip(blocks, np.cumsum([0, *(material.views[name].shape[1] for name in blocks)]).tolist(), strict=False))
    table = np.zeros((sum(material.views[name].shape[1] for name in blocks), sum(len(values) for values in FIELDS.values())))
    start = np.zeros(table.shape[1])
    for name, values in FIELDS.items():
        rows = np.concatenate((tickets, phrases)) if name == "category" else tickets
        target = np.array([[everything[row].label[name] == value for value in values] for row in rows], dtype=np.float64)
        for part in recipe.category if name == "category" else recipe.rest:
            weights, offset = _fitted(part, hstack([material.views[block] for block in part.blocks]).tocsr()[rows], target)
            start[_COLUMNS[name]] += part.voice * offset
            done = 0
            for block in part.blocks:
                size = material.views[block].shape[1]
                table[offsets[block] : offsets[block] + size, _COLUMNS[name]] += part.voice * weights[done : done + size]
                done += size
    named: Block = "words" if "words" in blocks else "pairs"
    counter = material.reader.counters[named]
    return Model(
        material.reader,
        blocks,
        table,
        start,
        recipe.by_sentence,
        counter.vocabulary_,
        counter.get_feature_names_out().tolist(),
        offsets[named],
        table[:, _COLUMNS["category"]].mean(axis=1),
    )


def _fitted(part: Part, rows: csr_matrix, target: Matrix) -> tuple[Matrix, Matrix]:
    """Return a part's weights (features by labels) and its starting score of each label."""
    if part.kind == "bayes":
        counts = np.asarray(rows.T @ target) + part.smoothing
        return np.log(counts / counts.sum(axis=0)), np.log((target.sum(axis=0) + 1) / (len(target) + target.shape[1]))
    frequency = target.mean(axis=0)
    importance = (target / (target.shape[1] * np.maximum(frequency, 1e-9))).sum(axis=1) if part.balanced else None
    ridge = Ridge(alpha=part.smoothing, solver="sparse_cg", tol=1e-3).fit(rows, 2 * target - 1, sample_weight=importance)
    return ridge.coef_.T, ridge.intercept_


@lru_cache(maxsize=8192)
def _tells(word: str) -> bool:
    """Say whether a word or a pair of words says something by itself."""
    return _TELLING.fullmatch(word) is not None and not all(map(_COMMON.fullmatch, word.split()))


def _words(text: str) -> list[str]:
    return _WORD.findall(concepts.plain(text))


def _stems(text: str) -> list[str]:
    """Return the first letters of each word and of each two neighbours: a stemmer that needs to know no language."""
    cut = [word[:_STEM] for word in _words(text)]
    return [*cut, *(f"{one} {other}" for one, other in pairwise(cut))]


def _softmax(scores: Matrix) -> Matrix:
    powers = np.exp(scores - scores.max())
    shares: Matrix = powers / powers.sum()
    return shares


def _columns() -> dict[str, slice]:
    columns, done = {}, 0
    for name, values in FIELDS.items():
        columns[name] = slice(done, done + len(values))
        done += len(values)
    return columns


_COLUMNS = _columns()
_BLOCKS: tuple[Block, ...] = get_args(Block)
_URGENT_UP_TO = 2  # P0 and P1 are the first two priorities: they always need a person
_STEM = 5
_SHORTEST_SENTENCE = 4
_MOST_SENTENCES = 40
_MOST_EVIDENCE = 3


def _lines(name: str, members: Sequence[str]) -> list[dict[str, Any]]:
    path = DATA / "tickets" / name
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot read what the stand-ins learn from ({error}). Restore the file from the repository."
        ) from error
    if not lines or any(not isinstance(line, dict) or not line.keys() >= set(members) for line in lines):
        raise DataError(f"{path}: every line must be an object with {', '.join(members)}. Restore the file from the repository.")
    return lines


@cache
def _material() -> Material:
    return Material.of(*samples())


@cache
def _model(capacity: Capacity) -> Model:
    return train(RECIPES[capacity], _material())


@lru_cache(maxsize=8192)
def _remembered(text: str, capacity: Capacity) -> Opinion:
    return _model(capacity).opinion(text)
