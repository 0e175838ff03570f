"""The dataset of an evaluation job: one JSON line an answer, with what was asked, and a reference where people gave one."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from workshop_lib.cascade import Trace
from workshop_lib.cascade.asking import judged_answer, judged_material
from workshop_lib.errors import DataError
from workshop_lib.llm import Request
from workshop_lib.tasks import Label, Ticket
from workshop_lib.tasks.base import Answer, Item, Task
from workshop_lib.tasks.triage import Category
from workshop_lib.tasks.triage import prompt as ticket_text

MOST_RECORDS = 1000
"""Prompts in one job, by the service's user guide."""
_SOURCE = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,255}$"


class ModelResponse(BaseModel):
    """An answer that was given before the job, and the label of who gave it; the job names the same label."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    response: Annotated[str, StringConstraints(min_length=1)]
    modelIdentifier: Annotated[str, StringConstraints(pattern=_SOURCE)]


class Record(BaseModel):
    """One line of a dataset; with a response it is judged as it stands, without one the service asks the model itself.

    The service reports scores by `category`. There is no member for an id: results hold a copy of the line, and are told apart by `key`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: Annotated[str, StringConstraints(min_length=1)]
    referenceResponse: str | None = None
    category: str | None = None
    modelResponses: tuple[ModelResponse, ...] | None = Field(default=None, min_length=1, max_length=1)

    @property
    def key(self) -> str:
        """Return what tells this record from others: a digest of its prompt."""
        return key_of(self.prompt)

    @property
    def source(self) -> str | None:
        """Return the label of who gave the response, or None if there is none yet."""
        return None if self.modelResponses is None else self.modelResponses[0].modelIdentifier

    def line(self) -> str:
        """Return the record as one line of JSON."""
        return self.model_dump_json(exclude_none=True)


def key_of(prompt: str) -> str:
    """Return the key of the record with a prompt."""
    return sha256(prompt.encode()).hexdigest()[:16]


def keys_of(task: Task[Item, Answer], items: Iterable[Item]) -> dict[str, str]:
    """Return the key of every item's record by item id, to find the item behind a score."""
    return {task.item_id(item): key_of(judged_material(task.request(item))) for item in items}


def source_label(*parts: str) -> str:
    """Return a label for who answered, such as tier, prompt version and policy, in the characters that the service allows."""
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", ".".join(parts)).lstrip("._-")[:256] or "unnamed"


def record(asked: Request, answer: BaseModel, source: str, *, category: str | None = None, reference: BaseModel | None = None) -> Record:
    """Return what was asked and answered as a record; a judge reads it exactly as the judge of a gate would.

    `reference` is the right answer or label; only its members that the answer has too are written.
    """
    response = ModelResponse(response=judged_answer(answer), modelIdentifier=source)
    right = None if reference is None else _reference(answer, reference)
    return Record(prompt=judged_material(asked), referenceResponse=right, category=category, modelResponses=(response,))


def _reference(answer: BaseModel, reference: BaseModel) -> str:
    shown, right = json.loads(judged_answer(answer)), reference.model_dump(mode="json")
    return json.dumps({name: right[name] for name in shown if name in right}, ensure_ascii=False)


def classification_record(ticket: Ticket, label: Label) -> Record:
    """Return a ticket as a record for a job in which the service asks the model itself and compares its words with the label's category."""
    question = f"Which category does this support ticket belong to: {', '.join(get_args(Category))}? Answer with one of these words and nothing else."
    return Record(prompt=f"{question}\n{ticket_text(ticket)}", referenceResponse=label.category, category=label.category)


def first_answers(
    task: Task[Item, Answer], items: Sequence[Item], traces: Iterable[Trace[Answer]], *, tier: str, most: int = 200, seed: int = 0,
    references: Mapping[str, BaseModel] | None = None, category: Callable[[Trace[Answer]], str] | None = None,
) -> tuple[Record, ...]:  # fmt: skip
    """Return a sample of a tier's valid first answers as records: those that were kept and those that escalated, by item id the same every time.

    `most` records at most, drawn by `seed`; `references` by item id; `category` says what scores are reported by (default: kept or escalated).
    Raises ValueError if the tier answered none of the items first.
    """
    by_id = {task.item_id(item): item for item in items}
    held = {trace.item_id: trace for trace in traces if trace.item_id in by_id and trace.steps[0].tier == tier and trace.steps[0].answer is not None}
    if not held:
        raise ValueError(f"{tier} gave no valid first answer to these {len(by_id)} items")
    right, label, grouped = references or {}, source_label(tier, task.prompt_version), category or fate
    records = []
    for item_id in drawn(held, most, seed):
        answer = held[item_id].steps[0].answer
        assert answer is not None  # only such are held
        records.append(record(task.request(by_id[item_id]), answer, label, category=grouped(held[item_id]), reference=right.get(item_id)))
    return tuple(records)


def fate(trace: Trace[Answer]) -> str:
    """Say what became of the first answer: "kept" or "escalated"."""
    return "escalated" if trace.escalated else "kept"


def drawn(item_ids: Iterable[str], most: int, seed: int = 0) -> list[str]:
    """Return at most so many of the ids, chosen by id and seed alone, in their order by id: the same ones every time, whatever else is there."""
    if most < 1:
        raise ValueError(f"a sample holds at least one item, got {most}")
    ranked = sorted(set(item_ids), key=lambda item_id: sha256(f"{seed}:{item_id}".encode()).digest())
    return sorted(ranked[:most])


def dataset(records: Sequence[Record]) -> str:
    """Return records as a dataset; raise ValueError for what the service would refuse: none, too many, two labels, or two lines with one prompt."""
    if not 1 <= len(records) <= MOST_RECORDS:
        raise ValueError(f"a job takes 1 to {MOST_RECORDS} records, got {len(records)}; take a sample with `most`")
    labels = sorted({str(one.source) for one in records})
    if len(labels) > 1:
        raise ValueError(f"a job judges the answers of one source, got {', '.join(labels)}; write a dataset for each")
    ((prompt, times),) = Counter(one.prompt for one in records).most_common(1)
    if times > 1:
        raise ValueError(f"{times} records have one prompt ({prompt[-60:]!r}), and results could not be told apart; keep one of them")
    return "".join(f"{one.line()}\n" for one in records)


def read_dataset(path: str | Path) -> tuple[Record, ...]:
    """Return the records of a dataset; raise DataError naming file and line of what is broken."""
    records = []
    for number, line in numbered_lines(Path(path)):
        try:
            records.append(Record.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(f"{path} line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}. Export the dataset again.") from error
    return tuple(records)


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a file that hold something, with their numbers; raise DataError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8. Download the file again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check the name and its permissions.") from error
    return [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
