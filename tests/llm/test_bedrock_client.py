"""The boto3 client: the traps of a developer's machine do not reach the sandbox, and live is plain boto3."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from workshop_lib import catalog
from workshop_lib.errors import SettingsError
from workshop_lib.llm import CallError, Request, bedrock
from workshop_lib.settings import Settings, load

OK = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 11, "outputTokens": 2, "totalTokens": 13},
    "metrics": {"latencyMs": 42},
}
NANO = catalog.model("nano")
Make = Callable[..., Settings]


def hello(settings: Settings) -> str:
    """Ask once and return the text."""
    return bedrock.Bedrock(settings).send(NANO, Request("hi")).text


@pytest.fixture
def ok(server: Any) -> Any:
    """Return the scripted server, answering well."""
    server.then(type(server.answers[0])(200, OK))
    return server


@pytest.mark.parametrize(
    "trap",
    [
        {},
        {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-abc"},
        {"AWS_PROFILE": "no-such-profile"},
        {"AWS_DEFAULT_PROFILE": "no-such-profile"},
        {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        {"AWS_MAX_ATTEMPTS": "5", "AWS_RETRY_MODE": "adaptive"},
        {"AWS_SESSION_TOKEN": "expired", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x"},
    ],
    ids=lambda trap: "+".join(trap) or "nothing set",
)
def test_the_sandbox_answers_whatever_the_machine_has_set(ok: Any, sandboxed: Make, monkeypatch: pytest.MonkeyPatch, trap: dict[str, str]) -> None:
    """Without it the labs would fail on exactly the laptops of people who use AWS."""
    for name, value in trap.items():
        monkeypatch.setenv(name, value)
    assert hello(sandboxed()) == "hello"
    assert len(ok.seen) == 1


def test_broken_aws_files_do_not_reach_the_sandbox(ok: Any, sandboxed: Make, tmp_path: Path) -> None:
    """Without it a damaged ~/.aws/config would stop a course that needs no account."""
    (tmp_path / "config").write_text("this is [ not an ini file\n")
    (tmp_path / "credentials").write_text("nor this\n")
    assert hello(sandboxed()) == "hello"


def test_the_sandbox_never_sees_a_real_credential(ok: Any, sandboxed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a real access key id, session token or bearer token would be sent to another process."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real-session-token")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "real-bearer-token")
    hello(sandboxed())
    path, headers, _ = ok.seen[0]
    assert path == "/model/nvidia.nemotron-nano-3-30b/converse"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=sandbox/")
    assert "/us-west-2/bedrock/" in headers["authorization"]
    assert [name for name, value in headers.items() if "real" in value.lower()] == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_one_call_is_one_http_request(server: Any, sandboxed: Make, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the SDK's own retries would multiply with ours: 4 tries would become 12 or 20 calls."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    server.then(type(server.answers[0])(status, {"message": "no"}))
    with pytest.raises(CallError):
        hello(sandboxed())
    assert len(server.seen) == 1


def test_the_pool_is_as_wide_as_the_workers(sandboxed: Make) -> None:
    """Without it 64 workers would open and throw away a connection for nearly every call."""
    config = bedrock.client(sandboxed(max_connections=77, read_timeout_s=9, connect_timeout_s=2)).meta.config
    assert (config.max_pool_connections, config.read_timeout, config.connect_timeout) == (77, 9, 2)


def test_without_a_sandbox_the_remedy_is_named() -> None:
    """Without it the client would be built for the real service with dummy credentials."""
    with pytest.raises(SettingsError, match="workshop sandbox"):
        bedrock.client(load())


@pytest.fixture
def leaving(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], Any]:
    """Return a function that makes a live call with dummy credentials and returns the request at the point where it would leave."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIADUMMY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")

    def make(settings: Settings) -> Any:
        caught: list[Any] = []

        def stop(request: Any, **_: Any) -> AWSResponse:
            caught.append(request)
            return AWSResponse(request.url, 400, {}, None)

        client = bedrock.client(settings)
        client.meta.events.register("before-send.bedrock-runtime.Converse", stop)
        monkeypatch.setattr(AWSResponse, "content", b'{"message": "stopped before the network"}')
        with pytest.raises(ClientError):
            client.converse(**bedrock.converse_arguments(NANO, Request("hi")))
        assert len(caught) == 1
        return caught[0]

    return make


def test_live_signs_a_request_to_the_service(leaving: Callable[[Settings], Any]) -> None:
    """Without it WORKSHOP_BACKEND=live would first be tried by a learner, with an account."""
    request = leaving(load(backend="live"))
    assert request.url == "https://bedrock-runtime.us-west-2.amazonaws.com/model/nvidia.nemotron-nano-3-30b/converse"
    authorization = request.headers["Authorization"]
    assert b"Credential=AKIADUMMY/" in authorization or "Credential=AKIADUMMY/" in str(authorization)
    assert "/us-west-2/bedrock/aws4_request" in str(authorization)


def test_live_uses_the_region_of_aws_region(leaving: Callable[[Settings], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it AWS_REGION, which boto3 ignores, would be ignored live."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert leaving(load(backend="live")).url.startswith("https://bedrock-runtime.eu-central-1.amazonaws.com/")


def test_live_honours_a_private_endpoint_of_env_local(leaving: Callable[[Settings], Any], tmp_path: Path) -> None:
    """Without it a VPC endpoint written in .env.local, which boto3 does not read, would be passed by."""
    (tmp_path / ".env.local").write_text("WORKSHOP_BACKEND=live\nAWS_ENDPOINT_URL_BEDROCK_RUNTIME=https://vpce-1.bedrock-runtime.example\n")
    assert leaving(load()).url.startswith("https://vpce-1.bedrock-runtime.example/model/")


def test_live_prefers_a_bearer_token(leaving: Callable[[Settings], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a Bedrock API key would be passed by live."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-abc")
    assert "Bearer bedrock-api-key-abc" in str(leaving(load(backend="live")).headers["Authorization"])


def test_live_retries_are_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it live calls would be retried twice over, and billed so."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-abc")
    assert bedrock.client(load(backend="live")).meta.config.retries["total_max_attempts"] == 1


def test_live_without_credentials_is_one_line() -> None:
    """Without it a learner would see NoCredentialsError in the middle of a lab."""
    with pytest.raises(SettingsError) as caught:
        bedrock.client(load(backend="live"))
    line = str(caught.value)
    assert "no AWS credentials were found" in line
    assert "aws sso login" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("config", "variables", "said"),
    [
        ("", {"AWS_PROFILE": "no-such-profile"}, "no-such-profile"),
        ("broken [", {}, "AWS settings"),
        ("[default]\ncredential_process = false\n", {}, "AWS settings"),
    ],
    ids=["missing profile", "broken file", "failing credential process"],
)
def test_live_with_broken_aws_settings_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str, variables: dict[str, str], said: str
) -> None:
    """Without it a botocore traceback would stand where the remedy belongs."""
    (tmp_path / "config").write_text(config)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        bedrock.client(load(backend="live"))
    assert said in str(caught.value)
    assert "Check AWS_PROFILE" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_work_at_import() -> None:
    """Without it importing the package would read AWS files or build a client."""
    assert "Session(" not in inspect.getsource(bedrock).split("def client")[0]
