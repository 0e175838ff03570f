"""Variants of a task: what is asked on top, and what is made of what comes back."""

from typing import Any

import pytest

from workshop_lib.llm import Cost, InvalidAnswer, Reply, Usage
from workshop_lib.tasks import CATEGORIES, QUESTIONS, TRIAGE, Question, Ticket
from workshop_lib.tasks.variants import in_text, with_distribution

TICKET = Ticket(id="T-1", subject="s", body="b")
DECISION = {"category": "auth", "priority": "P2", "confidence": 0.9, "reasoning": "r", "needs_human": False}


def reply(fields: dict[str, Any] | None) -> Reply:
    """Return a reply that calls the tool."""
    return Reply("m", "", fields, Usage(1, 1), Cost(0.0), 1.0, "tool_use")


def test_a_probability_is_asked_for_every_category() -> None:
    """Without it the margin between two labels could not be known."""
    asked = with_distribution().request(TICKET)
    assert asked.tool is not None
    assert asked.tool.schema["properties"]["probabilities"]["required"] == list(CATEGORIES)
    assert "probabilities" in asked.tool.schema["required"]
    plain = TRIAGE.request(TICKET)
    assert plain.tool is not None
    assert "probabilities" not in plain.tool.schema["properties"]


@pytest.mark.parametrize(
    ("given", "distribution"),
    [
        ({"auth": 0.7, "billing": 0.3}, {"auth": 0.7, "billing": 0.3}), ({"auth": 1}, {"auth": 1.0}), (None, {}), ("auth", {}), ({"auth": -1}, {}),
        ({"auth": "much"}, {}), ({"auth": True}, {}), ({"refund": 1.0}, {}), ({"auth": 1.5}, {}),
    ],
)  # fmt: skip
def test_what_is_no_distribution_is_none_and_no_invalid_decision(given: Any, distribution: dict[str, float]) -> None:
    """Without it a good decision would be thrown away for a bad extra, or a made-up number decide."""
    answer = with_distribution().parse(TICKET, reply({**DECISION, "probabilities": given}))
    assert dict(answer.distribution) == distribution
    assert (answer.category, answer.ticket_id) == ("auth", "T-1")


def test_a_distribution_cannot_be_smuggled_in() -> None:
    """Without it a field of our own name in the reply would bypass the check."""
    assert with_distribution().parse(TICKET, reply({**DECISION, "distribution": {"auth": 9}})).distribution == {}
    with pytest.raises(InvalidAnswer):
        with_distribution().parse(TICKET, reply({"probabilities": {"auth": 1.0}}))


def test_in_text_asks_for_the_same_without_a_tool() -> None:
    """Without it log-probabilities, which cover text only, would never cover the label."""
    task = in_text(TRIAGE)
    asked = task.request(TICKET)
    assert asked.tool is None
    assert asked.system is not None
    assert all(name in asked.system for name in ("needs_human", *CATEGORIES))
    assert asked.prompt == TRIAGE.request(TICKET).prompt
    text = Reply("m", '{"category": "auth", "priority": "P2", "confidence": 0.9, "reasoning": "r", "needs_human": false}', None, None, Cost(0.0), 1.0, "end_turn")
    assert task.parse(TICKET, text).category == "auth"


def test_a_task_that_answers_in_text_stays_as_it_is() -> None:
    """Without it questions would be told not to call a tool that they do not have."""
    question = Question(id="Q", question="?")
    assert in_text(QUESTIONS).request(question) == QUESTIONS.request(question)
