"""A paced provider: what is reserved is settled, refusals slow one model only, and every send is counted."""

import threading
import time
from dataclasses import replace

import pytest

from workshop_lib import catalog
from workshop_lib.bulk.paced import CallLimitReached, Paced, Pacers
from workshop_lib.bulk.pacing import Limit, Stopped
from workshop_lib.llm import CallError, Request, Usage
from workshop_lib.llm.tokens import reserved_tokens
from workshop_lib.llm.types import Guardrail, RawReply, Screened

NANO, SONNET = catalog.model("nano"), catalog.model("sonnet")
REQUEST = Request(prompt="x" * 300, max_tokens=300)
REPLY = RawReply(text="", tool_input={}, usage=Usage(100, 20, cache_write_tokens=5), latency_ms=1.0, stop_reason="tool_use")


class Scripted:
    """A provider that answers or fails as told, and remembers how many calls were under way at once."""

    def __init__(self, *outcomes: RawReply | CallError) -> None:
        self.outcomes = list(outcomes)
        self.most = self.now = 0
        self.lock = threading.Lock()
        self.release = threading.Event()
        self.release.set()

    def send(self, model: catalog.Model, request: Request) -> RawReply:
        """Take the next outcome; the last one is repeated."""
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        self.release.wait(10)
        with self.lock:
            self.now -= 1
        if isinstance(outcome, CallError):
            raise outcome
        return outcome


def test_a_refusal_slows_its_own_model_only_and_is_counted() -> None:
    """Without it a throttled cheap tier would slow the strong one, or a refusal go unnoticed."""
    pacers = Pacers()
    provider = Paced(Scripted(CallError("throttled", NANO.id, "slow down"), REPLY), pacers)
    with pytest.raises(CallError):
        provider.send(NANO, REQUEST)
    provider.send(SONNET, REQUEST)
    assert pacers.pacer("nano").per_second == 1.0
    assert pacers.pacer("sonnet").per_second is None
    assert (pacers.counts["nano"].sends, pacers.counts["nano"].throttled) == (1, 1)
    assert (pacers.counts["sonnet"].sends, pacers.counts["sonnet"].throttled) == (1, 0)


@pytest.mark.parametrize(
    ("model", "usage", "used"),
    [
        (NANO, Usage(100, 20, cache_read_tokens=999, cache_write_tokens=5), 125),
        (SONNET, Usage(100, 20), 200),
        (NANO, None, reserved_tokens(NANO, REQUEST)),
    ],
)
def test_a_call_counts_for_what_it_used(model: catalog.Model, usage: Usage | None, used: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it quota would be counted without the burndown of Claude's output, or a lost usage be free."""
    pacers = Pacers()
    settled: list[tuple[float, float]] = []
    monkeypatch.setattr(pacers.pacer(model.key), "settled", lambda reserved, spent: settled.append((reserved, spent)))
    Paced(Scripted(replace(REPLY, usage=usage)), pacers).send(model, REQUEST)
    assert settled == [(reserved_tokens(model, REQUEST), used)]


def test_a_tier_has_no_more_calls_under_way_than_it_may() -> None:
    """Without it the bound of one tier would only be that of the run."""
    inner = Scripted(REPLY)
    inner.release.clear()
    provider = Paced(inner, Pacers(at_once={"nano": 3}))
    threads = [threading.Thread(target=provider.send, args=(NANO, REQUEST)) for _ in range(10)]
    for thread in threads:
        thread.start()
    while inner.now < 3:
        time.sleep(0.001)
    inner.release.set()
    for thread in threads:
        thread.join(10)
    assert inner.most == 3


def test_no_call_is_made_beyond_the_limit_of_the_run() -> None:
    """Without it --max-calls would be a wish."""
    pacers = Pacers(max_calls=2)
    provider = Paced(Scripted(REPLY), pacers)
    provider.send(NANO, REQUEST)
    provider.send(SONNET, REQUEST)
    with pytest.raises(CallLimitReached):
        provider.send(NANO, REQUEST)
    assert sum(count.sends for count in pacers.counts.values()) == 2


def test_after_a_stop_nothing_is_sent() -> None:
    """Without it calls would go out after the run was told to end."""
    pacers = Pacers({"nano": Limit(rpm=0.01)})
    provider = Paced(Scripted(REPLY), pacers)
    provider.send(NANO, REQUEST)
    pacers.stop()
    with pytest.raises(Stopped):
        provider.send(NANO, REQUEST)


def test_a_guardrail_is_paced_and_counted_on_its_own() -> None:
    """Without it a throttled guardrail would slow the models, or its calls be hidden from the summary."""

    class Guarding(Scripted):
        def screen(self, guardrail: Guardrail, text: str, source: str) -> Screened:
            return Screened(False, text, 1)

    pacers = Pacers()
    provider = Paced(Guarding(REPLY), pacers)
    assert provider.screen(Guardrail("g", "1"), "text", "OUTPUT").text == "text"
    assert pacers.snapshot()["guardrail"].sends == 1
    with pytest.raises(TypeError, match="cannot ask a guardrail"):
        Paced(Scripted(REPLY), pacers).screen(Guardrail("g", "1"), "text", "OUTPUT")


def test_a_stop_ends_a_wait() -> None:
    """Without it a run that is told to end would sleep on between retries."""
    pacers = Pacers()
    pacers.stop()
    pacers.sleep(1000.0)
