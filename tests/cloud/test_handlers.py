"""The functions, called as Lambda calls them, with events as the state machine sends them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib.cascade import Trace, walk
from workshop_lib.catalog import model
from workshop_lib.cloud import handlers
from workshop_lib.cloud.casing import converse, from_states, to_states
from workshop_lib.cloud.deployment import Deployment, deployment
from workshop_lib.cloud.replay import Answered, Wanted, resume
from workshop_lib.cloud.wire import Case, Failed, Recorded, call_error, reply_document
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.llm import CallError, Cost, Reply, Request, Usage, price
from workshop_lib.llm.bedrock import converse_arguments
from workshop_lib.tasks import TRIAGE, Ticket

EVENT = {"ticket": {"id": "T-1", "subject": "Charged twice", "body": "Two payments for one invoice."}}
TICKET = Ticket.model_validate(EVENT["ticket"])
SURE = {"category": "billing", "priority": "P3", "confidence": 0.9, "reasoning": "r", "needs_human": False}


def response(decision: dict[str, Any] | None, stop: str = "tool_use", **changed: Any) -> dict[str, Any]:
    """Return what a Converse task leaves in the machine's data, nulls included as the service writes them."""
    content = [{"Text": "I cannot say.", "ToolUse": None}] if decision is None else [{"ToolUse": {"ToolUseId": "t", "Name": "route_ticket", "Input": decision, "Type": None}, "Text": None}]
    whole = {"Output": {"Message": {"Role": "assistant", "Content": content}}, "StopReason": stop, "Usage": {"InputTokens": 100, "OutputTokens": 10, "TotalTokens": 110, "CacheDetails": None}}
    return {"Response": {**whole, "Metrics": {"LatencyMs": 321}, "Trace": None, **changed}, "Attempts": 1}


def passed(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return data as the next state gets them: through JSON, with what a task added."""
    merged: dict[str, Any] = json.loads(json.dumps({**document, **more}))
    return merged


def test_a_ticket_becomes_the_parameters_of_a_converse_task() -> None:
    """Without it the task could send a member that the service does not know, or another prompt than the notebook."""
    following = handlers.classify(EVENT, None)["next"]
    assert (following["state"], following["model"]) == ("CheapTier", "nano")
    assert following["converse"]["ToolConfig"]["Tools"][0]["ToolSpec"]["InputSchema"]["Json"]["properties"]["category"]["type"] == "string"
    arguments = from_states(following["converse"], converse().input_shape)
    assert not ParamValidator().validate(arguments, converse().input_shape).has_errors()
    assert arguments == converse_arguments(model("nano"), TRIAGE.request(TICKET))


def test_members_that_are_null_are_left_out_and_documents_left_alone() -> None:
    """Without it a tool's own field names would be capitalised, or a null be read as an answer."""
    shape = converse().output_shape
    said = from_states(response({"category": "billing", "Odd": {"KeepMe": None}})["Response"], shape)
    assert said["output"]["message"]["content"] == [{"toolUse": {"toolUseId": "t", "name": "route_ticket", "input": {"category": "billing", "Odd": {"KeepMe": None}}}}]
    assert from_states(to_states(said, shape), shape) == said


def test_a_sure_answer_ends_the_walk() -> None:
    """Without it the deployed gate could ask the strong tier about everything."""
    done = handlers.gate(passed(handlers.classify(EVENT, None), reply=response(SURE)), None)
    assert done["next"] == {"state": "Answered"}
    assert done["result"]["decision"]["category"] == "billing"
    assert done["result"]["latency_ms"] == 321
    assert done["result"]["cost_usd"] == pytest.approx((100 * 0.06 + 10 * 0.24) / 1e6)


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (response({**SURE, "confidence": 0.1}), "StrongTier"),
        (response({**SURE, "priority": "P0"}), "StrongTier"),
        (response(None, "end_turn"), "StrongTier"),
        (response(SURE, "max_tokens"), "StrongTier"),
        (response(None, "guardrail_intervened"), "ForAPerson"),
        ({"Response": {}, "Attempts": 1}, "StrongTier"),
        (response(SURE, Usage=None), "Answered"),
    ],
)
def test_what_a_reply_leads_to(reply: dict[str, Any], state: str) -> None:
    """Without it a reply that is cut off, blocked or empty could count as an answer."""
    assert handlers.gate(passed(handlers.classify(EVENT, None), reply=reply), None)["next"]["state"] == state


