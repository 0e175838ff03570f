"""One Converse call: the arguments botocore accepts, the response read, the failure put in our words."""

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore import exceptions as bc
from botocore.validate import ParamValidator

from workshop_lib import catalog
from workshop_lib.llm import CallError, Guardrail, Request, Usage, bedrock
from workshop_lib.llm.errors import MAYBE_BILLED, RETRYABLE
from workshop_lib.settings import Settings, load
from workshop_lib.tasks import QUESTIONS, TRIAGE, Question, Ticket

NANO = catalog.model("nano")
TICKET = Ticket(id="T-1", subject="Two invoices", body="We were charged twice.", customer_tier="pro")
REQUESTS = [TRIAGE.request(TICKET), QUESTIONS.request(Question(id="Q-1", question="2+2?")), Request("hi", guardrail=Guardrail("gr-1", "7"))]
Make = Callable[..., Settings]


@pytest.fixture(scope="module")
def provider(running_server: Any) -> bedrock.Bedrock:
    """One provider for all calls here: a client takes a while to make."""
    return bedrock.Bedrock(load(backend="sandbox", region="us-west-2", bedrock_endpoint=running_server.url))


@pytest.fixture(scope="module")
def input_shape() -> Any:
    """Converse's input, as botocore's service model defines it."""
    return botocore.session.Session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape


@pytest.mark.parametrize("request_", REQUESTS, ids=["triage", "question", "guardrail"])
@pytest.mark.parametrize("key", list(catalog.models()))
def test_botocore_accepts_the_arguments(input_shape: Any, key: str, request_: Request) -> None:
    """Without it a wrong field name would be found by the first call of a lab."""
    model = catalog.model(key)
    arguments = bedrock.converse_arguments(model, request_)
    assert ParamValidator().validate(arguments, input_shape).generate_report() == ""
    assert set(arguments) <= set(input_shape.members)
    assert ("temperature" in arguments["inferenceConfig"]) is model.accepts_temperature


def test_the_tool_is_forced_and_the_item_travels_as_metadata() -> None:
    """Without it a model could answer in prose, and a call could not be found again in the invocation log."""
    arguments = bedrock.converse_arguments(NANO, TRIAGE.request(TICKET))
    assert arguments["toolConfig"]["toolChoice"] == {"tool": {"name": "route_ticket"}}
    assert arguments["requestMetadata"] == {"ticket": "T-1"}
    assert arguments["inferenceConfig"] == {"maxTokens": 300, "temperature": 0.0}


def test_a_guardrail_is_traced() -> None:
    """Without it an intervention could not be explained."""
    arguments = bedrock.converse_arguments(NANO, REQUESTS[2])
    assert arguments["guardrailConfig"] == {"guardrailIdentifier": "gr-1", "guardrailVersion": "7", "trace": "enabled"}


def response(content: list[dict[str, Any]], stop: str = "end_turn", **changed: Any) -> dict[str, Any]:
    """Return a Converse response."""
    usage = {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}
    whole = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 7}}
    return {**whole, **changed}


TOOL = {"toolUse": {"toolUseId": "t1", "name": "route_ticket", "input": {"category": "billing"}}}


def test_a_tool_call_is_read() -> None:
    """Without it the arguments, usage or latency of the usual reply would be lost."""
    reply = bedrock.read(response([TOOL], "tool_use"))
    assert (reply.tool_input, reply.text, reply.stop_reason, reply.latency_ms) == ({"category": "billing"}, "", "tool_use", 7)
    assert reply.usage == Usage(100, 20)


def test_text_is_read() -> None:
    """Without it the small model, which often answers in text, would seem to say nothing."""
    reply = bedrock.read(response([{"text": '{"cat'}, {"text": 'egory": 1}'}]))
    assert (reply.tool_input, reply.text) == (None, '{"category": 1}')


