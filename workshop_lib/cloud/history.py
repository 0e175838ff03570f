"""An execution's history for people: a table of its events, and a diagram of the machine with the way that was taken."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_BETWEEN = ("Classify", "WhatNext", "Gate")


@dataclass(frozen=True)
class Row:
    """One event worth a line: its number, ms since the start, the state it belongs to, what happened, and a detail."""

    number: int
    at_ms: float
    state: str
    event: str
    detail: str


def rows(events: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return the events that say something: states entered, calls that were answered or failed, and the end."""
    found: list[Row] = []
    state = ""
    began: datetime | None = None
    for event in events:
        at: datetime = event["timestamp"]
        began = began or at
        entered = event.get("stateEnteredEventDetails")
        if entered:
            state = entered["name"]
        said = _said(event, state)
        if said is not None:
            found.append(Row(event["id"], (at - began).total_seconds() * 1000, state if said[0] != "execution" else "", *said[1:]))
    return found


def _said(event: Mapping[str, Any], state: str) -> tuple[str, str, str] | None:
    kind = str(event["type"])
    if kind == "TaskSucceeded":
        details = event["taskSucceededEventDetails"]
        return "state", "answered", _outcome(details["resourceType"], json.loads(details["output"]))
    if kind == "TaskFailed":
        details = event["taskFailedEventDetails"]
        return "state", "failed", f"{details.get('error', '')}: {_first_line(details.get('cause', ''))}"
    if kind in ("SucceedStateEntered", "FailStateEntered"):
        return "state", "reached", ""
    if kind == "ExecutionSucceeded":
        return "execution", "succeeded", _verdict(json.loads(event["executionSucceededEventDetails"]["output"]))
    if kind in ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"):
        details = event.get(f"{kind[0].lower()}{kind[1:]}EventDetails", {})
        return "execution", kind.removeprefix("Execution").lower(), f"{details.get('error', '')}: {_first_line(details.get('cause', ''))}"
    return None


def _outcome(resource: str, output: Mapping[str, Any]) -> str:
    response: Any = output if resource != "lambda" else output.get("Payload", {}).get("Response")
    if response is None:
        following = output.get("Payload", {}).get("next", {})
        return f"next is {following.get('state', 'unknown')}"
    usage = response.get("Usage") or {}
    return f"{response.get('StopReason')}; {usage.get('InputTokens', '?')} tokens in, {usage.get('OutputTokens', '?')} out; {(response.get('Metrics') or {}).get('LatencyMs', '?')} ms"


def _verdict(result: Mapping[str, Any]) -> str:
    decision = result.get("decision")
    said = f"{decision['category']} {decision['priority']} by {result['model_used']}" if decision else f"no decision ({result.get('outcome')})"
    least = "" if result.get("cost_complete") else "at least "
    return f"{said}; {least}{result.get('cost_usd', 0):.6f} USD; source: {result.get('source')}"


def _first_line(text: str) -> str:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    return str(said["errorMessage"]) if isinstance(said, dict) and "errorMessage" in said else (text.splitlines() or [""])[0]


def table(lines: Iterable[Row]) -> str:
    """Return rows as a table in plain text."""
    head = ("event", "ms", "state", "what", "detail")
    cells = [head, *((str(row.number), f"{row.at_ms:.0f}", row.state, row.event, row.detail) for row in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    return "\n".join("  ".join([line[0].rjust(widths[0]), line[1].rjust(widths[1]), line[2].ljust(widths[2]), line[3].ljust(widths[3]), line[4]]).rstrip() for line in cells)


def visited(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the states that were entered, in order."""
    return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


def way(events: Sequence[Mapping[str, Any]]) -> str:
    """Return the way through the machine in one line: the calls and the end, the functions between them left out."""
    return " -> ".join(["Classify", *(name for name in visited(events) if name not in _BETWEEN)])


def edges(machine: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield every transition of a definition: from, to, and what it is for ("" for the plain next state)."""
    for name, state in machine["States"].items():
        if "Next" in state:
            yield name, state["Next"], ""
        yield from ((name, choice["Next"], "") for choice in state.get("Choices", ()))
        if "Default" in state:
            yield name, state["Default"], "else"
        yield from ((name, catch["Next"], "failed" if catch["ErrorEquals"] == ["States.ALL"] else catch["ErrorEquals"][0]) for catch in state.get("Catch", ()))


def mermaid(machine: Mapping[str, Any], taken: Sequence[str] = ()) -> str:
    """Return a definition as a Mermaid flow chart; states that were entered are thick."""
    lines = ["flowchart TD", f"  start([start]) --> {machine['StartAt']}"]
    for name, state in machine["States"].items():
        left, right = {"Choice": ("{", "}"), "Succeed": ("([", "])"), "Fail": ("([", "])")}.get(state["Type"], ("[", "]"))
        lines.append(f"  {name}{left}{name}{right}")
    for one, other, why in dict.fromkeys(edges(machine)):
        lines.append(f"  {one} -.->|{why}| {other}" if why else f"  {one} --> {other}")
    entered = dict.fromkeys(taken)
    if entered:
        lines += ["  classDef taken stroke-width:4px", f"  class {','.join(entered)} taken"]
    return "\n".join(lines)


def diagram(machine: Mapping[str, Any], taken: Sequence[str] = ()) -> str:
    """Return a definition as lines of text, every state with where it leads; `*` marks the states that were entered."""
    width = max(len(name) for name in machine["States"])
    leads: dict[str, list[str]] = {name: [] for name in machine["States"]}
    for one, other, why in dict.fromkeys(edges(machine)):
        leads[one].append(f"{other} ({why})" if why else other)
    ends = {"Succeed": "end", "Fail": "end, failed"}
    return "\n".join(
        f"{'*' if name in taken else ' '} {name.ljust(width)}  {('-> ' + ', '.join(leads[name])) if leads[name] else ends[state['Type']]}"
        for name, state in machine["States"].items()
    )
