"""A semantic cache inside the process: texts as counted words and letters, compared by cosine. It sees spelling and not meaning."""

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from workshop_lib.cascade.semantic import Hit
from workshop_lib.tasks.base import Answer

_FEATURES = 2**17  # of words and of letters each; counted by hash, so a word that was never seen before counts as well
_WORD = re.compile(r"\w+")
_DECIMALS = 6  # the last bits of a product differ between machines


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Texts as vectors: TF-IDF of words and pairs of them, and of runs of three to five letters, half the weight each."""

    parts: tuple[tuple[Any, Any], ...]

    @staticmethod
    def fit(texts: Sequence[str]) -> "TextVectors":
        """Return vectors whose weights say how rare a feature is in these texts; ValueError without any."""
        if not texts:
            raise ValueError("vectors need texts to learn from which words are rare; give the training texts")
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        common = {"n_features": _FEATURES, "norm": None, "alternate_sign": False, "strip_accents": "unicode"}
        words = HashingVectorizer(ngram_range=(1, 2), token_pattern=_WORD.pattern, **common)  # "3" and "5" are words here
        letters = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), **common)
        plain = [_plain(text) for text in texts]
        return TextVectors(tuple((counts, TfidfTransformer(sublinear_tf=True).fit(counts.transform(plain))) for counts in (words, letters)))

    def rows(self, texts: Sequence[str]) -> Any:
        """Return one sparse row of length 1 a text; capitals, accents and punctuation do not count."""
        from scipy.sparse import hstack

        plain = [_plain(text) for text in texts]
        return hstack([weights.transform(counts.transform(plain)) for counts, weights in self.parts], format="csr") * math.sqrt(1 / len(self.parts))

    def similarity(self, one: str, other: str) -> float:
        """Return the cosine of two texts, from 0 (nothing in common) to 1 (the same words and letters)."""
        rows = self.rows([one, other])
        return float(_cosines(rows[:1], rows[1:])[0])


@dataclass(frozen=True)
class _Kept(Generic[Answer]):
    answer: Answer
    scope: str
    item_id: str
    at: float


@dataclass(frozen=True)
class _Block:
    """Rows of texts, and the number under which the answer to each is kept."""

    rows: Any
    numbers: tuple[int, ...]


class TextCache(Generic[Answer]):
    """A `SemanticCache` in memory for up to some ten thousand texts, of which it keeps the vectors and not the words (but the last one's).

    `threshold` is the least cosine of a hit. At most `size` answers are kept: the one not used for longest goes first. `max_age_s` (seconds by
    `clock`) makes older answers a miss. Of equally near texts the one kept first answers. Threads may share it; then the order of their calls decides.
    """

    def __init__(
        self, vectors: TextVectors, *, threshold: float, size: int = 10_000, max_age_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold is a cosine above 0 and at most 1, got {threshold}")
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        if max_age_s is not None and not max_age_s > 0:
            raise ValueError(f"max_age_s must be above 0, got {max_age_s}; leave it out for answers that do not age")
        self.vectors, self.threshold, self.size = vectors, threshold, size
        self._max_age_s, self._clock, self._lock = max_age_s, clock, threading.Lock()
        self._kept: OrderedDict[int, _Kept[Answer]] = OrderedDict()  # the one not used for longest first
        self._blocks: list[_Block] = []
        self._count = 0
        self._last: tuple[str, Any] | None = None  # a miss is looked up and then kept, and its row takes longest

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    def look(self, text: str, scope: str = "") -> Hit[Answer] | None:
        """Return the answer to the nearest text kept in this scope, if it is near enough and not too old; else None."""
        row = self._row(text)
        with self._lock:
            found = [(-cosine, number) for block in self._blocks for cosine, number in self._near(block, row)]
            for minus, number in sorted(found):
                kept = self._kept.get(number)
                if kept is not None and kept.scope == scope and not self._too_old(kept):
                    self._kept.move_to_end(number)
                    return Hit(kept.answer, -minus, kept.item_id)
        return None

    def keep(self, text: str, answer: Answer, scope: str = "", item_id: str = "") -> None:
        """Keep an answer for later texts of the same scope; a text without words or letters is not kept."""
        row = self._row(text)
        if row.nnz == 0:
            return
        with self._lock:
            self._kept[self._count] = _Kept(answer, scope, item_id, self._clock())
            self._blocks.append(_Block(row, (self._count,)))
            self._count += 1
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
            # Blocks double in size like the digits of a binary number, so that adding a row copies few others.
            while len(self._blocks) > 1 and len(self._blocks[-2].numbers) <= len(self._blocks[-1].numbers):
                later, earlier = self._blocks.pop(), self._blocks.pop()
                self._blocks.append(self._merged(earlier, later))

    def clear(self) -> None:
        """Forget everything that was kept."""
        with self._lock:
            self._kept.clear()
            self._blocks.clear()
            self._last = None

    def forget(self, item_id: str) -> int:
        """Forget the answers that were given to an item, such as a ticket that must be deleted; return how many there were."""
        with self._lock:
            numbers = [number for number, kept in self._kept.items() if kept.item_id == item_id]
            for number in numbers:
                del self._kept[number]
            self._blocks = [self._merged(block, _Block(block.rows[:0], ())) for block in self._blocks] if numbers else self._blocks
            self._last = None
        return len(numbers)

    def _row(self, text: str) -> Any:
        last = self._last
        if last is None or last[0] != text:
            self._last = last = (text, self.vectors.rows([text]))
        return last[1]

    def _near(self, block: _Block, row: Any) -> list[tuple[float, int]]:
        cosines = _cosines(block.rows, row)
        return [(float(cosines[place]), block.numbers[place]) for place in (cosines >= self.threshold).nonzero()[0]]

    def _too_old(self, kept: _Kept[Answer]) -> bool:
        return self._max_age_s is not None and self._clock() - kept.at > self._max_age_s

    def _merged(self, earlier: _Block, later: _Block) -> _Block:
        from scipy.sparse import vstack

        numbers = (*earlier.numbers, *later.numbers)
        alive = [place for place, number in enumerate(numbers) if number in self._kept]
        return _Block(vstack([earlier.rows, later.rows], format="csr")[alive], tuple(numbers[place] for place in alive))


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text))


def _cosines(rows: Any, row: Any) -> Any:
    """Return the cosine of every row with one."""
    return (rows @ row.toarray().ravel()).round(_DECIMALS).clip(max=1.0)
