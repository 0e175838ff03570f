"""What a ticket talks about: counts of the concepts of `data/concepts.toml`, found by word starts in nine languages."""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import log1p

import numpy as np
from numpy.typing import NDArray

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA

_CONTRACTION = re.compile(r"['\u2019](?=(?:t|s|re|ll|ve|d|m)\b)")
_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_PLAIN = str.maketrans({"\u00df": "ss", "\u0142": "l", "\u00f8": "o", "\u00e6": "ae", "\u0153": "oe", "\u2019": "'"})
_NO_ACCENTS = dict.fromkeys(range(0x300, 0x370))
_LONGEST_GAP = 3
_SHORT = 3  # words of a phrase up to this length match as a whole: "i cant" is not in "it cannot"
_SENTENCE_END = re.compile(r"[.!?\u3002\uff1f]\s++(?=\S)|\n(?=\S)")
_SHAPES = (
    re.compile(r"[?\uff1f]"),  # question marks
    re.compile(r"[!\uff01]"),  # exclamation marks
    # amounts of money
    re.compile(
        r"[$\u20ac\u00a3\u00a5]\s?\d|(?<![\d.,])\d[\d.,]*+\s?(?:[$\u20ac\u00a3\u00a5]|eur|usd|gbp|chf|pln|zl|dollars?|euros?|pounds?|\u5186)"
    ),
    re.compile(r"\d\s?%"),  # percentages
    # durations
    re.compile(
        r"\d\s?(?:ms|s|sec|secs|seconds?|min|mins|minutes?|minuten|minutos|minuti|h|hours?|stunden|heures?|horas?|ore|uur|godzin\w*|\u79d2|\u5206)\b"
    ),
    re.compile(r"\b\d{1,2}[:h.]\d{2}\b|\b\d{1,2}\s?(?:am|pm|uhr)\b"),  # times of day
    re.compile(r"\b(?:get|post|put|patch|delete)\s/"),  # requests
    re.compile(r"\b[45]\d\d\b"),  # status codes
    re.compile(r"\b50[0-4]\b"),  # server errors
    re.compile(r"[{}]|\":"),  # braces
    # counts of people
    re.compile(
        r"(?<![\d.,\w])\d[\d.,]*+\s(?:\w{1,20}\s)?(?:people|users|staff|employees|members|students|patients|agents|nurses|drivers|sites|schools|depots|desks|offices|branches|shops|stores|teams|mitarbeiter\w*|personen|personnes|salaries|personas|empleados|pessoas|persone|dipendenti|mensen|medewerkers|osob)\b"
    ),
    re.compile(r"\d+"),  # numbers
    re.compile(r"\b\d+\.\d+(?:\.\d+)+\b|\bv\d+\.\d+"),  # version numbers
    re.compile(r"\b\d{2}:\d{2}:\d{2}\b|\berr[_-]|exception|traceback"),  # log lines
    re.compile(r"https?:|hxxp|www\.|@\w+\."),  # addresses
)

