"""One recorded exchange: what identifies the request, what the model replied, and its form as a line of a file."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workshop_lib.sandbox.ask import Ask, Completion, Said, StopReason, TokenChoice, ToolCall, ToolResult, Turn

Count = Annotated[int, Field(ge=0)]


class _Member(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tool(_Member):
    """A tool call of a reply; `arguments` is the text the model wrote, JSON or not."""

    name: str
    arguments: str


class ReplyText(_Member):
    """What a model replied: text, a tool call, or both; `tokens` are (token, natural log-probability, likeliest others)."""

    text: str = ""
    tool: Tool | None = None
    tokens: tuple[tuple[str, float, tuple[tuple[str, float], ...]], ...] = ()


class Usage(_Member):
    """Tokens; `estimated` if the server did not count them."""

    input_tokens: Count
    output_tokens: Count
    estimated: bool = False


class Recorded(_Member):
    """One line of a recording. `model` is the sandbox's id, `recorded_at` is UTC, `latency_ms` was measured at the sandbox.

    `upstream_hash` identifies the upstream model where the server tells: "weights:..." is a digest of them, "described:..." one of what
    the server says of them. `prompt_version` is the tag of that name in the request's metadata.
    """

    format: Literal["cascade-workshop recording 1"] = "cascade-workshop recording 1"
    model: str
    upstream_model: str
    upstream_hash: str | None = None
    request_hash: str
    prompt_version: str | None = None
    reply: ReplyText
    stop_reason: StopReason
    stop_sequence: str | None = None
    usage: Usage
    latency_ms: Annotated[int, Field(ge=1)]
    recorded_at: str

    @property
    def key(self) -> tuple[str, str]:
        """Return what a request is looked up by."""
        return self.model, self.request_hash


def request_hash(ask: Ask) -> str:
    """Return what identifies a request's content in a recording, in 32 hexadecimal digits; the same for every seed of the sandbox.

    Metadata does not count, and neither do the ids of tool calls, which are made from the seed. Above temperature 0 what tells repeated
    draws apart does: the request's own seed, the number of the choice, and the tag `sample`.
    """
    numbers: dict[str, int] = {}
    content: dict[str, Any] = {
        "system": ask.system,
        "turns": [_turn(turn, numbers) for turn in ask.turns],
        "tools": [[tool.name, tool.description, tool.schema, tool.strict] for tool in ask.tools],
        "choice": [ask.choice, ask.forced],
        "form": [ask.schema, ask.json_mode],
        "limits": [ask.max_tokens, list(ask.stop)],
        "sampling": [float(ask.temperature), float(ask.top_p)],
        "logprobs": ask.logprobs,
    }
    if ask.temperature > 0:
        content["draw"] = [ask.sampling_seed, ask.number, ask.tags.get("sample")]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _turn(turn: Turn, numbers: dict[str, int]) -> list[Any]:
    return [turn.role, *(_part(part, numbers) for part in turn.parts or (Said(turn.text),))]


def _part(part: Said | ToolCall | ToolResult, numbers: dict[str, int]) -> Any:
    if isinstance(part, Said):
        return part.text
    number = numbers.setdefault(part.id, len(numbers))
    return [number, part.name, part.arguments] if isinstance(part, ToolCall) else [number, part.text]


def clean(text: str) -> str:
    """Return a text without halves of surrogate pairs, which JSON can write and no file or client can read."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def recorded(ask: Ask, done: Completion, upstream_hash: str | None, at: str) -> Recorded:
    """Return what is kept of an exchange: the reply, and of the request only its hash."""
    version = ask.tags.get("prompt_version")
    return Recorded(
        model=ask.model.id,
        upstream_model=done.upstream_model or "",
        upstream_hash=upstream_hash,
        request_hash=request_hash(ask),
        prompt_version=None if version is None else clean(version),
        reply=ReplyText(
            text=done.text,
            tool=None if done.tool_name is None else Tool(name=done.tool_name, arguments=done.tool_arguments),
            tokens=tuple((token.token, token.logprob, token.top) for token in done.tokens),
        ),
        stop_reason=done.stop_reason,
        stop_sequence=done.stop_sequence,
        usage=Usage(input_tokens=done.input_tokens, output_tokens=done.output_tokens, estimated=done.usage_estimated),
        latency_ms=done.latency_ms,
        recorded_at=at,
    )


def completion(line: Recorded, tool_input: Mapping[str, Any]) -> Completion:
    """Return a recorded reply as it is served again; `tool_input` is the object that its arguments write."""
    tool = line.reply.tool
    return Completion(
        line.stop_reason,
        line.usage.input_tokens,
        line.usage.output_tokens,
        line.latency_ms,
        text=line.reply.text,
        tool_name=None if tool is None else tool.name,
        tool_arguments="" if tool is None else tool.arguments,
        tool_input=tool_input,
        source="replay",
        upstream_model=line.upstream_model,
        tokens=tuple(TokenChoice(*token) for token in line.reply.tokens),
        stop_sequence=line.stop_sequence,
        usage_estimated=line.usage.estimated,
    )
