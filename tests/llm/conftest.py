"""What the tests of single calls share: a clean environment and a loopback server that answers from a script."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from workshop_lib.settings import Settings, load

PREFIXES = ("AWS_", "WORKSHOP_", "OPENAI_", "NVIDIA_", "BEDROCK_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting, credential or proxy of the machine that runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIXES) or name.upper() in PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env.local")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


@dataclass(frozen=True)
class Answer:
    """What the scripted server sends: a status, a body (None: hang up without an answer) and headers."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    cut_at: int | None = None


@dataclass
class Server:
    """A loopback server that answers each request with the next answer, the last one again and again."""

    url: str
    answers: list[Answer]
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def then(self, *answers: Answer) -> None:
        """Set what is answered from now on."""
        self.answers[:] = answers


@pytest.fixture
def server(running_server: Server) -> Server:
    """Return the scripted server, with nothing seen yet and an empty answer."""
    running_server.then(Answer())
    running_server.seen.clear()
    return running_server


@pytest.fixture(scope="session")
def running_server() -> Iterator[Server]:
    """Run a scripted server on a free loopback port."""
    script = Server("", [Answer()])
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a body that is sent after its headers would wait 40 ms for them to be acknowledged

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                script.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(raw or b"null")))
                answer = script.answers[0] if len(script.answers) == 1 else script.answers.pop(0)
            if answer.hang_up:
                self.close_connection = True
                return
            body = answer.body if isinstance(answer.body, bytes) else b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: answer.cut_at])
            self.close_connection = answer.cut_at is not None

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    script.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield script
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def sandboxed(server: Server) -> Callable[..., Settings]:
    """Return a function that makes sandbox settings pointing at the scripted server."""

    def make(**overrides: Any) -> Settings:
        return load(**{"bedrock_endpoint": server.url, "openai_base_url": f"{server.url}/v1", **overrides})

    return make
