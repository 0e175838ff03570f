"""Faults on demand and the ledger, through plain clients and with a hand-turned clock."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from workshop_lib import catalog
from workshop_lib.errors import UnknownModelError
from workshop_lib.sandbox.faults import Arrival, Failure, Fault, Faults
from workshop_lib.sandbox.ledger import Ledger

NANO, SONNET = catalog.model("nano"), catalog.model("sonnet")
Call = Callable[..., tuple[int, dict[str, str], Any]]


def converse(bedrock: Any, scope: str, text: str = "hello", model: str = NANO.id) -> Any:
    """Make one call in a scope."""
    return bedrock.converse(
        modelId=model, messages=[{"role": "user", "content": [{"text": text}]}], requestMetadata={"scope": scope}
    )


def failure(faults: Faults, model: catalog.Model, key: bytes = b"k") -> Failure | None:
    """Return how a request with this content fails."""
    return faults.plan(model, None, Arrival(key), "").failure


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    """Without it "throttle at 2 per second" would not mean what lab 04 measures."""
    now = 0.0
    faults = Faults(clock=lambda: now)
    faults.add(Fault(throttle_rps=2, burst=3, model="nano"))
    passed = [failure(faults, NANO) is None for _ in range(5)]
    assert passed == [True, True, True, False, False]
    refused = failure(faults, NANO)
    assert refused is not None
    assert (refused.kind, refused.retry_after_ms) == ("throttled", 500)
    now = 0.5
    assert [failure(faults, NANO) is None for _ in range(2)] == [True, False]
    assert failure(faults, SONNET) is None


def test_an_error_rate_draws_anew_for_every_attempt_and_the_same_on_every_run() -> None:
    """Without it a retry could never succeed, or a lab's count of retries would change from run to run."""

    def outcomes() -> list[bool]:
        faults = Faults()
        faults.add(Fault(error_rate=0.5))
        return [failure(faults, NANO, f"key {number}".encode()) is None for number in range(200) for _ in range(2)]

    assert outcomes() == outcomes()
    assert 140 < sum(outcomes()) < 260
    first, second = outcomes()[::2], outcomes()[1::2]
    assert any(not one and other for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("fault", [{}, {"burst": 3}, {"throttle_rps": 0}, {"error_rate": 2}, {"poison": ""}, {"explode": True}])
def test_a_fault_that_says_nothing_sensible_is_refused(fault: dict[str, Any]) -> None:
    """Without it a typo in a fault would leave the labs without the fault they teach."""
    with pytest.raises(ValidationError):
        Fault.model_validate(fault)


def test_a_fault_on_an_unknown_model_is_refused(call: Call) -> None:
    """Without it a fault on a misspelt model would never fire."""
    with pytest.raises(UnknownModelError):
        Fault(error_rate=1, model="nanno")
    status, _, answer = call("POST", "/sandbox/faults", {"error_rate": 1, "model": "nanno"})
    assert status == 400
    assert "nano" in answer["message"]


def test_throttling_is_the_services_own_error_with_a_delay(bedrock: Any, call: Call, scope: str) -> None:
    """Without it neither the exception nor the delay that a retry loop reads would be there."""
    call("POST", "/sandbox/faults", {"scope": scope, "throttle_rps": 0.001, "burst": 2})
    converse(bedrock, scope)
    converse(bedrock, scope)
    with pytest.raises(bedrock.exceptions.ThrottlingException) as caught:
        converse(bedrock, scope)
    assert int(caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-retry-after"]) > 0
    converse(bedrock, f"{scope}-other")


def test_throttling_reaches_openai_as_a_rate_limit(chat: openai.OpenAI, call: Call, scope: str) -> None:
    """Without it the same lesson could not be taught on NIM."""
    call("POST", "/sandbox/faults", {"scope": scope, "throttle_rps": 0.001, "burst": 1})
    headers = {"x-workshop-scope": scope}

    def ask() -> Any:
        return chat.chat.completions.create(
            model="meta/llama-3.1-8b-instruct", messages=[{"role": "user", "content": "x"}], extra_headers=headers
        )

    ask()
    with pytest.raises(openai.RateLimitError) as caught:
        ask()
    assert float(caught.value.response.headers["retry-after"]) > 0


def test_a_poisoned_text_always_fails_and_others_do_not(bedrock: Any, call: Call, scope: str) -> None:
    """Without it the one ticket that must not end a bulk run could not be made."""
    call("POST", "/sandbox/faults", {"scope": scope, "poison": "BAD-TICKET"})
    for _ in range(2):
        with pytest.raises(bedrock.exceptions.ValidationException):
            converse(bedrock, scope, "this is BAD-TICKET 7")
    assert converse(bedrock, scope, "this is a good ticket")["stopReason"] == "end_turn"


def test_the_ledger_adds_up(bedrock: Any, chat: openai.OpenAI, call: Call, scope: str) -> None:
    """Without it "requests sent = requests accounted" could not be proven."""
    replies = [
        converse(bedrock, scope, f"question {number}", model) for number, model in enumerate([NANO.id, NANO.id, SONNET.id])
    ]
    call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1, "model": "nano"})
    with pytest.raises(bedrock.exceptions.InternalServerException):
        converse(bedrock, scope)
    call("DELETE", f"/sandbox/faults?scope={scope}")
    call("POST", "/sandbox/faults", {"scope": scope, "throttle_rps": 0.001, "burst": 1})
    converse(bedrock, scope)
    with pytest.raises(ClientError):
        converse(bedrock, scope)
    with pytest.raises(ClientError):
        converse(bedrock, scope, " ")
    ledger = call("GET", f"/sandbox/ledger?scope={scope}")[2]
    nano, sonnet = ledger["models"][NANO.id], ledger["models"][SONNET.id]
    assert (nano["calls"], nano["ok"], nano["throttled"], nano["errors"]) == (6, 3, 1, 2)
    usage = replies[2]["usage"]
    assert (sonnet["input_tokens"], sonnet["output_tokens"]) == (usage["inputTokens"], usage["outputTokens"])
    assert sonnet["usd"] == pytest.approx(SONNET.price.usd(usage["inputTokens"], usage["outputTokens"]))
    assert ledger["total"]["calls"] == nano["calls"] + sonnet["calls"]
    call("POST", f"/sandbox/ledger/reset?scope={scope}")
    assert call("GET", f"/sandbox/ledger?scope={scope}")[2]["models"] == {}


