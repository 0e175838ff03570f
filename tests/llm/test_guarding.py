"""A guardrail on every call, and on what Converse does not show it."""

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest

from workshop_lib.llm import CallError, Cost, Gateway, Guardrail, Reply, Request, RetryPolicy, Tool, Usage, bedrock
from workshop_lib.llm.guarding import Guarded, connect, guardrail_named
from workshop_lib.llm.types import Screened
from workshop_lib.paths import ROOT
from workshop_lib.settings import Settings, load

GUARDRAIL = Guardrail("gr-1", "7")
TOOL = Tool("route", "d", {"properties": {"category": {"enum": ["auth"]}, "reasoning": {"type": "string"}}})
REQUEST = Request("please", tool=TOOL, tags={"ticket": "T-1"})
ARGUMENTS = {"ticket_id": "T-1", "category": "auth", "reasoning": "because of secret", "confidence": 0.9}
REPLY = Reply("m", "", ARGUMENTS, Usage(1, 1), Cost(0.5), 1.0, "tool_use")


class Rules:
    """A guardrail that blocks "forbidden" and masks "secret", and remembers what it read."""

    def __init__(self) -> None:
        self.read: list[tuple[str, str]] = []

    def screen(self, guardrail: Guardrail, text: str, source: Literal["INPUT", "OUTPUT"]) -> Screened:
        """Judge one text."""
        assert guardrail == GUARDRAIL
        self.read.append((source, text))
        if "forbidden" in text:
            return Screened(True, "", 1)
        return Screened(False, text.replace("secret", "***"), 1, masked="secret" in text)


def asked(reply: Reply, model: str = "nano", request: Request = REQUEST) -> tuple[Reply, Rules, list[Request], Guarded]:
    """Ask once under the rules; return the reply, what was screened and what was sent."""
    sent: list[Request] = []

    def ask(model: str, request: Request) -> Reply:
        sent.append(request)
        return reply

    rules = Rules()
    guarded = Guarded(ask, GUARDRAIL, rules.screen)
    return guarded(model, request), rules, sent, guarded


def test_the_guardrail_goes_with_a_bedrock_call_and_reads_the_free_text_of_its_arguments() -> None:
    """Without it a forced tool's reasoning would pass unread, as Converse does not show it to the guardrail."""
    reply, rules, sent, guarded = asked(REPLY)
    assert sent[0].guardrail == GUARDRAIL
    assert rules.read == [("OUTPUT", "because of secret")]
    assert reply.tool_input == {**ARGUMENTS, "reasoning": "because of ***"}
    assert (reply.stop_reason, guarded.units) == ("tool_use", 1)
    assert reply.cost == Cost(0.5, complete=False), "what a guardrail costs is not known"


def test_arguments_that_may_not_pass_are_an_intervention() -> None:
    """Without it what a guardrail blocks would be written to the output."""
    reply, *_ = asked(replace(REPLY, tool_input={**ARGUMENTS, "reasoning": "forbidden"}))
    assert reply.blocked
    assert reply.tool_input is None


def test_several_masked_texts_do_not_pass() -> None:
    """Without it one text's masked part could land in another field."""
    reply, *_ = asked(replace(REPLY, tool_input={**ARGUMENTS, "note": "more"}))
    assert reply.blocked


def test_what_converse_blocked_is_not_screened_again() -> None:
    """Without it every blocked ticket would be charged twice."""
    reply, rules, *_ = asked(replace(REPLY, stop_reason="guardrail_intervened", tool_input=None, text="no"))
    assert reply.blocked
    assert rules.read == []


def test_a_model_off_bedrock_has_prompt_and_reply_screened() -> None:
    """Without it a guardrail would silently not hold for a tier on NIM."""
    reply, rules, sent, guarded = asked(replace(REPLY, text="a secret", tool_input=None), model="nim-8b", request=replace(REQUEST, prompt="my secret"))
    assert sent[0].guardrail is None
    assert sent[0].prompt == "my ***"
    assert reply.text == "a ***"
    assert [source for source, _ in rules.read] == ["INPUT", "OUTPUT"]
    assert guarded.units == 2


def test_a_blocked_prompt_is_never_sent_off_bedrock() -> None:
    """Without it a model would be asked what it must not be asked."""
    reply, _, sent, _ = asked(REPLY, model="nim-8b", request=replace(REQUEST, prompt="forbidden"))
    assert sent == []
    assert reply.blocked


@pytest.mark.parametrize(
    ("response", "screened"),
    [
        ({"action": "NONE", "usage": {"topicPolicyUnits": 1, "wordPolicyUnits": 2}}, Screened(False, "text", 3)),
        (
            {"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": "te**"}], "assessments": [{"sensitiveInformationPolicy": {"piiEntities": [{"action": "ANONYMIZED"}]}}]},
            Screened(False, "te**", 0, masked=True),
        ),
        (
            {"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": "Sorry."}], "assessments": [{"a": [{"action": "ANONYMIZED"}, {"action": "BLOCKED"}]}]},
            Screened(True, "", 0),
        ),
        ({"action": "GUARDRAIL_INTERVENED", "outputs": [], "assessments": []}, Screened(True, "", 0)),
        ({}, Screened(True, "", 0)),
    ],
    ids=["nothing", "masked", "blocked", "no assessment", "no such response"],
)
def test_what_apply_guardrail_says_is_read(response: dict[str, Any], screened: Screened) -> None:
    """Without it a masked text would be lost, or a blocked one pass."""
    assert bedrock.read_screened(response, "text") == screened


