"""Chat completions with less CPU: the openai client's requests over the lean HTTP session. Off unless asked for.

As with Bedrock, the client says what a request looks like, once, and reads every response that is not a plain success.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import BotoCoreError, ConnectionClosedError
from botocore.utils import get_environ_proxies

from workshop_lib.catalog import Model
from workshop_lib.llm.lean_http import LeanSession, prepared
from workshop_lib.llm.openai_chat import OpenAIChat
from workshop_lib.llm.types import RawReply, Request
from workshop_lib.settings import Settings

_READ_TIMEOUT = "x-stainless-read-timeout"


@dataclass(frozen=True)
class _Form:
    """What all requests have in common."""

    url: str
    headers: Mapping[str, str]

    def request(self, arguments: Mapping[str, Any], timeout: openai.Timeout | None) -> AWSPreparedRequest:
        """Return a request ready to leave."""
        body = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        headers: dict[str, str] = {**self.headers, "Content-Length": str(len(body))}
        context: dict[str, Any] = {}
        if timeout is not None:
            headers[_READ_TIMEOUT] = str(timeout.read)
            context["read_timeout"] = timeout.read
        return prepared(self.url, headers, body, **context)


class FastOpenAIChat(OpenAIChat):
    """The provider for models behind an OpenAI-compatible endpoint, by the lean path."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._session = LeanSession(
            settings.connect_timeout_s,
            settings.read_timeout_s,
            settings.max_connections,
            verify=os.environ.get("SSL_CERT_FILE") or True,
            proxies=_proxies(str(self._client.base_url)) if settings.backend == "live" else {},
        )
        self._form: _Form | None = None

    def send(self, model: Model, request: Request) -> RawReply:
        """Make one chat completion call; a guardrail cannot be attached here and is refused."""
        try:
            return super().send(model, request)
        except BotoCoreError as error:
            from workshop_lib.llm.bedrock import translate  # boto3 is loaded only for a failure

            raise translate(error, model.id) from error

    def _create(self, arguments: dict[str, Any], timeout: openai.Timeout | None) -> tuple[str, Mapping[str, str]]:
        form = self._form = self._form or self._learned(arguments)
        response = self._session.send(form.request(arguments, timeout))
        headers: Any = response.headers
        if 300 <= response.status_code < 400:  # a redirect, which charged nothing: the client goes where it points
            return super()._create(arguments, timeout)
        if len(response.content) != int(headers.get("content-length", len(response.content))):
            raise ConnectionClosedError(endpoint_url=form.url, error="the answer was cut short")
        if response.status_code != 200 or "content-encoding" in headers:
            return self._read_by_client(response, arguments)
        return response.content.decode("utf-8", "replace"), headers

    def _learned(self, arguments: dict[str, Any]) -> _Form:
        """Let the client prepare a request, and keep what it has in common with those to come."""
        caught: list[httpx2.Request] = []

        def catch(request: httpx2.Request) -> httpx2.Response:
            caught.append(request)
            return httpx2.Response(200, json={})

        self._answered_by(catch, arguments)
        headers = {name.decode(): value.decode() for name, value in caught[0].headers.raw if name.lower() != b"host"}
        return _Form(str(caught[0].url), {**headers, "Accept-Encoding": "identity"})

    def _read_by_client(self, response: AWSResponse, arguments: dict[str, Any]) -> tuple[str, Mapping[str, str]]:
        """Return what the client makes of a response to a call, or let it raise."""
        framing = {"content-length", "transfer-encoding"}  # said of what came over the network, which was read already
        headers = {name: value for name, value in response.headers.items() if name.lower() not in framing}
        return self._answered_by(lambda _: httpx2.Response(response.status_code, headers=headers, content=response.content), arguments)

    def _answered_by(self, handler: Any, arguments: dict[str, Any]) -> tuple[str, Mapping[str, str]]:
        with httpx2.Client(transport=httpx2.MockTransport(handler)) as answering:
            raw = self._client.with_options(http_client=answering).chat.completions.with_raw_response.create(**arguments)
            return raw.text, raw.headers


def _proxies(url: str) -> dict[str, str]:
    found: dict[str, str] = get_environ_proxies(url)
    return {scheme: found[name] for scheme in ("http", "https") for name in ("all", scheme) if name in found}