def test_an_address_names_a_scope_or_nothing(call: Call, scope: str) -> None:
    """Without it a typo in the address would end every lab's faults or forget every lab's sums."""
    call("POST", "/sandbox/faults", {"scope": scope, "error_rate": 1})
    for method, path in (("DELETE", "faults"), ("GET", "faults"), ("GET", "ledger"), ("POST", "ledger/reset")):
        for query in (f"scop={scope}", f"scope={scope}&scope=other"):
            assert call(method, f"/sandbox/{path}?{query}")[0] == 400
    assert call("POST", f"/sandbox/faults?scope={scope}", {"error_rate": 1})[0] == 400
    assert call("GET", f"/sandbox/faults?scope={scope}")[2]["faults"] == [{"scope": scope, "error_rate": 1.0, "kind": "server"}]
    assert call("GET", "/sandbox/faults?scope=another")[2]["faults"] == []
    assert call("DELETE", "/sandbox/faults?scope=")[2]["ended"] == 0  # only those without a scope
    assert call("DELETE", f"/sandbox/faults?scope={scope}")[2]["ended"] == 1


def test_the_ledger_stays_small_however_many_scopes_there_are() -> None:
    """Without it a scope per ticket would grow the server's memory for ever."""
    ledger = Ledger()
    for number in range(3000):
        ledger.record(NANO, f"scope {number}", "ok", 1, 1)
    assert ledger.summary()["total"]["calls"] == 3000  # type: ignore[index]
    assert len(ledger._accounts) <= 1001
