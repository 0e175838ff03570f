"""Reading a conversation: what the text is about (a ticket, a question, an answer to judge) and which JSON the prompt asks for."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workshop_lib.sandbox.ask import Turn

_TICKET = re.compile(r"<ticket>\n?(.*?)(?:</ticket>|\Z)", re.DOTALL)
_GRADED = re.compile(r"<answer>\n?(.*?)(?:</answer>|\Z)", re.DOTALL)
_ID_LINE = re.compile(r"^[^\w\n]{0,4}(?:ticket[ _]?)?id\W{1,4}([A-Za-z0-9_.:@#-]{1,64})", re.IGNORECASE | re.MULTILINE)
_CONTEXT_LINE = re.compile(r"^(?:id|ticket[ _]id|customer[ _]tier|tier):.*\n?", re.IGNORECASE)
_SUBJECT = re.compile(r"^subject:[ \t]*", re.IGNORECASE)
_LABELLED = re.compile(
    r"[^\w\n]{0,4}(?:(?:candidate|proposed|given|model|reference)\s)?(question|answer)[^\w\n]{0,3}:[ \t]*(.*)", re.IGNORECASE
)
_OTHER_LABEL = re.compile(
    r"[^\w\n]{0,4}[A-Za-z ]{3,30}:[ \t]*\Z|[^\w\n]{0,4}(?:verdict|instructions?|reply|respond)\b", re.IGNORECASE
)
_JSON_WORD = re.compile(r"\bjson\b", re.IGNORECASE)
_PAIR = re.compile(r'"([A-Za-z_][\w-]{0,60})"\s*:\s*("[^"\n]*"(?:\s*\|\s*"[^"\n]*")*|<[^>\n]*>|\[[^\]\n]*\]|[^,}\n]*)')
_FROM_TO = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:to|\.\.\.?|-|\u2013|and)\s*(-?\d+(?:\.\d+)?)")
_KNOWN = ("ticket_id", "category", "priority", "answer", "confidence", "reasoning", "needs_human", "verdict", "score", "correct")
_LONGEST = 20_000


@dataclass(frozen=True)
class Reading:
    """What a conversation is about: `subject_matter` is a ticket's subject and body, `answer` is one to be judged, if there is any."""

    is_ticket: bool
    subject_matter: str
    question: str
    answer: str | None = None
    ticket_id: str | None = None


def read(turns: Sequence[Turn]) -> Reading:
    """Read the newest ticket or question out of what the user said."""
    said = [turn.text for turn in turns if turn.role == "user" and turn.text.strip()]
    for text in reversed(said):
        tickets = _TICKET.findall(text)
        if tickets:
            graded = _GRADED.search(text, text.rindex(tickets[-1]) + len(tickets[-1]))
            return _ticket(tickets[-1], graded[1].strip()[:_LONGEST] if graded else None)
    text = said[-1] if said else ""
    text = text[:_LONGEST]
    parts = _labelled(text)
    question = parts.get("question") or _bare_question(text)
    return Reading(False, text, question, parts.get("answer") if "question" in parts else None, _ticket_id(text))


def wanted_schema(system: str, turns: Sequence[Turn]) -> dict[str, Any] | None:
    """Return the JSON schema of the object that the prompt's own words ask for, or None; text inside a ticket is not a prompt."""
    asked = [system, *(_TICKET.sub(" ", turn.text) for turn in reversed(turns) if turn.role in ("user", "system"))]
    for text in asked:
        text = text[:_LONGEST]
        word = _JSON_WORD.search(text)
        if word:
            return _template(text, word.end()) or _named(text)
    return None


def canonical(answer: str) -> str:
    """Return an answer in the form in which two answers are compared: a number by value, a text by its letters."""
    answer = answer.strip()[:500]
    number = re.fullmatch(r"\W*(-?\d[\d,]*(?:\.\d+)?)[^\w%]*[a-z%]*\W*", answer, re.IGNORECASE)
    if number:
        return f"{float(number[1].replace(',', '')):g}"
    plain = unicodedata.normalize("NFKD", answer).encode("ascii", "ignore").decode() or answer
    return re.sub(r"^(?:the|a|an) ", "", " ".join(re.findall(r"[a-z0-9]+", plain.lower())) or plain)


