"""The walk: ask the cheapest tier, keep its answer if the gates let it pass, else ask the next. Everything that ran is charged."""

from dataclasses import dataclass, replace
from typing import Generic, Literal

from workshop_lib.cascade.gates import reasons
from workshop_lib.cascade.policies import Policy
from workshop_lib.llm import Ask, CallError, Cost, InvalidAnswer, Reply
from workshop_lib.tasks.base import Answer, Item, Task

Outcome = Literal["answered", "invalid", "guardrail", "error"]


@dataclass(frozen=True)
class Step(Generic[Answer]):
    """One tier's turn: what it replied, the answer or why there is no valid one, and why the walk went on (empty if it stopped here)."""

    tier: str
    reply: Reply | None
    answer: Answer | None
    escalated_because: tuple[str, ...] = ()
    invalid: str | None = None
    error: CallError | None = None

    @property
    def cost(self) -> Cost:
        """Return what this turn cost; a failed call costs nothing known, and is incomplete if it may have been charged."""
        if self.reply is not None:
            return self.reply.cost
        return Cost(0.0, complete=not (self.error is not None and self.error.maybe_billed))


@dataclass(frozen=True)
class Trace(Generic[Answer]):
    """The record of one item's walk: every turn taken, in order."""

    item_id: str
    policy: str
    steps: tuple[Step[Answer], ...]

    @property
    def answer(self) -> Answer | None:
        """Return the last valid answer, or None if no tier gave one or a guardrail intervened."""
        valid = self._answered
        return valid.answer if valid is not None and self.outcome != "guardrail" else None

    @property
    def model_used(self) -> str | None:
        """Return the tier whose answer is final."""
        return self._answered.tier if self._answered is not None and self.outcome != "guardrail" else None

    @property
    def _answered(self) -> Step[Answer] | None:
        return next((step for step in reversed(self.steps) if step.answer is not None), None)

    @property
    def outcome(self) -> Outcome:
        """Return how the walk ended: answered, no valid answer, a guardrail intervened, or a call failed with no answer before it."""
        last = self.steps[-1]
        if last.reply is not None and last.reply.blocked:
            return "guardrail"
        if self._answered is not None:
            return "answered"
        return "error" if last.error is not None else "invalid"

    @property
    def escalated(self) -> bool:
        """Say whether more than one tier was asked."""
        return len(self.steps) > 1

    @property
    def review_required(self) -> bool:
        """Say whether any tier said that a person is needed: a safety flag, once raised, is never taken back."""
        return any(getattr(step.answer, "needs_human", False) for step in self.steps)

    @property
    def cost(self) -> Cost:
        """Return the cost of every tier that ran, losing tiers and invalid replies included."""
        return Cost.total(step.cost for step in self.steps)

    @property
    def latency_ms(self) -> float:
        """Return the time the item took: the tiers' latencies added up, as they ran one after the other."""
        return sum(step.reply.latency_ms for step in self.steps if step.reply is not None)


def walk(task: Task[Item, Answer], item: Item, policy: Policy, ask: Ask) -> Trace[Answer]:
    """Walk one item through the policy's tiers and return the trace; a call that fails ends the walk and is recorded, never raised.

    An invalid reply escalates. A guardrail's intervention ends the walk. A failed call keeps the last valid answer.
    """
    steps: list[Step[Answer]] = []
    for tier in policy.tiers:
        step = _turn(task, item, policy, tier, ask)
        steps.append(step)
        if not step.escalated_because:
            break
    if len(steps) == len(policy.tiers):
        steps[-1] = replace(steps[-1], escalated_because=())  # there is no further tier
    return Trace(task.item_id(item), policy.name, tuple(steps))


def _turn(task: Task[Item, Answer], item: Item, policy: Policy, tier: str, ask: Ask) -> Step[Answer]:
    try:
        reply = ask(tier, task.request(item))
    except CallError as error:
        return Step(tier, None, None, error=error)
    if reply.blocked:
        return Step(tier, reply, None)
    try:
        answer = task.parse(item, reply)
    except InvalidAnswer as error:
        return Step(tier, reply, None, (f"invalid: {error}",), invalid=str(error))
    return Step(tier, reply, answer, reasons(policy.gates, answer))

