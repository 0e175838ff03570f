"""A scripted OpenAI-compatible server, and a sandbox in this process in front of it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from workshop_lib import catalog
from workshop_lib.sandbox import server as sandbox_server
from workshop_lib.sandbox import upstream

NANO = catalog.model("nano").id
NIM = catalog.model("nim-8b").id
LOCAL = "qwen2.5:7b"
KEY = {"Authorization": "Bearer any"}


@dataclass
class Answer:
    """What the scripted server does: `body` as JSON (bytes: as they are), or `events` as a stream; `hold` keeps it from ending."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    events: Sequence[Any] | None = None
    hold: bool = False
    hang_up: bool = False


@dataclass
class Scripted:
    """The scripted server: what it was asked, what it answers next (the last one again and again), and whether a client left it."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    pages: dict[str, Any] = field(default_factory=dict)
    by_request: Callable[[dict[str, Any]], Answer] | None = None

    def answer(self) -> Answer:
        """Return what the newest request is answered with."""
        if self.by_request is not None:
            return self.by_request(self.seen[-1])
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def then(self, *answers: Answer) -> None:
        """Set what is answered from now on."""
        self.answers[:] = answers


def completion(content: str | None = "Seven.", finish: str | None = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    """Return a chat completion as such servers write it; usage False leaves it out."""
    counted = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14} if usage is None else usage
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion", "choices": [choice], **({"usage": counted} if counted else {})}


def chunks(*deltas: dict[str, Any], finish: str | None = "stop", usage: bool = True) -> list[Any]:
    """Return the events of a streamed chat completion, with usage in one of its own and [DONE] at the end."""
    events: list[Any] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if finish is not None:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        events.append({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 3}})
    return [*events, "[DONE]"]


@contextmanager
def serving() -> Iterator[Scripted]:
    """Run a scripted server on loopback."""
    state = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a body that is sent after its headers would wait 40 ms for them to be acknowledged

        def do_GET(self) -> None:
            page = state.pages.get(self.path)
            self._whole(404 if page is None else 200, json.dumps(page).encode(), {})

        def do_POST(self) -> None:
            state.headers.append(dict(self.headers))
            state.seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            answer = state.answer()
            state.asked.set()
            if answer.hang_up:
                self.close_connection = True
                return
            if answer.events is not None:
                self._stream(answer.events, answer.hold)
            elif answer.hold:
                self._until_left()
            else:
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self._whole(answer.status, body, answer.headers)

        def _whole(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # a client need not read what is too much
                self.wfile.write(body)

        def _stream(self, events: Sequence[Any], hold: bool) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream; charset=utf-8")
            self.send_header("connection", "close")
            self.end_headers()
            for event in events:
                if isinstance(event, bytes):
                    self.wfile.write(event)
                else:
                    line = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
                    self.wfile.write(f"data: {line}\n\n".encode())
            self.wfile.flush()
            self.close_connection = True
            if hold:
                self._until_left()

        def _until_left(self) -> None:
            self.close_connection = True
            with suppress(ConnectionError):
                self.rfile.read(1)
            state.left.set()

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    http.shutdown()
    http.server_close()


class Front:
    """A sandbox in this process: `post` sends one request through its ASGI application."""

    def __init__(self, runner: asyncio.Runner, **options: Any) -> None:
        self.runner = runner
        self.sandbox = sandbox_server.Sandbox()
        self.sandbox.answerer = upstream.open_answerer(upstream.read(options), self.sandbox.answerer)
        self.app = sandbox_server.app(self.sandbox)

    def post(self, path: str, body: Any) -> httpx.Response:
        """Send one request and return the whole response."""
        return self.runner.run(self._post(path, body))

    async def _post(self, path: str, body: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost", headers=KEY) as client:
            return await client.post(path, content=json.dumps(body))

    def converse(self, text: str = "What is 3 + 4?", model: str = NANO, operation: str = "converse", **more: Any) -> httpx.Response:
        """Send one Converse request."""
        return self.post(f"/model/{model}/{operation}", {"messages": [{"role": "user", "content": [{"text": text}]}], **more})

    def chat(self, text: str = "What is 3 + 4?", model: str = NIM, **more: Any) -> httpx.Response:
        """Send one chat completion request."""
        return self.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}], **more})
