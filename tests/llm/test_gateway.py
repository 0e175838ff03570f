"""The gateway: any model behind one call, with attempts, latency, source and a cost that knows whether it is complete."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from workshop_lib.catalog import Model
from workshop_lib.errors import SettingsError, UnknownModelError
from workshop_lib.llm import CallError, Cost, Gateway, Request, RetryPolicy, Usage, gateway
from workshop_lib.llm.types import RawReply
from workshop_lib.settings import Settings, load

REPLY = RawReply("hello", None, Usage(1000, 100), 42.0, "end_turn")


class Scripted:
    """A provider that fails as told and then answers."""

    def __init__(self, reply: RawReply = REPLY, *failures: CallError) -> None:
        self.reply, self.failures, self.asked = reply, list(failures), []

    def send(self, model: Model, request: Request) -> RawReply:
        """Note the call, then fail or answer."""
        self.asked.append(model.id)
        if self.failures:
            raise self.failures.pop(0)
        return self.reply


def gate(bedrock: Any = None, nim: Any = None) -> Gateway:
    """Return a gateway with scripted providers that does not sleep."""
    return Gateway(load(backend="sandbox"), RetryPolicy(sleep=lambda _: None), {"bedrock": bedrock or Scripted(), "nim": nim or Scripted()})


def test_a_reply_says_what_it_cost_and_where_it_came_from() -> None:
    """Without it tables could not be computed from replies."""
    reply = gate()("nano", Request("hi"))
    assert (reply.model, reply.text, reply.latency_ms, reply.attempts, reply.source) == ("nvidia.nemotron-nano-3-30b", "hello", 42.0, 1, "sandbox")
    assert reply.cost == Cost(1000 * 0.06e-6 + 100 * 0.24e-6)


@pytest.mark.parametrize(("name", "provider"), [("nano", "bedrock"), ("us.anthropic.claude-opus-4-7", "bedrock"), ("nim-8b", "nim")])
def test_a_model_goes_to_its_provider(name: str, provider: str) -> None:
    """Without it a NIM model would be asked of Bedrock."""
    providers = {"bedrock": Scripted(), "nim": Scripted()}
    gate(**providers)(name, Request("hi"))
    assert {key: len(scripted.asked) for key, scripted in providers.items()} == {"bedrock": 0, "nim": 0, provider: 1}


def test_retries_are_counted_and_make_the_cost_incomplete_if_they_may_be_billed() -> None:
    """Without it a run with lost answers would report a cost that is too low as exact."""
    throttled = gate(Scripted(REPLY, CallError("throttled", "m", "x.")))("nano", Request("hi"))
    assert (throttled.attempts, throttled.cost.complete) == (2, True)
    lost = gate(Scripted(REPLY, CallError("disconnected", "m", "x.")))("nano", Request("hi"))
    assert (lost.attempts, lost.cost.complete, lost.cost.usd) == (2, False, throttled.cost.usd)


def test_missing_usage_is_an_incomplete_cost() -> None:
    """Without it a reply without usage would be free."""
    reply = gate(Scripted(RawReply("x", None, None, 1.0, "end_turn")))("nano", Request("hi"))
    assert reply.cost == Cost(0.0, complete=False)


def test_latency_is_measured_where_the_server_reports_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it NIM replies would have no latency, or one that counts the waiting between retries."""
    clock = iter([0.0, 0.0, 10.0, 10.25])  # the call begins, its first attempt, its second after a long wait, the answer
    monkeypatch.setattr(gateway.time, "perf_counter", lambda: next(clock))
    scripted = Scripted(RawReply("x", None, REPLY.usage, None, "end_turn"), CallError("throttled", "m", "x."))
    assert gate(nim=scripted)("nim-8b", Request("hi")).latency_ms == pytest.approx(250)


def test_an_unknown_model_is_refused_before_any_call() -> None:
    """Without it a mistyped model would become a request."""
    scripted = Scripted()
    with pytest.raises(UnknownModelError, match="Did you mean nano"):
        gate(scripted)("nanno", Request("hi"))
    assert scripted.asked == []


def test_a_provider_is_connected_once_and_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it sixteen threads would build sixteen boto3 clients, and a Bedrock lab would ask for a NIM key."""
    made: list[str] = []
    start = threading.Barrier(8)

    def connect(_: Settings) -> Scripted:
        made.append("bedrock")
        return Scripted()

    monkeypatch.setattr(gateway, "_PROVIDERS", {"bedrock": connect})
    shared = Gateway(load(backend="sandbox"))

    def ask(_: int) -> str:
        start.wait(5)
        return shared("nano", Request("hi")).text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["hello"] * 8
    assert made == ["bedrock"]


def test_without_a_sandbox_the_remedy_is_named() -> None:
    """Without it the first cell of a lab would end in a traceback."""
    with pytest.raises(SettingsError, match="workshop sandbox"):
        Gateway(load(backend="sandbox"))("nano", Request("hi"))


def test_the_settings_limit_the_retries() -> None:
    """Without it WORKSHOP_MAX_RETRIES would have no effect."""
    assert Gateway(load(max_retries=1, retry_base_s=0.1, retry_cap_s=2)).policy == RetryPolicy(1, 0.1, 2)


def test_a_throttled_call_is_one_request_per_attempt(server: Any, sandboxed: Callable[..., Settings]) -> None:
    """Without it the retries of three layers could multiply: over real HTTP, four attempts are four requests."""
    server.then(type(server.answers[0])(429, {"message": "slow"}, {"x-amzn-ErrorType": "ThrottlingException"}))
    slept: list[float] = []
    with pytest.raises(CallError) as caught:
        Gateway(sandboxed(), RetryPolicy(sleep=slept.append))("nano", Request("hi"))
    assert (caught.value.attempts, len(server.seen), len(slept)) == (4, 4, 3)
    assert len({headers["amz-sdk-invocation-id"] for _, headers, _ in server.seen}) == 4


def test_every_attempt_is_given_the_time_that_is_left() -> None:
    """Without it each retry would start its time anew and the call take several times what it may."""
    now, limits = [10.0], []

    class Slow:
        """A provider that fails slowly, and answers the second time."""

        def send(self, model: Model, request: Request) -> RawReply:
            """Note the limit, let three seconds pass, then fail or answer."""
            limits.append(request.timeout_s)
            now[0] += 3.0
            if len(limits) == 1:
                raise CallError("server", model.id, "x.")
            return REPLY

    ask = Gateway(load(backend="sandbox"), RetryPolicy(base_s=0.0, sleep=lambda _: None, clock=lambda: now[0]), {"bedrock": Slow()})
    assert ask("nano", Request("hi", timeout_s=8.0)).text == "hello"
    assert limits == [8.0, 5.0]
