"""The cache points of a Converse request: the prefixes that end at them, counted and digested, and what the service refuses about them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from workshop_lib.sandbox import tokens
from workshop_lib.sandbox.ask import Ask, Completion
from workshop_lib.sandbox.bedrock import conversation
from workshop_lib.sandbox.bedrock.errors import Refusal
from workshop_lib.sandbox.bedrock.prompt_cache import MOST_POINTS, Point, PromptCaches, look_back

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Cached:
    """The cache points of one request, and the caches that they are looked up in when the request is answered."""

    points: tuple[Point, ...]
    caches: PromptCaches
    scope: str

    def counted(self, asked: Ask, done: Completion) -> Completion:
        """Return an answer with the tokens read from and written to the cache apart from the other input tokens."""
        use = self.caches.use(self.scope, asked.model.id, self.points)
        read = min(use.read, done.input_tokens)
        written = min(sum(count for _, count in use.written), done.input_tokens - read)
        return replace(
            done,
            input_tokens=done.input_tokens - read - written,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_details=use.written,
        )


def points(asked: Ask, body: Body) -> tuple[Point, ...]:
    """Return the cache points of a request of the right shape in the order tools, system, messages; refuse too many, or a longer life after a shorter."""
    if not _has_any(body):
        return ()
    found: list[Point] = []
    digests: list[bytes] = [_chained(b"", body.get("outputConfig"))]
    for section, block, prefix in _blocks(asked, body):
        if block.get("cachePoint") is None:
            digests.append(_chained(digests[-1], [section, block]))
        else:
            found.append(Point(look_back(digests), tokens.input_tokens(prefix), block["cachePoint"].get("ttl") or "5m"))
    if asked.model.price.cache_read is None:
        raise Refusal(
            "AccessDeniedException",
            "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more information.",
        )
    if len(found) > MOST_POINTS:
        raise Refusal(
            "ValidationException",
            f"The model returned the following errors: A maximum of {MOST_POINTS} blocks with cache_control may be provided. Found {len(found)}.",
        )
    for first, second in pairwise(found):
        if (first.ttl, second.ttl) == ("5m", "1h"):
            raise Refusal(
                "ValidationException",
                "The model returned the following errors: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.",
            )
    return tuple(found)


def without(body: Body) -> Body:
    """Return a request without its cache points: what is asked does not depend on them."""
    if not _has_any(body):
        return body
    plain = dict(body)
    if body.get("system"):
        plain["system"] = _plain(body["system"])
    if body.get("messages"):
        plain["messages"] = [{**message, "content": _plain(message["content"])} for message in body["messages"]]
    if body.get("toolConfig"):
        plain["toolConfig"] = {**body["toolConfig"], "tools": _plain(body["toolConfig"]["tools"])}
    return plain


def _has_any(body: Body) -> bool:
    blocks = [*(body.get("system") or ()), *((body.get("toolConfig") or {}).get("tools") or ())]
    return any("cachePoint" in block for block in blocks) or any(
        "cachePoint" in block for message in body.get("messages") or () for block in message["content"]
    )


def _plain(blocks: Any) -> list[Any]:
    return [block for block in blocks if block.get("cachePoint") is None]


def _blocks(asked: Ask, body: Body) -> Iterator[tuple[str, Mapping[str, Any], Ask]]:
    """Yield each block of a request with what would be asked if the request ended before it."""
    bare = replace(asked, system="", turns=(), schema=None)
    specified = 0
    for block in (body.get("toolConfig") or {}).get("tools") or ():
        yield "tools", block, replace(bare, tools=asked.tools[:specified])
        specified += block.get("cachePoint") is None
    bare = replace(bare, tools=asked.tools)
    system = body.get("system") or ()
    for position, block in enumerate(system):
        yield "system", block, replace(bare, system=conversation.system(system[:position]))
    bare = replace(bare, system=asked.system)
    for number, message in enumerate(body.get("messages") or ()):
        for position, block in enumerate(message["content"]):
            begun = (conversation.turn(message["role"], message["content"][:position]),) if position else ()
            yield f"{message['role']} {number}", block, replace(bare, turns=asked.turns[:number] + begun)


def _chained(before: bytes, block: Any) -> bytes:
    text = json.dumps(block, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return blake2b(before + text.encode(errors="surrogatepass"), digest_size=16).digest()
