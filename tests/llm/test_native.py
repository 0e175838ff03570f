"""Bodies in a model family's own words ask what Converse asks, and are read as what Converse answers."""

from typing import Any

import pytest

from workshop_lib import catalog
from workshop_lib.errors import SettingsError
from workshop_lib.llm import Guardrail, Request, Usage
from workshop_lib.llm.bedrock import converse_arguments
from workshop_lib.llm.native import native_body, read_native
from workshop_lib.sandbox.bedrock import anthropic
from workshop_lib.tasks import TRIAGE, Ticket

NANO, SONNET, OPUS = (catalog.model(key) for key in ("nano", "sonnet", "opus"))
ASKED = TRIAGE.request(Ticket(id="T-1", subject="Invoice", body="Two payments."))


@pytest.mark.parametrize("model", [SONNET, OPUS], ids=lambda model: model.key)
def test_claudes_body_asks_what_converse_asks(model: Any) -> None:
    """Without it a batch would ask Claude something else than a call does."""
    body = native_body(model, ASKED)
    assert body.pop("anthropic_version") == "bedrock-2023-05-31"
    translated = anthropic.translated({"anthropic_version": "bedrock-2023-05-31", **body})
    converse = {name: value for name, value in converse_arguments(model, ASKED).items() if name not in ("modelId", "requestMetadata")}
    assert translated == converse


def test_the_body_of_an_open_weight_model_is_a_chat_completion_without_its_name() -> None:
    """Without it the record would name a model twice, or not force the tool."""
    body = native_body(NANO, ASKED)
    assert body.keys() == {"messages", "max_tokens", "temperature", "tools", "tool_choice"}
    assert body["tool_choice"]["function"]["name"] == "route_ticket"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_what_no_body_can_carry_is_refused() -> None:
    """Without it a guardrail would be left out in silence."""
    with pytest.raises(SettingsError, match="guardrail"):
        native_body(SONNET, Request("x", guardrail=Guardrail("g", "1")))
    with pytest.raises(SettingsError, match="log-probabilities"):
        native_body(SONNET, Request("x", logprobs=2))


def test_a_message_of_claude_is_read() -> None:
    """Without it a tool call, a refusal or the usage of a batch would be lost."""
    call = {"type": "tool_use", "id": "t", "name": "route_ticket", "input": {"a": 1}}
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3}
    found = read_native(SONNET, {"content": [{"type": "text", "text": "So: "}, call], "stop_reason": "tool_use", "usage": usage})
    assert (found.text, found.tool_input, found.stop_reason, found.usage) == ("So: ", {"a": 1}, "tool_use", Usage(5, 7, 2, 3))
    assert read_native(SONNET, {"content": [], "stop_reason": "refusal"}).stop_reason == "content_filtered"


@pytest.mark.parametrize("model", [NANO, SONNET], ids=lambda model: model.key)
@pytest.mark.parametrize("body", [{}, {"content": 3, "choices": 3}, {"content": [1], "choices": [1], "usage": [], "stop_reason": 4}, {"usage": {"input_tokens": True}}])
def test_a_body_of_another_form_is_an_invalid_reply(model: Any, body: dict[str, Any]) -> None:
    """Without it one odd output would end the whole batch."""
    found = read_native(model, body)
    assert (found.stop_reason, found.tool_input, found.usage) == ("malformed_model_output", None, None)
