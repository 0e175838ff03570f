"""What goes into one call and what comes back, the same for every provider."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from workshop_lib.catalog import Model


@dataclass(frozen=True)
class Tool:
    """A tool the model must call, so that the answer arrives as arguments that follow a JSON schema."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Guardrail:
    """A Bedrock guardrail to attach to the call."""

    identifier: str
    version: str


@dataclass(frozen=True)
class Screened:
    """What a guardrail said of a text: whether it may not pass at all, the text as it may, whether that is masked, and the text units charged."""

    blocked: bool
    text: str
    units: int
    masked: bool = False


@dataclass(frozen=True)
class Request:
    """One prompt for one model; `tool`, if given, is forced. `max_tokens` is small because quota is reserved for all of it.

    `logprobs` asks for the log-probability of every token and for that many alternatives to it (0: for none; OpenAI-compatible servers
    only). `sample` tells repeated draws of one request apart, above temperature 0. `timeout_s` bounds the whole call in seconds: no retry is
    begun that would end later, and an OpenAI-compatible server is not waited for longer (Converse calls end with WORKSHOP_READ_TIMEOUT_S).
    """

    prompt: str
    system: str | None = None
    tool: Tool | None = None
    max_tokens: int = 300
    temperature: float = 0.0
    guardrail: Guardrail | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    logprobs: int = 0
    sample: int = 0
    timeout_s: float | None = None

    def drawn(self) -> dict[str, int]:
        """Return what, beside prompt and settings, makes another reply of this request: empty for a plain one, as recordings are keyed by it."""
        return {name: value for name, value in (("logprobs", int(self.logprobs)), ("sample", self.sample)) if value}


@dataclass(frozen=True)
class Usage:
    """Tokens as the provider counted them; cached tokens are apart from `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True)
class Cost:
    """USD that are known to be charged; if not `complete`, the true cost is at least `usd`."""

    usd: float
    complete: bool = True

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.usd + other.usd, self.complete and other.complete)

    @staticmethod
    def total(costs: "Iterable[Cost]") -> "Cost":
        """Return the sum of costs, complete only if every part is."""
        return sum(costs, Cost(0.0))


@dataclass(frozen=True)
class TokenLogprob:
    """One token of a reply with its natural log-probability, and the likeliest tokens in its place, `(token, logprob)`."""

    token: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class RawReply:
    """What one HTTP call brought back, before price and retries are known."""

    text: str
    tool_input: Mapping[str, Any] | None
    usage: Usage | None
    latency_ms: float | None
    stop_reason: str
    source: str | None = None  # what the server says of itself; a vendor says nothing
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True)
class Reply:
    """What one model answered, with what it cost and how long it took (latency in ms: the server's own figure if it reports one).

    `logprobs` holds the tokens of `text` if the request asked for them and the server gave them, else None.
    """

    model: str
    text: str
    tool_input: Mapping[str, Any] | None
    usage: Usage | None
    cost: Cost
    latency_ms: float
    stop_reason: str
    attempts: int = 1
    source: str = "sandbox"
    logprobs: tuple[TokenLogprob, ...] | None = None

    @property
    def finished(self) -> bool:
        """Say whether the model ended by itself; anything else (cut off, filtered, blocked) is no answer."""
        return self.stop_reason in {"end_turn", "tool_use", "stop_sequence"}

    @property
    def blocked(self) -> bool:
        """Say whether a guardrail intervened, which ends a cascade and is not low confidence."""
        return self.stop_reason == "guardrail_intervened"


SOURCE_HEADER = "x-workshop-source"


_SOURCES = {"stand-in": "sandbox", "local": "local", "replay": "local"}


def source(headers: Mapping[str, str]) -> str | None:
    """Return what a server says of itself as a label, whatever the backend was thought to be; None if it says nothing.

    A stand-in's figures are "sandbox", those of an open-weight model "local", asked now or replayed.
    """
    said = headers.get(SOURCE_HEADER)
    return None if said is None else _SOURCES.get(said, said)


class Provider(Protocol):
    """One way to reach models: exactly one HTTP call per `send`, errors raised as CallError."""

    def send(self, model: Model, request: Request) -> RawReply:
        """Send one request to one model."""
        ...


@runtime_checkable
class Screener(Protocol):
    """A provider that can also ask a guardrail about a text, with exactly one HTTP call."""

    def screen(self, guardrail: Guardrail, text: str, source: Literal["INPUT", "OUTPUT"]) -> Screened:
        """Ask a guardrail about one text."""
        ...


class Ask(Protocol):
    """Anything that answers a request as a model would: the gateway, a recording, a test."""

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer one request with the named model."""
        ...
