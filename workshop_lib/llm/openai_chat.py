"""NVIDIA NIM, and any server that speaks OpenAI chat completions, through the openai SDK."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import openai

from workshop_lib.catalog import Model
from workshop_lib.errors import SettingsError
from workshop_lib.llm.errors import CallError, header_number, kind_of_status
from workshop_lib.llm.types import RawReply, Request, TokenLogprob, Usage, source
from workshop_lib.settings import NIM_HOSTED, Settings

_STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "content_filtered"}
LATENCY_HEADER = "x-workshop-latency-ms"


def client(settings: Settings) -> openai.OpenAI:
    """Return a plain openai client with SDK retries off; raise SettingsError when the base URL or the key is missing."""
    timeout = openai.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s)
    if settings.backend == "live":
        if settings.nvidia_api_key is None and settings.openai_base_url is None:
            raise SettingsError("WORKSHOP_BACKEND is 'live' but NVIDIA_API_KEY is not set. Get a key at build.nvidia.com, or set OPENAI_BASE_URL to your own server.")
        key = settings.nvidia_api_key.get_secret_value() if settings.nvidia_api_key else "none"
        return openai.OpenAI(base_url=settings.openai_base_url or NIM_HOSTED, api_key=key, max_retries=0, timeout=timeout)
    if settings.openai_base_url is None:
        raise SettingsError("The sandbox is not running for this process. Start it with `workshop sandbox`, or open it with workshop_lib.backend.open_backend().")
    # A proxy from the environment must not see loopback calls. Plain http needs no certificates, which take 20 ms of CPU to read; no other server is trusted.
    trusted: ssl.SSLContext | bool = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if settings.openai_base_url.startswith("http://") else True
    direct = openai.DefaultHttpxClient(trust_env=False, timeout=timeout, verify=trusted)
    return openai.OpenAI(base_url=settings.openai_base_url, api_key="sandbox", max_retries=0, timeout=timeout, http_client=direct)


def chat_arguments(model: Model, request: Request) -> dict[str, Any]:
    """Return the keyword arguments of `client.chat.completions.create` for a request."""
    messages: list[dict[str, str]] = []
    if request.system is not None:
        messages.append({"role": "system", "content": request.system})
    messages.append({"role": "user", "content": request.prompt})
    arguments: dict[str, Any] = {"model": model.id, "messages": messages, "max_tokens": request.max_tokens}
    if model.accepts_temperature:
        arguments["temperature"] = request.temperature
    if request.tool is not None:
        function = {"name": request.tool.name, "description": request.tool.description, "parameters": dict(request.tool.schema)}
        arguments["tools"] = [{"type": "function", "function": function}]
        arguments["tool_choice"] = {"type": "function", "function": {"name": request.tool.name}}
    if request.logprobs:
        arguments |= {"logprobs": True, "top_logprobs": int(request.logprobs)}
    if request.sample:
        arguments["seed"] = request.sample
    return arguments


class OpenAIChat:
    """The provider for models behind an OpenAI-compatible endpoint."""

    def __init__(self, settings: Settings) -> None:
        self._client = client(settings)

    def send(self, model: Model, request: Request) -> RawReply:
        """Make one chat completion call; a guardrail cannot be attached here and is refused."""
        if request.guardrail is not None:
            raise CallError("validation", model.id, "guardrails are a Bedrock feature.")
        timeout = None if request.timeout_s is None else self._no_longer_than(request.timeout_s)
        try:
            text, headers = self._create(chat_arguments(model, request), timeout)
        except openai.APIError as error:
            raise translate(error, model.id) from error
        return replace(read(_json(text), header_number(headers.get(LATENCY_HEADER))), source=source(headers))

    def _create(self, arguments: dict[str, Any], timeout: openai.Timeout | None) -> tuple[str, Mapping[str, str]]:
        """Make the call and return the body and the headers of the response."""
        raw = self._client.chat.completions.with_raw_response.create(**arguments, timeout=openai.not_given if timeout is None else timeout)
        return raw.text, raw.headers

    def _no_longer_than(self, seconds: float) -> openai.Timeout:
        usual = self._client.timeout
        assert isinstance(usual, openai.Timeout)  # client() makes it so
        return openai.Timeout(min(seconds, usual.read or seconds), connect=min(seconds, usual.connect or seconds))


def read(completion: Mapping[str, Any], latency_ms: float | None = None) -> RawReply:
    """Read a chat completion as plain data, with stop reasons in Converse's words.

    A body that is no chat completion becomes an empty reply that did not finish, so it is invalid.
    """
    choices = completion.get("choices")
    choice = _object(choices[0]) if isinstance(choices, list) and choices else {}
    message = _object(choice.get("message"))
    calls = message.get("tool_calls")
    functions = [_object(_object(call).get("function")) for call in calls] if isinstance(calls, list) else []
    text, finish = message.get("content"), choice.get("finish_reason")
    finish = finish if isinstance(finish, str) and finish else "malformed_model_output"
    return RawReply(
        text=text if isinstance(text, str) else "",
        tool_input=_json(functions[0].get("arguments")) or None if functions else None,
        usage=_usage(_object(completion.get("usage"))),
        latency_ms=latency_ms,
        stop_reason=_STOP_REASONS.get(finish, finish),
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _logprobs(reported: Any) -> tuple[TokenLogprob, ...] | None:
    """Return the tokens of the text with their log-probabilities; None if there are none, or not in the documented shape."""
    tokens = reported.get("content") if isinstance(reported, Mapping) else None
    if not tokens:
        return None
    try:
        return tuple(
            TokenLogprob(str(token["token"]), float(token["logprob"]), tuple((str(o["token"]), float(o["logprob"])) for o in token.get("top_logprobs") or ()))
            for token in tokens
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _usage(usage: Mapping[str, Any]) -> Usage | None:
    """Return the tokens counted; `prompt_tokens` include the cached ones here, which Usage keeps apart."""
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    cached = _object(usage.get("prompt_tokens_details")).get("cached_tokens") or 0
    if type(prompt) is not int or type(completion) is not int or type(cached) is not int or not 0 <= cached <= prompt or completion < 0:
        return None
    return Usage(prompt - cached, completion, cache_read_tokens=cached)


def _json(text: Any) -> dict[str, Any]:
    """Return the JSON object in a text, or an empty one if it holds anything else."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _object(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def translate(error: openai.APIError, model_id: str) -> CallError:
    """Turn an openai exception into a CallError with the kind of failure and the delay the server asked for."""
    if isinstance(error, openai.APITimeoutError):
        connecting = type(error.__cause__).__name__ in ("ConnectTimeout", "PoolTimeout")  # nothing was sent yet
        return CallError("connect_timeout" if connecting else "read_timeout", model_id, "the request timed out.")
    if isinstance(error, openai.APIStatusError):
        headers = error.response.headers
        in_ms = header_number(headers.get("retry-after-ms"), unit=0.001)
        retry_after_s = header_number(headers.get("retry-after")) if in_ms is None else in_ms
        return CallError(kind_of_status(error.status_code), model_id, f"HTTP {error.status_code}: {error.message.rstrip('.')}.", retry_after_s=retry_after_s)
    refused = "ConnectError" in type(error.__cause__).__name__
    return CallError("unreachable" if refused else "disconnected", model_id, f"{error.message.rstrip('.')}.")
