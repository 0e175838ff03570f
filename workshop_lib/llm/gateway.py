"""The gateway: any model of the catalogue behind one call, retried in one place and charged from reported usage."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from workshop_lib import catalog
from workshop_lib.llm import retry
from workshop_lib.llm.types import Cost, Guardrail, Provider, RawReply, Reply, Request, Screened, Screener, Usage
from workshop_lib.settings import Settings


def _bedrock(settings: Settings) -> Provider:
    if settings.fast_client:
        from workshop_lib.llm.bedrock_fast import FastBedrock

        return FastBedrock(settings)
    from workshop_lib.llm.bedrock import Bedrock  # its SDK is loaded by who calls it, as openai's is

    return Bedrock(settings)


def _bedrock_for_many(settings: Settings) -> Provider:
    if settings.fast_client:
        return _bedrock(settings)
    from workshop_lib.llm.bedrock_light import LightBedrock

    return LightBedrock(settings)


def _openai_chat(settings: Settings) -> Provider:
    if settings.fast_client:
        from workshop_lib.llm.openai_fast import FastOpenAIChat

        return FastOpenAIChat(settings)
    from workshop_lib.llm.openai_chat import OpenAIChat  # 16 MiB of SDK that Bedrock calls do without

    return OpenAIChat(settings)


_PROVIDERS: Mapping[str, Callable[[Settings], Provider]] = {"bedrock": _bedrock, "nim": _openai_chat}
_FOR_MANY: Mapping[str, Callable[[Settings], Provider]] = {"bedrock": _bedrock_for_many}
_SHORTEST_S = 0.001


def price(model: catalog.Model, usage: Usage | None) -> Cost:
    """Return the cost of one reply from its usage; without usage the cost is incomplete, never zero and done."""
    if usage is None:
        return Cost(0.0, complete=False)
    return Cost(model.price.usd(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens))


class Gateway:
    """Callable as `gateway(model, request) -> Reply`; providers are connected when first needed. Safe to share between threads.

    `fast` says whether calls go by the lean path, which makes the SDKs' requests with less CPU; the settings say it if it does not. `many` says that
    thousands of calls are to come: boto3's client then signs and sends them with less CPU.
    """

    def __init__(
        self,
        settings: Settings,
        policy: retry.RetryPolicy | None = None,
        providers: Mapping[str, Provider] | None = None,
        *,
        fast: bool | None = None,
        many: bool = False,
    ) -> None:
        self.settings = settings if fast is None else settings.model_copy(update={"fast_client": fast})
        self.policy = policy or retry.RetryPolicy(settings.max_retries, settings.retry_base_s, settings.retry_cap_s)
        self._providers: dict[str, Provider] = dict(providers or {})
        self._connect = _FOR_MANY if many else {}
        self._lock = threading.Lock()

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer one request; raise UnknownModelError, SettingsError, or CallError once retries are used up."""
        entry = catalog.model(model)
        provider = self.provider(entry.provider)
        started = time.perf_counter()
        ends = None if request.timeout_s is None else self.policy.clock() + request.timeout_s

        def send() -> RawReply:
            nonlocal started
            started = time.perf_counter()
            left = request if ends is None else replace(request, timeout_s=max(_SHORTEST_S, ends - self.policy.clock()))
            return provider.send(entry, left)

        done = retry.call(send, self.policy, request.timeout_s)
        measured_ms = (time.perf_counter() - started) * 1000
        cost = price(entry, done.reply.usage)
        return Reply(
            model=entry.id,
            text=done.reply.text,
            tool_input=done.reply.tool_input,
            usage=done.reply.usage,
            cost=Cost(cost.usd, cost.complete and not done.maybe_billed),
            latency_ms=measured_ms if done.reply.latency_ms is None else done.reply.latency_ms,
            stop_reason=done.reply.stop_reason,
            attempts=done.attempts,
            source=done.reply.source or self.settings.backend,
            logprobs=done.reply.logprobs,
        )

    def screen(self, guardrail: Guardrail, text: str, source: Literal["INPUT", "OUTPUT"]) -> Screened:
        """Ask a guardrail about one text by ApplyGuardrail; raise CallError once retries are used up."""
        provider = self.provider("bedrock")
        if not isinstance(provider, Screener):
            raise TypeError(f"the provider {type(provider).__name__} cannot ask a guardrail about a text")
        return retry.call(lambda: provider.screen(guardrail, text, source), self.policy).reply

    def provider(self, name: str) -> Provider:
        """Return the provider of that name, "bedrock" or "nim", connected."""
        known = self._providers.get(name)
        if known is not None:
            return known
        with self._lock:  # boto3 wants its client made once, by one thread
            if name not in self._providers:
                self._providers[name] = (self._connect.get(name) or _PROVIDERS[name])(self.settings)
            return self._providers[name]