@pytest.mark.parametrize(
    ("failed", "state"),
    [
        ({"Error": "BedrockRuntime.ThrottlingException", "Cause": "Too many (Service: BedrockRuntime, Status Code: 429, Request ID: x)"}, "NotAnswered"),
        ({"Error": "BedrockRuntime.AccessDeniedException", "Cause": "no (Service: BedrockRuntime, Status Code: 403, Request ID: x)"}, "NotAnswered"),
        ({"Error": "BedrockRuntime.ModelErrorException", "Cause": "x"}, "StrongTier"),
        ({"Error": "States.Timeout", "Cause": ""}, "StrongTier"),
        ({"Error": "BedrockRuntime.SdkClientException", "Cause": "reset"}, "StrongTier"),
        ({"Error": "Model.throttled", "Cause": '{"errorMessage": "slow down", "errorType": "Model.throttled"}'}, "NotAnswered"),
        ({"Error": "Model.read_timeout", "Cause": "{}"}, "StrongTier"),
    ],
)
def test_what_a_failure_leads_to(failed: dict[str, str], state: str) -> None:
    """Without it a quota would be paid for at the strong tier, or a missing permission hidden by it."""
    done = handlers.gate(passed(handlers.classify(EVENT, None), failed=failed), None)
    assert done["next"]["state"] == state


@pytest.mark.parametrize(
    ("error", "cause", "kind", "attempts", "detail"),
    [
        ("BedrockRuntime.ThrottlingException", "Slow. (Service: BedrockRuntime, Status Code: 429, Request ID: a)", "throttled", 4, "ThrottlingException: Slow."),
        ("BedrockRuntime.BedrockRuntimeException", "Bad gateway (Service: Bedrock Runtime, Status Code: 502, Request ID: a)", "server", 4, "BedrockRuntimeException: Bad gateway."),
        ("States.Timeout", "", "read_timeout", 1, "States.Timeout: ."),
        ("Lambda.Unknown", "out of memory", "disconnected", 1, "Lambda.Unknown: out of memory."),
        ("Model.access", '{"errorMessage": "no"}', "access", 1, "no"),
    ],
)
def test_failures_in_our_words(error: str, cause: str, kind: str, attempts: int, detail: str) -> None:
    """Without it a failure would be counted under a wrong kind, and one that may have been charged as free."""
    found = call_error(Failed(Error=error, Cause=cause), "m")
    assert (found.kind, found.attempts, found.detail) == (kind, attempts, detail)
    assert found.maybe_billed == (kind in ("disconnected", "read_timeout"))


