"""The one retry loop: full jitter, at most three retries, only on what may pass, and as long as the server asks for."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from workshop_lib.llm.errors import CallError
from workshop_lib.llm.types import RawReply


@dataclass(frozen=True)
class RetryPolicy:
    """At most `max_retries` retries, each after rand(0, min(cap, base * 2^n)) seconds or what the server directed, if longer.

    A server may direct up to `longest_directed_s`; one that asks for more is not waited for.
    """

    max_retries: int = 3
    base_s: float = 0.5
    cap_s: float = 20.0
    longest_directed_s: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)


@dataclass(frozen=True)
class Attempted:
    """A reply, how many attempts it took, and whether an attempt that failed may have been charged."""

    reply: RawReply
    attempts: int
    maybe_billed: bool


def call(send: Callable[[], RawReply], policy: RetryPolicy, timeout_s: float | None = None) -> Attempted:
    """Call `send` until it answers; raise the last CallError with its number of attempts when it does not.

    With `timeout_s` no retry is begun that many seconds after the start or later; a call that runs is not cut off here.
    """
    enough = stop_after_attempt(policy.max_retries + 1)
    started = policy.clock()
    jitter = wait_random_exponential(multiplier=policy.base_s, max=policy.cap_s)
    failures: list[CallError] = []

    def wait(state: RetryCallState) -> float:
        return max(jitter(state), failures[-1].retry_after_s or 0.0)

    def worthwhile(error: BaseException) -> bool:
        return isinstance(error, CallError) and error.retryable and (error.retry_after_s or 0.0) <= policy.longest_directed_s

    def attempt() -> RawReply:
        try:
            return send()
        except CallError as error:
            error.earlier_maybe_billed = any(failure.maybe_billed for failure in failures)
            failures.append(error)
            error.attempts = len(failures)
            raise

    def stop(state: RetryCallState) -> bool:
        late = timeout_s is not None and policy.clock() - started + state.upcoming_sleep >= timeout_s
        return enough(state) or late

    retrying = Retrying(
        stop=stop,
        wait=wait,
        retry=retry_if_exception(worthwhile),
        sleep=policy.sleep,
        reraise=True,
    )
    reply = retrying(attempt)
    return Attempted(reply, len(failures) + 1, any(error.maybe_billed for error in failures))

