"""What a response echoes or adds because the request asked for it: the tier, the latency, and fields of the model's own answer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workshop_lib.sandbox.bedrock.errors import Refusal

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")


@dataclass(frozen=True)
class Extras:
    """The members of a request that show in its response; `paths` are JSON pointers into the model's own answer."""

    service_tier: str | None = None
    latency: str | None = None
    paths: tuple[str, ...] = ()

    def echoed(self) -> dict[str, Any]:
        """Return the members that a response repeats."""
        tier = {} if self.service_tier is None else {"serviceTier": {"type": self.service_tier}}
        latency = {} if self.latency is None else {"performanceConfig": {"latency": self.latency}}
        return {**latency, **tier}

    def picked(self, native: Mapping[str, Any]) -> dict[str, Any]:
        """Return the wanted fields of the model's own answer as a member of the response; nothing where it has none of them."""
        picked: dict[str, Any] = {}
        for path in self.paths:
            _pick(picked, native, [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")])
        return {"additionalModelResponseFields": picked} if picked else {}


def extras(body: Mapping[str, Any]) -> Extras:
    """Return what a request asks to see in its response; refuse what the stand-ins cannot give."""
    tier = (body.get("serviceTier") or {}).get("type")
    if tier == "reserved":
        raise Refusal("ValidationException", "The sandbox does not implement serviceTier 'reserved': nothing can be reserved in it.")
    latency = (body.get("performanceConfig") or {}).get("latency")
    if latency == "optimized":
        raise Refusal(
            "ValidationException", "performanceConfig.latency 'optimized' is not supported for this model; use 'standard' or leave it out."
        )
    paths = tuple(body.get("additionalModelResponseFieldPaths") or ())
    for path in paths:
        if not _POINTER.fullmatch(path):
            raise Refusal("ValidationException", f"The value '{path}' of additionalModelResponseFieldPaths is not a JSON pointer.")
    return Extras(tier, latency, paths)


def _pick(into: dict[str, Any], found: Any, parts: Sequence[str]) -> None:
    """Copy what a pointer names, in objects named as the pointer names them; nothing if it points to nothing."""
    for part in parts:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isascii() and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return
    for part in parts[:-1]:
        inner = into.setdefault(part, {})
        if not isinstance(inner, dict):
            return  # a shorter pointer has brought it all
        into = inner
    into[parts[-1]] = found
