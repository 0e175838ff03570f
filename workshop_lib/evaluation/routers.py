"""Learned routers and scorers: trained on where the cheap model was wrong and the strong one right, and held against chance at equal spend."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from workshop_lib.cascade import LearnedRouter, ScorerGate, Seen
from workshop_lib.evaluation.equal_spend import Verdict, verdict
from workshop_lib.evaluation.history import History, history

__all__ = ["History", "Method", "TrainedRouter", "TrainedScorer", "Verdict", "history", "train_router", "train_scorer", "verdict"]

Method = Literal["logistic", "knn"]
_LEAST = 5  # items of the rarer kind: fewer teach a model nothing but their own words
_FOLDS = 5
_LABELS = ("category", "priority")


@dataclass(frozen=True, eq=False)
class TrainedRouter:
    """A model of how likely an item is hard, from its text alone; `held_out` are its probabilities on the training items by models that did not see their family."""

    digest: str
    method: Method
    n: int
    hard: int
    held_out: NDArray[np.float64] = field(repr=False)
    model: Any = field(repr=False)

    def probability(self, seen: Seen) -> float:
        """Return the probability that the item is hard, from 0 to 1."""
        return float(self.probabilities([seen.text])[0])

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability that each item is hard."""
        return _positive(self.model, list(texts))

    def router(self, start: str, name: str = "disagreement", *, share: float) -> LearnedRouter:
        """Return the router, as data for a policy, that starts about a share of the items at `start`; the threshold is set on held-out probabilities."""
        return LearnedRouter(start=start, name=name, digest=self.digest, at_least=_threshold(self.held_out, share))


@dataclass(frozen=True, eq=False)
class TrainedScorer:
    """A model of how likely the cheap answer is wrong, from the item's text and the answer; `held_out` as for a router."""

    digest: str
    n: int
    wrong: int
    held_out: NDArray[np.float64] = field(repr=False)
    model: Any = field(repr=False)

    def probability(self, seen: Seen) -> float:
        """Return the probability that the answer is wrong, from 0 to 1."""
        return float(_positive(self.model, [(seen.text, seen.answer)])[0])

    def gate(self, name: str = "scorer", *, share: float) -> ScorerGate:
        """Return the gate, as data for a policy, that escalates about a share of the items; the threshold is set on held-out probabilities."""
        return ScorerGate(name=name, digest=self.digest, above=float(np.nextafter(_threshold(self.held_out, share), -1).clip(0, 1)))


def train_router(past: History, *, split: str, method: Method = "logistic", neighbours: int = 15) -> TrainedRouter:
    """Train a router on the disagreement history of the calibration split: TF-IDF of words and pairs, then logistic regression or k nearest neighbours.

    Raises ValueError for the test split, which a router must never have seen, and when fewer than five items are hard or not hard.
    """
    target = past.hard
    _refuse(split, target, "hard (cheap wrong, strong right)")
    texts = list(past.texts)
    digest = _digest({"kind": "router", "method": method, "neighbours": neighbours if method == "knn" else None, "texts": texts}, target)

    def fit(rows: NDArray[np.intp]) -> Any:
        return _text_model(method, min(neighbours, len(rows))).fit([texts[row] for row in rows], target[rows])

    held_out = _held_out(fit, texts, target, past.families)
    return TrainedRouter(digest, method, len(texts), int(target.sum()), held_out, fit(np.arange(len(texts))))


def train_scorer(past: History, answers: Sequence[BaseModel | None], *, split: str) -> TrainedScorer:
    """Train a scorer of p(cheap answer is wrong) on the calibration split: logistic regression on the text, the confidence and the labels of the answer.

    `answers` are the cheap model's, one an item; items without a valid answer are left out, as they escalate anyway. Raises ValueError as `train_router` does.
    """
    if len(answers) != len(past.texts):
        raise ValueError(f"{len(past.texts)} items need as many answers, got {len(answers)}")
    kept = [index for index, answer in enumerate(answers) if answer is not None]
    pairs = [(past.texts[index], answers[index]) for index in kept]
    target = ~past.cheap_right[kept]
    _refuse(split, target, "answered wrongly by the cheap model")
    said = [_answer_features(pair) for pair in pairs]
    digest = _digest({"kind": "scorer", "texts": [text for text, _ in pairs], "answers": said}, target)

    def fit(rows: NDArray[np.intp]) -> Any:
        return _pair_model().fit([pairs[row] for row in rows], target[rows])

    held_out = _held_out(fit, pairs, target, [past.families[index] for index in kept])
    return TrainedScorer(digest, len(pairs), int(target.sum()), held_out, fit(np.arange(len(pairs))))


def _refuse(split: str, target: NDArray[np.bool_], what: str) -> None:
    if split == "test":
        raise ValueError("a model trained on the test split would be measured on what it has seen; train it on the calibration split")
    few = min(int(target.sum()), int((~target).sum()))
    if few < _LEAST:
        raise ValueError(f"{int(target.sum())} of {len(target)} items are {what}; at least {_LEAST} must be, and {_LEAST} must not, to learn from")


def _digest(made_from: dict[str, Any], target: NDArray[np.bool_]) -> str:
    told = {**made_from, "target": target.tolist(), "scikit-learn": version("scikit-learn")}
    return sha256(json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _threshold(probabilities: NDArray[np.float64], share: float) -> float:
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    return float(np.quantile(probabilities, 1 - share, method="higher"))


def _held_out(fit: Any, inputs: Sequence[Any], target: NDArray[np.bool_], families: Sequence[str]) -> NDArray[np.float64]:
    """Return each item's probability by a model trained without its family; where the rest is of one kind, that kind's share."""
    from sklearn.model_selection import GroupKFold

    groups = np.unique(families, return_inverse=True)[1]
    found = np.full(len(target), float(target.mean()))
    if len(np.unique(groups)) < 2:
        return found
    for train, test in GroupKFold(min(_FOLDS, len(np.unique(groups)))).split(groups, groups=groups):
        if target[train].any() and not target[train].all():
            found[test] = _positive(fit(train), [inputs[row] for row in test])
    return found


def _positive(model: Any, inputs: Sequence[Any]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = model.predict_proba(inputs)[:, 1]
    return shares


def _text_model(method: Method, neighbours: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    last = LogisticRegression(C=10.0, max_iter=1000) if method == "logistic" else KNeighborsClassifier(neighbours, metric="cosine")
    return make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), last)


def _pair_model() -> Any:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    text = make_pipeline(FunctionTransformer(_texts), TfidfVectorizer(sublinear_tf=True))
    answer = make_pipeline(FunctionTransformer(_answers), DictVectorizer())
    return make_pipeline(FeatureUnion([("text", text), ("answer", answer)]), LogisticRegression(C=1.0, max_iter=1000))


def _texts(pairs: Sequence[tuple[str, BaseModel | None]]) -> list[str]:
    return [text for text, _ in pairs]


def _answers(pairs: Sequence[tuple[str, BaseModel | None]]) -> list[dict[str, Any]]:
    return [_answer_features(pair) for pair in pairs]


def _answer_features(pair: tuple[str, BaseModel | None]) -> dict[str, Any]:
    """Return what a scorer sees of an answer: confidence, labels, the flag, and how long the item's text is (log of words)."""
    text, answer = pair
    labels = {name: str(label) for name in _LABELS if (label := getattr(answer, name, None)) is not None}
    numbers = {"confidence": float(getattr(answer, "confidence", 0.0)), "needs_human": float(bool(getattr(answer, "needs_human", False)))}
    return {**labels, **numbers, "log_words": float(np.log1p(len(text.split())))}
