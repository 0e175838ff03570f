"""Facts: find subject and relation in free wording, then walk from fact to fact while steps last."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from workshop_lib.sandbox.stand_ins.questions.knowledge import Fact, Memory, Name, Relation, key, memory, told
from workshop_lib.sandbox.stand_ins.questions.model import Capacity, Guess
from workshop_lib.sandbox.stand_ins.questions.words import STOP, stem, tokens

PLACES = frozenset({"country", "city", "continent", "place", "state", "planet", "island"})
STARTS, BEAM = 14, 40
LOOSE = frozenset({"is", "year", "known_for", "theorem", "discoverer"})


@dataclass(frozen=True)
class Query:
    """A question as the fact finder sees it: stems by position, cue and type-word occurrences, the kind asked for."""

    stems: tuple[str, ...]
    weights: tuple[float, ...]
    where: dict[str, tuple[int, ...]]
    cues: dict[str, tuple[frozenset[int], ...]]
    kinds: dict[str, frozenset[int]]
    asked: str
    start: int


@dataclass(frozen=True)
class Path:
    """A walk so far: where it stands, what kind of thing that is, the words it explains and the facts it used."""

    place: str
    kind: str
    used: frozenset[int]
    facts: tuple[Fact, ...]
    score: float
    seen: frozenset[str]


def recall(question: str, capacity: Capacity) -> Guess | None:
    """Return the best answer from the knowledge base, or None if no word of it is known."""
    known = memory(capacity.knowledge)
    query = read(question, known)
    paths = sorted(
        walk(query, known, capacity.steps), key=lambda path: (-path.score, len(path.facts), path.place)
    )
    if not paths:
        return nearest(query, known)
    best = paths[0]
    rivals = [
        path for path in paths[1:] if key(path.place) != key(best.place) and best.score - path.score < 0.15
    ]
    doubt = (1 if rivals else 0) + (1 if mismatch(query.asked, best.kind) else 0)
    confidence = max(1, certainty(query, best, capacity.steps) - doubt)
    return Guess(best.place, confidence, " ".join(told(fact, known) for fact in best.facts))


def read(question: str, known: Memory) -> Query:
    """Turn the question into stems, weights, cue occurrences and the kind of answer asked for."""
    words = [spelled(word, known) for word in tokens(question)[:400]]
    stems = tuple(stem(word) for word in words)
    heard = [
        known.weights.get(part, 0.0) if word not in STOP else 0.0
        for word, part in zip(words, stems, strict=True)
    ]
    where: dict[str, tuple[int, ...]] = {}
    for at, part in enumerate(stems):
        where[part] = (*where.get(part, ()), at)
    cues = {
        name: found for name, relation in known.relations.items() if (found := occurrences(relation, where))
    }
    kinds = {
        kind: frozenset(at for word in sorted(names) for at in where.get(word, ()))
        for kind, names in known.types.items()
    }
    start = len(tokens(question[: max(question[:-1].rfind(mark) for mark in ".!\n") + 1]))
    return Query(stems, tuple(heard), where, cues, kinds, asked_kind(words, known), start)


def spelled(word: str, known: Memory) -> str:
    """Return a known word that differs from this one by one slip, or the word itself."""
    if word in known.spellings or word in STOP or len(word) < 5 or not word.isalpha():
        found = known.spellings.get(word, word)
        return found if len(word) >= 5 and word not in STOP and stem(word) not in known.weights else word
    if stem(word) in known.weights:
        return word
    for at in range(len(word)):
        near = known.spellings.get(word[:at] + word[at + 1 :])
        if near and abs(len(near) - len(word)) <= 1 and len(near) >= 5:
            return near
    return word


def occurrences(relation: Relation, where: dict[str, tuple[int, ...]]) -> tuple[frozenset[int], ...]:
    """List the places where cue phrases of a relation stand, longest phrase first, without overlaps."""
    found: list[frozenset[int]] = []
    taken: set[int] = set()
    for cue in relation.cues:
        for first in where.get(cue[0], ()):
            spot = near_spot(cue, first, where)
            if spot and not spot & taken:
                found.append(spot)
                taken |= spot
    return tuple(found)


def near_spot(parts: tuple[str, ...], first: int, where: dict[str, tuple[int, ...]]) -> frozenset[int]:
    """Return positions of all parts within a few words of `first`, or nothing."""
    spot = {first}
    for part in parts[1:]:
        close = [at for at in where.get(part, ()) if abs(at - first) <= 3 + len(parts) and at not in spot]
        if not close:
            return frozenset()
        spot.add(min(close, key=lambda at: abs(at - first)))
    return frozenset(spot)


def asked_kind(words: list[str], known: Memory) -> str:
    """Return the kind of thing the question asks for, from its question word and the noun after it."""
    kind = ""
    for at, word in enumerate(words):
        follow = words[at + 1 : at + 5]
        if word in ("who", "whom", "whose") and not kind:
            kind = "person"
        elif word == "when" and not kind:
            kind = "year"
        elif word == "where" and (not kind or at < 2):
            kind = "place"
        elif word == "how" and follow[:1] in (["many"], ["much"]):
            kind = "number"
        elif word in ("which", "what", "name", "whats", "what's"):
            kind = noun_kind(follow, known) or kind
    return kind


def noun_kind(follow: list[str], known: Memory) -> str:
    """Return the kind named by the first type word after 'which' or 'what', stopping at a verb."""
    for word in follow:
        if word in ("does", "did", "do", "has", "of", "by", "in", "would"):
            break
        for kind, names in known.types.items():
            if stem(word) in names:
                return kind
    return ""


def walk(query: Query, known: Memory, steps: int) -> list[Path]:
    """Return every path of up to `steps` facts, the most promising ones kept at each hop."""
    frontier = [path for name in mentions(query, known) for path in enter(name, query, known)]
    found = list(frontier)
    for _ in range(min(steps, 4) - 1):
        frontier = sorted(frontier, key=lambda path: -path.score)[:BEAM]
        frontier = [further for path in frontier for further in leave(path, query, known)]
        found += frontier
    return [settled(path, query) for path in found]


def mentions(query: Query, known: Memory) -> list[tuple[Name, frozenset[int], float]]:
    """Find names that stand in the question, heaviest first: long names may miss a word, short ones may not."""
    tried: set[Name] = set()
    found: list[tuple[Name, frozenset[int], float]] = []
    for part in query.where:
        for name in known.by_stem.get(part, ()):
            if name not in tried:
                tried.add(name)
                found += match(name, query, known)
    found.sort(key=lambda hit: (-hit[2], hit[0].fact.prominence, hit[0].fact.subject, hit[0].fact.object))
    return spread(found)


def spread(found: list[tuple[Name, frozenset[int], float]]) -> list[tuple[Name, frozenset[int], float]]:
    """Keep the heaviest mentions, at most a few dozen, and drop those inside a longer one."""
    kept: list[tuple[Name, frozenset[int], float]] = []
    for hit in found[:400]:
        inside = any(hit[1] < other[1] and other[0].fact.relation not in LOOSE for other in kept)
        if not inside or not hit[0].forward:
            kept.append(hit)
        if len(kept) >= 8 * STARTS:
            break
    return kept


def match(name: Name, query: Query, known: Memory) -> Iterator[tuple[Name, frozenset[int], float]]:
    """Yield the name with the positions it covers and its weight, if enough of it is in the question."""
    spots = {part: query.where[part] for part in name.stems if part in query.where}
    whole = sum(known.weights[part] for part in set(name.stems))
    had = sum(known.weights[part] for part in spots)
    loose = name.fact.relation in LOOSE and len(set(name.stems)) > 2
    if had < whole * (0.7 if loose else 0.999):
        return
    positions = frozenset(
        min(at, key=lambda spot: abs(spot - query.start)) if loose else at[0] for at in spots.values()
    )
    if not loose and len(spots) > 1 and max(positions) - min(positions) > 2 * len(name.stems) + 1:
        return
    yield name, positions, had - 1.2 * (whole - had)


def enter(hit: tuple[Name, frozenset[int], float], query: Query, known: Memory) -> list[Path]:
    """Make the first hop from a name in the question."""
    name, positions, weight = hit
    if not name.forward and name.fact.relation == "is":
        return []
    blank = Path(
        "", "", positions, (), weight, frozenset(map(key, (*name.fact.subjects, *name.fact.objects)))
    )
    seen = frozenset({key(name.fact.subject if name.forward else name.fact.object)})
    return list(hop(replace(blank, seen=seen), name.fact, name.forward, query, known))


def leave(path: Path, query: Query, known: Memory) -> list[Path]:
    """Make one further hop from where a path stands; it has to explain another word of the question."""
    here = key(path.place)
    further = [(fact, True) for fact in known.subjects.get(here, ())]
    further += [(fact, False) for fact in known.objects.get(here, ()) if fact.relation != "is"]
    return [
        made
        for fact, forward in further
        for made in hop(path, fact, forward, query, known)
        if made.used > path.used
    ]


def hop(path: Path, fact: Fact, forward: bool, query: Query, known: Memory) -> Iterator[Path]:
    """Yield the path one fact longer, with the cue and type words that speak for it."""
    relation = known.relations[fact.relation]
    place = fact.object if forward else fact.subject
    kind = fact.kind if forward else relation.subject
    if key(place) in path.seen:
        return
    used, gain = path.used, 0.0
    for spot in query.cues.get(fact.relation, ()):
        fresh = spot - used
        if fresh and sum(query.weights[at] for at in fresh) > gain:
            gain = sum(query.weights[at] for at in fresh)
            best = fresh
    if gain:
        used |= best
    named = query.kinds.get(kind, frozenset()) - used
    if named:
        used |= {min(named)}
        gain += 0.5
    score = path.score + gain - 0.35 - 0.05 * fact.prominence
    if not gain and fact.relation not in ("is", "year", "known_for", "theorem"):
        score -= 1.0
    yield Path(place, kind, used, (*path.facts, fact), score, path.seen | {key(place)})


def settled(path: Path, query: Query) -> Path:
    """Return the path with its score moved by whether it ends at the kind of thing asked for."""
    if not query.asked:
        return path
    if fits(query.asked, path.kind):
        return replace(path, score=path.score + 1.5)
    return replace(path, score=path.score - (2.0 if mismatch(query.asked, path.kind) else 0.0))


def fits(asked: str, kind: str) -> bool:
    """Say whether a thing of this kind answers a question for `asked`."""
    return asked == kind or (asked == "place" and kind in PLACES) or (asked == "sea" and kind == "ocean")


def mismatch(asked: str, kind: str) -> bool:
    """Say whether the kind found clearly is not the kind asked for."""
    open_kinds = ("", "term", "description", "meaning", "statement")
    return asked not in ("", "term") and kind not in open_kinds and not fits(asked, kind)


def certainty(query: Query, path: Path, steps: int) -> int:
    """Return 1..5 by the share explained of the known words within the model's span of attention.

    The span reaches three words per step around what is explained: a weak model overlooks the rest, and words
    it has no knowledge of weigh nothing, so it is surer than it should be.
    """
    ends = sorted(path.used)
    span = [at for at in range(len(query.stems)) if any(abs(at - end) <= 3 * steps for end in ends)]
    total = sum(query.weights[at] for at in span)
    explained = sum(query.weights[at] for at in path.used)
    share = explained / total if total else 0.0
    return 1 + sum(share >= bar for bar in (0.25, 0.4, 0.55, 0.75))


def nearest(query: Query, known: Memory) -> Guess | None:
    """Guess the best-known object of the relation that the cues point to; None if no cue is known."""
    ranked = sorted(
        (-sum(query.weights[at] for spot in spots for at in spot), name)
        for name, spots in query.cues.items()
        if name in known.by_relation
    )
    if not ranked:
        return None
    fact = known.by_relation[ranked[0][1]][0]
    end = fact.subject if fits(query.asked, known.relations[fact.relation].subject) else fact.object
    return Guess(
        end, 2 if len(ranked) == 1 else 1, f"I do not recall that one; {end} is the best known of its kind."
    )
