"""A Converse server in a process of its own that fails as told, for the tests of reliability; it counts what it answered, by model and ticket.

Run as `python stub_server.py PORT FAULTS` (0: any free port); it prints its port. It is a stand-in for a service's failures, not for its answers: it
looks at nothing but the ticket's id.
"""

import hashlib
import json
import socket
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

ANSWER = {"category": "billing", "priority": "P3", "reasoning": "r", "needs_human": False}


def chance(*what: object) -> float:
    """Return a number from 0 to 1 that is the same for the same words."""
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=8).digest(), "big") / 2**64


class Ledger:
    """What was asked and answered; the n-th time that a ticket is asked of a model is a draw of its own."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.answered: Counter[tuple[str, str]] = Counter()
        self.statuses: Counter[int] = Counter()
        self.changed = threading.Condition()

    def ask(self, model: str, ticket: str) -> int:
        """Count a request; return which one of its kind it is."""
        with self.changed:
            self.asked[model, ticket] += 1
            self.changed.notify_all()
            return self.asked[model, ticket]

    def told(self) -> dict[str, Any]:
        """Return the ledger as plain data."""
        with self.changed:
            return {
                "asked": self.asked.total(),
                "answered": {f"{model} {ticket}": count for (model, ticket), count in self.answered.items()},
                "statuses": dict(self.statuses),
            }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body that is sent after its headers would wait 40 ms for them to be acknowledged
    ledger = Ledger()
    faults: dict[str, Any] = {}  # noqa: RUF012  # set once at the start

    def do_GET(self) -> None:
        """Answer /ledger, and /asked/N once N requests were made."""
        if self.path == "/health":
            self._send(404, {})
            return
        if self.path.startswith("/asked/"):
            with self.ledger.changed:
                self.ledger.changed.wait_for(lambda: self.ledger.asked.total() >= int(self.path[7:]), 60)
        self._send(200, self.ledger.told())

    def do_POST(self) -> None:
        """Answer a Converse call, or fail as told."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        model = "sonnet" if "claude" in unquote(self.path) else "nano"
        ticket = body["requestMetadata"]["ticket"]
        number = self.ledger.ask(model, ticket)
        drawn = chance(model, ticket, number)
        if ticket in self.faults.get("hang", ()):
            time.sleep(3600)
        if ticket in self.faults.get("refuse", ()):
            self._fail(400, "ValidationException")
        elif ticket in self.faults.get("always_500", ()):
            self._fail(500, "InternalServerException")
        elif (drawn := drawn - self.faults.get("throttled", 0.0)) < 0:
            self._fail(429, "ThrottlingException")
        elif (drawn := drawn - self.faults.get("server", 0.0)) < 0:
            self._fail(500, "InternalServerException")
        elif (drawn := drawn - self.faults.get("cut", 0.0)) < 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._answer(model, ticket, malformed=drawn - self.faults.get("malformed", 0.0) < 0 or ticket in self.faults.get("never_valid", ()))

    def _answer(self, model: str, ticket: str, *, malformed: bool) -> None:
        time.sleep(self.faults.get("latency_s", 0.0))
        sure = 0.3 if model == "nano" and chance("sure", ticket) < 0.25 else 0.9
        arguments = {**ANSWER, "ticket_id": ticket, "confidence": "very" if malformed else sure}
        content = [{"toolUse": {"toolUseId": "t", "name": "route_ticket", "input": arguments}}]
        with self.ledger.changed:
            self.ledger.answered[model, ticket] += 1
        self._send(
            200,
            {
                "output": {"message": {"role": "assistant", "content": content}},
                "stopReason": "tool_use",
                "usage": {"inputTokens": 1000, "outputTokens": 50, "totalTokens": 1050},
                "metrics": {"latencyMs": 1},
            },
        )

    def _fail(self, status: int, code: str) -> None:
        self._send(status, {"message": "as told"}, {"x-amzn-ErrorType": code})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        with self.ledger.changed:
            self.ledger.statuses[status] += 1
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Many connections, at once and in a row."""

    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


if __name__ == "__main__":
    Handler.faults = json.loads(sys.argv[2])
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
