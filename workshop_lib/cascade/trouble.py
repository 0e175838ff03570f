"""Rules for trouble: what a walk does when a call fails, a judge is down, or time or money runs out. Data, and part of a policy's hash."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from workshop_lib.llm import CallError

Rule = Literal[
    "tier_down", "tier_throttled", "tier_refused", "later_tier", "judge_down", "router_down", "deadline", "budget", "guardrail", "all_invalid"
]
Direction = Literal["escalate", "keep", "stop", "review", "first_tier", "none"]
_REFUSED = frozenset({"validation", "access", "not_found"})


class Trouble(BaseModel):
    """What to do when something goes wrong. Keep: the last valid answer stands. Stop: no answer stands, and the item can be sent again.

    Before any answer: `tier_down` (failed after its retries, timed out, cannot be reached), `tier_throttled` (escalating would turn a quota of
    the cheap tier into a bill of the strong one), `tier_refused` (wrong request, no access, no such model: a mistake that escalating would hide).
    `later_tier`: any failure of a tier asked after a valid answer. `judge_down`: a gate whose calls failed or brought nothing valid.
    `deadline_s` (seconds) and `budget_usd` bound one item; when reached no further call is begun, so the last one may pass them.
    `all_invalid`: every tier of a cascade replied, none validly. A guardrail's intervention always ends the walk; a router that is down always
    starts at the first tier.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier_down: Literal["escalate", "stop"] = "escalate"
    tier_throttled: Literal["escalate", "stop"] = "stop"
    tier_refused: Literal["escalate", "stop"] = "stop"
    later_tier: Literal["escalate", "keep", "stop"] = "keep"
    judge_down: Literal["escalate", "keep"] = "keep"
    deadline: Literal["keep", "stop"] = "keep"
    budget: Literal["keep", "stop"] = "keep"
    all_invalid: Literal["review", "none"] = "review"
    deadline_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    budget_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    def of_failure(self, error: CallError, answered: bool) -> "tuple[Rule, Direction]":
        """Return the rule for a tier's failed call and its direction; `answered` says whether an earlier tier gave a valid answer."""
        if error.kind == "deadline":
            return "deadline", self.deadline
        if error.kind == "budget":
            return "budget", self.budget
        if answered:
            return "later_tier", self.later_tier
        if error.kind == "throttled":
            return "tier_throttled", self.tier_throttled
        return ("tier_refused", self.tier_refused) if error.kind in _REFUSED else ("tier_down", self.tier_down)

    def of_limit(self, limit: Literal["deadline", "budget"]) -> Direction:
        """Return what happens to the answer at hand when a limit is reached."""
        return self.deadline if limit == "deadline" else self.budget


@dataclass(frozen=True)
class Note:
    """A rule that fired in a walk: where it went, at which tier, and what had happened."""

    rule: Rule
    direction: Direction
    tier: str
    detail: str
