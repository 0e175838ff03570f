"""One walk in progress: the requests it makes, the gates it asks, and the rules it follows when something goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic

from workshop_lib.cascade.gate import Asking, AskingGate, Call, Check, Learned, Purpose, Seen, item_text
from workshop_lib.cascade.gates import checks
from workshop_lib.cascade.meter import Meter
from workshop_lib.cascade.policies import Policy
from workshop_lib.cascade.routing import Choice, ClassifierRouter
from workshop_lib.cascade.trace import Step, Trace
from workshop_lib.cascade.trouble import Direction, Note, Rule
from workshop_lib.llm import CallError, InvalidAnswer, Reply, Request
from workshop_lib.tasks.base import Answer, Item, Task


@dataclass
class Walking(Generic[Item, Answer]):
    """One walk in progress."""

    task: Task[Item, Answer]
    item: Item
    policy: Policy
    meter: Meter
    learned: Mapping[str, Learned]
    asked: Request
    answered: bool = False
    stopped: bool = False
    route: Choice | None = None
    routing: tuple[Call, ...] = ()
    notes: list[Note] = field(default_factory=list)

    def note(self, rule: Rule, direction: Direction, tier: str, detail: str) -> None:
        """Record a rule that fired; one that stops the walk gives up the answer at hand."""
        if rule in ("deadline", "budget"):
            self.notes = [note for note in self.notes if note.rule != rule]  # what is said last of a limit says most
        self.notes.append(Note(rule, direction, tier, detail))
        self.stopped = self.stopped or (direction == "stop" and rule != "guardrail")

    def request(self, place: int) -> Request:
        """Return the request for a tier, with log-probabilities if a gate will want to see them."""
        top = 0 if place == len(self.policy.tiers) - 1 else self.policy.logprobs_after(self.policy.tiers[place])
        return replace(self.asked, logprobs=max(top, self.asked.logprobs)) if top else self.asked

    def first_tier(self) -> int:
        """Return the place of the tier to start at, as the router says; a router that fails starts at the first."""
        router = self.policy.router
        if router is None:
            return 0
        if isinstance(router, ClassifierRouter):
            calls: list[Call] = []
            try:
                self.route = router.ask(self._asking(calls))
            except (CallError, InvalidAnswer) as error:
                self.route = Choice(router.kind, False, "the router is down")
                self.note("router_down", "first_tier", self.policy.tiers[0], str(error))
            self.routing = tuple(calls)
        else:
            self.route = router.choose(self._seen("", None, None))
        return self.policy.tiers.index(router.start) if self.route.skips else 0

    def failed(self, place: int, error: CallError) -> Step[Answer]:
        """Return the step of a tier whose call failed, going on if the rule says so."""
        tier = self.policy.tiers[place]
        rule, direction = self.policy.trouble.of_failure(error, self.answered)
        step: Step[Answer] = Step(tier, None, None, error=error)
        if direction == "escalate":
            step = self._going_on(step, place, (f"failed: {error.kind}",))
            direction = "escalate" if step.escalated_because else "keep" if self.answered else "stop"
        self.note(rule, direction, tier, str(error))
        return step

    def gated(self, step: Step[Answer], place: int) -> Step[Answer]:
        """Return the step with the verdicts of the gates; on the last tier no gate is asked."""
        if place == len(self.policy.tiers) - 1 or not self.policy.gates:
            return step
        seen = self._seen(step.tier, step.answer, step.reply)
        verdicts = list(checks(self.policy.gates, seen))
        calls: list[Call] = []
        for gate in self.policy.gates:
            if isinstance(gate, AskingGate) and gate.applies(step.tier):
                if not self.policy.ask_every_gate and any(check.reason for check in verdicts):
                    verdicts.append(Check(gate.kind, None, remark="not asked, as it escalates already"))
                else:
                    verdicts.append(self._asked(gate, gate.kind, seen, calls))
        return Step(step.tier, step.reply, step.answer, checks=tuple(verdicts), calls=tuple(calls))  # replace() takes longer than the gates

    def onward(self, step: Step[Answer], place: int) -> Step[Answer]:
        """Return the step with the reasons to go on, if there are any and nothing is in the way."""
        if step.blocked:
            self.note("guardrail", "stop", step.tier, "a guardrail intervened in a further sample; no further tier is asked.")
            return step
        return self._going_on(step, place, tuple(check.reason for check in step.checks if check.reason is not None))

    def trace(self, steps: tuple[Step[Answer], ...]) -> Trace[Answer]:
        """Return the finished record."""
        several = len(self.policy.tiers) > 1
        if several and steps and all(step.invalid is not None for step in steps) and not self.stopped and len(steps) + self._skipped() == len(self.policy.tiers):
            self.note("all_invalid", self.policy.trouble.all_invalid, steps[-1].tier, "every tier replied, and none validly.")
        return Trace(self.task.item_id(self.item), self.policy.name, steps, self.route, self.routing, tuple(self.notes), self.stopped)

    def _skipped(self) -> int:
        router = self.policy.router
        return self.policy.tiers.index(router.start) if router is not None and self.route is not None and self.route.skips else 0

    def _going_on(self, step: Step[Answer], place: int, because: tuple[str, ...]) -> Step[Answer]:
        if not because or place == len(self.policy.tiers) - 1:
            return step
        limit = self.meter.reached()
        if limit is None:
            return replace(step, escalated_because=because)
        self.note(limit, self.policy.trouble.of_limit(limit), step.tier, f"{self.meter.limit(limit)} It would have escalated: {'; '.join(because)}.")
        return step

    def _asked(self, gate: AskingGate, kind: str, seen: Seen, calls: list[Call]) -> Check:
        try:
            return gate.ask(seen, self._asking(calls))
        except (CallError, InvalidAnswer) as error:
            if isinstance(error, CallError) and error.kind in ("deadline", "budget"):
                self.note(*self.policy.trouble.of_failure(error, self.answered), seen.tier, str(error))
                return Check(kind, None, remark=f"not asked: {error.kind}")
            direction = self.policy.trouble.judge_down
            self.note("judge_down", direction, seen.tier, str(error))
            why = error.kind if isinstance(error, CallError) else "no valid answer"
            return Check(kind, f"{kind} down: {why}" if direction == "escalate" else None, remark=f"down: {why}")

    def _asking(self, calls: list[Call]) -> Asking:
        def call(purpose: Purpose, model: str, request: Request) -> Reply:
            reached = self.meter.reached()
            try:
                reply = self.meter(model, request)
            except CallError as error:
                if reached is None:
                    calls.append(Call(purpose, model, None, error))
                raise
            calls.append(Call(purpose, model, reply, needs_human=purpose == "sample" and self._flags(reply)))
            return reply

        return Asking(self.asked, lambda reply: self.task.parse(self.item, reply), call)

    def _flags(self, reply: Reply) -> bool:
        try:
            return bool(getattr(self.task.parse(self.item, reply), "needs_human", False))
        except InvalidAnswer:
            return False

    def _seen(self, tier: str, answer: Answer | None, reply: Reply | None) -> Seen:
        return Seen(answer, tier, item_text(self.item), self.task.item_id(self.item), reply, self.learned)
