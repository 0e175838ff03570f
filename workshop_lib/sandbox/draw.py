"""Reproducible draws: everything that looks random in the sandbox is computed from the request and the seed."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
_SCALE = float(1 << 64)


def digest(seed: int, model_id: str, content: Mapping[str, Any]) -> bytes:
    """Return what identifies a request's content under a seed, independent of key order."""
    text = _JSON.encode(content)
    return blake2b(f"{seed}\n{model_id}\n{text}".encode(errors="surrogatepass"), digest_size=16).digest()


def unit(key: bytes, purpose: str) -> float:
    """Return a number in (0, 1) that depends on the key and on what it is for."""
    drawn = blake2b(purpose.encode(), key=key, digest_size=8).digest()
    return (int.from_bytes(drawn, "big") + 0.5) / _SCALE


def name(key: bytes, purpose: str, length: int = 22) -> str:
    """Return an identifier of hexadecimal digits that depends on the key and on what it is for."""
    return blake2b(purpose.encode(), key=key, digest_size=16).hexdigest()[:length]
