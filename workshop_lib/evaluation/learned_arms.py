"""Arms that learn from the calibration split which model to ask: by the cheap model's category, or by the nearest tickets."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workshop_lib.evaluation.composing import composed, picked
from workshop_lib.tasks import Ticket

NEIGHBOURS = 10


def best_by_category(calibration: Sequence[pd.DataFrame]) -> dict[str | None, int]:
    """Return, for each category the cheap model may say, the index of the tier that was right most often on such calibration tickets.

    `calibration` are single-model arms on the same tickets, cheapest first; ties go to the cheaper tier. The key None holds the tier that was right
    most often on all of them: for a category the cheap model never said there, and for an answer that is not valid.
    """
    right = _right(calibration)
    said = calibration[0]["category"].tolist()
    rows: dict[str, list[int]] = defaultdict(list)
    for row, category in enumerate(said):
        if isinstance(category, str):
            rows[category].append(row)
    best: dict[str | None, int] = {category: int(right[:, where].sum(axis=1).argmax()) for category, where in rows.items()}
    return {**best, None: int(right.sum(axis=1).argmax())}


def category_majority(frames: Sequence[pd.DataFrame], best: Mapping[str | None, int]) -> pd.DataFrame:
    """Return the arm that asks the cheap model everything and then, where `best` names another tier for its category, that tier as well.

    `best` comes from `best_by_category` on other tickets. Both calls are charged. An answer of the cheap model that is not valid goes to the tier
    under None, or to the next one if that is the cheap one itself.
    """
    cheap, fallback = frames[0], best[None]
    if len(frames) == 1:
        return cheap.reset_index(drop=True).copy()
    valid = (cheap["outcome"] == "answered").tolist()
    target = np.array([best.get(category, fallback) if ok else max(1, fallback) for category, ok in zip(cheap["category"].tolist(), valid, strict=True)])
    raised = (composed(cheap, frame, target == tier, "category majority") for tier, frame in enumerate(frames[1:], start=1))
    return picked([cheap, *raised], target)


def nearest_tiers(known: Sequence[Ticket], calibration: Sequence[pd.DataFrame], asked: Sequence[Ticket], k: int = NEIGHBOURS) -> NDArray[np.int_]:
    """Return for each asked ticket the index of the tier to ask (for `picked`): the one that was right on most of its `k` nearest calibration tickets.

    Nearness is the cosine of TF-IDF vectors of subject and body, words and pairs of words, fitted on the calibration tickets alone. Ties go to the
    cheaper tier. `calibration` are single-model arms on `known`, in that order, cheapest first. No model is called to find them.
    Source: the kNN router of RouterBench (Hu et al., 2024), where quality decides and cost breaks ties.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    right = _right(calibration)
    if [ticket.id for ticket in known] != calibration[0]["item_id"].tolist():
        raise ValueError("the calibration tickets and arms hold different items, or the same in another order")
    if not 1 <= k <= len(known):
        raise ValueError(f"k must lie between 1 and the {len(known)} calibration tickets, got {k}")
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")
    space = NearestNeighbors(n_neighbors=k, metric="cosine").fit(vectors.fit_transform(map(_text, known)))
    neighbours = space.kneighbors(vectors.transform(map(_text, asked)), return_distance=False)
    votes: NDArray[np.int_] = right[:, neighbours].sum(axis=2).argmax(axis=0)
    return votes


def _right(calibration: Sequence[pd.DataFrame]) -> NDArray[np.int_]:
    if not calibration or len(calibration[0]) == 0:
        raise ValueError("learning which model to ask needs at least one calibration ticket and model")
    ids = calibration[0]["item_id"].tolist()
    if any(frame["item_id"].tolist() != ids for frame in calibration):
        raise ValueError("the calibration arms hold different items, or the same in another order")
    return np.array([frame["correct"].to_numpy(int) for frame in calibration])


def _text(ticket: Ticket) -> str:
    return f"{ticket.subject}\n{ticket.body}"
