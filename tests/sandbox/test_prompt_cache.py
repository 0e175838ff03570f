"""Prompt caches: what is read, written and forgotten, and how Converse reports it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from workshop_lib import catalog
from workshop_lib.sandbox.bedrock import converse
from workshop_lib.sandbox.bedrock.prompt_cache import Point, PromptCaches, Use

NANO, SONNET, OPUS = (catalog.model(key).id for key in ("nano", "sonnet", "opus"))
LONG = "You sort support tickets by what they are about. " * 200
POINT: dict[str, Any] = {"cachePoint": {"type": "default"}}
HOUR: dict[str, Any] = {"cachePoint": {"type": "default", "ttl": "1h"}}


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock of the test's own."""
    return Clock()


@pytest.fixture
def caches(clock: Clock) -> PromptCaches:
    """Give empty caches that follow the clock."""
    return PromptCaches(clock)


def point(name: str, tokens: int, ttl: str = "5m", before: tuple[str, ...] = ()) -> Point:
    """Return a cache point after the named prefix."""
    return Point(tuple(part.encode() for part in (*before, name)), tokens, ttl)


def test_a_prefix_is_written_once_and_read_after(caches: PromptCaches) -> None:
    """Without it every request would pay for the same prefix again, or the first would read what nobody wrote."""
    assert caches.use("s", SONNET, [point("a", 2000)]) == Use(0, (("5m", 2000),))
    assert caches.use("s", SONNET, [point("a", 2000)]) == Use(2000)
    assert caches.use("s", SONNET, [point("b", 2000)]) == Use(0, (("5m", 2000),))


def test_a_longer_prefix_writes_only_what_is_new(caches: PromptCaches) -> None:
    """Without it a growing conversation would be charged for its whole history in every turn."""
    caches.use("s", SONNET, [point("a", 2000)])
    assert caches.use("s", SONNET, [point("a", 2000), point("b", 2600)]) == Use(2000, (("5m", 600),))
    assert caches.use("s", SONNET, [point("c", 3000, before=("a", "b", "x"))]) == Use(2600, (("5m", 400),))


def test_scopes_and_models_have_caches_of_their_own(caches: PromptCaches) -> None:
    """Without it tests and learners that share a sandbox would read each other's prefixes."""
    caches.use("s", SONNET, [point("a", 5000)])
    assert caches.use("other", SONNET, [point("a", 5000)]).read == 0
    assert caches.use("s", OPUS, [point("a", 5000)]).read == 0


@pytest.mark.parametrize(("ttl", "seconds"), [("5m", 300), ("1h", 3600)])
def test_a_prefix_lives_for_its_time_and_a_hit_renews_it(caches: PromptCaches, clock: Clock, ttl: str, seconds: int) -> None:
    """Without it a cache would never end, or end while it is used."""
    caches.use("s", SONNET, [point("a", 2000, ttl)])
    clock.now = seconds - 1
    assert caches.use("s", SONNET, [point("a", 2000, ttl)]).read == 2000
    clock.now += seconds - 1
    assert caches.use("s", SONNET, [point("a", 2000, ttl)]).read == 2000
    clock.now += seconds
    assert caches.use("s", SONNET, [point("a", 2000, ttl)]).read == 0


def test_a_short_prefix_is_not_cached(caches: PromptCaches) -> None:
    """Without it caching would seem to pay for prompts that the real service does not cache."""
    for _ in range(2):
        assert caches.use("s", SONNET, [point("a", 1023)]) == Use()
    assert caches.use("s", OPUS, [point("a", 4095)]) == Use()


def test_the_caches_stay_bounded(clock: Clock) -> None:
    """Without it a sandbox that runs for days would grow with every prompt."""
    caches = PromptCaches(clock, most=3)
    for name in "abcd":
        caches.use("s", SONNET, [point(name, 2000)])
    assert len(caches) == 3
    assert caches.use("s", SONNET, [point("a", 2000)]).read == 0
    assert caches.use("s", SONNET, [point("d", 2000)]).read == 2000


def ask(bedrock: Any, scope: str, question: str, **more: Any) -> Any:
    """Ask a question after a long system prompt with a cache point."""
    request = {
        "modelId": SONNET,
        "system": [{"text": LONG}, POINT],
        "messages": [{"role": "user", "content": [{"text": question}]}],
        "requestMetadata": {"scope": scope},
        **more,
    }
    return bedrock.converse(**request)


