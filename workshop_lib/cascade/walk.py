"""The walk: ask the cheapest tier, keep its answer if the gates let it pass, else ask the next. Everything that ran is charged."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from workshop_lib.cascade.gate import NOTHING_LEARNED, Check, Learned
from workshop_lib.cascade.meter import Meter, tighter
from workshop_lib.cascade.policies import Policy
from workshop_lib.cascade.trace import Outcome, Step, Trace
from workshop_lib.cascade.walking import Walking
from workshop_lib.llm import Ask, CallError, InvalidAnswer
from workshop_lib.tasks.base import Answer, Item, Task

__all__ = ["Observe", "Outcome", "Step", "Trace", "walk"]

Observe = Callable[[Step[Any], bool], None]
"""Told of every step as it ends, and whether the walk goes on to the next tier."""


def walk(
    task: Task[Item, Answer],
    item: Item,
    policy: Policy,
    ask: Ask,
    *,
    deadline_s: float | None = None,
    budget_usd: float | None = None,
    learned: Mapping[str, Learned] = NOTHING_LEARNED,
    observe: Observe | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Trace[Answer]:
    """Walk one item through the policy's tiers and return the trace; a call that fails is recorded, never raised.

    An invalid reply escalates. A guardrail's intervention ends the walk. What a failed call or a limit does is said by the policy's rules.
    """
    walking = _start(task, item, policy, ask, deadline_s, budget_usd, learned, clock)
    steps: list[Step[Answer]] = []
    for place in range(walking.first_tier(), len(policy.tiers)):
        step = _turn(walking, place)
        steps.append(step)
        if observe is not None:
            observe(step, bool(step.escalated_because))
        if not step.escalated_because:
            break
    return walking.trace(tuple(steps))


def _turn(walking: Walking[Item, Answer], place: int) -> Step[Answer]:
    """Ask one tier and collect the reasons to go on; after the last tier there are none."""
    tier = walking.policy.tiers[place]
    try:
        reply = walking.meter(tier, walking.request(place))
    except CallError as error:
        return walking.failed(place, error)
    if reply.blocked:
        walking.note("guardrail", "stop", tier, "a guardrail intervened; no further tier is asked.")
        return Step(tier, reply, None)
    try:
        answer = walking.task.parse(walking.item, reply)
    except InvalidAnswer as error:
        return walking.onward(Step(tier, reply, None, invalid=str(error), checks=(Check("schema", f"invalid: {error}"),)), place)
    walking.answered = True
    return walking.onward(walking.gated(Step(tier, reply, answer), place), place)


def _start(
    task: Task[Item, Answer],
    item: Item,
    policy: Policy,
    ask: Ask,
    deadline_s: float | None,
    budget_usd: float | None,
    learned: Mapping[str, Learned],
    clock: Callable[[], float],
) -> Walking[Item, Answer]:
    policy.check_learned(learned)
    trouble = policy.trouble
    meter = Meter(ask, tighter(deadline_s, trouble.deadline_s), tighter(budget_usd, trouble.budget_usd), clock)
    return Walking(task, item, policy, meter, learned, task.request(item))
