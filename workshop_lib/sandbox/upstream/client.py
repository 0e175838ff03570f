"""The HTTP side of an upstream server: one client, whole and streamed chat completions, and its failures in the sandbox's words."""

import json
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import httpx

from workshop_lib.errors import SettingsError
from workshop_lib.sandbox.answering import AnswerFailed
from workshop_lib.sandbox.faults import Failure, Kind
from workshop_lib.sandbox.upstream import sse
from workshop_lib.sandbox.upstream.config import UpstreamConfig

_CONNECT_S = 5.0
_CONNECTIONS = 64
_LARGEST = 8 * 1024 * 1024
_KINDS: Mapping[int, Kind] = {408: "model_timeout", 429: "throttled", 503: "unavailable", 504: "model_timeout"}


class Client:
    """Sends requests to one server; made when first used, so that it belongs to the running event loop. Raises AnswerFailed."""

    def __init__(self, config: UpstreamConfig, transport: httpx.AsyncBaseTransport | None = None) -> None:
        assert config.url is not None  # the configuration requires it wherever a client is used
        self._url = config.url
        self._server = config.server
        self._timeout_s = config.timeout_s
        self._headers = {"authorization": f"Bearer {_key(config.api_key_env)}"} if config.api_key_env else {}
        self._environment = config.leaves_the_machine  # a proxy is for what leaves the machine
        self._transport = transport
        self._http: httpx.AsyncClient | None = None

    async def complete(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body of a whole chat completion."""
        try:
            async with self._asked(body) as answer:
                content = await self._read(answer)
        except httpx.HTTPError as error:
            raise self._failed(error) from error
        if answer.status_code != 200:
            raise self._refused(answer, content)
        return self._completion(content)

    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
        """Yield the chunks of a streamed chat completion; ends with the stream, whether or not [DONE] came."""
        try:
            async with self._asked(body) as answer:
                if answer.status_code != 200:
                    raise self._refused(answer, await self._read(answer))
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                    raise self._broken(f"sent {answer.headers.get('content-type', 'no content type')} where a stream was asked for")
                async with aclosing(sse.events(self._bounded(answer))) as events:
                    async for data in events:
                        if data == "[DONE]":
                            return
                        yield self._chunk(data)
        except httpx.HTTPError as error:
            raise self._failed(error) from error
        except sse.TooLong:
            raise self._broken("sent an event of more than 8 MB") from None

    async def get(self, path: str) -> Any:
        """Return what GET says at a path below the server's root, or None if it is not there or not JSON."""
        root = self._url.removesuffix("/v1")
        try:
            answer = await self._client().get(f"{root}{path}", timeout=_CONNECT_S)
            return answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None

    def _asked(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[httpx.Response]:
        content = json.dumps(body, ensure_ascii=False).encode(errors="replace")  # half a surrogate pair, which JSON can write, has no bytes
        return self._client().stream("POST", f"{self._url}/chat/completions", content=content, headers={"content-type": "application/json"})

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                headers=self._headers,
                timeout=httpx.Timeout(self._timeout_s, connect=min(_CONNECT_S, self._timeout_s)),
                limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
                trust_env=self._environment,
                transport=self._transport,
                follow_redirects=False,  # the key goes to the server that was named, and to no other
            )
        return self._http

    async def _bounded(self, answer: httpx.Response) -> AsyncGenerator[bytes]:
        """Yield a body's chunks for as long as one answer may take, even if every chunk is in time."""
        ends = time.monotonic() + self._timeout_s
        async for chunk in answer.aiter_bytes():
            yield chunk
            if time.monotonic() > ends:
                raise httpx.ReadTimeout("the whole answer took too long")

    async def _read(self, answer: httpx.Response) -> bytes:
        chunks, size = [], 0
        async with aclosing(self._bounded(answer)) as body:
            async for chunk in body:
                chunks.append(chunk)
                size += len(chunk)
                if size > _LARGEST:
                    raise self._broken("sent more than 8 MB")
        return b"".join(chunks)

    def _completion(self, content: bytes) -> Mapping[str, Any]:
        found = _json(content)
        if not isinstance(found, dict):
            raise self._broken("sent no JSON object")
        if isinstance(found.get("error"), dict | str):
            raise self._broken(f"sent an error with status 200: {_said(found)}")
        return found

    def _chunk(self, data: str) -> Mapping[str, Any]:
        found = _json(data)
        if not isinstance(found, dict):
            raise self._broken("sent a chunk that is no JSON object")
        if "choices" not in found and ("error" in found or "message" in found):
            raise AnswerFailed(Failure("model_error", f"The upstream server at {self._server} ended the stream with an error: {_said(found)}"))
        return found

    def _broken(self, what: str) -> AnswerFailed:
        return AnswerFailed(Failure("model_error", f"The upstream server at {self._server} {what}. Is it OpenAI-compatible at this address?"))

    def _failed(self, error: httpx.HTTPError) -> AnswerFailed:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError | httpx.UnsupportedProtocol):
            what = f"No upstream server answers at {self._server} ({str(error) or type(error).__name__}). Start it, or correct --upstream."
            return AnswerFailed(Failure("unavailable", what))
        if isinstance(error, httpx.TimeoutException):
            what = f"The upstream server at {self._server} took longer than {self._timeout_s:g} s. Ask for fewer tokens, or allow it more time."
            return AnswerFailed(Failure("model_timeout", what))
        what = f"The upstream server at {self._server} broke off its answer ({str(error) or type(error).__name__}). See its log."
        return AnswerFailed(Failure("server", what))

    def _refused(self, answer: httpx.Response, content: bytes) -> AnswerFailed:
        status = answer.status_code
        kind: Kind = _KINDS.get(status) or ("server" if status >= 500 else "validation")
        what = f"The upstream server at {self._server} refused the request ({status}): {_said(_json(content)) or answer.reason_phrase}"
        if status in (401, 403):
            what += " Name the environment variable that holds its key with --api-key-env."
        return AnswerFailed(Failure(kind, what, _retry_after_ms(answer.headers) if kind == "throttled" else None))


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise SettingsError(f"--api-key-env names {variable}, which is not set. Set it to the server's key, or leave the option out.")
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"{variable} holds characters that no key has. Set it to the server's key.")
    return key


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _said(found: Any) -> str:
    """Return the message of an error in the forms that such servers use, on one line."""
    for name in ("error", "message", "detail"):
        part = found.get(name) if isinstance(found, dict) else None
        part = part.get("message") if isinstance(part, dict) else part
        if part is not None:
            text = part if isinstance(part, str) else json.dumps(part)
            return " ".join(text.split())[:300]
    return ""


def _retry_after_ms(headers: Mapping[str, str]) -> int | None:
    for name, scale in (("retry-after-ms", 1.0), ("retry-after", 1000.0)):
        try:
            wait = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= wait <= 3_600_000:
            return max(1, round(wait))
    return None
