"""Converse with less CPU: botocore's signer and HTTP session, without the client's pipeline around every call. Off unless asked for.

The client says what a request looks like: the first one for a model is prepared by it and caught before it leaves. Later ones differ in body,
invocation id, date and signature. What comes back in any other than the usual form, errors above all, is given to the client to read.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse

from workshop_lib.llm.bedrock import Bedrock, files_of
from workshop_lib.llm.bedrock_reading import UNREADABLE
from workshop_lib.llm.lean_http import answered, prepared
from workshop_lib.llm.lean_sending import session_of
from workshop_lib.llm.lean_signing import Signing, signing
from workshop_lib.settings import Settings

if TYPE_CHECKING:
    from botocore.signers import RequestSigner

_INVOCATION = "amz-sdk-invocation-id"
_COUNTS = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_MADE_BY_SIGNING = frozenset({"authorization", "content-length", "x-amz-date", "x-amz-security-token"})


@dataclass(frozen=True)
class _Form:
    """What the requests for one model have in common, and who signs them how."""

    url: str
    signed_headers: Mapping[str, str]
    later_headers: Mapping[str, str]  # which the client adds to a request that is signed
    signer: "RequestSigner"
    region: str
    signing_name: str
    signature_version: str

    @cached_property
    def _signing(self) -> Signing | None:
        return signing(self._auth(), self.url, self.signed_headers)

    def _auth(self) -> Any:
        """Return the signer of one request, with the credentials as they are now."""
        return self.signer.get_auth_instance(self.signing_name, self.region, self.signature_version)

    def request(self, arguments: Mapping[str, Any]) -> AWSPreparedRequest:
        """Return a request ready to leave."""
        body = json.dumps({name: value for name, value in arguments.items() if name != "modelId"}).encode()
        auth = self._auth()
        quick = self._signing
        if quick is not None and quick.with_token is bool(auth.credentials.token):
            added = quick.headers(auth, body)
        else:  # a bearer token, above all
            request = AWSRequest("POST", self.url, self.signed_headers, body)
            auth.add_auth(request)
            added = {name: value for name, value in _texts(request.headers).items() if name not in self.signed_headers}
        headers = {**self.signed_headers, **added, **self.later_headers, _INVOCATION: str(uuid.uuid4()), "Content-Length": str(len(body))}
        return prepared(self.url, headers, body)


class FastBedrock(Bedrock):
    """The provider for models on Amazon Bedrock, by the lean path."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._session = session_of(self._client, files_of(settings))
        self._forms: dict[str, _Form] = {}
        events: Any = self._client.meta.events  # typed as if no handler could answer
        events.register("before-sign.bedrock-runtime.Converse", self._on_sign)
        events.register("before-send.bedrock-runtime.Converse", self._on_send)

    def _converse(self, arguments: dict[str, Any]) -> Mapping[str, Any]:
        form = self._forms.get(arguments["modelId"]) or self._learn(arguments)
        response = self._session.send(form.request(arguments))
        try:
            return _usual(response) or self._read_by_client(response, arguments)
        except UNREADABLE:
            return {}

    def _learn(self, arguments: dict[str, Any]) -> _Form:
        """Let the client prepare a request, and keep what it has in common with those to come."""
        self._read_by_client(answered(self._client.meta.endpoint_url, 200, {}, b"{}"), arguments)
        sent: AWSPreparedRequest = self._mine.sent
        signed: Mapping[str, str] = self._mine.to_sign
        later = {name: value for name, value in _texts(sent.headers).items() if name.lower() not in _MADE_BY_SIGNING and name not in signed}
        form = _Form(sent.url, signed, later, **self._mine.signing)
        self._forms[arguments["modelId"]] = form
        return form

    def _read_by_client(self, response: AWSResponse, arguments: dict[str, Any]) -> Mapping[str, Any]:
        """Return what the client makes of a response to a call, or let it raise."""
        self._mine.response = response
        return self._client.converse(**arguments)

    def _on_sign(
        self, request: AWSRequest, request_signer: "RequestSigner", region_name: str, signing_name: str, signature_version: str, **_: Any
    ) -> None:
        self._mine.to_sign = _texts(request.headers)
        said = request.context.get("signing", {})  # by the rules of the endpoint, which go before the client's own
        self._mine.signing = {
            "signer": request_signer,
            "region": said.get("region") or region_name,
            "signing_name": said.get("signing_name") or signing_name,
            "signature_version": signature_version,
        }

    def _on_send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """Answer in the place of the network: this client sends no Converse call itself."""
        self._mine.sent = request
        response: AWSResponse = self._mine.response
        return response


def _texts(headers: Any) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value.decode() for name, value in headers.items()}


def _usual(response: AWSResponse) -> dict[str, Any] | None:
    """Return a reply in the form that is documented and nearly always comes; None for anything else, however little it differs."""
    if response.status_code != 200:
        return None
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    match found:
        case {
            "output": {"message": {"content": [*blocks]}},
            "usage": {"inputTokens": _, "outputTokens": _} as usage,
            "metrics": {"latencyMs": latency_ms},
            "stopReason": str(),
        } if type(latency_ms) is int and all(type(usage.get(name, 0)) is int for name in _COUNTS) and all(map(_usual_block, blocks)):
            return {**found, "ResponseMetadata": {"HTTPHeaders": response.headers}}
        case _:
            return None


def _usual_block(block: object) -> bool:
    match block:
        case {"text": str(), **more} | {"toolUse": {"input": dict()}, **more}:
            return not more
        case _:
            return False
