"""Provenance: what a recording was made under, and which field differs from what is wanted."""

from dataclasses import replace
from typing import Any

import pytest

from workshop_lib.evaluation import provenance as module
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.evaluation.provenance import Provenance, code_revision, dataset_note, differences, provenance, shipped_split
from workshop_lib.evaluation.recorded import recorded_labels
from workshop_lib.paths import ROOT
from workshop_lib.tasks import TRIAGE, Label

TICKETS = load_tickets("samples")


def stated(**fields: Any) -> Provenance:
    """Return the provenance of asking nano and sonnet about the samples, with some fields changed."""
    made = provenance(TRIAGE, TICKETS[0].ticket, ["nano", "sonnet"], {"samples": TICKETS}, backend="sandbox", seed=0, guardrail="none")
    return made.model_copy(update=fields)


def test_the_same_run_differs_in_nothing() -> None:
    """Without it every replay would be refused."""
    assert differences(stated(), stated()) == []
    assert stated() == Provenance.model_validate(stated().model_dump(mode="json"))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"task": "questions"}, "task"),
        ({"prompt_version": "triage-2"}, "prompt version"),
        ({"prompt_hash": "0" * 64}, "prompt hash"),
        ({"settings": {**stated().settings, "temperature": 0.5}}, "settings.temperature"),
        ({"settings": {**stated().settings, "max_tokens": 301}}, "settings.max_tokens"),
        ({"settings": {**stated().settings, "guardrail": "g 1"}}, "settings.guardrail"),
        ({"models": {"sonnet": stated().models["sonnet"].model_copy(update={"id": "us.anthropic.claude-sonnet-5"})}}, "models.sonnet.id"),
        ({"models": {"nano": stated().models["nano"].model_copy(update={"output": 0.25})}}, "models.nano.price.output"),
        ({"datasets": {"samples": dataset_note(TICKETS[1:])}}, "datasets.samples.sha256"),
        ({"backend": "live", "seed": None}, "backend"),
        ({"seed": 1}, "seed"),
        ({"guardrail": "g 1"}, "guardrail"),
    ],
)
def test_a_difference_is_named_by_its_field(fields: dict[str, Any], name: str) -> None:
    """Without it a replay could mix two prompts, price lists or label sets, or refuse without saying why."""
    assert [one.field for one in differences(stated(), stated(**fields))] == [name]


def test_other_models_and_tickets_are_no_difference() -> None:
    """Without it a recording could not grow by a model, nor a part of it be replayed."""
    fewer = stated(models={"nano": stated().models["nano"]}, datasets={})
    assert differences(stated(), fewer) == differences(fewer, stated()) == []
    grown = fewer.merged(stated())
    assert (set(grown.models), set(grown.datasets)) == ({"nano", "sonnet"}, {"samples"})


def test_a_label_changes_the_fingerprint_and_the_order_does_not() -> None:
    """Without it accuracies against two versions of the labels could be set side by side."""
    relabelled = replace(TICKETS[0], label=Label(category="abuse", priority="P0", needs_human=True))
    assert dataset_note(TICKETS[::-1]) == dataset_note(TICKETS)
    assert dataset_note([relabelled, *TICKETS[1:]]).sha256 != dataset_note(TICKETS).sha256


def test_a_part_of_a_shipped_split_is_known_for_it() -> None:
    """Without it a first look at twenty tickets could not be continued to all of them."""
    tickets = load_tickets("test")
    assert shipped_split(tickets[:3]) == "test"
    assert shipped_split(load_tickets("calibration")) == "calibration"
    assert shipped_split([replace(tickets[0], family="another"), *tickets[1:]]) is None
    assert shipped_split(recorded_labels()) is None


def test_without_git_the_version_of_the_package_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it an installed package could not record."""
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    code_revision.cache_clear()
    try:
        said = code_revision()
    finally:
        code_revision.cache_clear()
    assert said.startswith("cascade-workshop ")
    assert str(ROOT) not in said
