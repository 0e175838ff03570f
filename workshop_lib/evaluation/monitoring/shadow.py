"""Shadow mode: a strong model answers a sample of what the cheap one answered alone; its answers are compared and never used."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from workshop_lib.cascade import Trace
from workshop_lib.llm import Ask, CallError, Cost, InvalidAnswer
from workshop_lib.tasks.base import Answer, Item, Task

Same = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Look:
    """One accepted answer seen through the strong model's eyes: `agrees` is None if that model gave no valid answer, and `problem` says why."""

    item_id: str
    kept: str
    agrees: bool | None
    cost: Cost
    latency_ms: float = 0.0
    problem: str | None = None


class Shadow:
    """Asks `model` about a share `rate` of the answers that a cascade kept without escalating, and counts how often the two agree.

    Which items are looked at depends on `seed` and item id alone, so a run can be repeated and a sample is the same on every machine. Its bill is
    `cost`, apart from any trace. Call `look` after the answer is on its way: it takes as long as the strong model does. Threads may share it.
    """

    def __init__(self, ask: Ask, model: str, rate: float, seed: int = 0, same: Same | None = None) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is a share between 0 and 1, got {rate}")
        self.model, self.rate, self.seed = model, rate, seed
        self._ask, self._same = ask, same or same_answer
        self._lock = threading.Lock()
        self.asked = self.agreed = self.failed = 0
        self.cost = Cost(0.0)

    def wants(self, trace: Trace[Any]) -> bool:
        """Say whether the item would be looked at: accepted without escalation, from another model, and in the sample."""
        accepted = trace.outcome == "answered" and not trace.escalated and trace.model_used != self.model
        return accepted and _uniform(self.seed, trace.item_id) < self.rate

    def look(self, task: Task[Item, Answer], item: Item, trace: Trace[Answer]) -> Look | None:
        """Ask the strong model if the item is in the sample and return what it makes of the answer, else None; the trace is only read.

        A failed call or an invalid reply is recorded and never raised: whatever happens in the shadow, the answer stands.
        """
        if not self.wants(trace):
            return None
        seen = self._asked(task, item, trace)
        with self._lock:
            self.asked += 1
            self.agreed += seen.agrees is True
            self.failed += seen.agrees is None
            self.cost += seen.cost
        return seen

    def _asked(self, task: Task[Item, Answer], item: Item, trace: Trace[Answer]) -> Look:
        kept = str(trace.model_used)
        try:
            reply = self._ask(self.model, task.request(item))
        except CallError as error:
            return Look(trace.item_id, kept, None, Cost(0.0, complete=not error.maybe_billed), problem=str(error))
        try:
            answer = task.parse(item, reply)
        except InvalidAnswer as error:
            return Look(trace.item_id, kept, None, reply.cost, reply.latency_ms, str(error))
        return Look(trace.item_id, kept, self._same(trace.answer, answer), reply.cost, reply.latency_ms)


def same_answer(first: Any, second: Any) -> bool:
    """Say whether two answers agree on what decides where an item goes: the category of a decision, the text of an answer whatever its case."""
    if hasattr(first, "category"):
        return bool(first.category == second.category)
    return str(first.answer).strip().casefold() == str(second.answer).strip().casefold()


def _uniform(seed: int, item_id: str) -> float:
    return int.from_bytes(sha256(f"{seed}:{item_id}".encode()).digest()[:8]) / 2**64
