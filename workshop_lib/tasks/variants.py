"""Variants of a task that bring more evidence with the answer: a probability for every label, or an answer in text with log-probabilities."""

import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field

from workshop_lib.llm import Reply, Request
from workshop_lib.tasks.base import Answer, Item, Task, payload, validate
from workshop_lib.tasks.triage import CATEGORIES, TRIAGE, RoutingDecision, Ticket, carried

_ASK = "\n\nprobabilities: for every category how likely it is the right one, from 0 to 1, summing to 1."


class DistributedDecision(RoutingDecision):
    """A routing decision with the model's probability for each category; empty if it gave none that can be read."""

    distribution: Mapping[str, float] = Field(default_factory=dict)


def with_distribution() -> Task[Ticket, DistributedDecision]:
    """Return the triage task that also asks for a probability of every category, for a margin gate.

    Probabilities that are missing, negative, not numbers or of unknown categories make the distribution empty, not the decision invalid.
    """
    return Task(
        name="triage with distribution",
        prompt_version=f"{TRIAGE.prompt_version}+distribution-1",
        answer_type=DistributedDecision,
        item_id=TRIAGE.item_id,
        request=_request,
        parse=_parse,
        carried=carried,
    )


def _request(ticket: Ticket) -> Request:
    asked = TRIAGE.request(ticket)
    assert asked.tool is not None  # triage forces a tool
    shares = {"type": "object", "properties": {name: {"type": "number", "minimum": 0, "maximum": 1} for name in CATEGORIES}, "required": list(CATEGORIES)}
    properties = {**asked.tool.schema["properties"], "probabilities": shares}
    schema = {**asked.tool.schema, "properties": properties, "required": [*asked.tool.schema["required"], "probabilities"]}
    return replace(asked, system=f"{asked.system}{_ASK}", tool=replace(asked.tool, schema=schema), max_tokens=450)


def _parse(ticket: Ticket, reply: Reply) -> DistributedDecision:
    fields = payload(reply)
    return validate(DistributedDecision, {**fields, "ticket_id": ticket.id, "distribution": _shares(fields.get("probabilities"))})


def _shares(given: object) -> dict[str, float]:
    if not isinstance(given, Mapping) or not set(given) <= set(CATEGORIES):
        return {}
    right = all(isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1 for share in given.values())
    return {name: float(share) for name, share in given.items()} if right else {}


def in_text(task: Task[Item, Answer]) -> Task[Item, Answer]:
    """Return a task whose answer comes as JSON in the text instead of a tool call, so that log-probabilities cover it."""

    def request(item: Item) -> Request:
        asked = task.request(item)
        if asked.tool is None:
            return asked
        schema = json.dumps(asked.tool.schema, sort_keys=True)
        system = f"{asked.system or ''}\n\nDo not call a tool. Reply with one JSON object only, following this JSON schema:\n{schema}".strip()
        return replace(asked, system=system, tool=None)

    return replace(task, name=f"{task.name} in text", prompt_version=f"{task.prompt_version}+text-1", request=request)
