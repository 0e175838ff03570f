"""A stub of Bedrock's Converse and of chat completions for the benchmark: one light process on one core, ended when its stdin ends.

It answers every call with the same tool call after a stated time, refuses what is over a stated rate, and counts. It is not the sandbox: it
reads no prompt, so that the time measured is the client's. What a ticket's text names (see `_MARKS`) it answers badly.

    PUT /plan    {"latency_ms": {"default": 50, "MODEL ID": 250}, "rate": 50, "burst": 50, "track": true} and all counts back to zero
    GET /counts  {"calls", "refused", "answered", "in_flight", "most_in_flight", "marks": {...}, "waits_ms": [...]}
"""

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

_MARKS = ("POISON-400", "POISON-500", "POISON-CUT", "POISON-TEXT", "POISON-HANG")
_TICKET = re.compile(rb"id: (B-[0-9]+)")
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}


@dataclass
class Plan:
    """How calls are answered: milliseconds by model id, calls a second and how many of them may come at once, and whether tickets are timed."""

    latency_ms: dict[str, float] = field(default_factory=lambda: {"default": 0.0})
    rate: float | None = None
    burst: float = 50.0
    track: bool = False


@dataclass
class Counts:
    """What was asked since the plan was made."""

    calls: int = 0
    refused: int = 0
    answered: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    waits_ms: list[tuple[float, float]] = field(default_factory=list)  # seconds since the plan of the first send, ms from it to the answer


class Stub:
    """What the connections share."""

    def __init__(self) -> None:
        self.begin(Plan())

    def begin(self, plan: Plan) -> None:
        """Answer by a plan from now on, and count from zero."""
        self.plan = plan
        self.counts = Counts()
        self.first_sent: dict[bytes, float] = {}
        self.began = self.filled_at = time.monotonic()
        self.tokens = plan.burst

    def admitted(self) -> bool:
        """Take a call from the bucket of the rate; return whether there was one."""
        if self.plan.rate is None:
            return True
        now = time.monotonic()
        self.tokens = min(self.plan.burst, self.tokens + (now - self.filled_at) * self.plan.rate)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Connection(asyncio.Protocol):
    """One connection: requests one after the other, each answered when its time has come."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect a request until it is whole."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._received, 0, end)
        whole = end + 4 + (int(length.group(1)) if length else 0)
        if len(self._received) < whole:
            return
        head, body = self._received[:end], self._received[end + 4 : whole]
        self._received = self._received[whole:]
        method, path, _ = head[: head.find(b"\r\n")].decode().split(" ", 2)
        self._asked(method, path, body)

    def _asked(self, method: str, path: str, body: bytes) -> None:
        stub = self._stub
        if path == "/counts":
            self._write(200, json.dumps(vars(stub.counts)).encode())
        elif path == "/plan":
            stub.begin(Plan(**json.loads(body)))
            self._write(200, b"{}")
        elif method == "POST" and path.endswith(("/converse", "/chat/completions")):
            self._called(path, body)
        else:
            self._write(404, b"{}")

    def _called(self, path: str, body: bytes) -> None:
        counts, plan = self._stub.counts, self._stub.plan
        counts.calls += 1
        ticket = self._first(body) if plan.track else b""
        if not self._stub.admitted():
            counts.refused += 1
            wait_ms = 1000 / (plan.rate or 1)
            self._write(429, b'{"message":"Too many requests"}', f"x-amzn-ErrorType: ThrottlingException\r\nx-amz-retry-after: {wait_ms:.0f}\r\n")
            return
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        openai = path.endswith("/chat/completions")
        latency = plan.latency_ms["default"]
        if len(plan.latency_ms) > 1:
            latency = plan.latency_ms.get(_model(path, body, openai), latency)
        mark = next((mark for mark in _MARKS if mark.encode() in body), None) if b"POISON-" in body else None
        if mark:
            counts.marks[mark] += 1
        if mark != "POISON-HANG":
            self._loop.call_later(latency / 1000, self._answer, body, openai, mark, ticket)

    def _first(self, body: bytes) -> bytes:
        found = _TICKET.search(body)
        ticket = found.group(1) if found else b""
        self._stub.first_sent.setdefault(ticket, time.monotonic())
        return ticket

    def _answer(self, body: bytes, openai: bool, mark: str | None, ticket: bytes) -> None:
        counts = self._stub.counts
        counts.in_flight -= 1
        counts.answered += 1
        if ticket:
            first = self._stub.first_sent[ticket]
            counts.waits_ms.append((first - self._stub.began, (time.monotonic() - first) * 1000))
        sure = b"UNSURE" not in body
        if mark == "POISON-400":
            self._write(400, b'{"message":"The request is not valid"}', "x-amzn-ErrorType: ValidationException\r\n")
        elif mark == "POISON-500":
            self._write(500, b'{"message":"Try again"}', "x-amzn-ErrorType: InternalServerException\r\n")
        elif mark == "POISON-CUT":
            self._write(200, CONVERSE[sure][:60], length=len(CONVERSE[sure]))
            self._transport.close()
        elif mark == "POISON-TEXT":
            self._write(200, PROSE)
        else:
            self._write(200, CHAT[sure] if openai else CONVERSE[sure])

    def _write(self, status: int, body: bytes, headers: str = "", length: int | None = None) -> None:
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body) if length is None else length}\r\nConnection: keep-alive\r\n"
            f"x-amzn-RequestId: 1f1f6b2c-7f0a-4d2e-9b51-2c9d1f6b7a10\r\n{headers}\r\n"
        )
        self._transport.write(head.encode() + body)


def _model(path: str, body: bytes, openai: bool) -> str:
    return str(json.loads(body)["model"]) if openai else unquote(path.split("/")[2])


def _decision(sure: bool) -> dict[str, Any]:
    reasoning = "The customer was charged twice for the same month and asks for one of the two payments back."
    return {"ticket_id": "B-0", "category": "billing", "priority": "P3", "confidence": 0.95 if sure else 0.3, "reasoning": reasoning, "needs_human": False}


def _converse(content: dict[str, Any], stop: str) -> bytes:
    whole = {
        "metrics": {"latencyMs": 50},
        "output": {"message": {"content": [content], "role": "assistant"}},
        "stopReason": stop,
        "usage": {"inputTokens": 590, "outputTokens": 74, "totalTokens": 664},
    }
    return json.dumps(whole).encode()


def _chat(sure: bool) -> bytes:
    function = {"name": "route_ticket", "arguments": json.dumps(_decision(sure))}
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    usage = {"prompt_tokens": 590, "completion_tokens": 74, "total_tokens": 664}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return json.dumps({"id": "cmpl-1", "object": "chat.completion", "created": 1, "model": "stub", "choices": [choice], "usage": usage}).encode()


CONVERSE = [_converse({"toolUse": {"toolUseId": "tool_1", "name": "route_ticket", "input": _decision(sure)}}, "tool_use") for sure in (False, True)]
CHAT = [_chat(sure) for sure in (False, True)]
PROSE = _converse({"text": "I would rather talk about the weather."}, "end_turn")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    stub = Stub()
    server = await loop.create_server(lambda: Connection(stub), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve on a free port, which is printed, until stdin ends."""
    parser = argparse.ArgumentParser(description="A stub of two model services, for benchmarks.")
    parser.add_argument("--core", type=int, help="the core to stay on")
    core = parser.parse_args().core
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