def _ticket(text: str, answer: str | None) -> Reading:
    head = _ID_LINE.match(text.lstrip())
    body = text.strip("\n")
    while _CONTEXT_LINE.match(body):
        body = _CONTEXT_LINE.sub("", body, count=1)
    body = re.sub(r"\n{2,}", "\n", _SUBJECT.sub("", body.lstrip("\n")), count=1)
    body = body.strip()[:_LONGEST]
    return Reading(True, body, body, answer, head[1] if head else None)


def _ticket_id(text: str) -> str | None:
    found = _ID_LINE.search(text[:_LONGEST])
    return found[1] if found else None


def _labelled(text: str) -> dict[str, str]:
    """Return the passages that lines such as "Question: ..." and "Answer: ..." begin; the last of each counts."""
    passages: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        begun = _LABELLED.match(line)
        if begun:
            current = passages[begun[1].lower()] = [begun[2]]
        elif _OTHER_LABEL.match(line) or _JSON_WORD.search(line):
            current = None
        elif current is not None:
            current.append(line)
    return {label: "\n".join(lines).strip() for label, lines in passages.items() if any(line.strip() for line in lines)}


def _bare_question(text: str) -> str:
    if not _JSON_WORD.search(text):
        return text.strip()
    parts = [
        part
        for part in re.split(r"\n\s*\n|(?<=[.?!])\s+(?=[A-Z])", text)
        if not _JSON_WORD.search(part) and not _PAIR.search(part)
    ]
    return " ".join(parts).strip() or text.strip()


def _template(text: str, after: int) -> dict[str, Any] | None:
    start = text.find("{", after)
    start = text.find("{") if start == -1 else start
    if start == -1:
        return None
    if (schema := _schema_at(text, start)) is not None:
        return schema
    stop = text.find("}", start)
    fields = {name: _field(name, hint, text) for name, hint in _PAIR.findall(text[start : stop + 1 if stop != -1 else None])}
    return {"type": "object", "properties": fields, "required": list(fields)} if fields else None


def _schema_at(text: str, start: int) -> dict[str, Any] | None:
    """Return the JSON schema of an object that begins at a place in a text, or None if none does."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    fields = found.get("properties")
    return found if isinstance(fields, dict) and fields and all(isinstance(part, dict) for part in fields.values()) else None


def _named(text: str) -> dict[str, Any] | None:
    fields = {name: _field(name, "", text) for name in _KNOWN if re.search(rf"\b{name}\b", text, re.IGNORECASE)}
    return {"type": "object", "properties": fields, "required": list(fields)} if fields else None


def _field(name: str, hint: str, text: str) -> Mapping[str, Any]:
    options = [part.strip() for part in re.split(r"[|/]", hint.strip('"<> '))] if "|" in hint else []
    options = [part.strip('"') for part in options]
    if {option.lower() for option in options} == {"true", "false"} or hint.strip("<> ").lower() in (
        "true",
        "false",
        "boolean",
        "bool",
    ):
        return {"type": "boolean"}
    if len(options) > 1:
        return {"type": "string", "enum": options}
    if "confidence" in name.lower() or name.lower() in ("score", "rating", "grade"):
        return _scale(hint if _FROM_TO.search(hint) else _mention(name, text))
    if name.lower() in ("needs_human", "correct", "is_correct"):
        return {"type": "boolean"}
    if re.fullmatch(r"-?\d+", hint.strip()) or "integer" in hint:
        return {"type": "integer"}
    if re.fullmatch(r"-?\d*\.\d+", hint.strip()) or "number" in hint:
        return {"type": "number"}
    return {"type": "string"}


def _mention(name: str, text: str) -> str:
    found = re.search(rf"{re.escape(name)}.{{0,80}}?{_FROM_TO.pattern}", text, re.IGNORECASE | re.DOTALL)
    return found.group() if found else ""


def _scale(hint: str) -> Mapping[str, Any]:
    found = _FROM_TO.search(hint)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 1.0)
    if low >= high:
        low, high = 0.0, 1.0
    whole = low.is_integer() and high.is_integer() and high - low > 1
    return {"type": "integer" if whole else "number", "minimum": low, "maximum": high}


def as_object(text: str) -> Mapping[str, Any] | None:
    """Return a text as a JSON object, or None if it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
