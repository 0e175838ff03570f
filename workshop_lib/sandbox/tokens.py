"""How many tokens a text counts for: a deterministic estimate by word pieces, scaled per model as the catalogue says."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from workshop_lib.catalog import Model
from workshop_lib.sandbox.ask import Ask, ToolSpec

# About 1.3 pieces an English word, three digits a piece, two characters of other scripts, punctuation by itself.
_PIECE = re.compile(r"[A-Za-z_]{1,6}|\d{1,3}|[^\x00-\x7f]{1,2}|[^\sA-Za-z_\d\x80-\U0010ffff]{1,2}")
# What a provider's own instructions about tools add to the input. Claude's is longer; the sizes keep the ratio of Claude's count
# to Nano's for the same prompt near the recorded 1.31 (data/recorded).
_TOOL_PREAMBLE = {"anthropic": 64, "nvidia": 48, "meta": 48}
_TURN_OVERHEAD = 4
_JSON = json.JSONEncoder()  # json.dumps with the same settings looks them up every time


def pieces(text: str) -> int:
    """Return the number of word pieces of a text."""
    return len(_PIECE.findall(text))


def split(text: str) -> list[str]:
    """Return the word pieces of a text with the spaces before them; joined they are the text, and without spaces they are what `pieces` counts."""
    ends = [found.end() for found in _PIECE.finditer(text)]
    if not ends:
        return [text] if text else []
    ends[-1] = len(text)
    return [text[start:end] for start, end in pairwise([0, *ends])]


def counted(text: str, model: Model) -> int:
    """Return the tokens a model counts for a text, at least one."""
    return max(1, round(pieces(text) * model.tokens))


def input_tokens(ask: Ask) -> int:
    """Return the tokens a model counts for a whole request: system, turns, tools and what comes with them."""
    total = _repeated(ask.system) + sum(pieces(turn.text) + _TURN_OVERHEAD for turn in ask.turns) + _tools(ask.tools)
    if ask.schema is not None and ask.schema_enforced:
        total += pieces(json.dumps(ask.schema))
    return round(total * ask.model.tokens) + (_preamble(ask.model) if ask.tools else 0)


def cut(text: str, model: Model, limit: int) -> str:
    """Return the beginning of a text that counts for at most `limit` tokens."""
    keep = int(limit / model.tokens)
    ends = [found.end() for found in _PIECE.finditer(text)]
    return text if len(ends) <= keep else text[: ends[keep - 1]] if keep else ""


def _tools(tools: Sequence[ToolSpec]) -> int:
    return sum(pieces(tool.name) + pieces(tool.description) + _repeated(_JSON.encode(tool.schema)) for tool in tools)


@lru_cache(maxsize=64)
def _repeated(text: str) -> int:
    """Return the pieces of a text that comes with many requests: instructions and tools."""
    return pieces(text)


def _preamble(model: Model) -> int:
    return next((size for vendor, size in _TOOL_PREAMBLE.items() if vendor in model.id), 48)
