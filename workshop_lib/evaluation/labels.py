"""Labelled tickets and questions: the shipped splits, and tickets from a user's own file."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from workshop_lib.errors import DataError
from workshop_lib.paths import DATA, ROOT
from workshop_lib.tasks import Equivalence, Label, Question, Ticket
from workshop_lib.tasks.triage import ticket_fields

TicketSplit = Literal["samples", "training", "calibration", "test"]
QuestionSplit = Literal["training", "calibration", "test"]
Cohort = Literal["routine", "ambiguous", "high_risk"]
Kind = Literal["fact", "one_step", "multi_step", "code"]

FIELDS = ("category", "priority", "needs_human")
"""The fields of a ticket's label, in the order in which they are graded."""

URGENT = ("P0", "P1")
"""The priorities that do not wait."""

_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True)
class LabelledTicket:
    """A ticket, what a person says it is, and the scenario family it belongs to."""

    ticket: Ticket
    label: Label
    cohort: str
    family: str


def relabelled(tickets: Iterable[LabelledTicket], labels: Mapping[str, Label]) -> tuple[LabelledTicket, ...]:
    """Return the tickets with other labels, by ticket id; a ticket that has none there is left out."""
    return tuple(LabelledTicket(entry.ticket, labels[entry.ticket.id], entry.cohort, entry.family) for entry in tickets if entry.ticket.id in labels)


@dataclass(frozen=True)
class LabelledQuestion:
    """A question, its gold answer, and when another answer counts as the same."""

    question: Question
    answer: str
    kind: Kind
    equivalence: Equivalence
    family: str
    split: QuestionSplit


@dataclass(frozen=True)
class TicketFile:
    """The tickets of a user's file in its order, and those of them that carry a label."""

    tickets: tuple[Ticket, ...]
    labelled: tuple[LabelledTicket, ...]


class _TicketLine(Ticket):
    label: Label
    cohort: Cohort
    family: str
    traits: tuple[str, ...] = ()


class _QuestionLine(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    question: str
    answer: str
    kind: Kind
    equivalence: Equivalence
    family: str
    split: QuestionSplit


@cache
def load_tickets(split: TicketSplit) -> tuple[LabelledTicket, ...]:
    """Return the shipped tickets of a split; raise DataError naming the file and the line if one is broken."""
    return _load(DATA / "tickets" / f"{split}.jsonl", _labelled_ticket, lambda entry: entry.ticket.id)


@cache
def load_questions(split: QuestionSplit | None = None) -> tuple[LabelledQuestion, ...]:
    """Return the shipped questions of a split, or all; raise DataError naming the file and the line if one is broken."""
    if split is not None:
        return tuple(entry for entry in load_questions() if entry.split == split)
    return _load(DATA / "questions.jsonl", _labelled_question, lambda entry: entry.question.id)


def read_tickets(path: str | Path) -> TicketFile:
    """Read tickets from a file of JSON lines, a JSON array, or CSV (.csv, .tsv) with a header; raise DataError naming file, line and field.

    Needed: `id`, `subject`, `body`. Optional: `customer_tier`, and a label as `label: {category, priority, needs_human}` or as three
    columns of these names. Without a `family` a ticket is its own family. Other fields are ignored.
    """
    path = Path(path)
    text = _text(path)
    if path.suffix.lower() in {".csv", ".tsv"}:
        rows = _csv_rows(path, text)
    elif text.lstrip().startswith("["):
        rows = _array_rows(path, text)
    else:
        rows = ((f"{path} line {number}", fields) for number, fields in _json_lines(str(path), text))
    tickets: list[Ticket] = []
    labelled: list[LabelledTicket] = []
    first_seen: dict[str, str] = {}
    for where, fields in rows:
        ticket, label = _own_ticket(where, fields)
        if ticket.id in first_seen:
            raise DataError(f"{where}: id {ticket.id!r} was used before, at {first_seen[ticket.id]}. Give every ticket an id of its own.")
        first_seen[ticket.id] = where
        tickets.append(ticket)
        if label is not None:
            labelled.append(LabelledTicket(ticket, label, str(fields.get("cohort") or "unknown"), str(fields.get("family") or ticket.id)))
    if not tickets:
        raise DataError(f"{path} holds no ticket. Give it JSON lines, a JSON array, or CSV with a header, with id, subject and body.")
    return TicketFile(tuple(tickets), tuple(labelled))


def _load(path: Path, build: Callable[[Mapping[str, Any]], _Loaded], key: Callable[[_Loaded], str]) -> tuple[_Loaded, ...]:
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
    restore = f"Restore it with: git checkout {name}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name} cannot be read ({_reason(error)}). {restore}") from error
    loaded: dict[str, _Loaded] = {}
    try:
        for number, fields in _json_lines(name, text):
            where = f"{name} line {number}"
            entry = build(fields)
            if key(entry) in loaded:
                raise DataError(f"{where}: the id {key(entry)!r} was used before.")
            loaded[key(entry)] = entry
    except ValidationError as error:
        raise DataError(f"{where}: {_first(error)}. {restore}") from error
    except DataError as error:
        raise DataError(f"{error} {restore}") from None
    return tuple(loaded.values())


