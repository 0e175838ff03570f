"""What one request asks and what one reply says, the same for both wire formats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workshop_lib.catalog import Model

StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "guardrail_intervened", "malformed_model_output", "malformed_tool_use", "content_filtered"]


@dataclass(frozen=True)
class Said:
    """A passage of text in a message."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool in an earlier message of the assistant; `arguments` is the text of a JSON object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ToolResult:
    """What the call `id` brought, as text."""

    id: str
    text: str


@dataclass(frozen=True)
class Turn:
    """One message of the conversation as text; `after_tool` marks one that brings a tool's result.

    `parts` is the same message with its tool calls and results kept apart, for models that are told of them in their own form.
    """

    role: str
    text: str
    after_tool: bool = False
    parts: tuple[Said | ToolCall | ToolResult, ...] = ()


@dataclass(frozen=True)
class ToolSpec:
    """A tool the model may call; `strict` means that its schema is enforced."""

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool = False


@dataclass(frozen=True)
class Ask:
    """One request to one model.

    `choice` is "auto", "any" or "none", or "tool" with `forced` naming it. `schema` is the JSON schema of a structured text answer,
    `json_mode` asks for some JSON object. `max_tokens` None means the model's maximum. `digest` identifies the request's content
    together with the sandbox's seed: every draw is made from it, so the same request gets the same reply. `logprobs` is how many
    alternatives are wanted beside each token of a text (None: no tokens at all), `sampling_seed` the seed that the request names.
    `number` says which of several choices of one request this is, and `tags` are the request's metadata.
    """

    model: Model
    turns: tuple[Turn, ...]
    digest: bytes
    system: str = ""
    tools: tuple[ToolSpec, ...] = ()
    choice: Literal["auto", "any", "none", "tool"] = "auto"
    forced: str | None = None
    schema: Mapping[str, Any] | None = None
    schema_enforced: bool = False
    json_mode: bool = False
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    sampling_seed: int | None = None
    number: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Completion:
    """One reply: text, or a tool call with its arguments both as an object and as the text they were written in.

    `source` says who answered: "stand-in", "local" (an open-weight model, `upstream_model`) or "replay". `input_tokens` are those that
    were neither read from nor written to a prompt cache. `stop_sequence` is the one that ended the text, where it is known;
    `cache_details` are the tokens written to a cache by time to live, None for a request without cache points; `guardrail` is the
    trace of what a guardrail found. `usage_estimated` says that the server behind did not count the tokens, so that they are an estimate.
    """

    stop_reason: StopReason
    input_tokens: int
    output_tokens: int
    latency_ms: int
    text: str = ""
    tool_name: str | None = None
    tool_arguments: str = ""
    tool_input: Mapping[str, Any] = field(default_factory=dict)
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    source: str = "stand-in"
    upstream_model: str | None = None
    tokens: tuple["TokenChoice", ...] = ()
    stop_sequence: str | None = None
    cache_details: tuple[tuple[str, int], ...] | None = None
    guardrail: Mapping[str, Any] = field(default_factory=dict)
    usage_estimated: bool = False


@dataclass(frozen=True)
class TokenChoice:
    """One token of a text answer: its natural log-probability, and the likeliest tokens at its place, best first."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Piece:
    """A part of an answer as it arrives: text, or a fragment of the arguments of the tool call `tool_name`; `choice` numbers the answer.

    `tokens` are those of a part of text, if the request wants their log-probabilities.
    """

    text: str
    tool_name: str | None = None
    choice: int = 0
    tokens: tuple["TokenChoice", ...] = ()
