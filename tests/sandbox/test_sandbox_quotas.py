"""Quotas: requests per minute, and tokens reserved at the start and settled at the end, with a hand-turned clock and through clients."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config
from pydantic import ValidationError

from workshop_lib import catalog
from workshop_lib.sandbox import process
from workshop_lib.sandbox.ask import Completion
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.quotas import Admission, Quota, Quotas

NANO, SONNET = catalog.model("nano"), catalog.model("sonnet")
Call = Callable[..., tuple[int, dict[str, str], Any]]


class Clock:
    """A clock turned by hand, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


def admitted(found: Admission | Failure) -> Admission:
    """Return an admission, or fail the test."""
    assert isinstance(found, Admission), found
    return found


def refused(found: Admission | Failure) -> Failure:
    """Return a refusal, or fail the test."""
    assert isinstance(found, Failure), found
    return found


def test_requests_per_minute_come_back_evenly(clock: Clock) -> None:
    """Without it a minute's requests would come back all at once, or never."""
    quotas = Quotas(clock)
    quotas.add(Quota(model="nano", rpm=60))
    for _ in range(60):
        admitted(quotas.admit(NANO, None, 10, 10))
    assert refused(quotas.admit(NANO, None, 10, 10)).retry_after_ms == 1000
    clock.now = 1.0
    admitted(quotas.admit(NANO, None, 10, 10))
    refused(quotas.admit(NANO, None, 10, 10))
    assert not quotas.limit(SONNET, None)


def test_max_tokens_are_reserved_at_the_start_and_given_back_at_the_end(clock: Clock) -> None:
    """Without it the lesson that a high maxTokens costs throughput would not be true here."""
    quotas = Quotas(clock)
    quotas.add(Quota(model="nano", tpm=10_000))
    first = admitted(quotas.admit(NANO, None, 1000, 8000))
    refused(quotas.admit(NANO, None, 1000, 8000))
    first.settle([Completion("end_turn", 1000, 100, 1)])
    admitted(quotas.admit(NANO, None, 900, 8000))  # 10,000 - 1,100 = 8,900
    refused(quotas.admit(NANO, None, 1, 0))


def test_output_of_the_claude_4_family_counts_five_times(clock: Clock) -> None:
    """Without it the strong tier's quota would last five times too long."""
    assert (SONNET.burndown, catalog.model("opus").burndown, NANO.burndown) == (5, 5, 1)
    quotas = Quotas(clock)
    quotas.add(Quota(model="sonnet", tpm=10_000))
    admitted(quotas.admit(SONNET, None, 1000, 1000)).settle([Completion("end_turn", 1000, 1000, 1, cache_read_tokens=9_000)])
    admitted(quotas.admit(SONNET, None, 4000, 0))  # 10,000 - (1,000 + 5 * 1,000); cache reads are free
    refused(quotas.admit(SONNET, None, 1, 0))


def test_without_a_limit_of_its_own_a_request_reserves_the_models_maximum(clock: Clock) -> None:
    """Without it leaving maxTokens out would be the cheapest thing to do."""
    quotas = Quotas(clock)
    quotas.add(Quota(tpm=60_000))
    told = refused(quotas.admit(NANO, None, 10, None))
    assert "maxTokens" in told.message
    assert told.retry_after_ms == 60_000


def test_a_refused_request_takes_nothing(clock: Clock) -> None:
    """Without it requests that are turned away would use up the requests of those that are not."""
    quotas = Quotas(clock)
    quotas.add(Quota(rpm=2, tpm=100))
    for _ in range(5):
        refused(quotas.admit(NANO, None, 1000, 0))
    admitted(quotas.admit(NANO, None, 50, 0))
    admitted(quotas.admit(NANO, None, 50, 0))


@pytest.mark.parametrize("quota", [{}, {"rpm": 0}, {"tpm": -1}, {"model": "nano"}, {"rpm": 1, "day": 2}])
def test_a_quota_that_says_nothing_sensible_is_refused(quota: dict[str, Any]) -> None:
    """Without it a typo would leave no limit at all."""
    with pytest.raises(ValidationError):
        Quota.model_validate(quota)


def test_quotas_reach_both_clients_as_their_services_throttle(bedrock: Any, chat: openai.OpenAI, call: Call, scope: str) -> None:
    """Without it neither client would see the error and the delay that it reads."""
    assert call("POST", "/sandbox/quotas", {"scope": scope, "rpm": 1})[2]["quotas"]
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hello"}]}], "requestMetadata": {"scope": scope}}
    try:
        bedrock.converse(modelId=NANO.id, **ask)
        with pytest.raises(bedrock.exceptions.ThrottlingException) as caught:
            bedrock.converse(modelId=NANO.id, **ask)
        assert 0 < int(caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-retry-after"]) <= 60_000
        nim: Any = {"model": catalog.model("nim-8b").id, "messages": [{"role": "user", "content": "x"}], "extra_headers": {"x-workshop-scope": scope}}
        chat.chat.completions.create(**nim)
        with pytest.raises(openai.RateLimitError) as limited:
            chat.chat.completions.create(**nim)
        assert float(limited.value.response.headers["retry-after"]) > 0
        bedrock.converse(modelId=NANO.id, messages=ask["messages"], requestMetadata={"scope": f"{scope}-other"})
    finally:
        assert call("DELETE", f"/sandbox/quotas?scope={scope}")[2]["ended"] == 1
    assert call("GET", f"/sandbox/ledger?scope={scope}")[2]["total"]["throttled"] == 2
    bedrock.converse(modelId=NANO.id, **ask)


def test_a_quota_counts_every_client_together(sandbox: process.Address, call: Call, scope: str) -> None:
    """Without it many runs at once would each have the quota for themselves, and learn nothing of sharing one."""
    call("POST", "/sandbox/quotas", {"scope": scope, "model": "sonnet", "rpm": 1})
    names = [SONNET.id, f"arn:aws:bedrock:us-west-2:111122223333:inference-profile/{SONNET.id}"] * 3
    config = Config(retries={"total_max_attempts": 1}, signature_version="v4")
    clients = [boto3.client("bedrock-runtime", config=config.merge(Config(user_agent=f"client/{number}"))) for number in range(6)]

    def ask(client: Any, name: str) -> int:
        try:
            client.converse(modelId=name, messages=[{"role": "user", "content": [{"text": "hello"}]}], requestMetadata={"scope": scope})
        except client.exceptions.ThrottlingException:
            return 429
        return 200

    try:
        with ThreadPoolExecutor(len(clients)) as at_once:
            assert sorted(at_once.map(ask, clients, names)) == [200, 429, 429, 429, 429, 429]
    finally:
        call("DELETE", f"/sandbox/quotas?scope={scope}")
    total = call("GET", f"/sandbox/ledger?scope={scope}")[2]["total"]
    assert (total["ok"], total["throttled"]) == (1, 5)


def test_a_stream_settles_too(bedrock: Any, call: Call, scope: str) -> None:
    """Without it a few streams would use up a quota that whole answers do not."""
    call("POST", "/sandbox/quotas", {"scope": scope, "tpm": 2000})
    ask: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}], "requestMetadata": {"scope": scope}, "inferenceConfig": {"maxTokens": 1500}}
    try:
        for _ in range(3):
            assert list(bedrock.converse_stream(modelId=NANO.id, **ask)["stream"])
    finally:
        call("DELETE", f"/sandbox/quotas?scope={scope}")
