"""What becomes of each member of a chat completion request: honoured, taken at the value that changes nothing, or refused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workshop_lib.sandbox.chat.errors import Refusal

How = Literal["honoured", "taken", "neutral", "refused"]


@dataclass(frozen=True)
class Support:
    """How one member is treated.

    "honoured" changes the answer as it should, "taken" is accepted and belongs to the caller's books only, "neutral" is accepted at the
    values that change nothing and else refused, "refused" is refused unless it is null.
    """

    how: How
    note: str
    neutral: tuple[Any, ...] = ()


FIELDS: Mapping[str, Support] = {
    "model": Support("honoured", "an id of GET /v1/models"),
    "messages": Support("honoured", "roles system, developer, user, assistant (with tool_calls) and tool; text and parts of type text"),
    "max_tokens": Support("honoured", "not together with max_completion_tokens"),
    "max_completion_tokens": Support("honoured", "not together with max_tokens"),
    "temperature": Support("honoured", "0 to 2; absent means 0 here, not 1; refused by models that refuse it on their own service"),
    "top_p": Support("honoured", "above 0, up to 1; refused by models that refuse it on their own service"),
    "n": Support("honoured", "1 to 8; the prompt is counted once; alike at temperature 0"),
    "stop": Support("honoured", "a string or up to 16; the text before the first match is kept"),
    "seed": Support("honoured", "part of the draws above temperature 0; at 0 nothing is drawn that it could change"),
    "logprobs": Support("honoured", "for text, null for a tool call; at a label the classifier's own probabilities"),
    "top_logprobs": Support("honoured", "0 to 20, with logprobs; a token that decides nothing has no alternative but itself"),
    "response_format": Support("honoured", "text, json_object, json_schema; keywords that cannot be promised are refused by name"),
    "tools": Support("honoured", "functions; with strict, keywords that cannot be promised are refused by name"),
    "tool_choice": Support("honoured", "none, auto, required or a named function"),
    "parallel_tool_calls": Support("honoured", "the stand-ins call one function at a time, which both values allow"),
    "stream": Support("honoured", "server-sent events, ended by [DONE]"),
    "stream_options": Support("honoured", "include_usage"),
    "metadata": Support("taken", "up to 16 pairs; `scope` tells faults and the ledger whose request it is"),
    "user": Support("taken", "changes nothing"),
    "safety_identifier": Support("taken", "changes nothing"),
    "prompt_cache_key": Support("taken", "changes nothing: there is no prompt cache on this route"),
    "presence_penalty": Support("neutral", "0", (0,)),
    "frequency_penalty": Support("neutral", "0", (0,)),
    "logit_bias": Support("neutral", "empty", ({},)),
    "store": Support("neutral", "false", (False,)),
    "service_tier": Support("neutral", "auto or default", ("auto", "default")),
    "modalities": Support("neutral", 'only "text"', (["text"],)),
    "reasoning_effort": Support("neutral", "none", ("none",)),
    "verbosity": Support("neutral", "medium", ("medium",)),
    "audio": Support("refused", "no sound"),
    "function_call": Support("refused", "deprecated by its maker; use tool_choice"),
    "functions": Support("refused", "deprecated by its maker; use tools"),
    "moderation": Support("refused", "nothing is moderated"),
    "prediction": Support("refused", "nothing is predicted"),
    "prompt_cache_options": Support("refused", "there is no prompt cache on this route"),
    "prompt_cache_retention": Support("refused", "there is no prompt cache on this route"),
    "web_search_options": Support("refused", "nothing is searched"),
}
"""Every member that the openai SDK can send, and how it is treated; a member that is not here is refused."""


_SHOWN: Mapping[How, str] = {"honoured": "honoured", "taken": "taken", "neutral": "in part", "refused": "refused"}


def markdown() -> Iterator[str]:
    """Yield the lines of the table as Markdown."""
    yield "| member | here | how |"
    yield "|---|---|---|"
    for name, support in FIELDS.items():
        note = f"{support.note}; any other value is refused" if support.how == "neutral" else support.note
        yield f"| `{name}` | {_SHOWN[support.how]} | {note} |"


def check(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a request that are to be read; raise Refusal, naming it, for one that cannot be honoured."""
    kept = {}
    for name, value in raw.items():
        support = FIELDS.get(name, Support("refused", ""))
        if support.how in ("honoured", "taken"):
            kept[name] = value
        elif value is not None and not any(_same(value, neutral) for neutral in support.neutral):
            allowed = f" Only {support.note} is taken." if support.how == "neutral" else ""
            note = f" ({support.note})" if support.how == "refused" and support.note else ""
            raise Refusal(
                400,
                f"The sandbox does not implement '{name[:100]}'{note}; it refuses what it cannot honour. Leave it out.{allowed}",
                code="unsupported_parameter",
                param=name[:100],
            )
    return kept


def _same(value: Any, neutral: Any) -> bool:
    return isinstance(value, bool) == isinstance(neutral, bool) and value == neutral
