"""Tokens told from the length of a request, in one place for estimates and quotas."""

from workshop_lib import catalog
from workshop_lib.llm import Request, Tool
from workshop_lib.llm.tokens import characters, input_tokens, output_tokens, reserved_tokens

NANO, SONNET = catalog.model("nano"), catalog.model("sonnet")
TOOL = Tool("route", "about", {"a": "b"})


def test_all_that_is_sent_is_counted() -> None:
    """Without it an estimate would leave out the tool, which is the larger part of a short ticket's request."""
    assert characters(Request("four")) == 4
    assert characters(Request("four", system="five!", tool=TOOL)) == 4 + 5 + len("route") + len("about") + len('{"a": "b"}')


def test_each_tool_has_its_own_length() -> None:
    """Without it a tool could be taken for another one that stood at the same address before."""
    for number in range(200):
        assert characters(Request("", tool=Tool("", "x" * number, {}))) == number + len("{}")


def test_a_tokenizer_that_needs_more_tokens_is_charged_for_them() -> None:
    """Without it the strong tier would be estimated too cheap, as Claude counts more tokens for the same text."""
    assert input_tokens(NANO, Request("x" * 400)) == 100 * NANO.tokens
    assert input_tokens(SONNET, Request("x" * 400)) / input_tokens(NANO, Request("x" * 400)) == SONNET.tokens / NANO.tokens


def test_a_quota_is_reserved_rather_too_much() -> None:
    """Without it a stated limit would be overdrawn by every prompt that holds more tokens than prose does."""
    assert reserved_tokens(NANO, Request("x" * 300, max_tokens=50)) == 100 * NANO.tokens + 50


def test_an_answer_is_no_longer_than_it_may_be() -> None:
    """Without it a request with a small limit would be estimated beyond it."""
    assert (output_tokens(Request("", max_tokens=50)), output_tokens(Request("", max_tokens=4000))) == (50, 200)
