"""Recorded replies: ask a model once, and replay its reply ever after without a call."""

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workshop_lib import catalog
from workshop_lib.errors import DataError, WorkshopError
from workshop_lib.llm import Ask, Cost, Reply, Request, TokenLogprob, Usage

FORMAT = "cascade-workshop replies 1"
_Key = tuple[str, str]


class CacheMiss(WorkshopError):
    """A reply is wanted that was never recorded, and no model may be called."""


def request_hash(request: Request) -> str:
    """Return the sha256 of everything a model sees of a request; tags are bookkeeping and do not count."""
    return _sha256(_seen(request))


class ReplyCache:
    """An `Ask` that serves recorded replies and records new ones, one JSON line each; without `inner` it only replays.

    `calls` counts calls of `inner`, `hits` replies served without one. A reply is on disk before it is returned; a call that fails is not
    recorded. Threads may share it, and the same request asked twice at once is called once. `path=None` keeps the replies in memory only.
    """

    def __init__(self, path: Path | None, inner: Ask | None = None) -> None:
        self.path = path
        self.calls = 0
        self.hits = 0
        self._inner = inner
        self._lock = threading.Lock()
        self._pending: dict[_Key, Future[Reply]] = {}
        self._replies: dict[_Key, Reply] = _read(path) if path is not None else {}

    def __len__(self) -> int:
        """Return how many replies are recorded."""
        return len(self._replies)

    def __call__(self, model: str, request: Request) -> Reply:
        """Return the recorded reply, or call `inner` and record it; raise CacheMiss when there is neither."""
        model_id = catalog.model(model).id
        key = (model_id, request_hash(request))
        with self._lock:
            if key in self._replies:
                self.hits += 1
                return self._replies[key]
            if self._inner is None:
                raise CacheMiss(_miss(self.path, model_id, request))
            waiting = self._pending.get(key)
            if waiting is None:
                mine = self._pending[key] = Future()
                self.calls += 1
            else:
                self.hits += 1
        return self._call(self._inner, model, key, request, mine) if waiting is None else waiting.result()

    def _call(self, inner: Ask, model: str, key: _Key, request: Request, mine: "Future[Reply]") -> Reply:
        try:
            reply = inner(model, request)
            with self._lock:
                if self.path is not None:
                    _append(self.path, _line(key, request, reply))
                self._replies[key] = reply
        except BaseException as error:  # whoever waits for this call must hear of its end, an interrupt included
            mine.set_exception(error)
            raise
        else:
            mine.set_result(reply)
            return reply
        finally:
            with self._lock:
                del self._pending[key]


def _seen(request: Request) -> dict[str, Any]:
    return {**_template(request), **_settings(request), "prompt": request.prompt, **request.drawn()}


def _template(request: Request) -> dict[str, Any]:
    tool = request.tool
    return {
        "system": request.system,
        "tool": None if tool is None else {"name": tool.name, "description": tool.description, "schema": dict(tool.schema)},
    }


def _settings(request: Request) -> dict[str, Any]:
    guardrail = None if request.guardrail is None else asdict(request.guardrail)
    return {"max_tokens": request.max_tokens, "temperature": request.temperature, "guardrail": guardrail}


def _sha256(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def _miss(path: Path | None, model_id: str, request: Request) -> str:
    item = ", ".join(f"{name} {value}" for name, value in request.tags.items()) or f"the request that begins {request.prompt[:40]!r}"
    where = "this replay" if path is None else str(path)
    return f"{where} holds no reply of {model_id} to {item}. Record it: open the cache with a gateway as `inner`, then ask again."


def _line(key: _Key, request: Request, reply: Reply) -> dict[str, Any]:
    model_id, digest = key
    return {
        "model": model_id,
        "request": digest,
        "prompt_hash": _sha256(_template(request))[:12],
        "settings_hash": _sha256(_settings(request))[:12],
        "tags": dict(request.tags),
        "text": reply.text,
        "tool_input": None if reply.tool_input is None else dict(reply.tool_input),
        "usage": None if reply.usage is None else asdict(reply.usage),
        "cost": asdict(reply.cost),
        "latency_ms": reply.latency_ms,
        "stop_reason": reply.stop_reason,
        "attempts": reply.attempts,
        "source": reply.source,
        **({} if reply.logprobs is None else {"logprobs": [[token.token, token.logprob, token.alternatives] for token in reply.logprobs]}),
    }


def _reply(line: Mapping[str, Any]) -> tuple[_Key, Reply]:
    reply = Reply(
        model=line["model"],
        text=line["text"],
        tool_input=line["tool_input"],
        usage=None if line["usage"] is None else Usage(**line["usage"]),
        cost=Cost(**line["cost"]),
        latency_ms=line["latency_ms"],
        stop_reason=line["stop_reason"],
        attempts=line["attempts"],
        source=line["source"],
        logprobs=_logprobs(line.get("logprobs")),
    )
    return (line["model"], line["request"]), reply


def _logprobs(stored: Any) -> tuple[TokenLogprob, ...] | None:
    if stored is None:
        return None
    return tuple(TokenLogprob(token, logprob, tuple((other, value) for other, value in rest)) for token, logprob, rest in stored)


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Write one line in one piece and wait until it is on disk, so that a crash loses nothing that was paid for."""
    new = not path.exists()
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
    text = (_dump({"format": FORMAT, "date": datetime.now(UTC).date().isoformat()}) if new else "") + _dump(line)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True) + "\n"


def _read(path: Path) -> dict[_Key, Reply]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"The recorded replies {path} cannot be read ({error.strerror}). Check the name and its permissions.") from error
    if not data.endswith(b"\n"):
        data = _repaired(path, data)
    lines = data.decode("utf-8", "replace").split("\n")[:-1]
    replies: dict[_Key, Reply] = {}
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            if number == 1:
                _check_header(path, line)
                continue
            key, reply = _reply(line)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path} line {number} is not a recorded reply. Delete that line; its reply will be asked for again.") from error
        replies.setdefault(key, reply)
    return replies


def _repaired(path: Path, data: bytes) -> bytes:
    """Cut off a last line that a crash tore, and return what is left."""
    begins = _dump({"format": FORMAT}).rstrip("}\n").encode()
    if data[: len(begins)] != begins[: len(data)]:
        raise _not_ours(path)
    whole = data[: data.rfind(b"\n") + 1]
    if whole:
        os.truncate(path, len(whole))
    else:
        path.unlink()
    return whole


def _check_header(path: Path, line: Any) -> None:
    if not isinstance(line, dict) or line.get("format") != FORMAT:
        raise _not_ours(path)


def _not_ours(path: Path) -> DataError:
    return DataError(f"{path} is no file of recorded replies ({FORMAT}). Name another file, or move this one away.")
