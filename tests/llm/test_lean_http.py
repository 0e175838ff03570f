"""The lean HTTP session reads every framing of a body, keeps connections that may be kept, and reports failures as botocore's does."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore import exceptions as bc

from workshop_lib.llm.lean_http import LeanSession, prepared


@dataclass
class Server:
    """A server that answers every request with the same bytes, and closes if they say so or have no length."""

    answer: bytes
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def run(self, listener: socket.socket) -> None:
        """Serve one connection after the other, until the listener is closed."""
        keeps = (b"Content-Length" in self.answer or b"chunked" in self.answer) and b"close" not in self.answer
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            with connection:
                while data := connection.recv(65536):
                    self.requests.append(data)
                    connection.sendall(self.answer)
                    if not keeps:
                        break


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Server]]:
    """Return a function that starts such a server."""
    with ExitStack() as listeners:

        def start(answer: bytes) -> Server:
            listener = listeners.enter_context(socket.create_server(("127.0.0.1", 0)))
            server = Server(answer, f"http://127.0.0.1:{listener.getsockname()[1]}/model/x/converse")
            threading.Thread(target=server.run, args=(listener,), daemon=True).start()
            return server

        yield start


def sent(url: str, **context: Any) -> Any:
    """Send one request and return its response."""
    return LeanSession(1.0, 1.0, 2, proxies={}).send(prepared(url, {"Content-Length": "2"}, b"{}", **context))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, b"hello"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 429 \r\nContent-Length: 0\r\n\r\n", 429, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nhello", 200, b"hello"),
    ],
    ids=["length", "chunked", "close", "old", "continue", "no content", "no reason", "cut short"],
)
def test_every_framing_is_read(serve: Any, answer: bytes, status: int, body: bytes) -> None:
    """Without it a gateway that frames its answers in another way would seem to answer nothing, or hang."""
    response = sent(serve(answer).url)
    assert (response.status_code, response.content) == (status, body)


def test_headers_are_found_in_any_case_and_joined(serve: Any) -> None:
    """Without it the delay a server asks for could be missed."""
    response = sent(serve(b"HTTP/1.1 200 OK\r\nX-Amz-Retry-After:  1500 \r\nvia: a\r\nVia: b\r\nContent-Length: 0\r\n\r\n").url)
    assert (response.headers["x-amz-retry-after"], response.headers["Via"]) == ("1500", "a, b")


@pytest.mark.parametrize(
    ("answer", "opened"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 3),
    ],
    ids=["kept", "closed", "old"],
)
def test_connections_are_kept_if_they_may_be(serve: Any, answer: bytes, opened: int) -> None:
    """Without it every call would connect anew, or the next call would be sent into a closed connection."""
    server = serve(answer)
    session = LeanSession(1.0, 1.0, 2, proxies={})
    for _ in range(3):
        assert session.send(prepared(server.url, {"Content-Length": "2"}, b"{}")).content == b"hello"
    assert server.connections == opened


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n9\r\nhel", bc.ConnectionClosedError),
        (b"not http, connection: close\r\n\r\n", bc.ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + b"a: b\r\n" * 200 + b"\r\n", bc.ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\na: " + b"b" * 70_000 + b"\r\n\r\n", bc.ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n{}", bc.ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}", bc.ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n-5\r\n{}", bc.ConnectionClosedError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + b"f" * 30 + b"\r\n{}", bc.ConnectionClosedError),
    ],
    ids=["cut chunk", "no http", "many headers", "long header", "no length of a body", "a number too long", "chunk below nothing", "no length of a chunk"],
)
def test_what_is_no_answer_is_a_closed_connection(serve: Any, answer: bytes, error: type[Exception]) -> None:
    """Without it half an answer could pass for a whole one, or an odd one end the run with an unknown exception."""
    with pytest.raises(error):
        sent(serve(answer).url)


def test_a_call_may_wait_less_than_the_session() -> None:
    """Without it a call with a deadline would sit out the usual read timeout."""
    with socket.create_server(("127.0.0.1", 0)) as stuck, pytest.raises(bc.ReadTimeoutError):
        sent(f"http://127.0.0.1:{stuck.getsockname()[1]}/x", read_timeout=0.02)


def test_tls_to_a_server_without_it_is_an_ssl_error(serve: Any) -> None:
    """Without it a wrong scheme in an endpoint would be retried as a dropped connection."""
    with pytest.raises(bc.SSLError):
        sent(serve(b"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n").url.replace("http:", "https:"))


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb"])
def test_a_line_break_in_a_header_is_refused(serve: Any, value: str) -> None:
    """Without it text that reaches a header could add another one."""
    server = serve(b"")
    with pytest.raises(ValueError, match="line break"):
        LeanSession(1.0, 1.0, 2, proxies={}).send(prepared(server.url, {"X-Test": value}, b"{}"))
    assert server.requests == []


def test_what_goes_over_a_proxy_is_botocores(serve: Any) -> None:
    """Without it the lean path would speak to a proxy as if it were the service."""
    proxy = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    session = LeanSession(1.0, 1.0, 2, proxies={"http": proxy.url.removesuffix("/model/x/converse")})
    assert session.send(prepared("http://elsewhere.example/model/x", {"Content-Length": "2"}, b"{}")).content == b"hello"
    assert proxy.requests[0].startswith(b"POST http://elsewhere.example/model/x HTTP/1.1\r\n")


def test_certificates_are_checked() -> None:
    """Without it a live call would trust anybody who answers."""
    session = LeanSession(1.0, 1.0, 2, proxies={})
    pool: Any = session._direct("https://bedrock-runtime.us-west-2.amazonaws.com/x")
    assert (pool.cert_reqs, bool(pool.ca_certs)) == ("CERT_REQUIRED", True)
