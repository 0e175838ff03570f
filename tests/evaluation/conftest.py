"""Small labelled tickets and scripted models, so that arms can be computed by hand."""

from collections.abc import Callable, Mapping

import pytest

from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.llm import Ask, CallError, Cost, Reply, Request, Usage
from workshop_lib.tasks import Label, Ticket

Says = Mapping[str, object]


@pytest.fixture
def decision() -> Callable[..., Says]:
    """Return a maker of the arguments of `route_ticket`."""

    def make(category: str = "billing", priority: str = "P3", needs_human: bool = False, confidence: float = 0.9) -> Says:
        return {"category": category, "priority": priority, "needs_human": needs_human, "confidence": confidence, "reasoning": "r"}

    return make


@pytest.fixture
def tickets() -> tuple[LabelledTicket, ...]:
    """Return four tickets in two families; the last one needs a person."""
    labels = [("billing", "P3", False), ("auth", "P2", False), ("abuse", "P3", False), ("other", "P1", True)]
    return tuple(
        LabelledTicket(Ticket(id=f"X-{n}", subject="s", body=f"body {n}"), Label(category=c, priority=p, needs_human=h), "routine", f"family {n // 2}")
        for n, (c, p, h) in enumerate(labels)
    )


@pytest.fixture
def scripted() -> Callable[[Mapping[tuple[str, str], Says | str | CallError]], Ask]:
    """Return a maker of `Ask` functions from {(model, ticket): arguments, a text, or an error}; nano costs 1 USD and 10 ms, others 10 and 100."""

    def make(script: Mapping[tuple[str, str], Says | str | CallError]) -> Ask:
        def ask(model: str, request: Request) -> Reply:
            says = script[model, request.tags["ticket"]]
            if isinstance(says, CallError):
                raise says
            usd, latency = (1.0, 10.0) if model == "nano" else (10.0, 100.0)
            fields = None if isinstance(says, str) else says
            stop = "guardrail_intervened" if says == "blocked" else "tool_use"
            return Reply(model, says if isinstance(says, str) else "", fields, Usage(1, 1), Cost(usd), latency, stop, source="test")

        return ask

    return make
