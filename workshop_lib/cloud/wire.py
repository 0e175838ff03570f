"""What a state of the machine hands to the next: a call's reply or failure as Step Functions has it, read into the library's own types."""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workshop_lib import catalog
from workshop_lib.cloud.casing import converse, from_states, to_states
from workshop_lib.cloud.replay import Answered, Purpose, Wanted
from workshop_lib.llm import CallError, Cost, Reply, price
from workshop_lib.llm.bedrock import converse_arguments, kind_of_code
from workshop_lib.llm.bedrock_reading import read
from workshop_lib.llm.errors import Kind, kind_of_status
from workshop_lib.tasks import Ticket

RETRIES = 3
"""How often the state machine repeats a call that was throttled or met a failure of the service."""
RETRIED_CODES = ("ThrottlingException", "ModelNotReadyException", "InternalServerException", "ServiceUnavailableException")
RETRIED_KINDS: tuple[Kind, ...] = ("throttled", "server", "connect_timeout")
FUNCTION_ERROR = "Model."
_SERVICE_ERROR = "BedrockRuntime."
_TAIL = re.compile(r"\s*\(Service: \w+(?: \w+)?, Status Code: (\d+).*\)\s*$", re.DOTALL)

StateName = Literal["CheapTier", "CheapTierByFunction", "Judge", "StrongTier", "StrongTierByFunction", "Answered", "ForAPerson", "NotAnswered"]


class Replied(BaseModel):
    """A reply as a task returns it: the Converse response in Step Functions' capitals, and how many attempts it took."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    Response: dict[str, Any]
    Attempts: int = Field(default=1, ge=1)
    CostComplete: bool = True
    Source: str | None = None


class Failed(BaseModel):
    """A failure as a catcher records it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    Error: str = ""
    Cause: str = ""


class Recorded(BaseModel):
    """One call that was made and what came of it: a reply or a failure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: Purpose
    model: str
    reply: Replied | None = None
    failed: Failed | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Recorded":
        if (self.reply is None) == (self.failed is None):
            raise ValueError("a call that was made has either a reply or a failure")
        return self


class Case(BaseModel):
    """A ticket on its way through the machine: the calls made so far, and the digest of the policy they were made under."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    ticket: Ticket
    policy: str
    calls: tuple[Recorded, ...] = ()

    def answered(self, source: str) -> list[Answered]:
        """Return the calls in the library's types; `source` labels replies that do not say who answered."""
        return [Answered(one.purpose, one.model, _outcome(one, source)) for one in self.calls]


def wanted_document(wanted: Wanted, strong: str, *, by_function: bool) -> dict[str, Any]:
    """Return the part of the machine's data that says which state makes the next call, with the parameters of a Converse task if one does."""
    document: dict[str, Any] = {"purpose": wanted.purpose, "model": wanted.model}
    if wanted.purpose == "judge":
        return {**document, "state": "Judge"}
    state = "StrongTier" if wanted.model == strong else "CheapTier"
    if by_function:
        return {**document, "state": f"{state}ByFunction"}
    arguments = converse_arguments(catalog.model(wanted.model), wanted.request)
    return {**document, "state": state, "converse": to_states(arguments, converse().input_shape)}


def reply_document(reply: Reply) -> dict[str, Any]:
    """Return what a function that called a model hands back, in the form in which a Converse task would."""
    content: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    if reply.tool_input is not None:
        content.append({"toolUse": {"toolUseId": "function", "name": "tool", "input": dict(reply.tool_input)}})
    usage = reply.usage and {
        "inputTokens": reply.usage.input_tokens,
        "outputTokens": reply.usage.output_tokens,
        "totalTokens": reply.usage.input_tokens + reply.usage.output_tokens + reply.usage.cache_read_tokens + reply.usage.cache_write_tokens,
        "cacheReadInputTokens": reply.usage.cache_read_tokens,
        "cacheWriteInputTokens": reply.usage.cache_write_tokens,
    }
    response = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reply.stop_reason,
        "usage": usage,
        "metrics": {"latencyMs": reply.latency_ms},
    }
    return {"Response": to_states(response, converse().output_shape), "CostComplete": reply.cost.complete, "Source": reply.source}


def _outcome(recorded: Recorded, source: str) -> Reply | CallError:
    entry = catalog.model(recorded.model)
    if recorded.reply is None:
        assert recorded.failed is not None  # validated: one of both
        return call_error(recorded.failed, entry.id)
    said = recorded.reply
    raw = read(from_states(said.Response, converse().output_shape))
    cost = price(entry, raw.usage)
    return Reply(
        model=entry.id,
        text=raw.text,
        tool_input=raw.tool_input,
        usage=raw.usage,
        cost=Cost(cost.usd, cost.complete and said.CostComplete),
        latency_ms=raw.latency_ms or 0.0,
        stop_reason=raw.stop_reason,
        attempts=said.Attempts,
        source=said.Source or source,
    )


def call_error(failed: Failed, model_id: str) -> CallError:
    """Return a failure that the machine caught as the library's own; one that says nothing may have been charged."""
    cause = _lambda_message(failed.Cause)
    tail = _TAIL.search(cause)
    message = cause[: tail.start()] if tail else cause
    code = failed.Error.removeprefix(_SERVICE_ERROR)
    error = CallError(_kind(failed.Error, code, int(tail.group(1)) if tail else None), model_id, message if failed.Error.startswith(FUNCTION_ERROR) else f"{code}: {message.rstrip('.')}.")
    error.attempts = 1 + RETRIES if error.kind in RETRIED_KINDS else 1
    return error


def _kind(error: str, code: str, status: int | None) -> Kind:
    if error.startswith(FUNCTION_ERROR):
        named = error.removeprefix(FUNCTION_ERROR)
        return next((kind for kind in get_args(Kind) if kind == named), "disconnected")
    if error == "States.Timeout":
        return "read_timeout"
    by_status = kind_of_status(status) if status is not None else "disconnected"
    return kind_of_code(code) or by_status


def _lambda_message(cause: str) -> str:
    """Return the message in what Lambda says of a function's exception, or the text as it is."""
    try:
        said = json.loads(cause)
    except ValueError:
        return cause
    return str(said.get("errorMessage", cause)) if isinstance(said, Mapping) else cause
