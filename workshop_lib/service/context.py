"""What the routes share: the calls, the policy, the limits, and the learner's bulk route if there is one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from workshop_lib.cascade import Policy, Trace
from workshop_lib.service.bulk_rows import BulkRoute
from workshop_lib.service.calls import Calls
from workshop_lib.service.limits import Limits
from workshop_lib.service.working import Desk

BUILD_IT = "There is no bulk route yet: build it in lab 04, and give it to create_app(bulk_route=...)."


@dataclass(frozen=True)
class Context:
    """What every route may use; `backend` is what the settings say, and is shown until a reply says who answered."""

    calls: Calls
    policy: Policy
    bulk_route: BulkRoute | None
    limits: Limits
    desk: Desk
    backend: str
    on_trace: Callable[[Trace[Any]], None] | None = None

    @property
    def source(self) -> str:
        """Return who answered so far, in the words every figure is labelled with."""
        return ", ".join(sorted(self.calls.sources)) or self.backend


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Shared = Annotated[Context, Depends(_context)]
