"""A client that signs alike requests from one canonical request sends the bytes that it would send without."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.llm import Guardrail, Request, alike_signing, bedrock, lean_signing
from workshop_lib.llm.alike_signing import AlikeSigV4, sign_alike
from workshop_lib.llm.bedrock_light import LightBedrock
from workshop_lib.llm.lean_http import LeanSession, answered
from workshop_lib.settings import load
from workshop_lib.tasks import QUESTIONS, TRIAGE, Question, Ticket

NOON = datetime(2026, 11, 22, 12, 0, 0)
REQUESTS = [
    TRIAGE.request(Ticket(id="T-1", subject="Two invoices", body="We were charged twice, für März 🙃.")),
    QUESTIONS.request(Question(id="Q-1", question="2+2?")),
    Request("hi", guardrail=Guardrail("gr-1", "7")),
]


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every signature be of the same second."""
    for module in (botocore.auth, lean_signing):
        monkeypatch.setattr(module, "get_current_datetime", lambda: NOON)


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """Begin without any request that others may be like."""
    alike_signing._form.cache_clear()
    yield
    alike_signing._form.cache_clear()


def left(client: Any, request: Request, model: str = "nano") -> tuple[str, Any, dict[str, str]]:
    """Return address, body and headers of what a client would send, but for the id that is drawn for each call."""
    caught: list[AWSPreparedRequest] = []

    def catch(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        caught.append(request)
        return answered(request.url, 200, {}, b"{}")

    client.meta.events.register("before-send.bedrock-runtime.Converse", catch)
    client.converse(**bedrock.converse_arguments(catalog.model(model), request))
    client.meta.events.unregister("before-send.bedrock-runtime.Converse", catch)
    (sent,) = caught
    named = [(name, value.decode() if isinstance(value, bytes) else value) for name, value in sent.headers.items()]
    return sent.url, sent.body, {name: value for name, value in named if name != "amz-sdk-invocation-id"}


KEYS = {"AWS_ACCESS_KEY_ID": "AKIADUMMY", "AWS_SECRET_ACCESS_KEY": "dummy"}


@pytest.mark.parametrize(
    "variables",
    [KEYS, {**KEYS, "AWS_SESSION_TOKEN": "a/session+token=="}, {"AWS_BEARER_TOKEN_BEDROCK": "abc"}, {**KEYS, "AWS_USE_FIPS_ENDPOINT": "true"}],
    ids=["keys", "session token", "bearer token", "fips"],
)
def test_live_requests_are_those_of_a_plain_client(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Without it the service could refuse every call, or a call could be signed with another scheme than the client chose."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    plain, alike = bedrock.client(load(backend="live")), bedrock.client(load(backend="live"))
    sign_alike(alike)
    for model in ("nano", "sonnet"):
        for request in (*REQUESTS, *REQUESTS):
            assert left(alike, request, model) == left(plain, request, model)
    assert alike_signing._form.cache_info().hits == (0 if "AWS_BEARER_TOKEN_BEDROCK" in variables else 10)


def test_the_provider_signs_in_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the provider could go back to signing at full cost, unseen."""
    monkeypatch.setattr(LeanSession, "send", lambda session, request: answered(request.url, 200, {}, b"{}"))
    provider = LightBedrock(load(backend="sandbox", bedrock_endpoint="http://127.0.0.1:9"))
    for request in REQUESTS:
        provider.send(catalog.model("nano"), request)
    assert alike_signing._form.cache_info().hits == 2


def signed(kind: type[SigV4Auth], request: AWSRequest, token: str | None = None) -> list[tuple[str, str]]:
    """Return a request's headers after signing."""
    kind(ReadOnlyCredentials("AKIADUMMY", "dummy", token), "bedrock", "us-west-2").add_auth(request)
    return list(request.headers.items())


name = st.sampled_from(["Content-Type", "content-type", "User-Agent", "X-Trace", "Date", "X-Amz-Date", "X-Amz-Content-SHA256", "Authorization"])
part = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#/"), max_size=8)


@given(
    method=st.sampled_from(["POST", "POST", "POST", "GET"]),
    path=part,
    query=st.sampled_from(["", "", "?a=1&b=%20"]),
    headers=st.lists(st.tuples(name, st.sampled_from(["application/json", "a  b", "Sun, 22 Nov 2026 12:00:00 GMT"])), max_size=4),
    body=st.sampled_from([b"{}", b"", b"probe", "text", None]),
    token=st.sampled_from([None, "token"]),
    unsigned=st.booleans(),
)
def test_any_request_is_signed_as_botocore_signs_it(
    method: str, path: str, query: str, headers: list[tuple[str, str]], body: Any, token: str | None, unsigned: bool
) -> None:
    """Without it a request of another form, which is not made today, would be refused or signed in part."""

    def request() -> AWSRequest:
        made = AWSRequest(method, f"https://bedrock-runtime.us-west-2.amazonaws.com/{path}{query}", None, body)
        for header, value in headers:
            made.headers[header] = value
        if unsigned:
            made.context["payload_signing_enabled"] = False
        return made

    for _ in range(2):
        assert signed(AlikeSigV4, request(), token) == signed(SigV4Auth, request(), token)


def test_time_body_and_credentials_are_of_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a signature could be of an earlier call, or of credentials that have expired since."""

    def request(body: bytes) -> AWSRequest:
        return AWSRequest("POST", "https://bedrock-runtime.us-west-2.amazonaws.com/model/x/converse", {"Content-Type": "application/json"}, body)

    seen = []
    for number, (body, token) in enumerate([(b"one", "t1"), (b"two", "t2"), (b"two", "t3")]):
        for module in (botocore.auth, lean_signing):
            monkeypatch.setattr(module, "get_current_datetime", lambda number=number: NOON + timedelta(days=number))
        assert signed(AlikeSigV4, request(body), token) == signed(SigV4Auth, request(body), token)
        seen.append(dict(signed(AlikeSigV4, request(body), token))["Authorization"])
    assert len(set(seen)) == 3


def test_botocore_signs_what_it_signs_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a later botocore, which signs one more thing, would have every call refused."""
    usual = SigV4Auth.string_to_sign
    monkeypatch.setattr(SigV4Auth, "string_to_sign", lambda self, request, text: usual(self, request, text if isinstance(request, AWSRequest) else "?"))

    def request() -> AWSRequest:
        return AWSRequest("POST", "https://bedrock-runtime.us-west-2.amazonaws.com/model/x/converse", {"Content-Type": "application/json"}, b"{}")

    assert signed(AlikeSigV4, request()) == signed(SigV4Auth, request())
