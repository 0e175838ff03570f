"""A guardrail on one Converse request: which texts it reads, what it does to the request, and what it does to the answer."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workshop_lib.sandbox.ask import Completion
from workshop_lib.sandbox.bedrock import guardrails
from workshop_lib.sandbox.bedrock.conversation import content, text_of
from workshop_lib.sandbox.bedrock.errors import Refusal
from workshop_lib.sandbox.bedrock.guardrails import Finding, Guardrail

Body = Mapping[str, Any]
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Guard:
    """A guardrail that has read a request; `at_once` lets a stream run while the answer is judged, and judges it at the end."""

    rules: Guardrail
    trace: str
    at_once: bool
    found: Finding

    def screened(self) -> Completion | None:
        """Return the answer to a request that is blocked: no model is asked, so no tokens are used."""
        if not self.found.blocked:
            return None
        return Completion(
            "guardrail_intervened", 0, 0, self.found.latency_ms, text=self.rules.blocked_input, guardrail=self._trace(self.found, {})
        )

    def read(self, done: Completion) -> Completion:
        """Return an answer as the guardrail lets it pass: as it is, masked or blocked. Tool calls are not read, as on the service."""
        if not done.text:
            return replace(done, guardrail=self._trace(self.found, {}))
        found = guardrails.assess(self.rules, [done.text], source="OUTPUT", full=self.trace == "enabled_full")
        trace: dict[str, Any] = {"outputAssessments": {self.rules.id: [found.assessment]}}
        if found.intervened:
            trace = {"modelOutput": [done.text], **trace}
        done = replace(done, guardrail=self._trace(found if found.intervened else self.found, trace))
        if self.at_once:  # what was sent cannot be taken back or masked
            return replace(done, stop_reason="guardrail_intervened") if found.blocked else done
        if found.blocked:
            return replace(
                done, stop_reason="guardrail_intervened", text=self.rules.blocked_output, tool_name=None, tool_arguments="", tool_input={}
            )
        return replace(done, stop_reason="guardrail_intervened", text=found.texts[0]) if found.masked else done

    def _trace(self, deciding: Finding, output: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.trace == "disabled":
            return {}
        return {"inputAssessment": {self.rules.id: self.found.assessment}, **output, "actionReason": deciding.reason}


def guarded(body: Body, *, streaming: bool) -> tuple[Guard | None, Body]:
    """Return the guardrail of a request after it has read it, and the request with what it masks in it; refuse an unknown guardrail."""
    config = body.get("guardrailConfig")
    if config is None:
        return None, body
    identifier, version = config.get("guardrailIdentifier"), config.get("guardrailVersion")
    if identifier is None or version is None:
        raise Refusal("ValidationException", "The guardrailConfig must have both guardrailIdentifier and guardrailVersion.")
    rules = guardrails.guardrail(identifier, version)
    trace = config.get("trace") or "disabled"
    places = _places(body)
    texts = [_text(body, place) for place in places]
    found = guardrails.assess(rules, texts, source="INPUT", full=trace == "enabled_full", total=_total(body))
    guard = Guard(rules, trace, streaming and config.get("streamProcessingMode") == "async", found)
    return guard, _masked(body, places, found.texts) if found.masked and not found.blocked else body


def _places(body: Body) -> list[Place]:
    """Return where the texts are that a guardrail reads: guardContent blocks where there are any, else the text of all messages."""
    in_messages = [
        ("messages", number, position)
        for number, message in enumerate(body.get("messages") or ())
        for position in range(len(message["content"]))
    ]
    chosen = [place for place in in_messages if content(_block(body, place))[0] == "guardContent"]
    chosen = chosen or [place for place in in_messages if content(_block(body, place))[0] == "text"]
    in_system = [("system", 0, position) for position in range(len(body.get("system") or ()))]
    return [place for place in in_system if content(_block(body, place))[0] == "guardContent"] + chosen


def _block(body: Body, place: Place) -> Any:
    section, number, position = place
    return body["system"][position] if section == "system" else body["messages"][number]["content"][position]


def _text(body: Body, place: Place) -> str:
    return text_of(_block(body, place)) or ""


def _total(body: Body) -> int:
    blocks = [block for message in body.get("messages") or () for block in message["content"]]
    return sum(len(text_of(block) or "") for block in blocks if content(block)[0] in ("text", "guardContent"))


def _masked(body: Body, places: Sequence[Place], texts: Sequence[str]) -> Body:
    copied = copy.deepcopy(dict(body))
    for place, text in zip(places, texts, strict=True):
        block = _block(copied, place)
        if block.get("text") is not None:
            block["text"] = text
        else:
            block["guardContent"]["text"]["text"] = text
    return copied
