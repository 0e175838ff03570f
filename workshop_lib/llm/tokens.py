"""How many tokens a call will take, told from the length of its request: for estimates, and for quotas before a model has counted."""

import json

from workshop_lib.catalog import Model
from workshop_lib.llm.types import Request, Tool

CHARACTERS_A_TOKEN = 4.0
"""Rule of thumb for English text."""
FEWEST_CHARACTERS_A_TOKEN = 3.0
"""Of English with JSON around it: for what must not be too little, as what is reserved of a quota, of which the rest comes back."""
OUTPUT_TOKENS = 200
"""Assumed length of a routing decision with its reasoning: recorded means are 110 to 215 (data/recorded)."""

_MOST_TOOLS = 64
_tools: dict[int, tuple[Tool, int]] = {}


def input_tokens(model: Model, request: Request, characters_a_token: float = CHARACTERS_A_TOKEN) -> float:
    """Return about how many input tokens a model will count for a request, with the share that its tokenizer needs more than others."""
    return characters(request) / characters_a_token * model.tokens


def reserved_tokens(model: Model, request: Request) -> float:
    """Return the tokens that a service takes from a quota when a call begins: those of the input, rather too many, and all of `max_tokens`."""
    return input_tokens(model, request, FEWEST_CHARACTERS_A_TOKEN) + request.max_tokens


def output_tokens(request: Request) -> int:
    """Return about how many tokens an answer to a request has."""
    return min(OUTPUT_TOKENS, request.max_tokens)


def characters(request: Request) -> int:
    """Return how many characters a request holds: prompt, system text and tool."""
    return len(request.prompt) + len(request.system or "") + (0 if request.tool is None else _of_tool(request.tool))


def _of_tool(tool: Tool) -> int:
    """Return the characters of a tool; remembered, as the same few tools are sent again and again."""
    known = _tools.get(id(tool))
    if known is None:
        if len(_tools) >= _MOST_TOOLS:
            _tools.clear()
        length = len(tool.name) + len(tool.description) + len(json.dumps(dict(tool.schema)))
        known = _tools[id(tool)] = (tool, length)  # held, so that its id stays its own
    return known[1]
