"""The one retry loop: full jitter, at most three retries, only on what may pass, and as long as the server asks for."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from workshop_lib.llm.errors import CallError

Result = TypeVar("Result")


class RetryBudget:
    """How many retries of failures, other than throttling, many calls may make together: in an outage each call is then tried once only.

    It holds `most` retries; each retry takes one, each call that succeeds gives `refund` back. Throttling has a pacer of its own.
    """

    def __init__(self, most: int = 100, refund: float = 0.1) -> None:
        self._most = float(most)
        self._left = float(most)
        self._refund = refund
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one retry; return whether there was one left."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def succeeded(self) -> None:
        """Count a call that succeeded."""
        with self._lock:
            self._left = min(self._most, self._left + self._refund)


@dataclass(frozen=True)
class RetryPolicy:
    """At most `max_retries` retries, each after rand(0, min(cap, base * 2^n)) seconds or what the server directed, if longer.

    A server may direct up to `longest_directed_s`; one that asks for more is not waited for. `budget`, if given, bounds the retries of all
    calls that share this policy.
    """

    max_retries: int = 3
    base_s: float = 0.5
    cap_s: float = 20.0
    longest_directed_s: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)
    budget: RetryBudget | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Attempted(Generic[Result]):
    """A reply, how many attempts it took, and whether an attempt that failed may have been charged."""

    reply: Result
    attempts: int
    maybe_billed: bool


def call(send: Callable[[], Result], policy: RetryPolicy, timeout_s: float | None = None) -> Attempted[Result]:
    """Call `send` until it answers; raise the last CallError with its number of attempts when it does not.

    With `timeout_s` no retry is begun that many seconds after the start or later; a call that runs is not cut off here.
    """
    started = policy.clock()
    try:
        done = Attempted(send(), 1, maybe_billed=False)  # most calls, to which the loop would add a tenth of their CPU
    except CallError as error:
        done = _repeated(send, error, started, policy, timeout_s)
    if policy.budget is not None:
        policy.budget.succeeded()
    return done


def _repeated(send: Callable[[], Result], first: CallError, started: float, policy: RetryPolicy, timeout_s: float | None) -> Attempted[Result]:
    """Go on after the first failure."""
    enough = stop_after_attempt(policy.max_retries + 1)
    jitter = wait_random_exponential(multiplier=policy.base_s, max=policy.cap_s)
    failures: list[CallError] = []

    def wait(state: RetryCallState) -> float:
        return max(jitter(state), failures[-1].retry_after_s or 0.0)

    def worthwhile(error: BaseException) -> bool:
        return isinstance(error, CallError) and error.retryable and (error.retry_after_s or 0.0) <= policy.longest_directed_s

    def attempt() -> Result:
        try:
            if not failures:
                raise first
            return send()
        except CallError as error:
            error.earlier_maybe_billed = any(failure.maybe_billed for failure in failures)
            failures.append(error)
            error.attempts = len(failures)
            raise

    def stop(state: RetryCallState) -> bool:
        late = timeout_s is not None and policy.clock() - started + state.upcoming_sleep >= timeout_s
        return enough(state) or late or not affordable()

    def affordable() -> bool:
        return policy.budget is None or failures[-1].kind == "throttled" or policy.budget.take()

    retrying = Retrying(
        stop=stop,
        wait=wait,
        retry=retry_if_exception(worthwhile),
        sleep=policy.sleep,
        reraise=True,
    )
    reply = retrying(attempt)
    return Attempted(reply, len(failures) + 1, any(error.maybe_billed for error in failures))

