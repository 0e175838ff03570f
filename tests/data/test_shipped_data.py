"""The shipped tickets and questions: complete, consistent, and without a leak from training to test."""

import json
import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import combinations
from typing import Any

import pytest

from workshop_lib.paths import DATA
from workshop_lib.tasks import CATEGORIES, PRIORITIES, Equivalence, Label, Question, Ticket

SIZES = {"samples": 20, "training": 704, "calibration": 80, "test": 160}
QUESTION_SPLITS = ("training", "calibration", "test")
LIKENESS = 0.3


@cache
def tickets(split: str) -> list[dict[str, Any]]:
    """Return one split's lines."""
    with (DATA / "tickets" / f"{split}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def questions() -> list[dict[str, Any]]:
    """Return all questions' lines."""
    with (DATA / "questions.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def words(text: str) -> list[str]:
    """Return a text's words, normalised."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


@pytest.mark.parametrize("split", SIZES)
def test_every_ticket_is_valid(split: str) -> None:
    """Without it a lost line or a mistyped label would change every figure."""
    assert len(tickets(split)) == SIZES[split]
    fields = {"id", "subject", "body", "customer_tier", "label", "cohort", "family", "traits"}
    for row in tickets(split):
        assert set(row) == fields, row["id"]
        Ticket.model_validate({name: row[name] for name in Ticket.model_fields})
        Label.model_validate(row["label"])
        assert row["cohort"]
        assert row["family"]


def test_ids_are_unique() -> None:
    """Without it two tickets would share a cached reply."""
    ids = [row["id"] for split in SIZES for row in tickets(split)] + [row["id"] for row in questions()]
    assert [name for name, count in Counter(ids).items() if count > 1] == []


@pytest.mark.parametrize(("one", "other"), list(combinations(("training", "calibration", "test"), 2)))
def test_scenario_families_are_disjoint(one: str, other: str) -> None:
    """Without it a stand-in would be graded on scenarios it was trained on."""
    assert {row["family"] for row in tickets(one)} & {row["family"] for row in tickets(other)} == set()


@pytest.mark.parametrize(("one", "other"), list(combinations(QUESTION_SPLITS, 2)))
def test_question_families_are_disjoint(one: str, other: str) -> None:
    """Without it a threshold tuned on one split would have seen the other."""
    families = {split: {row["family"] for row in questions() if row["split"] == split} for split in (one, other)}
    assert families[one] & families[other] == set()


def test_no_body_twice() -> None:
    """Without it a copied ticket would count double, or leak."""
    seen = Counter(" ".join(words(row["body"])) for split in SIZES for row in tickets(split))
    assert [body[:60] for body, count in seen.items() if count > 1] == []


def test_no_question_twice() -> None:
    """Without it a question could stand in two splits."""
    seen = Counter(" ".join(words(row["question"])) for row in questions())
    assert [text for text, count in seen.items() if count > 1 and text] == []


def trigrams(text: str) -> frozenset[tuple[str, ...]]:
    """Return a text's word trigrams."""
    found = words(text)
    return frozenset(zip(found, found[1:], found[2:], strict=False))


def alike(evaluated: dict[str, str], others: dict[str, str]) -> list[tuple[str, str]]:
    """Return pairs that share more than LIKENESS of the shorter text's word trigrams."""
    index: dict[tuple[str, ...], list[str]] = {}
    for name, text in others.items():
        for gram in trigrams(text):
            index.setdefault(gram, []).append(name)
    sizes = {name: len(trigrams(text)) for name, text in others.items()}
    pairs = []
    for name, text in evaluated.items():
        mine = trigrams(text)
        shared = Counter(other for gram in mine for other in index.get(gram, ()))
        pairs += [(name, other) for other, count in shared.items() if count > 3 and count / min(len(mine), sizes[other]) > LIKENESS]
    return pairs


@pytest.mark.parametrize(("evaluated", "others"), [("test", ("training", "calibration", "samples")), ("calibration", ("training", "samples"))])
def test_no_ticket_is_nearly_one_of_another_split(evaluated: str, others: tuple[str, ...]) -> None:
    """Without it a reworded training ticket would flatter the figures."""
    bodies = {row["id"]: row["body"] for row in tickets(evaluated)}
    assert alike(bodies, {row["id"]: row["body"] for split in others for row in tickets(split)}) == []


@pytest.mark.parametrize("split", SIZES)
def test_high_priority_needs_a_person(split: str) -> None:
    """Without it gold labels would contradict the stakes gate."""
    assert [row["id"] for row in tickets(split) if row["label"]["priority"] in ("P0", "P1") and not row["label"]["needs_human"]] == []


@pytest.mark.parametrize("split", ["training", "calibration", "test"])
def test_every_class_is_present(split: str) -> None:
    """Without it a class would be graded on nothing."""
    assert {row["label"]["category"] for row in tickets(split)} == set(CATEGORIES)
    assert {row["label"]["priority"] for row in tickets(split)} == set(PRIORITIES)
    assert {row["label"]["needs_human"] for row in tickets(split)} == {True, False}


def test_every_question_is_valid_and_its_gold_answer_right() -> None:
    """Without it a gold answer its own rule rejects would count every model wrong."""
    assert len(questions()) >= 150
    for row in questions():
        assert set(row) == {"id", "question", "answer", "kind", "equivalence", "family", "split"}, row["id"]
        Question(id=row["id"], question=row["question"])
        rule = Equivalence.model_validate(row["equivalence"])
        assert row["kind"] in {"fact", "one_step", "multi_step", "code"}, row["id"]
        assert row["split"] in QUESTION_SPLITS
        assert rule.accepts(row["answer"], row["answer"]), row["id"]
        if rule.type == "number":
            float(row["answer"].replace(",", ""))
        assert all(rule.accepts(alias, row["answer"]) for alias in rule.aliases), row["id"]


def test_every_kind_of_question_is_in_every_split() -> None:
    """Without it one split would be easier than another."""
    found = {(row["split"], row["kind"]) for row in questions()}
    assert found == {(split, kind) for split in QUESTION_SPLITS for kind in ("fact", "one_step", "multi_step", "code")}


@pytest.mark.parametrize("name", ["tickets/samples.jsonl", "tickets/training.jsonl", "tickets/calibration.jsonl", "tickets/test.jsonl", "questions.jsonl"])
def test_lines_end_where_json_does(name: str) -> None:
    """Without it readers that break lines as Unicode does would see a broken file."""
    text = (DATA / name).read_bytes().decode("utf-8")
    assert text.endswith("\n")
    assert "\r" not in text
    assert len(text.splitlines()) == text.count("\n")
