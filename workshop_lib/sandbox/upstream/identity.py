"""Which weights an upstream server answers with, as far as it tells."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from workshop_lib.sandbox.upstream.client import Client

_TOLD = ("root", "max_model_len", "quantization")


async def upstream_hash(client: Client, model: str) -> str | None:
    """Return "weights:..." from Ollama's digest, "described:..." from what llama.cpp, vLLM or NIM say of a model, or None.

    A description is of the model (size, vocabulary, file name), not of how or where the server runs it.
    """
    tagged = _member(await client.get("/api/tags"), "models", model)
    digest = tagged.get("digest")
    if isinstance(digest, str) and digest:
        return f"weights:{digest.removeprefix('sha256:')[:32]}"
    entry = _member(await client.get("/v1/models"), "data", model)
    props = await client.get("/props")
    told: dict[str, Any] = {name: entry[name] for name in _TOLD if entry.get(name) is not None}
    meta = entry.get("meta")
    if isinstance(meta, dict):
        told["meta"] = {name: value for name, value in meta.items() if name != "n_ctx"}
    path = props.get("model_path") if isinstance(props, dict) else None
    if isinstance(path, str) and path:
        told["file"] = path.replace("\\", "/").rsplit("/", 1)[-1]
    return f"described:{sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]}" if told else None


def _member(found: Any, name: str, model: str) -> Mapping[str, Any]:
    """Return the entry of a model in a list of models, or the only one (llama.cpp serves one model under any name), or an empty one."""
    entries = found.get(name) if isinstance(found, dict) else None
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    named = [entry for entry in entries if model in (entry.get("id"), entry.get("name"), entry.get("model"))]
    return named[0] if named else entries[0] if len(entries) == 1 else {}
