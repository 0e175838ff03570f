"""Who may call, and which model or guardrail an address names."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_lib import catalog
from workshop_lib.sandbox.bedrock import address
from workshop_lib.sandbox.bedrock.errors import Refusal

NANO, SONNET = catalog.model("nano").id, catalog.model("sonnet").id
ACCOUNT = "arn:aws:bedrock:us-west-2:123456789012"
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-west-2/bedrock/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date, Signature=" + "0" * 64
)
DATE = "20261122T101500Z"


def refused(call: Callable[[], object]) -> tuple[str, str]:
    """Return the code and message of a refusal."""
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code, caught.value.message


def status(call: Callable[[], object]) -> int:
    """Return the status of a refusal, or 200."""
    try:
        call()
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    "header", [SIGNED, SIGNED.replace(", ", ","), SIGNED.replace("us-west-2", "eu-central-1"), "Bearer bedrock-api-key-YWJj"]
)
def test_a_well_formed_signature_or_a_key_may_call(header: str) -> None:
    """Without it an SDK that writes the header without blanks, or calls another region, would be turned away."""
    address.check_authorization(header, DATE)


@pytest.mark.parametrize(
    ("header", "date", "code", "words"),
    [
        (None, None, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        ("", None, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        ("Basic eA==", None, "IncompleteSignatureException", "Basic"),
        ("Bearer ", None, "IncompleteSignatureException", "Bearer"),
        ("AWS4-HMAC-SHA256 x", None, "IncompleteSignatureException", "requires 'Credential' parameter"),
        (SIGNED.rpartition(", ")[0], None, "IncompleteSignatureException", "requires 'Signature' parameter"),
        (SIGNED[:-1], None, "IncompleteSignatureException", "64 hexadecimal digits"),
        (SIGNED.replace("/20261122", ""), None, "IncompleteSignatureException", "5 slash-delimited elements"),
        (SIGNED.replace("/bedrock/", "/s3/"), None, "InvalidSignatureException", "correct service: 'bedrock'"),
        (SIGNED.replace("host;", ""), None, "InvalidSignatureException", "SignedHeader"),
        (SIGNED, "yesterday", "IncompleteSignatureException", "ISO-8601"),
        (SIGNED, "20261121T101500Z", "InvalidSignatureException", "Date in Credential scope"),
    ],
)
def test_a_request_that_is_not_signed_right_gets_the_error_that_aws_gives(
    header: str | None, date: str | None, code: str, words: str
) -> None:
    """Without it broken signing code would work here and fail live."""
    got, message = refused(lambda: address.check_authorization(header, date))
    assert got == code
    assert words in message


@given(header=st.text(), date=st.none() | st.text())
def test_no_header_can_crash_the_check(header: str, date: str | None) -> None:
    """Without it a garbled header would be answered with a crash."""
    assert status(lambda: address.check_authorization(header, date)) in (200, 403)


@pytest.mark.parametrize(
    ("model_id", "key"),
    [
        (NANO, "nano"),
        (f"arn:aws:bedrock:us-west-2::foundation-model/{NANO}", "nano"),
        (SONNET, "sonnet"),
        (SONNET.replace("us.", "eu."), "sonnet"),
        (SONNET.replace("us.", "global."), "sonnet"),
        (f"{ACCOUNT}:inference-profile/{SONNET}", "sonnet"),
        (f"{ACCOUNT}:inference-profile/{SONNET.replace('us.', 'global.')}", "sonnet"),
    ],
)
def test_ids_profiles_and_arns_name_models(model_id: str, key: str) -> None:
    """Without it an identifier that accounts really use would be unknown."""
    assert address.model_for(model_id) == catalog.model(key)


@pytest.mark.parametrize(
    ("model_id", "code", "words"),
    [
        (SONNET.removeprefix("us."), "ValidationException", "on-demand throughput isn"),
        (f"arn:aws:bedrock:us-west-2::foundation-model/{SONNET.removeprefix('us.')}", "ValidationException", "on-demand throughput isn"),
        (f"us.{NANO}", "ResourceNotFoundException", "Could not resolve"),
        (f"{ACCOUNT}:inference-profile/{NANO}", "ResourceNotFoundException", "Could not resolve"),
        (f"{ACCOUNT}:application-inference-profile/abc123def456", "ResourceNotFoundException", "Could not resolve"),
        (f"{ACCOUNT}:provisioned-model/abc123def456", "ResourceNotFoundException", "Could not resolve"),
        (f"{ACCOUNT}:default-prompt-router/anthropic.claude:1", "ResourceNotFoundException", "Could not resolve"),
        (f"arn:aws:s3:::{SONNET}/x", "ValidationException", "regular expression"),
        ("no such model!", "ValidationException", "regular expression"),
        ("a" * 2049, "ValidationException", "length less than or equal to 2048"),
    ],
)
def test_other_identifiers_are_refused_as_the_service_does(model_id: str, code: str, words: str) -> None:
    """Without it an id that fails live would be answered here by some other model."""
    got, message = refused(lambda: address.model_for(model_id))
    assert got == code
    assert words in message


@given(st.text(max_size=80))
def test_no_identifier_can_crash_the_look_up(model_id: str) -> None:
    """Without it an odd id would be answered with a crash."""
    assert status(lambda: address.model_for(model_id)) in (200, 400, 404)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (b"/model/amazon.nova-micro-v1%3A0/converse", ("model", "amazon.nova-micro-v1:0", "converse")),
        (b"/model/arn%3Aaws%3Abedrock%3A%3A%3Afoundation-model%2Fx/converse?a=b", ("model", "arn:aws:bedrock:::foundation-model/x", "converse")),
        (b"/model/arn:aws:bedrock:::foundation-model/x/count-tokens", ("model", "arn:aws:bedrock:::foundation-model/x", "count-tokens")),
        (b"/guardrail/arn:aws:bedrock:::guardrail/x/version/1/apply", ("guardrail", "arn:aws:bedrock:::guardrail/x", "version", "1", "apply")),
    ],
)
def test_an_identifier_is_one_part_of_the_path(path: bytes, parts: tuple[str, ...]) -> None:
    """Without it an ARN's own slash would be taken for the end of the identifier."""
    assert address.path_parts(path) == parts


@pytest.mark.slow
def test_the_date_is_compared_on_the_wire(call: Callable[..., Any]) -> None:
    """Without it the header would be checked in tests only."""
    headers = {"Authorization": SIGNED, "X-Amz-Date": "20261121T101500Z"}
    status, answered, _ = call("POST", f"/model/{NANO}/converse", {"messages": []}, headers)
    assert (status, answered["x-amzn-errortype"].split(":")[0]) == (403, "InvalidSignatureException")
