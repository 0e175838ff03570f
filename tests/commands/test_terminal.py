"""The story of one ticket: every call that was charged and every rule that fired is told."""

from collections.abc import Mapping

import pytest

from workshop_lib.cascade import ClassifierRouter, JudgeGate, Policy
from workshop_lib.commands import terminal
from workshop_lib.errors import DataError
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage

SURE = {"category": "billing", "priority": "P3", "confidence": 0.9, "reasoning": "r", "needs_human": False}


def story(monkeypatch: pytest.MonkeyPatch, policy: Policy, says: Mapping[str, object]) -> str:
    """Return what is told of a ticket when each model says so."""

    def ask(model: str, request: Request) -> Reply:
        said = says[model]
        if isinstance(said, CallError):
            raise said
        assert isinstance(said, dict)
        return Reply(model, "", said, Usage(1, 1), Cost(0.001), 1.0, "tool_use", source="test")

    monkeypatch.setattr(terminal, "policy_named", lambda name: policy)
    monkeypatch.setattr(terminal, "open_backend", lambda: None)
    monkeypatch.setattr(terminal, "connect", lambda settings: ask)
    return terminal.triage_one("Two payments for one invoice.", "", "mine")


def test_router_and_judge_are_told_with_their_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the lines would not add up to the bill, and nobody know why a tier was skipped or asked."""
    policy = Policy(name="mine", tiers=("nano", "sonnet"), gates=(JudgeGate(model="opus"),), router=ClassifierRouter(start="sonnet", model="super"))
    told = story(monkeypatch, policy, {"nano": SURE, "super": {"difficulty": 2}, "opus": {"score": 2, "why": "w"}, "sonnet": SURE}).splitlines()
    assert told[0] == "start: super says difficulty 2 < 4, at nano; router super 0.001000 USD"
    assert told[1] == "nano: billing P3, confidence 0.9; 0.001000 USD; judge opus 0.001000 USD; escalates: judge opus scored 2 < 4"
    assert told[-1] == "final: billing P3 by sonnet; no person needed; 0.004000 USD; source: test"


def test_rules_for_trouble_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it an answer that stands only because the judge was down would look like one that passed."""
    policy = Policy(name="mine", tiers=("nano", "sonnet"), gates=(JudgeGate(model="opus"),))
    told = story(monkeypatch, policy, {"nano": SURE, "opus": CallError("throttled", "opus", "slow down.")})
    assert "note: judge down at nano, keep: " in told
    assert told.endswith("final: billing P3 by nano; no person needed; 0.001000 USD; source: test")


def test_a_text_that_is_no_unicode_is_not_called_too_long() -> None:
    """Without it a person whose terminal does not speak UTF-8 would be told to shorten what they wrote."""
    with pytest.raises(DataError, match="Give it as UTF-8 text"):
        terminal.triage_one("Gr\udcfc\udcdfe", "", "documented")
    with pytest.raises(DataError, match="Shorten it"):
        terminal.triage_one("a" * 20_001, "", "documented")
