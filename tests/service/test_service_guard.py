"""What stands before the routes: strangers, large bodies, too many requests, and the headers on every answer."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest
from scripted import TICKET, Scripted, tickets, until

from workshop_lib.service import Limits
from workshop_lib.service.observing import JsonLines

Serving = Callable[..., httpx.Client]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "localhost.evil.example"])
def test_another_host_name_is_refused(serving: Serving, host: str) -> None:
    """Without it a web page that points its own name at this machine could read answers and spend money."""
    ask = Scripted()
    answer = serving(ask).post("/api/triage", json=TICKET, headers={"Host": host})
    assert (answer.status_code, ask.calls) == (400, [])


def test_a_second_host_header_does_not_get_past_the_first(serving: Serving) -> None:
    """Without it a proxy in between and the guard could each believe another one of the two."""
    with closing(HTTPConnection("127.0.0.1", serving().base_url.port, timeout=10)) as connection:
        connection.putrequest("GET", "/healthz", skip_host=True)
        for host in ("127.0.0.1", "evil.example"):
            connection.putheader("Host", host)
        connection.endheaders()
        assert connection.getresponse().status == 400


@pytest.mark.parametrize("path", ["/", "/bulk", "/healthz", "/api/about", "/static/style.css", "/openapi.json"])
def test_what_can_be_got_can_be_asked_for_by_its_head(serving: Serving, path: str) -> None:
    """Without it a monitor that asks with HEAD would call a service down that is up."""
    client = serving()
    asked, got = client.head(path), client.get(path)
    assert (asked.status_code, asked.content, asked.headers["content-type"]) == (200, b"", got.headers["content-type"])
    assert client.head("/api/triage").status_code == 405


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "LOCALHOST", "[::1]:80"])
def test_this_machine_by_any_of_its_names_is_served(serving: Serving, host: str) -> None:
    """Without it the guard could lock out the person it protects."""
    assert serving().get("/healthz", headers={"Host": host}).json()["status"] == "ok"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
    ids=["another site", "a sandboxed frame", "another port", "said by the browser", "another port, said by the browser"],
)
def test_a_post_from_another_site_is_refused(serving: Serving, headers: dict[str, str]) -> None:
    """Without it any page that a person visits could spend their money."""
    ask = Scripted()
    answer = serving(ask).post("/api/triage", json=TICKET, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"], ask.calls) == (403, "cross_site", [])


def test_our_own_page_may_post(serving: Serving) -> None:
    """Without it the guard could lock out the pages."""
    client = serving()
    own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/triage", json=TICKET, headers=own).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_foreign_form_can_send_is_refused(serving: Serving, kind: str) -> None:
    """Without it an old browser's form, which sends no origin, would get through."""
    ask = Scripted()
    answer = serving(ask).post("/api/triage", content=b"{}", headers={"Content-Type": kind})
    assert (answer.status_code, ask.calls) == (415, [])


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused(serving: Serving, chunked: bool) -> None:
    """Without it one request could fill the memory, also one that does not say how long it is."""
    ask = Scripted()
    body = b" " * 2000

    def parts() -> Iterator[bytes]:
        yield from (body[:1000], body[1000:])

    client = serving(ask, limits=Limits(body_bytes=1500))
    answer = client.post("/api/triage", content=parts() if chunked else body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"], ask.calls) == (413, "too_large", [])


def test_beyond_the_requests_at_work_one_is_told_to_wait(serving: Serving) -> None:
    """Without it requests would pile up without an end, and look like a slow model."""
    held = Scripted(hold=True)
    client = serving(held, limits=Limits(requests=1))
    with client.stream("POST", "/api/triage/cascade", json=TICKET) as first:
        assert held.called.wait(10)
        for path, body in (("/api/triage", TICKET), ("/api/triage/cascade", TICKET), ("/api/triage/bulk", {"tickets": tickets(1)})):
            refused = client.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]["type"], refused.headers["retry-after"]) == (429, "busy", "1")
        held.go.set()
        first.read()
    assert until(lambda: client.post("/api/triage", json=TICKET).status_code == 200)


def test_calls_are_bounded_over_all_requests(serving: Serving) -> None:
    """Without it many small requests together would open more connections than the pool has."""
    held = Scripted(hold=True)
    client = serving(held, limits=Limits(calls=3, workers=8))
    with client.stream("POST", "/api/triage/bulk", json={"tickets": tickets(20)}) as response:
        assert until(lambda: len(held.calls) == 3)
        assert not until(lambda: len(held.calls) > 3, seconds=0.2)
        held.go.set()
        assert len(list(response.iter_lines())) == 20


@pytest.mark.parametrize("path", ["/", "/bulk", "/healthz", "/static/style.css", "/nothing"])
def test_every_answer_carries_the_security_headers(serving: Serving, path: str) -> None:
    """Without it a slip in a page could load a script from elsewhere, or be framed."""
    headers = serving().get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_limits_that_would_serve_nobody_are_refused() -> None:
    """Without it a limit of zero would be a service that hangs."""
    with pytest.raises(ValueError, match="workers must be positive, got 0"):
        Limits(workers=0)


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("x" * 65, False), ("a b", False), ("", False)])
def test_a_request_id_comes_back(serving: Serving, given: str, kept: bool) -> None:
    """Without it a client's line and ours could not be put together, or a crafted id would end up in the log."""
    back = serving().get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"]
    assert back == given if kept else (back != given and len(back) == 32)


@pytest.mark.parametrize("path", ["/api/triage", "/api/triage/cascade", "/api/triage/bulk"])
def test_a_request_is_one_line_in_the_log_without_its_text(serving: Serving, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without it a bill could not be traced to a request, or customers' words would be kept in logs."""
    caplog.set_level(logging.INFO, logger="workshop_lib.service")
    body = {"tickets": [TICKET]} if path.endswith("bulk") else TICKET
    serving().post(f"{path}?who=SECRET", json=body, headers={"X-Request-Id": "r-1"})
    assert until(lambda: bool(caplog.records))
    (record,) = caplog.records
    assert record.event | {"ms": 0} == record.event | {"request_id": "r-1", "method": "POST", "path": path, "status": 200, "tickets": 1, "usd": 0.001, "ms": 0}  # type: ignore[attr-defined]
    assert "SECRET" not in JsonLines().format(record)


def test_a_bug_is_one_error_for_the_client_and_a_line_in_the_log(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """Without it a bug would be answered with a bare text, or with its own message, which may quote the ticket."""
    caplog.set_level(logging.INFO, logger="workshop_lib.service")

    def broken(model: str, request: object) -> None:
        raise KeyError("SECRET body")

    answer = serving(broken).post("/api/triage", json=TICKET)
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "internal")
    assert "SECRET" not in answer.text
    assert until(lambda: any("KeyError" in str(getattr(record, "event", "")) for record in caplog.records))