def test_cached_tokens_are_reported_apart_from_input_tokens(bedrock: Any, scope: str) -> None:
    """Without it a learner could not price caching, or would pay for cached tokens twice."""
    plain = ask(bedrock, scope, "What is 2 + 2?", system=[{"text": LONG}])
    first, second = (ask(bedrock, scope, "What is 2 + 2?") for _ in range(2))
    other = ask(bedrock, scope, "What is 3 + 3?")
    whole = plain["usage"]["inputTokens"]
    written = first["usage"]["cacheWriteInputTokens"]
    assert "cacheReadInputTokens" not in plain["usage"]
    assert written > 1024
    assert first["usage"] | {"outputTokens": 0} == {
        "inputTokens": whole - written,
        "outputTokens": 0,
        "totalTokens": plain["usage"]["totalTokens"],
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": written,
        "cacheDetails": [{"ttl": "5m", "inputTokens": written}],
    }
    assert second["usage"]["cacheReadInputTokens"] == other["usage"]["cacheReadInputTokens"] == written
    assert second["usage"]["cacheWriteInputTokens"] == 0
    assert "cacheDetails" not in second["usage"]
    assert second["usage"]["totalTokens"] == plain["usage"]["totalTokens"]
    assert first["output"] == second["output"] == plain["output"]


def test_a_stream_reports_the_cache_too(bedrock: Any, scope: str) -> None:
    """Without it streamed calls would neither read nor fill the cache."""
    request: dict[str, Any] = {
        "modelId": SONNET,
        "system": [{"text": LONG}, HOUR],
        "messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}],
        "requestMetadata": {"scope": scope},
    }
    usages = [list(bedrock.converse_stream(**request)["stream"])[-1]["metadata"]["usage"] for _ in range(2)]
    assert usages[0]["cacheDetails"] == [{"ttl": "1h", "inputTokens": usages[0]["cacheWriteInputTokens"]}]
    assert usages[1]["cacheReadInputTokens"] == usages[0]["cacheWriteInputTokens"]


def test_points_in_tools_system_and_messages_are_in_one_order(bedrock: Any, scope: str) -> None:
    """Without it a point in the tools or in a message would be ignored, or counted from the wrong end."""
    tools = [{"toolSpec": {"name": "note", "description": LONG, "inputSchema": {"json": {"type": "object"}}}}, HOUR]
    messages = [{"role": "user", "content": [{"text": LONG}, POINT, {"text": "What is 2 + 2?"}]}]
    reply = ask(bedrock, scope, "", toolConfig={"tools": tools}, messages=messages)
    details = reply["usage"]["cacheDetails"]
    assert [detail["ttl"] for detail in details] == ["1h", "5m"]
    assert sum(detail["inputTokens"] for detail in details) == reply["usage"]["cacheWriteInputTokens"]
    longer = [*messages, {"role": "assistant", "content": [{"text": "4"}]}, {"role": "user", "content": [{"text": "And 3 + 3?"}, POINT]}]
    again = ask(bedrock, scope, "", toolConfig={"tools": tools}, messages=longer)
    assert again["usage"]["cacheReadInputTokens"] == reply["usage"]["cacheWriteInputTokens"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"modelId": NANO}, "AccessDeniedException", "did not allow prompt caching"),
        ({"system": [{"text": "a"}, POINT] * 5}, "ValidationException", "maximum of 4 blocks"),
        ({"system": [{"text": "a"}, POINT, {"text": "b"}, HOUR]}, "ValidationException", "ttl='1h'"),
        ({"messages": [{"role": "user", "content": [POINT]}]}, "ValidationException", "nothing before its cachePoint"),
    ],
)
def test_cache_points_that_the_service_refuses(bedrock: Any, scope: str, change: dict[str, Any], code: str, words: str) -> None:
    """Without it a request that fails live would work here."""
    with pytest.raises(ClientError) as caught:
        ask(bedrock, scope, "x", **change)
    assert caught.value.response["Error"]["Code"] == code
    assert words in caught.value.response["Error"]["Message"]


def test_a_request_that_is_not_answered_writes_nothing(caches: PromptCaches) -> None:
    """Without it a throttled call would leave a prefix in the cache that nobody paid for."""
    body = {"system": [{"text": LONG}, POINT], "messages": [{"role": "user", "content": [{"text": "x"}]}]}
    converse.exchange(catalog.model("sonnet"), body, 0, streaming=False, caches=caches)
    assert len(caches) == 0
