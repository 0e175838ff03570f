"""The knowledge base: loaded once, cut to what a capacity knows and indexed by the words of its names."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Any, TypeVar

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA
from workshop_lib.sandbox.stand_ins.questions.words import STOP, stem, tokens

Item = TypeVar("Item")


@dataclass(frozen=True)
class Relation:
    """One kind of fact: the kinds of thing it joins, its cue phrases as stems and its sentence."""

    name: str
    subject: str
    object: str
    cues: tuple[tuple[str, ...], ...]
    sentence: str


@dataclass(frozen=True)
class Fact:
    """One fact; `kind` says what the object is where the relation leaves it open."""

    subject: str
    relation: str
    object: str
    prominence: int
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class Name:
    """A name in the index: its stems, the fact and whether it is the fact's subject or its object."""

    stems: tuple[str, ...]
    fact: Fact
    forward: bool


@dataclass(frozen=True)
class Memory:
    """Everything a model of one knowledge level knows, indexed."""

    relations: dict[str, Relation]
    types: dict[str, frozenset[str]]
    by_stem: dict[str, tuple[Name, ...]]
    subjects: dict[str, tuple[Fact, ...]]
    objects: dict[str, tuple[Fact, ...]]
    weights: dict[str, float]
    by_relation: dict[str, tuple[Fact, ...]]
    spellings: dict[str, str]


def content(text: str) -> tuple[str, ...]:
    """Return the stems of the words that carry meaning, or of all words if none does."""
    words = tokens(text)
    kept = tuple(stem(word) for word in words if word not in STOP)
    return kept or tuple(stem(word) for word in words)


def key(name: str) -> str:
    """Return the form under which a name is looked up."""
    return " ".join(tokens(name))


@cache
def raw() -> dict[str, Any]:
    """Read knowledge.json once; DataError if it is missing or broken."""
    path = DATA / "knowledge.json"
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read what the stand-ins know ({error}). Restore the file from the repository.") from error
    return loaded


@cache
def memory(level: int) -> Memory:
    """Return the knowledge of facts up to this prominence, indexed."""
    facts = [fact_of(row) for row in raw()["facts"] if row["prominence"] <= level]
    facts.sort(key=lambda fact: fact.prominence)
    relations = {name: relation_of(name, row) for name, row in raw()["relations"].items()}
    types = {name: frozenset(stem(word) for word in row) for name, row in raw()["types"].items()}
    names = [name for fact in facts for name in names_of(fact)]
    weights = weights_of(names, relations)
    return Memory(
        relations,
        types,
        grouped((part, name) for name in names for part in set(name.stems)),
        grouped((key(name), fact) for fact in facts for name in fact.subjects),
        grouped((key(name), fact) for fact in facts for name in fact.objects),
        weights,
        grouped((fact.relation, fact) for fact in facts),
        spellings_of(facts, relations),
    )


def grouped(pairs: Iterable[tuple[str, Item]]) -> dict[str, tuple[Item, ...]]:
    """Collect (key, item) pairs into a tuple per key."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for group, item in pairs:
        groups[group].append(item)
    return {group: tuple(items) for group, items in groups.items()}


def relation_of(name: str, row: dict[str, Any]) -> Relation:
    """Build a relation from its row."""
    cues = tuple(sorted({content(cue) for cue in row["cues"]}, key=lambda cue: (-len(cue), cue)))
    return Relation(name, row["subject"], row["object"], cues, row["sentence"])


def fact_of(row: dict[str, Any]) -> Fact:
    """Build a fact from its row, with every spelling of its subject and object."""
    everywhere: dict[str, list[str]] = raw()["aliases"]
    subject, target = row["subject"], row["object"]
    subjects = (subject, *row.get("aliases", ()), *everywhere.get(subject, ()))
    objects = (target, *row.get("object_aliases", ()), *everywhere.get(target, ()))
    kind = row.get("kind", raw()["relations"][row["relation"]]["object"])
    return Fact(subject, row["relation"], target, row["prominence"], subjects, objects, kind)


def names_of(fact: Fact) -> list[Name]:
    """List the names under which a fact can be found, from either end."""
    forward = [Name(content(name), fact, True) for name in dict.fromkeys(fact.subjects)]
    backward = [Name(content(name), fact, False) for name in dict.fromkeys(fact.objects)]
    return [name for name in forward + backward if name.stems]


def weights_of(names: list[Name], relations: dict[str, Relation]) -> dict[str, float]:
    """Weigh every stem by how few names and cues it occurs in, from about 0.5 to 2.5."""
    counts = Counter(part for name in names for part in set(name.stems))
    counts.update(part for relation in relations.values() for cue in relation.cues for part in set(cue))
    top = log(1 + len(names))
    return {part: 0.5 + 2.0 * (1 - log(1 + count) / top) for part, count in counts.items()}


def spellings_of(facts: list[Fact], relations: dict[str, Relation]) -> dict[str, str]:
    """Map every known word of five letters or more with one letter left out to the word, to read typing errors."""
    words = {word for fact in facts for name in (*fact.subjects, *fact.objects) for word in tokens(name)}
    words |= {word for row in raw()["relations"].values() for cue in row["cues"] for word in tokens(cue)}
    near = {word: word for word in sorted(words)}
    for word in sorted(words):
        for at in range(len(word) if len(word) >= 5 else 0):
            near.setdefault(word[:at] + word[at + 1 :], word)
    return near


def told(fact: Fact, known: Memory) -> str:
    """Write a fact as a sentence."""
    sentence = known.relations[fact.relation].sentence.format(s=fact.subject, o=fact.object)
    return re.sub(r"\bThe (The|the) ", "The ", sentence[:1].upper() + sentence[1:])
