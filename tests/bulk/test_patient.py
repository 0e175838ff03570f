"""Patience above the retry loop: what is asked again, for how long, and that nothing billed is forgotten."""

import pytest

from workshop_lib.bulk.patient import Patience, Patient, patiently
from workshop_lib.llm import CallError, Cost, Reply, Request
from workshop_lib.llm.errors import Kind

REPLY = Reply("m", "hi", None, None, Cost(1.0), 1.0, "end_turn")


class Script:
    """An ask that fails as told and then answers, on a clock that only sleeping moves."""

    def __init__(self, *failures: CallError) -> None:
        self.failures = list(failures)
        self.asked: list[Request] = []
        self.now = 0.0
        self.slept: list[float] = []

    def ask(self, model: str, request: Request) -> Reply:
        """Fail as told, then answer."""
        self.asked.append(request)
        if self.failures:
            raise self.failures.pop(0)
        return REPLY

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds

    def patient(self) -> Patient:
        """Return this script behind patience."""
        return Patient(self.ask, Patience(sleep=self.sleep, clock=lambda: self.now))

    def run(self, request: Request | None = None) -> Reply:
        """Ask with patience."""
        return self.patient()("nano", request or Request("p"))

    def run_after_an_answer(self) -> Reply:
        """Ask with patience, of somebody who has answered before."""
        failures, self.failures = self.failures, []
        patient = self.patient()
        patient("nano", Request("p"))
        self.failures, self.asked = failures, []
        return patient("nano", Request("p"))


def failed(kind: Kind, retry_after_s: float | None = None, attempts: int = 4, billed: bool = False) -> CallError:
    """Return what is left of a call whose retries are used up."""
    error = CallError(kind, "m", "no.", retry_after_s=retry_after_s)
    error.attempts, error.earlier_maybe_billed = attempts, billed
    return error


def test_a_call_throttled_out_of_its_retries_is_made_again() -> None:
    """Without it a busy quota would lose tickets."""
    script = Script(*(failed("throttled") for _ in range(3)))
    reply = script.run()
    assert (reply.text, reply.attempts, reply.cost.complete) == ("hi", 13, True)


def test_patience_with_throttling_ends() -> None:
    """Without it an account whose quota is zero would hold a run for ever."""
    script = Script(*(failed("throttled") for _ in range(100)))
    with pytest.raises(CallError) as caught:
        script.run()
    assert (len(script.asked), caught.value.attempts) == (10, 40)


def test_what_the_server_asks_for_is_waited_for() -> None:
    """Without it a server that asks for two minutes would be asked again at once."""
    script = Script(failed("throttled", retry_after_s=120))
    script.run()
    assert script.slept == [120]
    with pytest.raises(CallError):
        Script(failed("throttled", retry_after_s=3600)).run()


def test_a_service_that_restarts_is_waited_for() -> None:
    """Without it a restart of some seconds would fail every ticket in work."""
    script = Script(*(failed("unreachable", attempts=1) for _ in range(8)))
    assert script.run_after_an_answer().attempts == 9
    assert 1 < script.now < 60
    assert max(script.slept) <= 5


def test_nobody_there_is_told_after_a_minute() -> None:
    """Without it a wrong address would look like a slow service for ever."""
    script = Script(*(failed("unreachable", attempts=1) for _ in range(1000)))
    with pytest.raises(CallError):
        script.run_after_an_answer()
    assert 60 <= script.now < 66


def test_nobody_there_from_the_start_is_told_at_once() -> None:
    """Without it a wrong region would look like a minute of slow service."""
    script = Script(failed("unreachable", attempts=1))
    with pytest.raises(CallError):
        script.run()
    assert script.slept == []


@pytest.mark.parametrize("kind", ["validation", "access", "read_timeout", "server", "model", "deadline"])
def test_everything_else_is_final(kind: Kind) -> None:
    """Without it a wrong request would be sent ten times, or an answer be paid again."""
    script = Script(failed(kind))
    with pytest.raises(CallError):
        script.run()
    assert len(script.asked) == 1


def test_a_request_has_its_own_time() -> None:
    """Without it an item's deadline would be passed by waiting for a throttled tier."""
    script = Script(failed("throttled", retry_after_s=4), failed("throttled", retry_after_s=4), failed("throttled", retry_after_s=4))
    with pytest.raises(CallError):
        script.run(Request("p", timeout_s=10.0))
    assert [request.timeout_s for request in script.asked] == [10.0, 6.0, 2.0]


def test_what_may_have_been_billed_before_is_not_forgotten() -> None:
    """Without it a cost that is a lower bound would be told as exact."""
    assert not Script(failed("throttled", billed=True)).run().cost.complete
    with pytest.raises(CallError) as caught:
        Script(failed("throttled", billed=True), failed("validation", attempts=1)).run()
    assert caught.value.maybe_billed
    assert caught.value.attempts == 5


def test_any_call_can_be_made_patiently() -> None:
    """Without it a throttled guardrail would cost a ticket."""
    left = [failed("throttled")]

    def call() -> str:
        if left:
            raise left.pop()
        return "done"

    assert patiently(call, Patience(sleep=lambda _: None)) == "done"