def _labelled_ticket(fields: Mapping[str, Any]) -> LabelledTicket:
    line = _TicketLine.model_validate(fields)
    ticket = Ticket(id=line.id, subject=line.subject, body=line.body, customer_tier=line.customer_tier)
    return LabelledTicket(ticket, line.label, line.cohort, line.family)


def _labelled_question(fields: Mapping[str, Any]) -> LabelledQuestion:
    line = _QuestionLine.model_validate(fields)
    question = Question(id=line.id, question=line.question)
    return LabelledQuestion(question, line.answer, line.kind, line.equivalence, line.family, line.split)


def _own_ticket(where: str, fields: Mapping[str, Any]) -> tuple[Ticket, Label | None]:
    label = fields.get("label") or {name: fields[name] for name in FIELDS if fields.get(name) not in (None, "")}
    present = ticket_fields(fields)
    try:
        return Ticket.model_validate(present), Label.model_validate(label) if label else None
    except ValidationError as error:
        raise DataError(f"{where}: {_first(error)}. Correct that line and try again.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # a spreadsheet's export begins with a byte order mark
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(f"{path} line {line}: not UTF-8. Save the file with the encoding UTF-8 and try again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({_reason(error)}). Check the name and its permissions.") from error


def _json_lines(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    # not splitlines(): a body may hold U+2028 and the like, which end no JSON line
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{name} line {number}: not JSON ({error.msg} at column {error.colno}).") from error
        yield number, _object(f"{name} line {number}", fields)


def _array_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} line {error.lineno}: not JSON ({error.msg} at column {error.colno}).") from error
    for number, entry in enumerate(entries, start=1):
        where = f"{path} entry {number}"
        yield where, _object(where, entry)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)  # a spreadsheet writes what its locale says
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    missing = {"id", "subject", "body"} - set(reader.fieldnames or ())
    if missing:
        raise DataError(f"{path} line 1: no column {', '.join(sorted(missing))}. The header must name id, subject and body.")
    while True:
        where = f"{path} line {reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{where}: not CSV ({error}). A quote that is not closed is the usual cause.") from error
        if row is None:
            return
        if None in row:
            raise DataError(f"{where}: more cells than the header has columns. Quote a text that holds {delimiter!r}.")
        yield where, row


def _object(where: str, fields: Any) -> Mapping[str, Any]:
    if not isinstance(fields, dict):
        raise DataError(f"{where}: an object with id, subject and body is expected, not {type(fields).__name__}.")
    return fields


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "line"
    return f"field {where}: {first['msg']}"


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "not UTF-8"
