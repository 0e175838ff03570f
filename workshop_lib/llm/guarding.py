"""A guardrail on every call: attached where Converse takes one, and asked separately about what Converse does not show it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from workshop_lib import catalog
from workshop_lib.llm.gateway import Gateway
from workshop_lib.llm.retry import RetryPolicy
from workshop_lib.llm.types import Ask, Cost, Guardrail, Reply, Request, Screened, Usage
from workshop_lib.settings import Settings

Screen = Callable[[Guardrail, str, Literal["INPUT", "OUTPUT"]], Screened]


class Guarded:
    """An `Ask` whose every call is under a guardrail; safe to share between threads.

    Converse shows a guardrail the prompt and the text of the reply, but not the arguments of a tool call, so the free text in those is
    screened by ApplyGuardrail. A model that is not on Bedrock has prompt and reply screened that way. What may not pass makes the reply
    "guardrail_intervened", as Converse does; what is only masked is masked. `units` counts the text units of ApplyGuardrail. What a guardrail
    costs is not in the table of prices, so the cost of every call is a lower bound. `source` is who a prompt that may not pass was refused by.
    """

    def __init__(self, ask: Ask, guardrail: Guardrail, screen: Screen, source: str = "sandbox") -> None:
        self.units = 0
        self._ask = ask
        self._guardrail = guardrail
        self._screen = screen
        self._source = source
        self._lock = threading.Lock()

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer one request under the guardrail; raise CallError if the model or the guardrail cannot be asked."""
        entry = catalog.model(model)
        if entry.provider == "bedrock":
            reply = self._ask(model, replace(request, guardrail=self._guardrail))
            return self._arguments_screened(_unpriced(reply), request)
        read = self._read(request.prompt, "INPUT")
        if read.blocked:
            return Reply(entry.id, "", None, Usage(0, 0), Cost(0.0, complete=False), 0.0, "guardrail_intervened", attempts=0, source=self._source)
        reply = _unpriced(self._ask(model, replace(request, prompt=read.text)))
        if reply.text.strip():
            said = self._read(reply.text, "OUTPUT")
            reply = _blocked(reply) if said.blocked else replace(reply, text=said.text)
        return self._arguments_screened(reply, request)

    def _arguments_screened(self, reply: Reply, request: Request) -> Reply:
        names = [] if reply.blocked or reply.tool_input is None else _free_text(reply.tool_input, request)
        if reply.tool_input is None or not names:
            return reply
        said = self._read("\n".join(reply.tool_input[name] for name in names), "OUTPUT")
        if said.blocked or (said.masked and len(names) > 1):  # where one text ends in a masked whole is not said
            return _blocked(reply)
        return replace(reply, tool_input={**reply.tool_input, names[0]: said.text}) if said.masked else reply

    def _read(self, text: str, source: Literal["INPUT", "OUTPUT"]) -> Screened:
        screened = self._screen(self._guardrail, text, source)
        with self._lock:
            self.units += screened.units
        return screened


class _GuardedGateway(Gateway):
    """A gateway whose every call is under a guardrail."""

    def __init__(self, settings: Settings, policy: RetryPolicy | None, guardrail: Guardrail) -> None:
        super().__init__(settings, policy)
        self._guarded = Guarded(super().__call__, guardrail, self.screen, settings.backend)

    def __call__(self, model: str, request: Request) -> Reply:
        """Answer one request under the guardrail; raise as a gateway does, and CallError if the guardrail cannot be asked."""
        return self._guarded(model, request)


def connect(settings: Settings, policy: RetryPolicy | None = None) -> Gateway:
    """Return the gateway for calls made on a user's behalf: under the guardrail that the settings name, if they name one.

    Every way to call but a bulk run, which has patience with model and guardrail apart, is made here.
    """
    guardrail = guardrail_of(settings)
    return Gateway(settings, policy) if guardrail is None else _GuardedGateway(settings, policy, guardrail)


def guardrail_of(settings: Settings) -> Guardrail | None:
    """Return the guardrail that settings name, if they name one."""
    if settings.guardrail_id is None or settings.guardrail_version is None:
        return None
    return Guardrail(settings.guardrail_id, settings.guardrail_version)


def guardrail_named(settings: Settings) -> str:
    """Return the guardrail of settings in words, "none" if they name none, for what must not be mixed."""
    guardrail = guardrail_of(settings)
    return "none" if guardrail is None else f"{guardrail.identifier} {guardrail.version}"


def _free_text(arguments: Mapping[str, Any], request: Request) -> list[str]:
    """Return the arguments in which a model may write what it likes: text that the tool does not enumerate and that is not the item's own id."""
    schema = request.tool.schema if request.tool is not None else {}
    enumerated = {name for name, about in schema.get("properties", {}).items() if "enum" in about}
    ids = set(request.tags.values())
    return [name for name, value in arguments.items() if isinstance(value, str) and value.strip() and name not in enumerated and value not in ids]


def _blocked(reply: Reply) -> Reply:
    return replace(reply, text="", tool_input=None, stop_reason="guardrail_intervened")


def _unpriced(reply: Reply) -> Reply:
    return replace(reply, cost=replace(reply.cost, complete=False))
