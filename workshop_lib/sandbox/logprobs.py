"""Log-probabilities of a stand-in's text: where it decides on a label they are its classifier's own, elsewhere close to 0."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workshop_lib.sandbox import draw, schema, tokens
from workshop_lib.sandbox.ask import TokenChoice
from workshop_lib.sandbox.json_schema import DEPTH, Schema, properties

_LEAST = 1e-12
_FORM = 1e-3  # what a token that only gives the form, such as a brace, may fall short of certainty


@dataclass(frozen=True)
class Decision:
    """A place in a text where the model chose: `before` is a pattern of what precedes, `shares` are of the ways it could have gone on."""

    before: str
    written: str
    shares: Mapping[str, float]


def of_fields(fields: Mapping[str, Any], wanted: Schema, thinking: schema.Thinking) -> list[Decision]:
    """Return the decisions behind an object written as JSON, in its order."""
    return list(_of_object(fields, wanted, thinking, wanted, 0))


def of_prose(thinking: schema.Thinking) -> list[Decision]:
    """Return the decisions behind `schema.prose`."""
    if not thinking.about_ticket:
        return [Decision("", thinking.guess.answer, {thinking.guess.answer: schema.guess_share(thinking)})]
    category, _ = schema.most_likely(thinking.opinion.category, thinking)
    priority, _ = schema.most_likely(thinking.opinion.priority, thinking)
    spoken = {label.replace("_", " "): share for label, share in thinking.opinion.exact["category"].items()}
    return [
        Decision("about ", category.replace("_", " "), spoken),
        Decision("priority ", priority, thinking.opinion.exact["priority"]),
    ]


def of_text(text: str, decisions: Sequence[Decision], top: int, key: bytes) -> tuple[TokenChoice, ...]:
    """Return the tokens of a text with natural log-probabilities and up to `top` alternatives each.

    A token that decides nothing has no alternative but itself. A label of several tokens has the product of theirs as its share.
    """
    parts = tokens.split(text)
    found = [TokenChoice(part, -_FORM * draw.unit(key, f"form {place}")) for place, part in enumerate(parts)]
    found = [TokenChoice(one.token, one.logprob, ((one.token, one.logprob),)[:top]) for one in found]
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    cursor = 0
    for decision in decisions:
        place = re.compile(decision.before + r"\s*" + f"({re.escape(decision.written)})").search(text, cursor)
        if place is None or not decision.written or decision.written not in decision.shares:
            continue
        cursor = place.end()
        at = next(number for number in range(len(parts)) if starts[number + 1] > place.start(1))
        for number, choice in enumerate(_chain(decision, parts[at:], place.start(1) - starts[at], top), at):
            found[number] = choice
    return tuple(found)


def fitted(choices: Sequence[TokenChoice], text: str) -> tuple[TokenChoice, ...]:
    """Return the tokens of a text that was cut off; the last may be cut with it."""
    kept: list[TokenChoice] = []
    left = len(text)
    for choice in choices:
        if left <= 0:
            break
        kept.append(TokenChoice(choice.token[:left], choice.logprob, choice.top))
        left -= len(choice.token)
    return tuple(kept)


def _of_object(fields: Mapping[str, Any], wanted: Schema, thinking: schema.Thinking, root: Schema, depth: int) -> Any:
    for name, part in properties(wanted, root).items():
        value = fields.get(name)
        if isinstance(value, dict) and depth < DEPTH:
            yield from _of_object(value, part, thinking, root, depth + 1)
            continue
        shares = schema.shares(name, part, thinking, root) if isinstance(value, str | bool | int | float) else {}
        if shares:
            before = re.escape(json.dumps(name, ensure_ascii=False)) + r"\s*:\s*" + ('"' if isinstance(value, str) else "")
            yield Decision(before, _inner(value), {_inner(label): share for label, share in shares.items()})


def _inner(value: Any) -> str:
    """Return a scalar as it stands in JSON, without quotes."""
    written = json.dumps(value, ensure_ascii=False)
    return written[1:-1] if isinstance(value, str) else written


def _chain(decision: Decision, parts: Sequence[str], lead: int, top: int) -> list[TokenChoice]:
    """Return the tokens that write one choice: each has the share of the labels that go on with it among those still possible."""
    labels = {label: tokens.split(label) for label in decision.shares}
    chosen = labels[decision.written]
    before = parts[0][:lead]
    begun = any(cut[: len(chosen)] == chosen for label, cut in labels.items() if label != decision.written)  # it does not say where it ends
    if len(labels) == 1 or begun or [before + chosen[0], *chosen[1:]] != list(parts[: len(chosen)]):
        likely = _log(decision.shares[decision.written])
        return [TokenChoice(parts[0], likely, ((parts[0], likely),)[:top])]
    choices = []
    for place, piece in enumerate(chosen):
        alive = {label: cut for label, cut in labels.items() if len(cut) > place and cut[:place] == chosen[:place]}
        total = sum(decision.shares[label] for label in alive) or 1.0
        going_on: dict[str, float] = {}
        for label, cut in alive.items():
            going_on[cut[place]] = going_on.get(cut[place], 0.0) + decision.shares[label] / total
        ranked = sorted(going_on.items(), key=lambda item: (-item[1], item[0]))[:top]
        lead_text = before if place == 0 else ""
        choices.append(TokenChoice(lead_text + piece, _log(going_on[piece]), tuple((lead_text + word, _log(share)) for word, share in ranked)))
    return choices


def _log(share: float) -> float:
    return min(0.0, math.log(max(share, _LEAST)))
