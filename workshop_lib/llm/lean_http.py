"""HTTP calls through botocore's session with less work around each: one write, one small reader, the same pool, TLS, timeouts and errors."""

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError, SSLError
from botocore.httpsession import URLLib3Session
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError as PoolConnectTimeoutError
from urllib3.exceptions import NewConnectionError
from urllib3.exceptions import SSLError as PoolSSLError

NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # without it a call whose body does not fit one packet stalls for 40 ms
KEEPALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
_LONGEST_LINE = 65536
_MOST_HEADERS = 100
_NEEDED = ("_get_conn", "_put_conn")  # of a pool of connections; one without them is of an urllib3 that is not known here


class LeanSession(URLLib3Session):
    """A botocore HTTP session whose `send` does without urllib3's and the standard library's general layers; safe to share between threads.

    What goes over a proxy is left to botocore, and so is everything if its session, or the pool below it, is made otherwise than known here. The
    body of a response is read whole.
    """

    _manager: Any  # botocore's, whose published types leave them out
    _proxy_config: Any
    _setup_ssl_cert: Any
    _verify: Any

    def __init__(self, connect_timeout_s: float, read_timeout_s: float, connections: int, **settings: Any) -> None:
        options = [NODELAY, *settings.pop("socket_options", [])]
        timeouts: Any = (connect_timeout_s, read_timeout_s)
        super().__init__(timeout=timeouts, max_pool_connections=connections, socket_options=options, **settings)
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._pools: dict[str, HTTPConnectionPool | None] = {}

    def send(self, request: Any) -> AWSResponse:
        """Send one `AWSPreparedRequest` and return its response; raise botocore's HTTP exceptions, as its own session does.

        `request.context["read_timeout"]`, in seconds, goes before the session's.
        """
        origin = request.url[: request.url.index("/", 8)]
        if origin not in self._pools:
            self._pools[origin] = self._direct(request.url)
        pool = self._pools[origin]
        return super().send(request) if pool is None else self._exchange(pool, request)

    def _direct(self, url: str) -> HTTPConnectionPool | None:
        """Return the pool of connections to a server, or None if botocore has to send: there is a proxy on the way, or a pool of another make."""
        try:
            if self._proxy_config.proxy_url_for(url):
                return None
            pool: HTTPConnectionPool = self._manager.connection_from_url(url)
            self._setup_ssl_cert(pool, url, self._verify)
        except AttributeError:
            return None
        return pool if all(hasattr(pool, name) for name in _NEEDED) else None

    def _exchange(self, pool: HTTPConnectionPool, request: Any) -> AWSResponse:
        connection = pool._get_conn()
        reusable = False
        try:
            socket_ = self._connected(connection)
            socket_.settimeout(self._read_timeout_s if not request.context else request.context.get("read_timeout", self._read_timeout_s))
            socket_.sendall(_head(request) + request.body)
            response, body = _received(socket_, request.method)
            reusable = not response.will_close
            return answered(request.url, response.status, response.fields, body)
        except NewConnectionError as error:
            raise EndpointConnectionError(endpoint_url=request.url, error=error) from error
        except PoolConnectTimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=request.url, error=error) from error
        except (PoolSSLError, ssl.SSLError) as error:
            raise SSLError(endpoint_url=request.url, error=error) from error
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionClosedError(endpoint_url=request.url, request=request, error=error) from error
        finally:
            if not reusable:
                connection.close()
            pool._put_conn(connection)

    def _connected(self, connection: Any) -> socket.socket:
        if connection.sock is None:
            connection.timeout = self._connect_timeout_s
            connection.connect()
        found: socket.socket = connection.sock
        return found


@dataclass(frozen=True)
class _Body:
    whole: bytes

    def stream(self) -> Iterator[bytes]:
        yield self.whole


def answered(url: str, status: int, headers: Mapping[str, str], body: bytes) -> AWSResponse:
    """Return a response whose body was read already."""
    make: Any = AWSResponse  # typed to take only the headers of another class
    response: AWSResponse = make(url, status, headers, _Body(body))
    return response


def prepared(url: str, headers: Mapping[str, str], body: bytes, **context: Any) -> AWSPreparedRequest:
    """Return a POST ready to leave, with exactly these headers besides Host."""
    make: Any = AWSPreparedRequest  # typed to take only the headers of another class, and no context
    request: AWSPreparedRequest = make("POST", url, dict(headers), body, stream_output=False, context=context)
    return request


def _head(request: Any) -> bytes:
    """Return a request's first line and headers as the standard library writes them; raise ValueError for a line break in one."""
    parts = urlsplit(request.url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {_host(parts.scheme, parts.netloc)}"]
    given: Mapping[str, str | bytes] = request.headers
    if "Accept-Encoding" not in given:
        lines.append("Accept-Encoding: identity")
    for name, value in given.items():
        lines.append(f"{name}: {value if isinstance(value, str) else value.decode('latin-1')}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header must not hold a line break")
    return f"{head}\r\n\r\n".encode("latin-1")


def _host(scheme: str, netloc: str) -> str:
    host = netloc.rpartition("@")[2]
    return host.removesuffix(":443" if scheme == "https" else ":80")


class _Response(http.client.HTTPResponse):
    """The standard library's response, with headers split at their colons: its own reader is a mail parser, and half the cost of a call.

    `fields` holds the headers by lower-case name, several of one name joined.
    """

    fields: dict[str, str]
    _read_status: Any  # the standard library's, left out of its types

    def begin(self) -> None:
        """Read the status line and the headers; the framing of the body is then the standard library's to read."""
        self.status = 100
        while self.status == 100:
            version, self.status, self.reason = self._read_status()
            self.fields = self._read_fields()
        self.chunked = self.fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = self.fields.get("content-length", "")
        self.length = int(length) if length.isascii() and length.isdigit() and not self.chunked else None
        if self.status in (204, 304):
            self.length = 0
        kept = self.fields.get("connection", "keep-alive" if version == "HTTP/1.1" else "close").lower() != "close"
        self.will_close = not kept or (self.length is None and not self.chunked)

    def _read_fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        for _ in range(_MOST_HEADERS + 1):
            line = self.fp.readline(_LONGEST_LINE + 1)
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if line in (b"\r\n", b"\n", b""):
                return fields
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        raise http.client.HTTPException(f"got more than {_MOST_HEADERS} headers")


def _received(socket_: socket.socket, method: str) -> tuple[_Response, bytes]:
    """Return a response and its body; raise an error of HTTP's for what is none, also where the standard library raises another."""
    response = _Response(socket_, method=method)
    try:
        response.begin()
        return response, _whole(response)
    except (ValueError, OverflowError) as error:  # a length that no body can have
        raise http.client.HTTPException(str(error)) from error


def _whole(response: _Response) -> bytes:
    """Return the body; one cut short of its stated length is returned as far as it came, as botocore does, to be found unreadable."""
    try:
        return response.read()
    except http.client.IncompleteRead as error:
        if response.chunked:
            raise
        response.will_close = True
        return error.partial
    finally:
        response.close()