def test_screening_is_one_http_call_that_is_retried(server: Any, sandboxed: Callable[..., Settings]) -> None:
    """Without it a throttled guardrail would cost a ticket, or be asked at a wrong address."""
    answer = type(server.answers[0])
    throttled = answer(429, {"message": "slow down"}, {"x-amzn-ErrorType": "ThrottlingException"})
    server.then(throttled, answer(200, {"action": "NONE", "usage": {"contentPolicyUnits": 1}, "outputs": [], "assessments": []}))
    gateway = Gateway(sandboxed(), RetryPolicy(sleep=lambda _: None))
    assert gateway.screen(GUARDRAIL, "text", "OUTPUT") == Screened(False, "text", 1)
    assert [(path, body) for path, _, body in server.seen] == [("/guardrail/gr-1/version/7/apply", {"source": "OUTPUT", "content": [{"text": {"text": "text"}}]})] * 2


def test_a_guardrail_that_cannot_be_asked_is_an_error(server: Any, sandboxed: Callable[..., Settings]) -> None:
    """Without it a missing guardrail would let everything pass."""
    server.then(type(server.answers[0])(404, {"message": "no such guardrail"}, {"x-amzn-ErrorType": "ResourceNotFoundException"}))
    with pytest.raises(CallError, match="guardrail gr-1"):
        Gateway(sandboxed()).screen(GUARDRAIL, "text", "OUTPUT")


CONVERSED = {
    "output": {"message": {"content": [{"toolUse": {"toolUseId": "t", "name": "route", "input": ARGUMENTS}}]}},
    "stopReason": "tool_use",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    "metrics": {"latencyMs": 1},
}


@pytest.mark.parametrize("fast", [False, True])
def test_settings_that_name_a_guardrail_put_every_call_under_it(server: Any, sandboxed: Callable[..., Settings], fast: bool) -> None:
    """Without it a guardrail that an operator set would hold for a bulk run only."""
    answer = type(server.answers[0])
    server.then(answer(200, CONVERSED), answer(200, {"action": "NONE", "usage": {"contentPolicyUnits": 1}, "outputs": [], "assessments": []}))
    gateway = connect(sandboxed(guardrail_id="gr-1", guardrail_version="7", fast_client=fast))
    assert not gateway("nano", REQUEST).cost.complete, "what a guardrail costs is not known"
    (_, _, conversed), (path, _, screened) = server.seen
    assert conversed["guardrailConfig"]["guardrailIdentifier"] == "gr-1"
    assert (path, screened["content"]) == ("/guardrail/gr-1/version/7/apply", [{"text": {"text": "because of secret"}}])


def test_settings_without_a_guardrail_add_no_call(server: Any, sandboxed: Callable[..., Settings]) -> None:
    """Without it everybody would pay for a guardrail that nobody set."""
    server.then(type(server.answers[0])(200, CONVERSED))
    assert connect(sandboxed())("nano", REQUEST).cost.complete
    assert ["guardrailConfig" in body for _, _, body in server.seen] == [False]


def test_a_guardrail_has_a_name_for_what_must_not_be_mixed() -> None:
    """Without it replies under a guardrail could be kept in one file with those that nobody watched."""
    assert guardrail_named(load(guardrail_id="gr-1", guardrail_version="7")) == "gr-1 7"
    assert guardrail_named(load()) == "none"


def test_a_refused_prompt_is_labelled_with_who_was_asked() -> None:
    """Without it a live run's refusal would be counted as the sandbox's."""
    rules = Rules()
    guarded = Guarded(lambda model, request: REPLY, GUARDRAIL, rules.screen, "live")
    assert guarded("nim-8b", replace(REQUEST, prompt="forbidden")).source == "live"


def test_gateways_are_made_in_one_place() -> None:
    """Without it a new command could make its own gateway, and a guardrail that an operator set would not hold there."""
    makers = set()
    for path in (ROOT / "workshop_lib").rglob("*.py"):
        if "Gateway(" not in (text := path.read_text(encoding="utf-8")):
            continue
        calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        if any(isinstance(called, ast.Name) and called.id == "Gateway" for called in calls):
            makers.add(path.relative_to(ROOT / "workshop_lib").as_posix())
    # A bulk run has patience with model and guardrail apart, a state machine repeats the model only, and doctor looks at each alone.
    assert makers == {"llm/guarding.py", "bulk/station.py", "cloud/handlers.py", "doctor/live.py"}, "use llm.connect"
