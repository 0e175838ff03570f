"""The question task: an answer with a confidence, and when two answers are the same."""

from typing import Any

import pytest
from pydantic import ValidationError

from workshop_lib.llm import Cost, InvalidAnswer, Reply, Usage
from workshop_lib.tasks import QUESTIONS, Answer, Equivalence, Question

QUESTION = Question(id="Q-1", question="What is 6 times 7?")


def parsed(text: str, stop: str = "end_turn") -> Answer:
    """Return the answer in a text."""
    return QUESTIONS.parse(QUESTION, Reply("m", text, None, Usage(1, 1), Cost(0.0), 1.0, stop))


@pytest.mark.parametrize(
    "text",
    ['{"answer": "42", "confidence": 5}', '{"answer": 42, "confidence": 5}', '```json\n{"answer": " 42 ", "confidence": "5"}\n```', 'It is {"answer": "42", "confidence": 5.0, "why": "6*7"}'],
)
def test_an_answer_however_it_comes(text: str) -> None:
    """Without it a number that is not quoted would make a good answer invalid."""
    assert parsed(text) == Answer(answer="42", confidence=5)


@pytest.mark.parametrize(
    "text",
    ["42", '{"answer": "42"}', '{"confidence": 5}', '{"answer": "42", "confidence": 0}', '{"answer": "42", "confidence": 6}', '{"answer": "42", "confidence": 4.5}',
     '{"answer": "", "confidence": 5}', '{"answer": "  ", "confidence": 5}', '{"answer": null, "confidence": 5}', '{"answer": ["42"], "confidence": 5}'],
)  # fmt: skip
def test_anything_else_is_invalid(text: str) -> None:
    """Without it an empty answer or a confidence off the scale would be kept."""
    with pytest.raises(InvalidAnswer):
        parsed(text)


def test_a_cut_off_answer_is_invalid() -> None:
    """Without it half an answer would count."""
    with pytest.raises(InvalidAnswer, match="max_tokens"):
        parsed('{"answer": "42", "confidence": 5}', "max_tokens")


@pytest.mark.parametrize("identifier", ["", "a b", "q(1)", "x" * 65])
def test_an_id_that_converse_refuses_is_refused_here(identifier: str) -> None:
    """Without it a question's id would travel as request metadata and be refused by the live service only."""
    with pytest.raises(ValidationError):
        Question(id=identifier, question="?")


@pytest.mark.parametrize(
    ("given", "gold", "tolerance", "same"),
    [
        ("42", "42", 0, True), ("42.0", "42", 0, True), ("about 42 km", "42", 0, True), ("$1,234.50", "1234.5", 0, True), ("42.", "42", 0, True),
        ("43", "42", 0, False), ("-42", "42", 0, False), ("\u221242", "-42", 0, True), (".5", "0.5", 0, True), ("-.5", "-0.5", 0, True), ("1e3", "1000", 0, True),
        ("1,2", "12", 0, False), ("3.14", "3.14159", 0.01, True), ("3.13", "3.14159", 0.01, False), ("2.9", "3", 0.1, True), ("none", "42", 0, False),
        ("", "42", 0, False), ("9" * 400, "9" * 400, 0, False), ("12345,678", "12345678", 0, False),
    ],
)  # fmt: skip
def test_numbers(given: str, gold: str, tolerance: float, same: bool) -> None:
    """Without it a right number would be graded wrong for its spelling, or a wrong one right."""
    assert Equivalence(type="number", tolerance=tolerance).accepts(given, gold) is same


@pytest.mark.parametrize(
    ("given", "gold", "aliases", "same"),
    [
        ("paris", "Paris", (), True), ("Paris.", "Paris", (), True), ("  The  Hague ", "Hague", (), True), ("Curacao", "Curaçao", (), True), ("'True'", "True", (), True),
        ("Schrödinger\u2019s cat", "Schrodinger's cat", (), True), ("1914\u20131918", "1914-1918", (), True), ("UK", "United Kingdom", ("UK", "Great Britain"), True),
        ("Lyon", "Paris", (), False), ("", "Paris", (), False), ("λ1", "μ1", (), False), ("Σ", "Δ", (), False), ("東京", "東京", (), True), ("Parisian", "Paris", (), False),
    ],
)  # fmt: skip
def test_texts(given: str, gold: str, aliases: tuple[str, ...], same: bool) -> None:
    """Without it an accent or a full stop would decide over right and wrong."""
    assert Equivalence(type="text", aliases=aliases).accepts(given, gold) is same


@pytest.mark.parametrize("rule", [{"type": "fuzzy"}, {"type": "text", "alias": ["x"]}, {}])
def test_an_unknown_rule_is_refused(rule: dict[str, Any]) -> None:
    """Without it a mistyped rule in a question file would grade by default."""
    with pytest.raises(ValidationError):
        Equivalence.model_validate(rule)