def test_a_mixed_reply_keeps_both() -> None:
    """Without it reasoning or text beside the tool call would hide the call."""
    blocks = [{"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "I route it."}, TOOL]
    reply = bedrock.read(response(blocks, "tool_use"))
    assert (reply.text, reply.tool_input) == ("I route it.", {"category": "billing"})


def test_cached_tokens_are_read_apart() -> None:
    """Without it cached tokens would be charged at the full price, or not at all."""
    usage = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 10, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 4}
    assert bedrock.read(response([], usage=usage)).usage == Usage(1, 2, 3, 4)


@pytest.mark.parametrize("usage", [None, {}, {"totalTokens": 5}, {"inputTokens": 5}])
def test_missing_usage_is_none(usage: Any) -> None:
    """Without it a reply of unknown cost would count as free."""
    assert bedrock.read(response([], usage=usage)).usage is None


def test_a_guardrail_intervention_is_a_stop_reason() -> None:
    """Without it the guardrail's canned text would pass for the model's answer."""
    assert bedrock.read(response([{"text": "I cannot help."}], "guardrail_intervened")).stop_reason == "guardrail_intervened"


@pytest.mark.parametrize("body", [{}, {"message": "<html>"}, {"output": {}}, {"output": {"message": {}}}, response([{"toolUse": {"name": "x"}}], "tool_use")])
def test_a_body_that_is_no_converse_response_is_an_unusable_reply(body: dict[str, Any]) -> None:
    """Without it a gateway's 200 with a web page would be a KeyError that takes the whole walk with it."""
    reply = bedrock.read(body)
    assert (reply.text, reply.tool_input) == ("", None)


def test_two_hundred_with_a_web_page(server: Any, provider: bedrock.Bedrock) -> None:
    """Without it a captive portal's page would end a run with a KeyError."""
    server.then(type(server.answers[0])(200, b"<html>Please log in</html>", {"Content-Type": "text/html"}))
    reply = provider.send(NANO, Request("hi"))
    assert (reply.stop_reason, reply.usage) == ("malformed_model_output", None)


ERROR = "http://internal.amazon.com/coral/com.amazon.bedrock/"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "ThrottlingException", "throttled"),
        (429, "ModelNotReadyException", "throttled"),
        (500, "InternalServerException", "server"),
        (503, "ServiceUnavailableException", "server"),
        (400, "ValidationException", "validation"),
        (400, "ServiceQuotaExceededException", "validation"),
        (403, "AccessDeniedException", "access"),
        (403, "UnrecognizedClientException", "access"),
        (403, "InvalidSignatureException", "access"),
        (404, "ResourceNotFoundException", "not_found"),
        (408, "ModelTimeoutException", "model"),
        (424, "ModelErrorException", "model"),
        (429, None, "throttled"),
        (503, None, "server"),
        (502, None, "server"),
        (403, None, "access"),
        (404, None, "not_found"),
    ],
)
def test_every_error_shape_has_its_kind(server: Any, provider: bedrock.Bedrock, status: int, code: str | None, kind: str) -> None:
    """Without it a throttled call might not be retried, or a forbidden one might be."""
    answer = type(server.answers[0])
    if code is None:
        server.then(answer(status))
    else:
        server.then(answer(status, {"message": "as the service says"}, {"x-amzn-ErrorType": f"{code}:{ERROR}"}))
    with pytest.raises(CallError) as caught:
        provider.send(NANO, Request("hi"))
    assert caught.value.kind == kind
    assert str(caught.value).startswith("nvidia.nemotron-nano-3-30b: ")
    assert "\n" not in str(caught.value)


def test_the_delay_the_server_asks_for_is_in_milliseconds(server: Any, provider: bedrock.Bedrock) -> None:
    """Without it a 1.5 s wait would be ignored or become 25 minutes."""
    answer = type(server.answers[0])
    server.then(
        answer(429, {"message": "slow"}, {"x-amzn-ErrorType": "ThrottlingException", "x-amz-retry-after": "1500"}),
        answer(429, {"message": "slow"}, {"x-amzn-ErrorType": "ThrottlingException", "x-amz-retry-after": "soon"}),
    )
    for wanted in (1.5, None):
        with pytest.raises(CallError) as caught:
            provider.send(NANO, Request("hi"))
        assert caught.value.retry_after_s == wanted


