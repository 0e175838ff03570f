"""The one retry loop: how often, how long, on what, and that there is no second one."""

import ast
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from workshop_lib.llm import CallError, retry
from workshop_lib.llm.errors import RETRYABLE, Kind
from workshop_lib.llm.types import RawReply
from workshop_lib.paths import ROOT

REPLY = RawReply("ok", None, None, None, "end_turn")


class Script:
    """A `send` that fails as told and then answers, and a `sleep` that only notes."""

    def __init__(self, *failures: CallError | Exception) -> None:
        self.failures = list(failures)
        self.sent = 0
        self.slept: list[float] = []

    def send(self) -> RawReply:
        """Fail as told, then answer."""
        self.sent += 1
        if self.failures:
            raise self.failures.pop(0)
        return REPLY

    def run(self, **policy: float) -> retry.Attempted:
        """Run the loop on this script."""
        return retry.call(self.send, retry.RetryPolicy(sleep=self.slept.append, **policy))  # type: ignore[arg-type]


def failed(kind: Kind, retry_after_s: float | None = None) -> CallError:
    """Return a failure."""
    return CallError(kind, "m", "no.", retry_after_s=retry_after_s)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_it_answers_after_up_to_three_failures(failures: int) -> None:
    """Without it a passing throttle would cost a ticket, or attempts be miscounted."""
    script = Script(*(failed("throttled") for _ in range(failures)))
    done = script.run()
    assert (done.reply, done.attempts, script.sent, len(script.slept)) == (REPLY, failures + 1, failures + 1, failures)
    assert not done.maybe_billed


def test_the_fourth_failure_is_final() -> None:
    """Without it an outage would be answered with ever more calls."""
    script = Script(*(failed("server") for _ in range(9)))
    with pytest.raises(CallError) as caught:
        script.run()
    assert (caught.value.attempts, script.sent, len(script.slept)) == (4, 4, 3)


def test_no_retries_when_told_so() -> None:
    """Without it `max_retries=0`, as for a load test, would still retry."""
    script = Script(failed("throttled"))
    with pytest.raises(CallError):
        script.run(max_retries=0)
    assert (script.sent, script.slept) == (1, [])


@pytest.mark.parametrize("kind", ["validation", "access", "not_found", "read_timeout", "model", "unreachable"])
def test_what_cannot_pass_is_never_retried(kind: Kind) -> None:
    """Without it a wrong request would be sent four times, and a slow model paid twice."""
    script = Script(failed(kind))
    with pytest.raises(CallError) as caught:
        script.run()
    assert (script.sent, script.slept, caught.value.attempts) == (1, [], 1)


@pytest.mark.parametrize("kind", sorted(RETRYABLE))
def test_what_may_pass_is_retried(kind: Kind) -> None:
    """Without it a passing fault would cost a ticket."""
    assert Script(failed(kind)).run().attempts == 2


def test_a_permanent_failure_after_a_passing_one_is_final() -> None:
    """Without it the loop would go on retrying once it had begun."""
    script = Script(failed("throttled"), failed("access"), failed("throttled"))
    with pytest.raises(CallError) as caught:
        script.run()
    assert (caught.value.kind, caught.value.attempts, script.sent) == ("access", 2, 2)


def test_a_mistake_in_code_is_not_retried() -> None:
    """Without it a TypeError would be tried four times."""
    script = Script(TypeError("bug"))
    with pytest.raises(TypeError):
        script.run()
    assert script.sent == 1


def test_the_servers_delay_is_honoured() -> None:
    """Without it the client would come back before the server wants it to."""
    script = Script(failed("throttled", 30.0), failed("throttled"), failed("throttled", 0.0))
    script.run(base_s=0.5, cap_s=20)
    assert script.slept[0] == 30.0
    assert script.slept[1] <= 1.0, "the first failure's delay must not stick"
    assert script.slept[2] <= 2.0


def test_full_jitter() -> None:
    """Without it many clients would come back at the same moment, or wait longer than meant: each wait is rand(0, min(cap, base * 2^n))."""
    random.seed(0)
    waits: list[list[float]] = [[], [], []]
    for _ in range(1000):
        script = Script(*(failed("throttled") for _ in range(3)))
        script.run(base_s=1.0, cap_s=3.0)
        for index, waited in enumerate(script.slept):
            waits[index].append(waited)
    for drawn, high in zip(waits, (1.0, 2.0, 3.0), strict=True):
        assert 0 <= min(drawn) < 0.02 * high
        assert 0.98 * high < max(drawn) <= high
        assert abs(sum(drawn) / len(drawn) - high / 2) < 0.05 * high


