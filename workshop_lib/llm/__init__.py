"""One call to one model: a Request in, a Reply out, with usage, cost, latency and attempts."""

from workshop_lib.llm.errors import CallError, InvalidAnswer
from workshop_lib.llm.gateway import Gateway, price
from workshop_lib.llm.guarding import connect, guardrail_named
from workshop_lib.llm.retry import RetryBudget, RetryPolicy
from workshop_lib.llm.types import Ask, Cost, Guardrail, Reply, Request, TokenLogprob, Tool, Usage

__all__ = [
    "Ask", "CallError", "Cost", "Gateway", "Guardrail", "InvalidAnswer", "Reply", "Request", "RetryBudget", "RetryPolicy", "TokenLogprob", "Tool", "Usage",
    "connect", "guardrail_named", "price",
]