def test_a_web_page_as_error_message_is_cut_to_one_line(server: Any, provider: bedrock.Bedrock) -> None:
    """Without it a gateway's 502 page would fill the screen and every log line."""
    server.then(type(server.answers[0])(502, b"<html>\n" + b"<p>sorry\n" * 5000, {"Content-Type": "text/html"}))
    with pytest.raises(CallError) as caught:
        provider.send(NANO, Request("hi"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_half_an_answer_is_an_unusable_reply_of_unknown_cost(server: Any, provider: bedrock.Bedrock) -> None:
    """Without it a body cut off on the way, which botocore hands over as an empty response, would be a KeyError."""
    server.then(type(server.answers[0])(body=response([{"text": "hello"}]), cut_at=30))
    reply = provider.send(NANO, Request("hi"))
    assert (reply.text, reply.usage, reply.stop_reason) == ("", None, "malformed_model_output")


def test_a_dropped_connection(server: Any, provider: bedrock.Bedrock) -> None:
    """Without it a call whose answer was lost would not be retried, or would count as certainly free."""
    server.then(type(server.answers[0])(hang_up=True))
    with pytest.raises(CallError) as caught:
        provider.send(NANO, Request("hi"))
    assert (caught.value.kind, caught.value.retryable, caught.value.maybe_billed) == ("disconnected", True, True)


def test_nothing_listens(sandboxed: Make) -> None:
    """Without it a dead sandbox would be retried for a minute, and nobody would be told to restart it."""
    with pytest.raises(CallError, match=r"lab\.reconnect\(\)") as caught:
        bedrock.Bedrock(sandboxed(bedrock_endpoint="http://127.0.0.1:9")).send(NANO, Request("hi"))
    assert (caught.value.kind, caught.value.retryable) == ("unreachable", False)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (bc.ConnectTimeoutError(endpoint_url="u"), "connect_timeout"),
        (bc.ReadTimeoutError(endpoint_url="u"), "read_timeout"),
        (bc.ConnectionClosedError(endpoint_url="u"), "disconnected"),
        (bc.HTTPClientError(error="boom"), "disconnected"),
        (bc.EndpointConnectionError(endpoint_url="u"), "unreachable"),
        (bc.ProxyConnectionError(proxy_url="u"), "unreachable"),
        (bc.SSLError(endpoint_url="u", error="self-signed"), "unreachable"),
        (bc.ParamValidationError(report="r"), "validation"),
        (bc.NoCredentialsError(), "access"),
        (bc.UnauthorizedSSOTokenError(), "access"),
        (bc.CredentialRetrievalError(provider="p", error_msg="e"), "access"),
    ],
)
def test_every_failure_without_an_answer_has_its_kind(error: bc.BotoCoreError, kind: str) -> None:
    """Without it a certificate problem would be reported as missing access, or a timeout be retried at double cost."""
    assert bedrock.translate(error, "m").kind == kind


def test_what_is_retried_and_what_may_be_billed() -> None:
    """Without it somebody could make validation errors or read timeouts retryable unnoticed."""
    assert {"throttled", "server", "connect_timeout", "disconnected"} == RETRYABLE
    assert {"disconnected", "read_timeout", "model"} == MAYBE_BILLED


def test_a_request_botocore_refuses_is_a_validation_error(server: Any, provider: bedrock.Bedrock) -> None:
    """Without it a wrong parameter would be a botocore traceback, after a call."""
    with pytest.raises(CallError) as caught:
        provider.send(NANO, Request("hi", max_tokens=0))
    assert (caught.value.kind, server.seen) == ("validation", [])
    assert "\n" not in str(caught.value)
