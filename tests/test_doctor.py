"""What the doctor says: every line that can fail, each with its remedy, and the live checks with the sandbox in the place of the services."""

import dataclasses
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from workshop_lib import catalog
from workshop_lib.doctor import Check, here, live
from workshop_lib.llm import CallError, Gateway, Request
from workshop_lib.sandbox.process import Address
from workshop_lib.settings import Settings

Call = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture
def settings(sandbox: Address) -> Settings:
    """Return live settings whose endpoints are the sandbox's."""
    return Settings(backend="live", bedrock_endpoint=sandbox.root, openai_base_url=sandbox.openai, nvidia_api_key=SecretStr("nvapi-0123456789abcdef0123"))


def _by_name(checks: Iterator[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def _table(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> catalog.Model:
    """Make a catalogue of one model, Sonnet with some fields changed."""
    sonnet = catalog.model("sonnet")
    entry = sonnet.model_copy(update=changed)
    monkeypatch.setattr(catalog, "models", lambda: {"sonnet": entry})
    return entry


def test_all_is_well_with_an_account(settings: Settings) -> None:
    """Without it the live checks could fail where everything is in order."""
    found = list(live.checks(settings))
    assert [check.line() for check in found if not check.ok] == []
    assert [check.name for check in found][:2] == ["region", "credentials"]
    assert {check.name for check in found} >= {f"model {key}" for key in catalog.models()} | {"guardrail", "quota"}


@pytest.mark.parametrize(("region", "says"), [("us-east-9", "not known to be in us-east-9"), ("eu-central-1", "but the table's ids begin with us.")])
def test_a_region_without_the_models(settings: Settings, region: str, says: str) -> None:
    """Without it a region of the wrong continent would only show as a model that is not found."""
    found = _by_name(live.checks(settings.model_copy(update={"region": region})))
    assert says in found["region"].line()
    assert "Do: set AWS_REGION=us-west-2" in found["region"].line()
    assert "model nano" not in found, "no call is made that cannot succeed"


def test_no_credentials(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a missing sign-in would be told once for each model, or as a traceback."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = _by_name(live.checks(settings))
    assert found["credentials"].line().startswith("FAIL credentials: none were found. Do: sign in again (`aws sso login`)")
    assert "model nano" not in found
    assert found["model nim-8b"].ok


def test_a_profile_that_does_not_exist(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a misspelt profile would be a traceback."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in _by_name(live.checks(settings))["credentials"].line()


def test_the_inference_profile_mistake_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the commonest mistake with newer models would be told in the service's words only."""
    entry = _table(monkeypatch, id=catalog.model("sonnet").id.removeprefix("us."))
    line = live._model(_asking(settings, monkeypatch, entry), entry).line()
    assert "on-demand throughput" in line
    assert f'Do: this model is called by an inference profile only: write id = "us.{entry.id}"' in line


def _asking(settings: Settings, monkeypatch: pytest.MonkeyPatch, entry: catalog.Model) -> Gateway:
    monkeypatch.setattr(catalog, "model", lambda name: entry)
    return Gateway(settings)


def test_an_id_that_does_not_exist(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a retired model would look like a fault of the network."""
    entry = _table(monkeypatch, id="us.anthropic.claude-gone-1")
    assert "Do: look the id up in the Bedrock console" in live._model(_asking(settings, monkeypatch, entry), entry).line()


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("throttled", "your quota is used up"),
        ("unavailable", "try again later; the service failed"),
    ],
)
def test_what_the_service_refuses(settings: Settings, call: Call, scope: str, monkeypatch: pytest.MonkeyPatch, kind: str, remedy: str) -> None:
    """Without it every refusal would draw the same remedy."""
    status, _, answer = call("POST", "/sandbox/faults", {"scope": scope, "script": [kind]})
    assert status == 200, answer
    monkeypatch.setattr(live, "_TINY", dataclasses.replace(live._TINY, tags={"scope": scope}))
    assert remedy in live._model(Gateway(settings.model_copy(update={"max_retries": 0})), catalog.model("sonnet")).line()


@pytest.mark.parametrize(
    ("model", "detail", "remedy"),
    [
        ("sonnet", "AccessDeniedException: You don't have access to the model with the specified model ID", "request access to Claude Sonnet"),
        ("sonnet", "ExpiredTokenException: The security token included in the request is expired", "sign in again"),
        ("nim-8b", "HTTP 401: Unauthorized", "set NVIDIA_API_KEY to a valid key"),
    ],
)
def test_access_is_told_apart_from_sign_in(model: str, detail: str, remedy: str) -> None:
    """Without it somebody whose session has expired would be sent to ask for models."""
    assert remedy in live._remedy(CallError("access", model, detail), catalog.model(model))


def test_nothing_answers(settings: Settings) -> None:
    """Without it a machine without a network would end in a traceback."""
    found = _by_name(live.checks(settings.model_copy(update={"bedrock_endpoint": "http://127.0.0.1:9", "openai_base_url": "http://127.0.0.1:9/v1", "max_retries": 0})))
    assert "Do: check the network, a proxy (HTTPS_PROXY), and the region" in found["model nano"].line()
    assert "Do: check the network" in found["model nim-8b"].line()


def test_the_guardrail(settings: Settings) -> None:
    """Without it a guardrail of another account or region would first fail in the middle of a lab."""
    ask = Gateway(settings)
    absent = settings.model_copy(update={"guardrail_id": "nosuchguard1", "guardrail_version": "1"})
    line = live._guardrail(ask, absent).line()
    assert line.startswith("FAIL guardrail: nosuchguard1 version 1:")
    assert "Do: list them with `aws bedrock list-guardrails --region us-west-2`" in line
    assert live._guardrail(ask, settings).ok


def test_no_secret_and_no_account_is_printed() -> None:
    """Without it a line pasted into a chat could give a key away."""
    said = live._clean("User: arn:aws:iam::123456789012:user/x, AKIAIOSFODNN7EXAMPLE, Incorrect API key provided: nvapi-01******cdef.\nsk-abc")
    assert not any(part in said for part in ("123456789012", "AKIA", "nvapi-0", "sk-abc", "\n"))


def test_without_a_nim_key_nim_is_left_out(settings: Settings) -> None:
    """Without it everybody without a NIM key would be told to be ill."""
    found = _by_name(live.checks(settings.model_copy(update={"nvidia_api_key": None, "openai_base_url": None})))
    assert found["nim"].ok
    assert "model nim-8b" not in found


def test_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a port in use, or a machine that forbids listening, would first show as a sandbox that does not start."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        monkeypatch.setattr(here, "_USUAL_PORTS", {held.getsockname()[1]: "workshop sandbox"})
        assert f"in use: {held.getsockname()[1]} (workshop sandbox)" in here._port().line()

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", forbidden)
    assert here._port().line() == (
        "FAIL port: no port can be opened on 127.0.0.1 (Permission denied). Do: allow programs to listen on 127.0.0.1; a firewall or a container forbids it"
    )


def test_what_fails_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without it a check that cannot fail would be taken for one that is well."""
    monkeypatch.setattr(here, "OLDEST_PYTHON", (99, 0))
    assert "Do: install Python 3.11" in here._python().line()
    monkeypatch.setattr(here, "ROOT", tmp_path)
    (tmp_path / "requirements.lock").write_text("numpy==0.0.1 \\\n    --hash=sha256:0\nno-such-thing==1\n")
    assert "2 differ from requirements.lock, first numpy" in here._packages().line()
    (tmp_path / "requirements.lock").write_bytes(b"\xff\xfe")
    assert "requirements.lock is not text" in here._caught("packages", here._packages, "x").line()
    (tmp_path / "state").write_text("a file where the folder should be")
    monkeypatch.setattr(here, "STATE", tmp_path / "state")
    assert here._writable().line().startswith("FAIL write access:")
    monkeypatch.setattr("jupyter_client.kernelspec.KernelSpecManager.find_kernel_specs", lambda self: {})
    assert here._kernel().line() == "FAIL kernel: no python3 kernel. Do: pip install ipykernel in this environment"


def test_the_quota_hint_is_computed() -> None:
    """Without it the hint could go on naming a rate after the latency or the default of bulk has changed."""
    latency = catalog.model("nano").latency
    per_minute = 16 * 60_000 / (latency.intercept_ms + 100 * latency.per_output_token_ms)
    assert f"about {round(per_minute + 49, -2):,.0f} requests a minute" in live._quota().line()


def test_the_question_is_tiny() -> None:
    """Without it a check of the installation could cost real money."""
    assert live._TINY.max_tokens <= 16
    assert isinstance(live._TINY, Request)
    assert sum(entry.price.usd(20, 16) for entry in catalog.models().values()) < 0.002
