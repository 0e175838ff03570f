"""Which weights an upstream server answers with, as far as it tells."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from workshop_lib.sandbox.upstream.client import Client

_TOLD = ("id", "meta", "root", "max_model_len", "quantization", "owned_by")


async def upstream_hash(client: Client, model: str) -> str | None:
    """Return "weights:..." from Ollama's digest, "described:..." from what llama.cpp, vLLM or NIM say of a model, or None."""
    digest = _member(await client.get("/api/tags"), "models", model)
    if digest is not None and isinstance(digest.get("digest"), str):
        return f"weights:{digest['digest'].removeprefix('sha256:')[:32]}"
    entry = _member(await client.get("/v1/models"), "data", model)
    props = await client.get("/props")
    told: dict[str, Any] = {name: entry[name] for name in _TOLD if entry is not None and entry.get(name) is not None}
    told |= {name: props[name] for name in ("model_path", "build_info") if isinstance(props, dict) and props.get(name)}
    if not set(told) - {"id", "owned_by"}:
        return None  # a name says nothing of the weights
    return f"described:{sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]}"


def _member(found: Any, name: str, model: str) -> Mapping[str, Any] | None:
    """Return the entry of a model in a list of models, or the only entry: llama.cpp serves one model under any name."""
    entries = found.get(name) if isinstance(found, dict) else None
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    named = [entry for entry in entries if model in (entry.get("id"), entry.get("name"), entry.get("model"))]
    return named[0] if named else entries[0] if len(entries) == 1 else None
