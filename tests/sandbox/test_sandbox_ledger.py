"""The ledger: requests sent are requests accounted, by call, by attempt and by tag."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from workshop_lib import catalog
from workshop_lib.sandbox.ledger import Ledger

NANO, SONNET = catalog.model("nano"), catalog.model("sonnet")


def test_an_sdks_retries_are_attempts_of_one_call(sandbox: object, call: object, scope: str) -> None:
    """Without it "sent" and "asked" could not be told apart, and doubled retries would stay unseen."""
    assert callable(call)
    client = boto3.client("bedrock-runtime", config=Config(retries={"total_max_attempts": 3, "mode": "standard"}, signature_version="v4"))
    call("POST", "/sandbox/faults", {"scope": scope, "script": ["unavailable", "server"]})
    ask = {"messages": [{"role": "user", "content": [{"text": "hello"}]}], "requestMetadata": {"scope": scope, "lab": "04", "team": "blue"}}
    answer = client.converse(modelId=NANO.id, **ask)
    with pytest.raises(ClientError):
        client.converse(modelId=NANO.id, **{**ask, "messages": [{"role": "assistant", "content": [{"text": "hello"}]}]})
    found = call("GET", f"/sandbox/ledger?scope={scope}")[2]
    total = found["total"]
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert (total["attempts"], total["calls"], total["ok"], total["errors"]) == (4, 2, 1, 3)
    assert total["sources"] == {"stand-in": 1}
    assert {tag: account["attempts"] for tag, account in found["tags"].items()} == {f"scope={scope}": 4, "lab=04": 4, "team=blue": 4}
    assert found["tags"]["team=blue"]["usd"] == total["usd"] > 0


def test_cached_tokens_are_counted_apart_and_priced_as_such() -> None:
    """Without it a prompt cache would look free, or as dear as none."""
    ledger = Ledger()
    ledger.record(SONNET, "s", "ok", 10, 20, cache_read=1000, cache_write=100, source="local")
    account = ledger.summary("s")["total"]
    assert isinstance(account, dict)
    assert (account["cache_read_tokens"], account["cache_write_tokens"], account["sources"]) == (1000, 100, {"local": 1})
    assert account["usd"] == pytest.approx(SONNET.price.usd(10, 20, 1000, 100))


def test_memory_stays_bounded_however_many_tags_and_calls_there_are() -> None:
    """Without it a ticket id per request would grow the server for ever."""
    ledger = Ledger()
    for number in range(12_000):
        ledger.record(NANO, "s", "ok", 1, 1, tags={"ticket": str(number)}, invocation=str(number))
    found = ledger.summary("s")
    assert isinstance(found["tags"], dict)
    assert len(found["tags"]) == 1000
    assert len(ledger._calls) == 10_000
    assert found["total"]["calls"] == 12_000  # type: ignore[index]


def test_the_clients_own_retries_are_told_by_their_count() -> None:
    """Without it a client that names no invocation would never have retried."""
    ledger = Ledger()
    for attempt in (1, 2, 3, 1):
        ledger.record(NANO, "s", "errors", attempt=attempt)
    assert ledger.summary("s")["total"]["calls"] == 2  # type: ignore[index]
