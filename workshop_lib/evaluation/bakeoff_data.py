"""Which tickets a bake-off runs on: a shipped split or a person's own labelled file, and other tickets to fit learned arms on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workshop_lib.errors import DataError, SettingsError
from workshop_lib.evaluation.judging import read_reviews
from workshop_lib.evaluation.labels import LabelledTicket, load_tickets, read_tickets
from workshop_lib.tasks import Label

Split = Literal["test", "calibration"]
_SPLITS: Mapping[str, Split] = {"test": "test", "calibration": "calibration"}


@dataclass(frozen=True)
class Data:
    """The tickets of a run, those it fits learned arms on (none: they are left out), and by name the whole sets that both are part of."""

    tickets: tuple[LabelledTicket, ...]
    calibration: tuple[LabelledTicket, ...]
    whole: Mapping[str, Sequence[LabelledTicket]]


def shipped(split: str, limit: int | None = None, *, fit: bool = False) -> Data:
    """Return the first `limit` tickets of a shipped split; with `fit`, the calibration split to fit on, unless that is the one tested on.

    Raises SettingsError for a split that is not to be run on.
    """
    if split not in _SPLITS:
        raise SettingsError(f"No split {split!r} to run on. Choose one of: {', '.join(_SPLITS)}.")
    tickets = load_tickets(_SPLITS[split])
    calibration = load_tickets("calibration") if fit and split != "calibration" else ()
    whole: dict[str, Sequence[LabelledTicket]] = {split: tickets}
    return Data(tickets[:limit], calibration, whole | ({"calibration": calibration} if calibration else {}))


def own(path: Path, calibration: Path | None = None, limit: int | None = None) -> Data:
    """Return the first `limit` tickets of a file in which every ticket is labelled, and those of another to fit on.

    Raises DataError if a ticket has no label or is in both files, and SettingsError if both files have one name.
    """
    tickets, fitted = _labelled(path), _labelled(calibration) if calibration is not None else ()
    if both := {entry.ticket.id for entry in tickets} & {entry.ticket.id for entry in fitted}:
        raise DataError(f"{len(both)} tickets are in both files, such as {min(both)}. An arm must not be fitted on what it is tested on; take them out of one.")
    if calibration is not None and calibration.name == path.name:
        raise SettingsError(f"Both files are named {path.name}, by which a recording tells them apart. Rename one.")
    whole: dict[str, Sequence[LabelledTicket]] = {path.name: tickets}
    return Data(tickets[:limit], fitted, whole | ({calibration.name: fitted} if calibration is not None else {}))


def reviewed(path: Path, tickets: Sequence[LabelledTicket]) -> dict[str, Label]:
    """Return people's labels by ticket id, which replace the judge's; raise DataError if they are of other tickets altogether."""
    labels: dict[str, Label] = {item_id: review.label for item_id, review in read_reviews(path).items()}
    if not labels.keys() & {entry.ticket.id for entry in tickets}:
        raise DataError(f"{path} reviews none of the {len(tickets)} tickets of this run. Check the item ids in it, or leave out --reviews.")
    return labels


def _labelled(path: Path) -> tuple[LabelledTicket, ...]:
    found = read_tickets(path)
    if len(found.labelled) < len(found.tickets):
        known = {entry.ticket.id for entry in found.labelled}
        first = next(ticket.id for ticket in found.tickets if ticket.id not in known)
        missing = len(found.tickets) - len(found.labelled)
        raise DataError(f"{path}: {missing} of {len(found.tickets)} tickets carry no label, such as {first}. Give each category, priority and needs_human.")
    return found.labelled
