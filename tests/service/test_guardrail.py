"""A guardrail that the environment names holds for the service too."""

import httpx
import pytest

from workshop_lib.sandbox.bedrock import guardrails
from workshop_lib.service import create_app, running


@pytest.mark.usefixtures("sandbox")
def test_what_a_guardrail_stops_is_stopped_in_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a guardrail that an operator set would hold for bulk runs and not for what the pages send."""
    known = next(iter(guardrails.GUARDRAILS.values()))
    monkeypatch.setenv("BEDROCK_GUARDRAIL_ID", known.id)
    monkeypatch.setenv("BEDROCK_GUARDRAIL_VERSION", known.version)
    bill = "Two payments for one invoice this morning. Please refund one."
    with running(create_app()) as root, httpx.Client(base_url=root, trust_env=False, timeout=30) as client:
        good, bad = (client.post("/api/triage", json={"id": "T-1", "subject": "s", "body": body}) for body in (bill, f"{bill} {known.topics[0].phrases[0]}"))
    assert good.status_code == 200
    assert (bad.status_code, bad.json()["error"]["type"]) == (502, "guardrail")
