"""Log-probabilities of the stand-ins' texts: they belong to the text, and at a label they are the classifier's own."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.sandbox import engine, tokens
from workshop_lib.sandbox.ask import Ask, Completion, ToolSpec, Turn
from workshop_lib.sandbox.stand_ins import triage

SMALL, LARGE = catalog.model("nim-8b"), catalog.model("nim-253b")
BODY = "I was charged twice for the March invoice, and the export fails too."
TICKET = f"<ticket>\nid: T-9\nsubject: double charge\n\n{BODY}\n</ticket>"
CATEGORIES = list(triage.FIELDS["category"])
SCHEMA = {
    "type": "object",
    "properties": {
        "ticket_id": {"type": "string"},
        "category": {"enum": CATEGORIES},
        "priority": {"enum": ["P0", "P1", "P2", "P3"]},
        "confidence": {"type": "number"},
        "reasoning": {"type": "string"},
        "needs_human": {"type": "boolean"},
    },
}


def ask(text: str, model: catalog.Model = SMALL, top: int | None = 20, **more: Any) -> Completion:
    """Let a stand-in answer a text with the log-probabilities of its tokens."""
    return engine.complete(Ask(model, (Turn("user", text),), b"k" * 16, logprobs=top, **more))


def chance(done: Completion, label: str, after: str) -> float:
    """Return the product of the probabilities of the tokens that write a label behind some text."""
    start = done.text.index(after) + len(after)
    start = done.text.index(label, start)
    total, at = 0.0, 0
    for token in done.tokens:
        if start < at + len(token.token) and at < start + len(label):
            total += token.logprob
        at += len(token.token)
    return math.exp(total)


@pytest.mark.slow
@pytest.mark.parametrize("model", [SMALL, LARGE])
def test_a_label_has_the_classifiers_own_probability(model: catalog.Model) -> None:
    """Without it a threshold on token probabilities would be a threshold on an invention."""
    done = ask(TICKET, model, schema=SCHEMA, schema_enforced=True)
    opinion = triage.opinion(f"double charge\n{BODY}", model.stand_in.triage)
    fields = json.loads(done.text)
    assert chance(done, fields["category"], '"category": ') == pytest.approx(opinion.exact["category"][fields["category"]])
    assert chance(done, fields["priority"], '"priority": ') == pytest.approx(opinion.exact["priority"][fields["priority"]])


def test_the_alternatives_of_a_label_are_the_other_labels() -> None:
    """Without it the margin between the two likeliest labels, a better gate than the share alone, could not be read."""
    done = ask(TICKET, schema=SCHEMA, schema_enforced=True)
    opinion = triage.opinion(f"double charge\n{BODY}", "small")
    category = json.loads(done.text)["category"]
    first = next(token for token in done.tokens if len(token.top) == len(CATEGORIES))
    assert category.startswith(first.token)
    assert first.top[0] == (first.token, first.logprob)
    assert sorted(math.exp(logprob) for _, logprob in first.top) == pytest.approx(sorted(opinion.exact["category"].values()), abs=1e-9)


def test_form_is_nearly_certain_and_an_answer_is_as_sure_as_the_model() -> None:
    """Without it braces would drown the one token that says something."""
    done = ask('What is 17 * 23? Reply with JSON: {"answer": "<short>", "confidence": <1 to 5>}', LARGE)
    fields = json.loads(done.text)
    assert chance(done, fields["answer"], '"answer": ') == pytest.approx(min(0.98, (fields["confidence"] - 1) / 4), abs=0.01)
    assert sorted(math.exp(token.logprob) for token in done.tokens)[1] > 0.99


@pytest.mark.parametrize("values", [["correct", "incorrect"], ["correct", "correct but late"], [[1], {"a": 2}], [1, True]])
def test_a_judge_is_as_sure_as_its_own_answer(values: list[Any]) -> None:
    """Without it a verdict would look certain whatever the judge knows, and odd values of a schema would crash the server."""
    wanted = {"type": "object", "properties": {"verdict": {"enum": values}}}
    done = ask("QUESTION: What is 17 * 23?\nANSWER: 391", LARGE, schema=wanted, schema_enforced=True)
    assert json.loads(done.text)["verdict"] in values
    if values[0] == "correct":
        assert chance(done, "correct", '"verdict": ') == pytest.approx(0.98, abs=0.01)


def test_prose_has_them_too() -> None:
    """Without it only JSON would show how sure a model is."""
    done = ask(TICKET)
    opinion = triage.opinion(f"double charge\n{BODY}", "small")
    best = max(opinion.exact["category"], key=lambda label: opinion.exact["category"][label])
    assert chance(done, best.replace("_", " "), "about ") == pytest.approx(opinion.exact["category"][best])


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(max_size=60) | st.sampled_from((TICKET, "What is 3 + 4?", "QUESTION: What is 3 + 4?\nANSWER: 7")),
    shape=st.sampled_from([{}, {"json_mode": True}, {"schema": SCHEMA, "schema_enforced": True}]),
    limit=st.integers(1, 60) | st.none(),
    stop=st.sampled_from([(), (",",), ("ill",), (" ",)]),
    top=st.integers(0, 20),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_tokens_are_the_text_and_probabilities_are_probabilities(
    text: str, shape: dict[str, Any], limit: int | None, stop: tuple[str, ...], top: int, temperature: float
) -> None:
    """Without it tokens could drift from the text that was cut, or a probability exceed one."""
    done = ask(text, SMALL, top, max_tokens=limit, stop=stop, temperature=temperature, **shape)
    assert "".join(token.token for token in done.tokens) == done.text
    for token in done.tokens:
        assert token.logprob <= 0
        assert len(token.top) <= top
        assert sum(math.exp(logprob) for _, logprob in token.top) <= 1 + 1e-6
    assert engine.complete(Ask(SMALL, (Turn("user", text),), b"k" * 16, max_tokens=limit, stop=stop, temperature=temperature, **shape)).text == done.text


@given(text=st.text(max_size=80))
def test_split_pieces_join_to_the_text_and_are_counted(text: str) -> None:
    """Without it the tokens shown and the tokens charged would differ."""
    parts = tokens.split(text)
    assert "".join(parts) == text
    assert len(parts) == max(tokens.pieces(text), 1 if text else 0)


def test_a_tool_call_has_no_tokens() -> None:
    """Without it log-probabilities would stand beside a content that is null."""
    done = ask(TICKET, LARGE, tools=(ToolSpec("t", "", SCHEMA),), choice="tool", forced="t")
    assert done.tool_name == "t"
    assert done.tokens == ()