@pytest.mark.parametrize("kind", ["disconnected"])
def test_an_attempt_that_may_be_billed_is_remembered(kind: Kind) -> None:
    """Without it a retried call would look as cheap as one that answered at once."""
    assert Script(failed(kind)).run().maybe_billed


def test_an_attempt_that_may_be_billed_is_remembered_by_the_failure() -> None:
    """Without it a call cut off once and throttled afterwards would count as certainly free."""
    script = Script(failed("disconnected"), *(failed("throttled") for _ in range(3)))
    with pytest.raises(CallError) as caught:
        script.run()
    assert (caught.value.kind, caught.value.maybe_billed) == ("throttled", True)
    assert not failed("throttled").maybe_billed


def sources() -> list[Path]:
    """Return every module of the library and its tools."""
    return [path for folder in ("workshop_lib", "tools") for path in (ROOT / folder).rglob("*.py")]


def imports(path: Path) -> set[str]:
    """Return the modules a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return found | {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_there_is_exactly_one_retry_loop() -> None:
    """Without it a second loop would multiply with the first."""
    makers = ("tenacity", "backoff", "retrying")
    named = [path for path in sources() if any(maker in path.read_text(encoding="utf-8") for maker in makers)]  # to parse every file takes two seconds
    loops = [path.relative_to(ROOT).as_posix() for path in named if any(name.split(".")[0] in makers for name in imports(path))]
    assert loops == ["workshop_lib/llm/retry.py"]


def test_clients_of_models_are_made_in_few_places_only() -> None:
    """Without it a client with the SDK's own retries could appear elsewhere in the library."""
    bedrock = {"workshop_lib/llm/bedrock.py", "workshop_lib/cloud/shim.py"}  # the second is the emulator's own, in Step Functions' place, with one attempt
    makers: list[tuple[set[str], Callable[[str], bool]]] = [
        (bedrock, lambda text: '"bedrock-runtime"' in text and ("boto3.client(" in text or "boto3.Session(" in text)),
        ({"workshop_lib/llm/openai_chat.py"}, lambda text: "openai.OpenAI(" in text or "AsyncOpenAI(" in text),
    ]
    for homes, makes in makers:
        assert {path.relative_to(ROOT).as_posix() for path in sources() if makes(path.read_text(encoding="utf-8")) and "sandbox" not in path.parts} == homes


class Watch:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.mark.parametrize(("timeout_s", "sent"), [(None, 4), (0.5, 1), (1.0, 1), (1.5, 2), (2.5, 3), (60.0, 4)])
def test_no_retry_is_begun_after_the_time_is_up(timeout_s: float | None, sent: int) -> None:
    """Without it an item with a deadline would wait for retries that nobody waits for any more."""
    script, watch = Script(*(failed("throttled", retry_after_s=1.0) for _ in range(9))), Watch()
    policy = retry.RetryPolicy(base_s=0.0, sleep=watch.sleep, clock=watch)
    with pytest.raises(CallError) as caught:
        retry.call(script.send, policy, timeout_s)
    assert (script.sent, caught.value.attempts, caught.value.kind) == (sent, sent, "throttled")


def test_a_shared_budget_bounds_the_retries_of_many_calls() -> None:
    """Without it an outage would be met with four times the calls, from every ticket."""
    budget = retry.RetryBudget(most=2, refund=0.5)
    sent = []
    for _ in range(3):
        script = Script(*(failed("server") for _ in range(9)))
        with pytest.raises(CallError):
            script.run(budget=budget)  # type: ignore[arg-type]
        sent.append(script.sent)
    assert sent == [3, 1, 1]
    for _ in range(2):
        Script().run(budget=budget)  # type: ignore[arg-type]
    script = Script(failed("server"))
    assert script.run(budget=budget).attempts == 2, "what succeeds gives retries back"  # type: ignore[arg-type]


def test_throttling_takes_nothing_from_the_budget() -> None:
    """Without it a busy account would use up what is meant for failures."""
    budget = retry.RetryBudget(most=1, refund=0)
    assert Script(*(failed("throttled") for _ in range(3))).run(budget=budget).attempts == 4  # type: ignore[arg-type]
    assert budget.take()
