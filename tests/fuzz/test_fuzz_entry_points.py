"""Mutated and arbitrary bodies against both JSON entry points of a running sandbox: every one gets an answer below 500, in time.

A few examples belong to the ordinary suite. `make fuzz` runs for 60 seconds; `FUZZ_SECONDS=600 pytest tests/fuzz` for as long as you like.
What fails is printed by hypothesis with the request shrunk to what matters.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.sandbox.chat.support import FIELDS
from workshop_lib.sandbox.process import Address

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
ROUND = 100 if SECONDS else 25
TIMEOUT_S = 20.0
NANO, OPUS, SMALL = (catalog.model(name).id for name in ("nano", "opus", "nim-8b"))

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "category": {"type": "string", "enum": ["billing", "auth"]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "inner": {"$ref": "#/$defs/inner"},
    },
    "$defs": {"inner": {"type": "object", "properties": {"answer": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}},
    "required": ["category"],
}
TICKET = "<ticket>\nid: T-1\nsubject: Charged twice\n\nTwo payments for March.\n</ticket>"
CONVERSE: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": [{"text": "What is 3 + 4?"}]}], "inferenceConfig": {"maxTokens": 20, "temperature": 0.5}},
    {
        "system": [{"text": "Route the ticket."}],
        "messages": [{"role": "user", "content": [{"text": TICKET}]}],
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "route", "description": "Route.", "inputSchema": {"json": SCHEMA}}}],
            "toolChoice": {"tool": {"name": "route"}},
        },
        "requestMetadata": {"ticket": "T-1"},
    },
    {
        "messages": [
            {"role": "user", "content": [{"text": TICKET}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "route", "input": {"category": "auth"}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"json": {"ok": True}}], "status": "success"}}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "route", "inputSchema": {"json": SCHEMA}}}]},
        "inferenceConfig": {"stopSequences": ["7"], "topP": 0.9},
    },
]
CONVERSE_MEMBERS = (
    *("guardrailConfig", "outputConfig", "serviceTier", "performanceConfig", "promptVariables", "additionalModelRequestFields"),
    *("additionalModelResponseFieldPaths", "system", "toolConfig", "inferenceConfig", "requestMetadata", "messages"),
)
CHAT: list[dict[str, Any]] = [
    {
        "model": SMALL,
        "messages": [{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": "What is 3 + 4?"}],
        "response_format": {"type": "json_object"},
        "logprobs": True,
        "top_logprobs": 2,
    },
    {
        "model": SMALL,
        "messages": [{"role": "user", "content": [{"type": "text", "text": TICKET}]}],
        "tools": [{"type": "function", "function": {"name": "route", "parameters": SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "route"}},
        "n": 2,
        "temperature": 1.0,
        "seed": 3,
    },
    {
        "model": OPUS,
        "messages": [
            {"role": "user", "content": TICKET},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "route", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "done"},
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": SCHEMA, "strict": True}},
        "logprobs": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        "stop": ["7", ","],
        "max_tokens": 30,
    },
]

_TEXT = st.text(max_size=20) | st.sampled_from(("", "\x00", "\u2028", "\U0001f600", "json", "<ticket>", "{", '"a": ', "P0", "billing", "-1e999"))
_SCALAR = st.none() | st.booleans() | st.integers() | st.sampled_from((0, -1, 2**63, 10**400, 1e308, -0.0)) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_WORDS = ("type", "properties", "enum", "items", "$ref", "anyOf", "minItems", "maxLength", "minLength", "minimum", "const", "text", "role", "content", "name", "json")
_JSON = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_WORDS) | _TEXT, inner, max_size=4),
    max_leaves=12,
)
_FREE = {"json", "parameters", "schema", "input"}  # below these almost anything is a valid request, and reaches the stand-ins
Request = Callable[[str, bytes], None]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every part of a JSON value but the whole."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*path, key)
        yield from places(part, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, valid: list[dict[str, Any]], members: tuple[str, ...]) -> bytes:
    """Return a valid request changed at one to four places: parts replaced, deleted, doubled or added."""
    body = json.loads(json.dumps(draw(st.sampled_from(valid))))
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 4)))):
        known = list(places(body))
        free = [path for path in known if _FREE & set(path[:-1])]
        if free and draw(st.booleans()):
            known = free
        kind = draw(st.sampled_from(("replace", "delete", "double", "add", "member")))
        if kind == "member" or not known:
            body[draw(st.sampled_from(members))] = draw(_JSON)
            continue
        *above, last = draw(st.sampled_from(known))
        holder = body
        for key in above:
            holder = holder[key]
        if kind == "replace":
            holder[last] = draw(_JSON)
        elif kind == "delete":
            del holder[last]
        elif isinstance(holder, list):
            holder.append(holder[last] if kind == "double" else draw(_JSON))
        else:
            holder[draw(st.sampled_from(_WORDS) | _TEXT)] = holder[last] if kind == "double" else draw(_JSON)
    return json.dumps(body).encode()


@st.composite
def damaged(draw: st.DrawFn, valid: list[dict[str, Any]]) -> bytes:
    """Return bytes that are mostly no JSON: a valid request cut, with bytes put in or with a lone surrogate, or anything."""
    body = json.dumps(draw(st.sampled_from(valid))).encode()
    at = draw(st.integers(0, len(body)))
    kind = draw(st.sampled_from(("cut", "put in", "surrogate", "anything", "not an object")))
    if kind == "cut":
        return body[:at]
    if kind == "put in":
        return body[:at] + draw(st.binary(min_size=1, max_size=4)) + body[at:]
    if kind == "surrogate":
        return body.replace(b"March", b"\\ud83d March").replace(b"What", b"\\udc00 What")
    return draw(st.binary(max_size=200)) if kind == "anything" else json.dumps(draw(_JSON)).encode()


@pytest.fixture
def post(sandbox: Address) -> Request:
    """Give a function that posts a body and fails unless a well-formed answer below 500 comes back in time."""

    def request(path: str, body: bytes) -> None:
        connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", path, body, {"Authorization": "Bearer any", "Content-Type": "application/json"})
            answer = connection.getresponse()
            content, kind = answer.read(), answer.getheader("content-type") or ""
        finally:
            connection.close()
        assert answer.status < 500, content[:2000]
        if kind.startswith("text/event-stream"):
            assert content.endswith(b"data: [DONE]\n\n"), content[-500:]
        elif kind == "application/vnd.amazon.eventstream":
            buffer = EventStreamBuffer()
            buffer.add_data(content)
            assert [event.headers[":event-type"] for event in buffer][-1] == "metadata"
        else:
            assert isinstance(json.loads(content), dict)

    return request


def fuzz(bodies: st.SearchStrategy[bytes], check: Callable[[bytes], None]) -> None:
    """Check drawn bodies: one round of the same few in the ordinary suite, else new rounds until this test's share of the time is over."""
    end = time.monotonic() + SECONDS / 4
    number = 0
    while number == 0 or time.monotonic() < end:

        @seed(number if not SECONDS else time.time_ns())
        @settings(max_examples=ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(body=bodies)
        def one_round(body: bytes) -> None:
            check(body)

        one_round()
        number += 1


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
def test_mutated_converse_requests_are_answered(post: Request, operation: str) -> None:
    """Without it a client's mistake could crash the handler or hang the connection."""
    fuzz(mutated(CONVERSE, CONVERSE_MEMBERS), lambda body: post(f"/model/{NANO}/{operation}", body))


def test_mutated_chat_requests_are_answered(post: Request) -> None:
    """Without it a client's mistake could crash the handler or hang the connection, whole or in mid-stream."""
    fuzz(mutated(CHAT, tuple(FIELDS)), lambda body: post("/v1/chat/completions", body))


def test_damaged_bodies_are_answered(post: Request) -> None:
    """Without it bytes that are no request could end the server."""

    def both(body: bytes) -> None:
        post(f"/model/{NANO}/converse", body)
        post("/openai/v1/chat/completions", body)

    fuzz(damaged(CONVERSE + CHAT), both)
