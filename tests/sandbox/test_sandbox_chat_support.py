"""The table of what becomes of each member of a chat completion request, compared with what the sandbox does."""

from collections.abc import Callable
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from workshop_lib import catalog
from workshop_lib.sandbox.chat.body import Body
from workshop_lib.sandbox.chat.support import FIELDS

PLAIN: dict[str, Any] = {
    "model": catalog.model("nim-8b").id,
    "messages": [{"role": "user", "content": "What is 3 + 4, as JSON?"}],
}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
CHANGES: dict[str, dict[str, Any]] = {
    "max_tokens": {"max_tokens": 2},
    "max_completion_tokens": {"max_completion_tokens": 2},
    "n": {"n": 2},
    "stop": {"stop": "7"},
    "logprobs": {"logprobs": True},
    "response_format": {"response_format": {"type": "json_object"}},
    "tool_choice": {"tools": [TOOL], "tool_choice": "required"},
    "messages": {"messages": [{"role": "user", "content": "What is 3 + 5?"}]},
    "model": {"model": catalog.model("nim-253b").id, "messages": [{"role": "user", "content": "What is (17 + 4) * 3 - 2 * 5 + 1?"}]},
}
"""What shows that an honoured member changes the answer, for those whose effect one request shows."""
ODD: Any = {"anything": ["else"]}


@pytest.fixture
def send(call: Callable[..., Any]) -> Callable[..., tuple[int, Any]]:
    """Give a function that sends a plain request with some members changed and returns status and body."""

    def request(**more: Any) -> tuple[int, Any]:
        status, _, body = call("POST", "/v1/chat/completions", {**PLAIN, **more}, {"Authorization": "Bearer any"})
        return status, body

    return request


def test_the_table_has_every_member_that_the_sdk_can_send() -> None:
    """Without it a new member of the SDK would be missing in the documentation that is made from the table."""
    sent = {*CompletionCreateParamsBase.__annotations__, "stream"}
    assert FIELDS.keys() == sent


def test_what_is_read_is_what_the_table_says_is_read() -> None:
    """Without it a member could be called honoured and not be read, or be read and called refused."""
    assert {name for name, support in FIELDS.items() if support.how in ("honoured", "taken")} == Body.model_fields.keys()


@pytest.mark.parametrize("name", [name for name, support in FIELDS.items() if support.how == "refused"])
def test_what_is_refused_is_refused_by_name(send: Callable[..., Any], name: str) -> None:
    """Without it a member would be ignored silently."""
    status, body = send(**{name: ODD})
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, name, "unsupported_parameter")
    assert send(**{name: None})[0] == 200


@pytest.mark.parametrize("name", [name for name, support in FIELDS.items() if support.how == "neutral"])
def test_neutral_values_change_nothing_and_others_are_refused(send: Callable[..., Any], name: str) -> None:
    """Without it clients that send every default would be turned away, or a penalty be ignored."""
    plain = send()[1]["choices"]
    for value in FIELDS[name].neutral:
        assert send(**{name: value})[1]["choices"][0]["message"] == plain[0]["message"]
    for value in (ODD, 1.5, True, "odd"):
        status, body = send(**{name: value})
        assert (status, body["error"]["param"]) == (400, name)
        assert FIELDS[name].note in body["error"]["message"]


@pytest.mark.parametrize("name", [name for name, support in FIELDS.items() if support.how == "taken"])
def test_what_is_taken_changes_nothing(send: Callable[..., Any], name: str) -> None:
    """Without it the caller's own books would change a model's answer."""
    assert send(**{name: {"a": "b"} if name == "metadata" else "me"}) == send()


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_honoured_changes_the_answer(send: Callable[..., Any], name: str) -> None:
    """Without it the table could promise what nothing does."""
    without = {other: value for other, value in CHANGES[name].items() if other != name}
    (changed_status, changed), (plain_status, plain) = send(**CHANGES[name]), send(**without)
    assert (changed_status, plain_status) == (200, 200)
    assert changed["choices"] != plain["choices"]


@pytest.mark.parametrize("name", [name for name, support in FIELDS.items() if support.how in ("honoured", "taken")])
def test_a_value_of_the_wrong_kind_is_refused_by_name(send: Callable[..., Any], name: str) -> None:
    """Without it a client's mistake would be guessed at."""
    status, body = send(**{name: [[]]})
    assert status == 400
    assert name in (body["error"]["param"] or "")


def test_a_member_that_nobody_knows_is_refused(send: Callable[..., Any]) -> None:
    """Without it the parameters of other servers, such as guided_json, would be ignored."""
    status, body = send(guided_json=SCHEMA)
    assert (status, body["error"]["param"]) == (400, "guided_json")
