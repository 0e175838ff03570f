"""Answers spoiled on purpose: what a client must survive, made from good answers without a server."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.sandbox import spoil
from workshop_lib.sandbox.ask import Completion, TokenChoice

FIELDS: dict[str, Any] = {"ticket_id": "T-1", "category": "billing", "priority": "P2", "confidence": 0.9}
CALL = Completion("tool_use", 100, 40, 500, tool_name="route_ticket", tool_arguments=json.dumps(FIELDS), tool_input=FIELDS)
TEXT = Completion("end_turn", 100, 40, 500, text=json.dumps(FIELDS))
KEYS = st.binary(min_size=16, max_size=16)


@given(key=KEYS, fields=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.none(), max_size=3))
def test_malformed_arguments_are_never_json(key: bytes, fields: dict[str, Any]) -> None:
    """Without it a fault named malformed would sometimes send what a client can read."""
    call = Completion("tool_use", 1, 1, 1, tool_name="t", tool_arguments=json.dumps(fields), tool_input=fields)
    done = spoil.malformed_tool(call, key)
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.tool_arguments)
    assert (done.stop_reason, done.tool_name) == ("malformed_tool_use", "t")


@given(key=KEYS)
def test_a_broken_schema_is_json_with_a_field_less(key: bytes) -> None:
    """Without it a client that checks only for JSON would never meet an input that breaks its schema."""
    done = spoil.broken_schema(CALL, key)
    assert json.loads(done.tool_arguments) == done.tool_input
    assert len(done.tool_input) == len(FIELDS) - 1
    assert any(isinstance(value, dict) for value in done.tool_input.values())


@given(key=KEYS)
def test_text_in_place_of_a_tool_still_holds_the_arguments(key: bytes) -> None:
    """Without it the fallback that reads the text block could not be tested."""
    done = spoil.text_instead_of_tool(CALL, key)
    assert (done.tool_name, done.stop_reason) == (None, "end_turn")
    assert CALL.tool_arguments in done.text


@given(key=KEYS)
def test_a_wrong_label_keeps_everything_else(key: bytes) -> None:
    """Without it the fault could invalidate an id or a number, and the client's check of labels would go untested."""
    for done in (spoil.wrong_enum(CALL, key), spoil.wrong_enum(TEXT, key)):
        fields = done.tool_input if done.tool_name else json.loads(done.text)
        changed = [name for name in FIELDS if fields[name] != FIELDS[name]]
        assert changed in (["category"], ["priority"])


@given(key=KEYS)
def test_a_cut_answer_is_a_beginning_and_counts_fewer_tokens(key: bytes) -> None:
    """Without it a truncated answer could be charged in full or end as if it were complete."""
    for whole in (CALL, TEXT):
        done = spoil.truncated(whole, key)
        before, after = (one.tool_arguments or one.text for one in (whole, done))
        assert before.startswith(after)
        assert 0 < len(after) < len(before)
        assert 0 < done.output_tokens < whole.output_tokens
        assert done.stop_reason == "max_tokens"


def test_a_cut_answer_keeps_its_tokens_in_step() -> None:
    """Without it the log-probabilities of a cut answer would belong to text that was not sent."""
    whole = Completion("end_turn", 1, 4, 1, text="abcdefgh", tokens=tuple(TokenChoice(part, -0.1) for part in ("ab", "cd", "ef", "gh")))
    done = spoil.truncated(whole)
    assert "".join(token.token for token in done.tokens) == done.text
    assert len(done.tokens) < 4


@pytest.mark.parametrize("name", ["malformed_tool", "broken_schema", "text_instead_of_tool"])
def test_what_concerns_tools_leaves_a_text_alone(name: str) -> None:
    """Without it a fault of tool calls would break answers that have none."""
    assert spoil.SPOILERS[name](TEXT, b"k") == TEXT


@pytest.mark.parametrize("name", spoil.SPOILERS)
def test_the_same_answer_is_spoiled_in_the_same_way(name: str) -> None:
    """Without it a test that scripts a fault would not repeat."""
    assert spoil.SPOILERS[name](CALL, b"k") == spoil.SPOILERS[name](CALL, b"k") != CALL
