"""Where recorded replies come from: task, prompt, settings, models with prices, tickets; and what differs from what is wanted now."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from workshop_lib import catalog
from workshop_lib.evaluation.labels import LabelledTicket, TicketSplit, load_tickets
from workshop_lib.llm import Request
from workshop_lib.paths import ROOT
from workshop_lib.tasks.base import Answer, Item, Task

_GIT_S = 5.0
_SPLITS: tuple[TicketSplit, ...] = ("test", "calibration", "training", "samples")


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelNote(_Note):
    """A model as it was asked: its id on the wire and its prices (USD per million tokens) on the day they were read."""

    id: str
    input: float
    output: float
    cache_read: float | None
    cache_write: float | None
    basis: str
    checked_on: date


class DatasetNote(_Note):
    """A set of labelled tickets: the sha256 of all of them with their labels, and how many there are."""

    sha256: str
    items: int


class Provenance(_Note):
    """What replies were recorded under. `datasets` are keyed by name; backend, seed and guardrail are None where nobody said."""

    task: str
    prompt_version: str
    prompt_hash: str
    settings: dict[str, Any]
    models: dict[str, ModelNote]
    datasets: dict[str, DatasetNote] = {}
    backend: str | None = None
    seed: int | None = None
    guardrail: str | None = None

    def merged(self, other: "Provenance") -> "Provenance":
        """Return this provenance with the models, the data sets and the backend that the other adds."""
        return self.model_copy(
            update={
                "models": {**other.models, **self.models},
                "datasets": {**other.datasets, **self.datasets},
                "backend": self.backend or other.backend,
                "seed": other.seed if self.seed is None else self.seed,
                "guardrail": self.guardrail or other.guardrail,
            }
        )


class Difference(NamedTuple):
    """One field in which two provenances differ."""

    field: str
    recorded: object
    wanted: object


def provenance(
    task: Task[Item, Answer],
    item: Item,
    models: Iterable[str],
    datasets: Mapping[str, Sequence[LabelledTicket]] | None = None,
    *,
    backend: str | None = None,
    seed: int | None = None,
    guardrail: str | None = None,
) -> Provenance:
    """Return the provenance of asking `models` a task; any one item will do, as prompt and settings are the same for all.

    The seed is that of the sandbox, which answers by it; a live model has none. `guardrail` is what every call is under, or "none". Raises
    UnknownModelError.
    """
    request = task.request(item)
    return Provenance(
        task=task.name,
        prompt_version=task.prompt_version,
        prompt_hash=sha256(template(request)),
        settings=settings(request),
        models={entry.key: _model_note(entry) for entry in map(catalog.model, models)},
        datasets={name: dataset_note(tickets) for name, tickets in (datasets or {}).items()},
        backend=backend,
        seed=seed if backend == "sandbox" else None,
        guardrail=guardrail,
    )


def differences(recorded: Provenance, wanted: Provenance) -> list[Difference]:
    """Return the fields in which a recording differs from what is wanted now.

    A model or data set that only one side names is no difference, nor is a backend, seed or guardrail that one side leaves open.
    """
    found = [
        Difference(name.replace("_", " "), getattr(recorded, name), getattr(wanted, name))
        for name in ("task", "prompt_version", "prompt_hash")
        if getattr(recorded, name) != getattr(wanted, name)
    ]
    found += _unequal("settings", recorded.settings, wanted.settings, sorted({*recorded.settings, *wanted.settings}))
    for key in sorted(recorded.models.keys() & wanted.models.keys()):
        old, new = recorded.models[key].model_dump(), wanted.models[key].model_dump()
        found += _unequal(f"models.{key}", old, new, ["id"])
        found += _unequal(f"models.{key}.price", old, new, ["input", "output", "cache_read", "cache_write", "basis"])
    for name in sorted(recorded.datasets.keys() & wanted.datasets.keys()):
        found += _unequal(f"datasets.{name}", recorded.datasets[name].model_dump(), wanted.datasets[name].model_dump(), ["sha256"])
    for name in ("backend", "seed", "guardrail"):
        old, new = getattr(recorded, name), getattr(wanted, name)
        if old is not None and new is not None and old != new:
            found.append(Difference(name, old, new))
    return found


def dataset_note(tickets: Sequence[LabelledTicket]) -> DatasetNote:
    """Return the fingerprint of labelled tickets; their order does not count, their text and labels do."""
    entries = sorted((_entry(entry) for entry in tickets), key=lambda entry: str(entry["ticket"]["id"]))
    return DatasetNote(sha256=sha256({"tickets": entries}), items=len(entries))


def shipped_split(tickets: Sequence[LabelledTicket]) -> TicketSplit | None:
    """Return the shipped split that all of these tickets are from, unchanged, or None."""
    for split in _SPLITS:
        known = {entry.ticket.id: entry for entry in load_tickets(split)} if tickets else {}
        if known and all(known.get(entry.ticket.id) == entry for entry in tickets):
            return split
    return None


def template(request: Request) -> dict[str, Any]:
    """Return the part of a request that is the same for every item of a task: instructions and tool."""
    tool = request.tool
    return {
        "system": request.system,
        "tool": None if tool is None else {"name": tool.name, "description": tool.description, "schema": dict(tool.schema)},
    }


def settings(request: Request) -> dict[str, Any]:
    """Return the settings of a request that a model's answer depends on."""
    guardrail = None if request.guardrail is None else f"{request.guardrail.identifier} {request.guardrail.version}"
    return {"max_tokens": request.max_tokens, "temperature": request.temperature, "guardrail": guardrail}


def sha256(value: Mapping[str, Any]) -> str:
    """Return the sha256 of a value as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def code_revision() -> str:
    """Return the git revision of the checkout, with "-dirty" if files were changed, or else the version of the package."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        command = [git, "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=False)  # noqa: S603  # git itself, fixed words
        except (OSError, subprocess.TimeoutExpired):
            done = None
        if done is not None and done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    try:
        return f"cascade-workshop {version('cascade-workshop')}"
    except PackageNotFoundError:
        return "unknown"


def _model_note(entry: catalog.Model) -> ModelNote:
    price = entry.price
    prices = {name: getattr(price, name) for name in ("input", "output", "cache_read", "cache_write", "basis", "checked_on")}
    return ModelNote(id=entry.id, **prices)


def _entry(entry: LabelledTicket) -> dict[str, Any]:
    return {"ticket": entry.ticket.model_dump(), "label": entry.label.model_dump(), "cohort": entry.cohort, "family": entry.family}


def _unequal(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any], names: Iterable[str]) -> list[Difference]:
    return [Difference(f"{prefix}.{name}", old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]