def test_the_tier_function_asks_and_names_its_failures(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the calls under a guardrail would come back in a form that the gate cannot read, or never be retried."""
    monkeypatch.setenv("BEDROCK_GUARDRAIL_ID", "sandboxguardrail")
    monkeypatch.setenv("BEDROCK_GUARDRAIL_VERSION", "1")
    handlers.forget()
    begun = handlers.classify(EVENT, None)
    assert begun["next"]["state"] == "CheapTierByFunction"
    said = handlers.call_tier(passed(begun), None)
    after = handlers.gate(passed(begun, reply={**said, "Attempts": 2}), None)
    assert after["next"]["state"] in ("Answered", "StrongTierByFunction")
    assert said["Source"] == "sandbox"
    assert said["CostComplete"] is False  # what a guardrail costs is in no table
    monkeypatch.setenv("BEDROCK_GUARDRAIL_ID", "missing")
    handlers.forget()
    with pytest.raises(RuntimeError) as caught:
        handlers.call_tier(passed(begun), None)
    assert type(caught.value).__name__ in ("Model.validation", "Model.not_found")


def test_a_blocked_ticket_goes_to_a_person(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a guardrail's intervention would be taken for low confidence and the strong tier asked."""
    monkeypatch.setenv("BEDROCK_GUARDRAIL_ID", "sandboxguardrail")
    monkeypatch.setenv("BEDROCK_GUARDRAIL_VERSION", "1")
    handlers.forget()
    begun = handlers.classify({"ticket": {"id": "T-1", "subject": "s", "body": "Please frobnicate my account."}}, None)
    done = handlers.gate(passed(begun, reply=handlers.call_tier(passed(begun), None)), None)
    assert (done["next"]["state"], done["result"]["outcome"]) == ("ForAPerson", "guardrail")


def test_the_judge_is_asked_about_the_cheap_answer(sandbox: Any, deployed: Callable[..., None]) -> None:
    """Without it the judge function could score another answer, or its score be lost."""
    deployed(judge_rate=1, judge_below=1)
    waiting = handlers.gate(passed(handlers.classify(EVENT, None), reply=response(SURE)), None)
    assert waiting["next"]["state"] == "Judge"
    done = handlers.gate(passed(waiting, reply=handlers.judge(passed(waiting), None)), None)
    (check,) = [check for check in done["result"]["trace"]["steps"][0]["checks"] if check["gate"] == "judge"]
    assert 1 <= check["value"] <= 5


@pytest.mark.parametrize(("ticket", "named"), [(None, "ticket.id"), ("text", "ticket.id"), ({**EVENT["ticket"], "body": ""}, "ticket.body"), ({**EVENT["ticket"], "id": "a b"}, "ticket.id")])
def test_what_is_no_ticket_is_named_and_not_quoted(ticket: Any, named: str) -> None:
    """Without it a customer's text could stand in an error message, which is logged."""
    with pytest.raises(handlers.InvalidTicket, match=named) as caught:
        handlers.classify({"ticket": ticket}, None)
    assert "payments" not in str(caught.value)


def test_a_new_deployment_does_not_go_on_with_old_tickets(deployed: Callable[..., None]) -> None:
    """Without it a ticket could be gated by one policy and judged by another, and its trace belong to neither."""
    begun = handlers.classify(EVENT, None)
    deployed(min_confidence=0.2)
    with pytest.raises(DataError, match="Start it again"):
        handlers.gate(passed(begun, reply=response(SURE)), None)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"cheap": "sonnet"}, "name two models"), ({"cheap": "nim-8b"}, "not on Bedrock"), ({"min_confidence": 2}, "CASCADE_MIN_CONFIDENCE"), ({"strong": "sonet"}, "sonnet")],
)
def test_a_wrong_deployment_is_one_line(deployed: Callable[..., None], parameters: dict[str, object], named: str) -> None:
    """Without it a typing error in a parameter would be a traceback in a log."""
    deployed(**parameters)
    with pytest.raises(SettingsError, match=named) as caught:
        handlers.classify(EVENT, None)
    assert "\n" not in str(caught.value)


def reply(confidence: float = 0.9) -> Reply:
    """Return a valid reply."""
    return Reply("m", "", {**SURE, "confidence": confidence}, Usage(1, 1), Cost(0.1), 100.0, "tool_use")