Rest = tuple[tuple[str, ...], bool, int]
"""What must follow a phrase's first word: the starts of the next words, whether the last is a whole word, and the concept."""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Concepts and how to find them: single words by start or whole, phrases by the starts of their first two words, Japanese pieces."""

    names: tuple[str, ...]
    starts: Mapping[str, tuple[int, ...]]
    whole: Mapping[str, tuple[int, ...]]
    phrases: Mapping[str, Mapping[str, tuple[Rest, ...]]]
    pieces: tuple[tuple[str, int], ...]
    longest: int

    def openings(self, word: str) -> tuple[tuple[int, ...], Mapping[str, tuple[Rest, ...]]]:
        """Return the concepts that a word names by itself and the phrases that it may begin, by how they go on."""
        single = list(self.whole.get(word, ()))
        begun: dict[str, tuple[Rest, ...]] = {}
        for length in range(1, min(len(word), self.longest) + 1):
            start = word[:length]
            single.extend(self.starts.get(start, ()))
            if length > _SHORT or length == len(word):
                for then, rests in self.phrases.get(start, {}).items():
                    begun[then] = begun.get(then, ()) + rests
        return tuple(single), begun


def plain(text: str) -> str:
    """Return the text lower-cased, without accents and with English contractions closed up (don't becomes dont)."""
    folded = text.lower().translate(_PLAIN)
    if not folded.isascii():
        folded = unicodedata.normalize("NFKD", folded).translate(_NO_ACCENTS)
    return _CONTRACTION.sub("", folded)


@cache
def lexicon() -> Lexicon:
    """Return the shipped lexicon, ready for matching; DataError if its file is missing or broken."""
    path = DATA / "concepts.toml"
    try:
        with path.open("rb") as file:
            entries = {name: list(value["stems"]) for name, value in tomllib.load(file).items()}
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot read the concepts ({error}). Restore the file from the repository.") from error
    return compile_lexicon(entries)


def compile_lexicon(entries: Mapping[str, Sequence[str]]) -> Lexicon:
    """Return the matching tables for named lists of entries (see the head of `data/concepts.toml` for how an entry matches)."""
    starts: dict[str, set[int]] = {}
    whole: dict[str, set[int]] = {}
    phrases: dict[str, dict[str, set[Rest]]] = {}
    pieces: set[tuple[str, int]] = set()
    for number, stems in enumerate(entries.values()):
        for stem in stems:
            text = plain(stem)
            tokens = tuple(_TOKEN.findall(text))
            if not text.strip().isascii():
                pieces.add((text.strip(), number))
            elif len(tokens) == 1:
                (whole if text.endswith(" ") else starts).setdefault(tokens[0], set()).add(number)
            else:
                phrases.setdefault(tokens[0], {}).setdefault(tokens[1], set()).add((tokens[1:], text.endswith(" "), number))
    return Lexicon(
        names=tuple(entries),
        starts={key: tuple(sorted(found)) for key, found in starts.items()},
        whole={key: tuple(sorted(found)) for key, found in whole.items()},
        phrases={key: {then: tuple(sorted(found)) for then, found in rests.items()} for key, rests in phrases.items()},
        pieces=tuple(sorted(pieces)),
        longest=max(
            (len(key) for key in (*starts, *phrases, *(then for rests in phrases.values() for then in rests))), default=0
        ),
    )


_openings = lru_cache(maxsize=20_000)(Lexicon.openings)


def _continues(tokens: Sequence[str], at: int, rest: tuple[str, ...], to_the_end: bool) -> bool:
    for place, part in enumerate(rest):
        if part == "*":
            return any(_continues(tokens, at + skip, rest[place + 1 :], to_the_end) for skip in range(_LONGEST_GAP + 1))
        if at >= len(tokens):
            return False
        if (to_the_end and place == len(rest) - 1) or len(part) <= _SHORT:
            if tokens[at] != part:
                return False
        elif not tokens[at].startswith(part):
            return False
        at += 1
    return True


def found(text: str, book: Lexicon) -> list[tuple[int, int]]:
    """Return where (character) and which (number of the concept) every match in a text that went through `plain` is."""
    places = [(match.start(), match.group()) for match in _TOKEN.finditer(text)]
    tokens = [token for _, token in places]
    hits: list[tuple[int, int]] = []
    for index, (start, token) in enumerate(places):
        single, begun = _openings(book, token)
        hits.extend((start, number) for number in single)
        if begun and index + 1 < len(tokens):
            after = tokens[index + 1]
            options = begun.get("*", ())
            for length in range(1, min(len(after), book.longest) + 1):
                options += begun.get(after[:length], ())
            hits.extend(
                (start, number) for rest, to_the_end, number in options if _continues(tokens, index + 1, rest, to_the_end)
            )
    if not text.isascii():
        hits.extend(
            (match.start(), number)
            for piece, number in book.pieces
            if piece in text
            for match in re.finditer(re.escape(piece), text)
        )
    return hits


def features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the features of texts, one row each: concepts anywhere, in the first line, in the last sentence, and the writing's shape."""
    return np.stack([_row(text) for text in texts])


def width() -> tuple[int, int]:
    """Return how many concepts there are and how many features they and the shapes make."""
    size = len(lexicon().names)
    return size, 3 * size + len(_SHAPES) + 2


def _row(text: str) -> NDArray[np.float32]:
    book = lexicon()
    size, columns = width()
    values = np.zeros(columns, dtype=np.float32)
    folded = plain(text)
    top = folded.find("\n")
    top = len(folded) if top < 0 else top
    last = max((match.end() for match in _SENTENCE_END.finditer(folded)), default=0)
    for start, number in found(folded, book):
        values[number] += 1
        if start < top:
            values[size + number] = 1
        if start >= last:
            values[2 * size + number] = 1
    values[:size] = np.log1p(values[:size])
    for place, pattern in enumerate(_SHAPES, 3 * size):
        values[place] = log1p(len(pattern.findall(folded)))
    letters = sum(map(str.isalpha, text))
    values[-2] = log1p(len(text)) / 4
    values[-1] = sum(map(str.isupper, text)) / max(letters, 1)
    return values
