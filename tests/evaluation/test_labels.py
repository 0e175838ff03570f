"""Labelled data: the shipped splits, broken lines, and a user's own files."""

import json
from pathlib import Path

import pytest

from workshop_lib.errors import DataError
from workshop_lib.evaluation import labels
from workshop_lib.evaluation.labels import load_questions, load_tickets, read_tickets

LINE = {
    "id": "A-1", "subject": "s", "body": "b", "customer_tier": None, "label": {"category": "auth", "priority": "P2", "needs_human": False},
    "cohort": "routine", "family": "f", "traits": [],
}  # fmt: skip


def test_splits_hold_disjoint_families() -> None:
    """Without it a model trained on one split could have seen the near-duplicates of another."""
    families = [{entry.family for entry in load_tickets(split)} for split in ("training", "calibration", "test")]
    assert [len(load_tickets(split)) for split in ("samples", "calibration", "test")] == [20, 80, 160]
    assert sum(len(some) for some in families) == len(set().union(*families))


def test_question_splits_make_the_whole() -> None:
    """Without it a split could be empty or a question belong nowhere."""
    parts = [load_questions(split) for split in ("training", "calibration", "test")]
    assert all(parts)
    assert sum(len(part) for part in parts) == len(load_questions())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "object"),
        (json.dumps({**LINE, "label": {**LINE["label"], "priority": "P9"}}), "field label.priority"),
        (json.dumps({key: value for key, value in LINE.items() if key != "family"}), "field family: Field required"),
        (json.dumps(LINE), "used before"),
    ],
)
def test_a_broken_line_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, says: str) -> None:
    """Without it a damaged checkout would end in a traceback."""
    (tmp_path / "data" / "tickets").mkdir(parents=True)
    (tmp_path / "data" / "tickets" / "test.jsonl").write_text(json.dumps(LINE) + "\n\n" + line + "\n", encoding="utf-8")
    monkeypatch.setattr(labels, "DATA", tmp_path / "data")
    monkeypatch.setattr(labels, "ROOT", tmp_path)
    with pytest.raises(DataError, match=r"data/tickets/test\.jsonl line 3: .*[Rr]estore it with: git checkout data/tickets/test\.jsonl") as caught:
        load_tickets.__wrapped__("test")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a deleted data file would end in a traceback."""
    monkeypatch.setattr(labels, "DATA", tmp_path)
    monkeypatch.setattr(labels, "ROOT", tmp_path)
    with pytest.raises(DataError, match=r"cannot be read .*git checkout"):
        load_tickets.__wrapped__("test")


FLAT = {"id": "A-1", "subject": "s", "body": "b\u2028c", "category": "auth", "priority": "P2", "needs_human": True}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", json.dumps(LINE) + "\n"),
        ("a.ndjson", json.dumps(FLAT, ensure_ascii=False)),
        ("a.json", "\ufeff" + json.dumps([LINE], indent=1)),
        ("a.csv", "id,subject,body,category,priority,needs_human,customer_tier,agent\r\nA-1,s,b,auth,P2,no,,Kim\r\n"),
        ("a.csv", "id;subject;body;category;priority;needs_human\nA-1;s;b, c;auth;P2;0\n"),
        ("a.tsv", 'id\tsubject\tbody\tcategory\tpriority\tneeds_human\nA-1\ts\t"two\nlines"\tauth\tP2\tfalse\n'),
    ],
)
def test_every_usual_form_is_read(tmp_path: Path, name: str, text: str) -> None:
    """Without it a person's own export would have to be converted first."""
    path = tmp_path / name
    path.write_bytes(text.encode())
    found = read_tickets(path)
    assert [ticket.id for ticket in found.tickets] == ["A-1"]
    assert (found.labelled[0].label.category, found.labelled[0].label.priority) == ("auth", "P2")


def test_labels_are_optional_ticket_by_ticket(tmp_path: Path) -> None:
    """Without it a file with a few labels could not be used, or an unlabelled ticket would be graded."""
    path = tmp_path / "a.csv"
    path.write_text("id,subject,body,category,priority,needs_human\nA-1,s,b,auth,P2,no\nA-2,,b,,,\n")
    found = read_tickets(path)
    assert [len(found.tickets), len(found.labelled)] == [2, 1]
    assert found.labelled[0].family == "A-1"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl", b'{"id": "A-1", "subject": "s"}', "line 1: field body: Field required"),
        ("a.jsonl", b'{"id": "A-1", "subject": "s", "body": "b"}\n{oops', "line 2: not JSON"),
        ("a.jsonl", b'{"id": "A-1", "subject": "s", "body": "b", "category": "auth"}', "line 1: field priority: Field required"),
        ("a.jsonl", b'{"id": "A-1", "subject": "s", "body": "b", "label": "auth"}', "line 1: field"),
        ("a.jsonl", b'{"id": "A 1", "subject": "s", "body": "b"}', "line 1: field id"),
        ("a.jsonl", b'\n{"id": "A-1", "subject": "s", "body": "b", "customer_tier": "gold"}', "line 2: field customer_tier"),
        ("a.jsonl", b'{"id": "A", "subject": "", "body": "b"}\n{"id": "A", "subject": "", "body": "c"}', "line 2: id 'A' was used before, at"),
        ("a.json", b'[{"id": "A-1", "subject": "s", "body": "b"}, 3]', "entry 2: an object"),
        ("a.json", b'[{"id": "A-1"', "line 1: not JSON"),
        ("a.csv", b"id,subject\nA-1,s\n", "line 1: no column body"),
        ("a.csv", b"id,subject,body\nA-1,s,b\nA-2,s,\n", "line 3: field body"),
        ("a.csv", b"id,subject,body\nA-1,s,b,c\n", "line 2: more cells"),
        ("a.csv", b'id,subject,body\nA-1,s,"b\n', "not CSV"),
        ("a.jsonl", b'{"id": "A-1"}\n\xff', "line 2: not UTF-8"),
        ("a.jsonl", b"", "holds no ticket"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """Without it a mistake in a person's own file would end in a traceback."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_tickets(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Without it a mistyped name would end in a traceback."""
    with pytest.raises(DataError, match=r"nope\.csv cannot be read"):
        read_tickets(tmp_path / "nope.csv")