def test_a_walk_in_instalments_refuses_calls_that_are_not_its_own() -> None:
    """Without it a reply could be taken for that of another model."""
    policy = deployment().policy()
    wanted = resume(TICKET, policy, [Answered("tier", "nano", reply(0.1))])
    assert isinstance(wanted, Wanted)
    assert wanted.model == "sonnet"
    with pytest.raises(DataError, match="would have asked the tier nano"):
        resume(TICKET, policy, [Answered("tier", "sonnet", reply())])
    with pytest.raises(DataError, match="ends before"):
        resume(TICKET, policy, [Answered("tier", "nano", reply()), Answered("tier", "sonnet", reply())])
    ended = resume(TICKET, policy, [Answered("tier", "nano", reply(0.1)), Answered("tier", "sonnet", CallError("server", "m", "x."))])
    assert isinstance(ended, Trace)
    assert ended.model_used == "nano"


OUTCOMES = st.one_of(
    st.builds(reply, confidence=st.floats(0, 1)),
    st.just(Reply("m", "no idea", None, Usage(1, 1), Cost(0.1), 50.0, "end_turn")),
    st.just(Reply("m", "Blocked.", None, Usage(1, 0), Cost(0.1), 50.0, "guardrail_intervened")),
    st.builds(lambda value: Reply("m", "", {"score": value}, Usage(1, 1), Cost(0.2), 70.0, "tool_use"), st.integers(0, 6)),
    st.sampled_from(["throttled", "server", "access", "read_timeout", "model"]).map(lambda kind: CallError(kind, "m", "x.")),
)


@given(nano=OUTCOMES, sonnet=OUTCOMES, opus=OUTCOMES, rate=st.sampled_from([0.0, 0.5, 1.0]), budget=st.sampled_from([0.0, 0.05, 0.25]))
def test_a_walk_in_instalments_is_the_walk(nano: Any, sonnet: Any, opus: Any, rate: float, budget: float) -> None:
    """Without it some order of answers and failures could be decided otherwise in the cloud than at once."""
    policy = Deployment(judge_rate=rate, ticket_budget_usd=budget, skip_keywords=("zebra",)).policy()
    outcomes = {"nano": nano, "sonnet": sonnet, "opus": opus}

    def ask(model: str, request: Request) -> Reply:
        if isinstance(outcomes[model], CallError):
            raise outcomes[model]
        return outcomes[model]

    made: list[Answered] = []
    found = resume(TICKET, policy, made)
    while isinstance(found, Wanted):
        made.append(Answered(found.purpose, found.model, outcomes[found.model]))
        found = resume(TICKET, policy, made)
    assert found == walk(TRIAGE, TICKET, policy, ask)


@given(text=st.text(max_size=20), tool=st.none() | st.dictionaries(st.text(max_size=5), st.integers() | st.none() | st.text(max_size=5), max_size=3), stop=st.sampled_from(["end_turn", "tool_use", "max_tokens"]), counts=st.none() | st.tuples(*[st.integers(0, 9999)] * 4))
def test_a_functions_reply_is_read_as_it_was(text: str, tool: Any, stop: str, counts: Any) -> None:
    """Without it a field of an answer, or cached tokens, could be lost between two functions."""
    usage = None if counts is None else Usage(*counts)
    before = Reply(model("sonnet").id, text, tool, usage, price(model("sonnet"), usage), 12.5, stop, 3, "local")
    document = json.loads(json.dumps({**reply_document(before), "Attempts": 3}))
    case = Case(ticket=TICKET, policy="p", calls=(Recorded(purpose="tier", model="sonnet", reply=document),))
    assert case.answered("sandbox")[0].outcome == before


def test_metrics_are_printed_once_and_hold_no_ticket(deployed: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """Without it a ticket's metrics could be counted at every gate, or its id become a dimension that is paid for."""
    deployed(metrics_namespace="CascadeWorkshop/test")
    waiting = handlers.gate(passed(handlers.classify(EVENT, None), reply=response({**SURE, "confidence": 0.1})), None)
    assert capsys.readouterr().out == ""
    handlers.gate(passed(waiting, reply=response(SURE)), None)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in lines] == ["CascadeWorkshop/test"] * len(lines)
    assert sum("Tickets" in json.loads(line) for line in lines) == 1
    assert "T-1" not in "".join(lines)
