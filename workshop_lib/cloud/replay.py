"""The walk in instalments: it is run again over the replies so far, and either ends or says which call is missing.

A walk is decided by its replies alone, so a function that knows them needs no other memory, and the deployed cascade cannot
decide otherwise than the one in a notebook: it is the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from workshop_lib import catalog
from workshop_lib.cascade import Policy, Trace, walk
from workshop_lib.cascade.asking import GRADE_TOOL
from workshop_lib.errors import DataError
from workshop_lib.llm import CallError, Reply, Request
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

Purpose = Literal["tier", "judge"]


@dataclass(frozen=True)
class Answered:
    """One call that was made: what for, which model (catalogue key), and what it replied or how it failed."""

    purpose: Purpose
    model: str
    outcome: Reply | CallError


@dataclass(frozen=True)
class Wanted:
    """The next call of a walk that is not finished."""

    purpose: Purpose
    model: str
    request: Request


class _Missing(Exception):
    """The walk asked for a call that has not been made yet."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted.model)
        self.wanted = wanted


def resume(ticket: Ticket, policy: Policy, answered: Sequence[Answered]) -> Wanted | Trace[RoutingDecision]:
    """Return the call that is missing, or the trace if none is.

    A deadline of the policy counts the latencies of the replies, in seconds, not the time between functions. Raises DataError if the calls are
    not those that this policy would have made.
    """
    left = list(answered)
    passed_s = 0.0

    def ask(model: str, request: Request) -> Reply:
        nonlocal passed_s
        purpose: Purpose = "judge" if request.tool == GRADE_TOOL else "tier"
        key = catalog.model(model).key
        if not left:
            raise _Missing(Wanted(purpose, key, request))
        one = left.pop(0)
        if (one.purpose, one.model) != (purpose, key):
            raise DataError(f"The {one.purpose} {one.model} was asked, and policy {policy.name!r} would have asked the {purpose} {key}. Start this ticket again.")
        if isinstance(one.outcome, CallError):
            raise one.outcome
        passed_s += one.outcome.latency_ms / 1000
        return one.outcome

    clock: Callable[[], float] = lambda: passed_s  # noqa: E731  # read at every call
    try:
        trace = walk(TRIAGE, ticket, policy, ask, clock=clock)
    except _Missing as missing:
        return missing.wanted
    if left:
        raise DataError(f"Policy {policy.name!r} ends before the call to {left[0].model}, which was made. Start this ticket again.")
    return trace
