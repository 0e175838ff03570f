"""The meter of one item: it passes calls on while there is time and money, and adds up what they cost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from workshop_lib.cascade.gate import charged
from workshop_lib.llm import Ask, CallError, Cost, Reply, Request

_SHORTEST_S = 0.001


class Meter:
    """An `Ask` for one item's walk that refuses further calls once its time (seconds) or money (USD) is used up.

    What is spent is a known lower bound: a failed call of unknown price adds nothing. The call that passes a limit is not cut short.
    """

    def __init__(self, ask: Ask, deadline_s: float | None, budget_usd: float | None, clock: Callable[[], float]) -> None:
        for name, limit in (("deadline_s", deadline_s), ("budget_usd", budget_usd)):
            if limit is not None and not 0 < limit < float("inf"):
                raise ValueError(f"{name} must be a positive number, got {limit}; leave it out for no limit")
        self.spent = Cost(0.0)
        self._ask = ask
        self._clock = clock
        self._deadline_s = deadline_s
        self._budget_usd = budget_usd
        self._ends = None if deadline_s is None else clock() + deadline_s

    def reached(self) -> Literal["deadline", "budget"] | None:
        """Return the limit that is reached, or None."""
        if self._ends is not None and self._clock() >= self._ends:
            return "deadline"
        return "budget" if self._budget_usd is not None and self.spent.usd >= self._budget_usd else None

    def limit(self, reached: Literal["deadline", "budget"]) -> str:
        """Return a reached limit in words."""
        if reached == "deadline":
            return f"the item's {self._deadline_s:g} s had passed."
        return f"{self.spent.usd:.6f} USD of the item's {self._budget_usd:.6f} USD were spent."

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer one request; raise CallError of kind "deadline" or "budget" instead of calling if a limit is reached."""
        reached = self.reached()
        if reached is not None:
            raise CallError(reached, model, self.limit(reached))
        if self._ends is not None:
            left = max(self._ends - self._clock(), _SHORTEST_S)
            request = replace(request, timeout_s=left if request.timeout_s is None else min(left, request.timeout_s))
        try:
            reply = self._ask(model, request)
        except CallError as error:
            self.spent += charged(None, error)
            raise
        self.spent += reply.cost
        return reply


def tighter(one: float | None, other: float | None) -> float | None:
    """Return the smaller of two limits, either of which may be absent."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
