"""The record of one item's walk: every turn and every other call, what each cost, and every rule that fired."""

from dataclasses import dataclass
from typing import Generic, Literal

from workshop_lib.cascade.gate import Call, Check, charged
from workshop_lib.cascade.routing import Choice
from workshop_lib.cascade.trouble import Note
from workshop_lib.llm import CallError, Cost, Reply
from workshop_lib.tasks.base import Answer

Outcome = Literal["answered", "invalid", "guardrail", "error"]


@dataclass(frozen=True)
class Step(Generic[Answer]):
    """One tier's turn: what it replied, the answer or why there is no valid one, and why the walk went on (empty if it stopped here).

    `checks` are the gates' verdicts with the numbers they read; `calls` what judges and further samples replied.
    """

    tier: str
    reply: Reply | None
    answer: Answer | None
    escalated_because: tuple[str, ...] = ()
    invalid: str | None = None
    error: CallError | None = None
    checks: tuple[Check, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def cost(self) -> Cost:
        """Return what this tier's own call cost; a failed call costs nothing known, and is incomplete if it may have been charged."""
        return charged(self.reply, self.error)

    @property
    def blocked(self) -> bool:
        """Say whether a guardrail intervened in this turn."""
        own = self.reply is not None and self.reply.blocked
        return own or any(call.reply is not None and call.reply.blocked for call in self.calls)


@dataclass(frozen=True)
class Trace(Generic[Answer]):
    """The record of one item's walk: every turn taken, in order, where it started and why, and the rules for trouble that fired.

    `stopped` says that a rule gave up the answer at hand, so that the item can be sent again.
    """

    item_id: str
    policy: str
    steps: tuple[Step[Answer], ...]
    route: Choice | None = None
    routing: tuple[Call, ...] = ()
    notes: tuple[Note, ...] = ()
    stopped: bool = False

    @property
    def answer(self) -> Answer | None:
        """Return the last valid answer, or None if no tier gave one, a guardrail intervened, or a rule stopped the walk."""
        valid = self._answered
        return valid.answer if valid is not None and self.outcome == "answered" else None

    @property
    def model_used(self) -> str | None:
        """Return the tier whose answer is final."""
        return self._answered.tier if self._answered is not None and self.outcome == "answered" else None

    @property
    def _answered(self) -> Step[Answer] | None:
        return next((step for step in reversed(self.steps) if step.answer is not None), None)

    @property
    def outcome(self) -> Outcome:
        """Return how the walk ended: answered, no valid answer, a guardrail intervened, or a call failed (or a limit was reached) and no answer stands."""
        last = self.steps[-1]
        if last.blocked:
            return "guardrail"
        if self.stopped:
            return "error"
        if self._answered is not None:
            return "answered"
        return "error" if last.error is not None else "invalid"

    @property
    def escalated(self) -> bool:
        """Say whether more than one tier was asked."""
        return len(self.steps) > 1

    @property
    def cut_short(self) -> bool:
        """Say whether the item's deadline or budget kept the walk from going on."""
        return any(note.rule in ("deadline", "budget") for note in self.notes)

    @property
    def review_required(self) -> bool:
        """Say whether a person must look: any tier said so (a safety flag, once raised, is never taken back), or no tier answered validly."""
        flagged = any(getattr(step.answer, "needs_human", False) for step in self.steps)
        return flagged or any(call.needs_human for call in self.calls) or any(note.direction == "review" for note in self.notes)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Return the calls made beside the tiers' own, in order."""
        return (*self.routing, *(call for step in self.steps for call in step.calls))

    @property
    def cost(self) -> Cost:
        """Return the cost of everything that ran: losing tiers, invalid replies, routers, judges and samples; a lower bound unless complete."""
        return Cost.total(part.cost for part in self._parts)

    @property
    def latency_ms(self) -> float:
        """Return the time the item took: the latencies of all calls added up, as they ran one after the other."""
        return sum(part.reply.latency_ms for part in self._parts if part.reply is not None)

    @property
    def _parts(self) -> list[Step[Answer] | Call]:
        return [*self.steps, *self.calls]
