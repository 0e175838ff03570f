"""The HTTP side of a room: the key first, then the learner's own sandbox; the board and its eraser."""

import secrets
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import quote, unquote

from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from workshop_lib.sandbox import asgi
from workshop_lib.sandbox.asgi import Endpoint
from workshop_lib.sandbox.room.members import Members, Report, name_problem
from workshop_lib.sandbox.wire import Reply
from workshop_lib.serving import host_name, names_loopback

BOARD = "/sandbox/room"
_KEY_HEADER = b"x-room-key"
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is read as something else from a projector
_LARGEST_REPORT = 2048
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
)


@dataclass(frozen=True)
class Keys:
    """What lets people in: `join` for learners, `instructor` for who may erase the board."""

    join: str
    instructor: str

    @classmethod
    def drawn(cls) -> "Keys":
        """Return new keys: the one that learners type has 40 bits, the other 80."""
        return cls(_drawn(8), _drawn(16))

    def joins(self, key: str) -> bool:
        """Say whether a key is the learners'; how long that takes does not tell how much of it was right."""
        return secrets.compare_digest(key.encode(errors="replace"), self.join.encode())

    def instructs(self, key: str) -> bool:
        """Say whether a key is the instructor's."""
        return secrets.compare_digest(key.encode(errors="replace"), self.instructor.encode())


def app(members: Members, keys: Keys, address: str) -> ASGIApp:
    """Return the ASGI application of a room that listens on an address.

    `/room/KEY/NAME/...` is the sandbox of a learner, with `/hello` and `/report` added; BOARD is the page, `BOARD/data` what it shows.
    """
    desk = _Desk(members, keys)
    board, report, hello, health = (Endpoint(handler) for handler in (desk.data, desk.report, desk.hello, desk.health))

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["raw_path"].split(b"?", 1)[0].decode("ascii", "replace")
        if not _names_here(scope, address):
            await _refused("The Host header does not name this room. Use the address that the instructor shows.")(scope, receive, send)
        elif path == BOARD and scope["method"] in ("GET", "HEAD"):
            await _page(send)
        elif path == f"{BOARD}/data":
            await board(scope, receive, send)
        elif path == "/health":
            await health(scope, receive, send)
        elif not path.startswith("/room/"):
            await _refused(_ELSEWHERE)(scope, receive, send)
        else:
            await admitted(path, scope, receive, send)

    async def admitted(path: str, scope: Scope, receive: Receive, send: Send) -> None:
        key, name, rest = _parts(path)
        if not keys.joins(key):
            await _refused("This room does not know that key. Type the join line again as the instructor shows it.")(scope, receive, send)
            return
        problem = name_problem(name)
        if problem is not None:
            await _refused(f"This room cannot take the name {name[:60]!r}: {problem}. Join again under another one.", 400)(scope, receive, send)
            return
        inside = {**scope, "path": unquote(rest), "raw_path": rest.encode("ascii", "replace"), "learner": name}
        if rest in ("/hello", "/report"):
            await (hello if rest == "/hello" else report)(inside, receive, send)
            return
        learner = members.find(name)
        if learner is None:
            await _refused(_FULL, 503)(scope, receive, send)
            return
        await learner.app(inside, receive, send)

    return entry


class _Desk:
    """What the room itself answers."""

    def __init__(self, members: Members, keys: Keys) -> None:
        self._members = members
        self._keys = keys

    async def health(self, _scope: Scope, _receive: Receive) -> Reply:
        """Answer GET /health: that a room is here, and nothing about it."""
        return 200, {}, {"status": "ok", "service": "cascade-workshop-room"}

    async def hello(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer a learner's first request, and say whether the name was in the room before."""
        known = self._members.knows(scope["learner"])
        if self._members.find(scope["learner"]) is None:
            return asgi.bad(_FULL, 503)
        return 200, {}, {"service": "cascade-workshop-room", "name": scope["learner"], "known": known}

    async def report(self, scope: Scope, receive: Receive) -> Reply:
        """Answer POST .../report: how one exercise stands."""
        try:
            content = await asgi.body(scope, receive)
            if scope["method"] != "POST" or len(content) > _LARGEST_REPORT:
                return asgi.bad("A report is a POST of a few words.", 413 if content else 405)
            reported = self._members.report(scope["learner"], Report.model_validate_json(content))
        except (ValidationError, asgi.BodyTooLarge):
            return asgi.bad('A report is {"lab": ..., "exercise": ..., "state": "not attempted", "not yet" or "correct"}.')
        return (200, {}, {"noted": True}) if reported else asgi.bad(_FULL, 503)

    async def data(self, scope: Scope, _receive: Receive) -> Reply:
        """Answer GET and DELETE BOARD/data; the board is for who has a key, and only the instructor's erases it."""
        key = asgi.header(scope, _KEY_HEADER) or ""
        instructs = self._keys.instructs(key)
        if not instructs and not self._keys.joins(key):
            return asgi.bad("The board needs the room's key.", 403)
        if scope["method"] == "DELETE":
            return (200, {}, {"erased": self._members.erase()}) if instructs else asgi.bad("Only the instructor's key erases the board.", 403)
        return 200, {"cache-control": "no-store"}, {**self._members.board(), "instructor": instructs}


_ELSEWHERE = "This is a room of the workshop, and nothing to open here. Join it in a terminal, in your checkout, with the line that the instructor shows: workshop join ..."
_FULL = "This room is full. Tell the instructor; until then use a sandbox of your own: workshop leave."


def path_of(key: str, name: str) -> str:
    """Return the path under which a learner's sandbox is reached in a room."""
    return f"/room/{quote(key, safe='')}/{quote(name, safe='')}"


def _parts(path: str) -> tuple[str, str, str]:
    """Return key, name and the rest of a learner's path; parts that are absent are empty."""
    found = path.split("/", 4)
    if len(found) < 4 or found[1] != "room":
        return "", "", "/"
    return unquote(found[2]), unquote(found[3]), f"/{found[4] if len(found) > 4 else ''}"


def _names_here(scope: Scope, address: str) -> bool:
    """Say whether a request names the room's address; a web page that had its own name point here does not."""
    hosts = [value.decode("latin-1") for key, value in scope["headers"] if key in (b"host", b":authority") and value]
    return all(host_name(host) == address or names_loopback(host) or (_anywhere(address) and _is_number(host_name(host))) for host in hosts)


def _anywhere(address: str) -> bool:
    return ip_address(address).is_unspecified


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _drawn(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _refused(message: str, status: int = 403) -> ASGIApp:
    async def handler(_scope: Scope, _receive: Receive) -> Reply:
        return status, {"x-amzn-errortype": "AccessDeniedException"}, {"message": message, "error": {"message": message, "type": "room", "param": None, "code": None}}

    return Endpoint(handler)


async def _page(send: Send) -> None:
    content = files(__package__).joinpath("board.html").read_bytes()
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, (b"content-length", str(len(content)).encode())]})
    await send({"type": "http.response.body", "body": content})

