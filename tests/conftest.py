"""What all tests share: no network but loopback, a clean environment, and one sandbox process for the whole run."""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import only_loopback
import openai
import pytest
from botocore.config import Config
from botocore.loaders import create_loader
from botocore.validate import ParamValidator
from hypothesis import settings as hypothesis_settings

from workshop_lib import settings as settings_module
from workshop_lib.paths import STATE
from workshop_lib.sandbox import process
from workshop_lib.settings import Settings

_PREFIXES = ("AWS_", "WORKSHOP_", "OPENAI_", "NVIDIA_", "BEDROCK_")

only_loopback.install()
# Every session of boto3's would read botocore's tables anew, 60 ms of CPU; what a test sets reaches its clients by the session all the same.
botocore.session.create_loader = functools.cache(create_loader)
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # jsonschema's check of IRIs, which nothing here asks for, takes a second to import
for profile, examples in (("workshop", 100), ("quick", 25), ("nightly", 2_000)):  # make test, make test-fast, make nightly
    hypothesis_settings.register_profile(profile, deadline=None, max_examples=examples)  # how long one takes says nothing on a shared machine
hypothesis_settings.load_profile("workshop")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell script; processes that tests interrupt would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["PYTHONPATH"] = str(Path(only_loopback.__file__).parent)  # for the processes that tests start
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):  # each of those processes would compile every module anew, a second of CPU
    os.environ["PYTHONPYCACHEPREFIX"] = str(STATE / "bytecode")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the settings, credentials and regions of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(_PREFIXES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setitem(settings_module.Settings.model_config, "env_file", None)


@pytest.fixture
def restored_environment(clean_environment: None) -> Iterator[None]:
    """Take back what opening the backend set in the environment, so that no later test is pointed at a sandbox that has ended."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def sandbox_settings() -> Iterator[Settings]:
    """Give the settings of the tests' sandbox: seed 0, and no time spent on modelled latency."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(_PREFIXES)]:
            patch.delenv(name)
        patch.setitem(settings_module.Settings.model_config, "env_file", None)
        yield Settings(backend="sandbox", seed=0, time_scale=0)


@pytest.fixture(scope="session")
def sandbox_process(sandbox_settings: Settings) -> process.Address:
    """Give the address of the one sandbox process of this test run; it ends with the run."""
    return process.ensure(sandbox_settings)


@pytest.fixture
def sandbox(sandbox_process: process.Address, monkeypatch: pytest.MonkeyPatch) -> process.Address:
    """Give the sandbox with the environment pointed at it, as `open_backend` would leave it."""
    monkeypatch.setenv(settings_module.BEDROCK_ENDPOINT, sandbox_process.root)
    monkeypatch.setenv(settings_module.OPENAI_BASE, sandbox_process.openai)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "sandbox")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sandbox")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("OPENAI_API_KEY", "sandbox")
    monkeypatch.setenv("WORKSHOP_TIME_SCALE", "0")
    return sandbox_process


@pytest.fixture
def bedrock(sandbox: process.Address) -> Any:
    """Give a plain boto3 client whose every answer and event is checked against botocore's model of the operation."""
    client = boto3.client(
        "bedrock-runtime", config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, signature_version="v4")
    )

    def check(body: Any, shape: Any) -> None:
        problems = ParamValidator().validate(body, shape)
        assert not problems.has_errors(), problems.generate_report()

    def conforms(parsed: dict[str, Any], http_response: Any, model: Any, **_: Any) -> None:
        if http_response.status_code != 200:
            return
        if model.has_event_stream_output:
            check_events(next(part for part in parsed.values() if hasattr(part, "_parse_event")), model.get_event_stream_output())
        elif model.output_shape.serialization.get("payload"):  # InvokeModel: the body is the model family's own
            check({key: part for key, part in parsed.items() if key not in ("ResponseMetadata", "body")} | {"body": b""}, model.output_shape)
        else:
            check(json.loads(http_response.content), model.output_shape)
            check({key: part for key, part in parsed.items() if key != "ResponseMetadata"}, model.output_shape)

    def check_events(stream: Any, shape: Any) -> None:
        read = stream._parse_event

        def checked(event: Any) -> Any:
            head = event.headers
            check(json.loads(event.payload), shape.members[head.get(":event-type") or head[":exception-type"]])
            return read(event)

        stream._parse_event = checked  # on the way through, where what the client would drop is still there

    client.meta.events.register("after-call.bedrock-runtime", conforms)
    return client


@pytest.fixture
def chat(sandbox: process.Address) -> Iterator[openai.OpenAI]:
    """Give a plain openai client without retries whose every whole answer is checked against the SDK's own models.

    The calls are plain http: reading the machine's certificates for each client would take 20 ms of CPU.
    """

    def conforms(response: Any) -> None:
        if not response.headers["content-type"].startswith("text/event-stream"):
            check_chat_answer(response.status_code, json.loads(response.read()))

    with openai.OpenAI(max_retries=0, http_client=openai.DefaultHttpxClient(verify=False, event_hooks={"response": [conforms]})) as client:
        yield client


def check_chat_answer(status: int, raw: dict[str, Any]) -> None:
    """Fail if an answer of the OpenAI side is not exactly what the SDK's models describe: types, no member missing, none unknown."""
    if status != 200:
        assert raw.get("status") == status or raw["error"].keys() == {"message", "type", "param", "code"}
        return
    shapes: dict[str, Any] = {
        "chat.completion": openai.types.chat.ChatCompletion,
        "chat.completion.chunk": openai.types.chat.ChatCompletionChunk,
        "model": openai.types.Model,
    }
    for one in raw["data"] if raw["object"] == "list" else [raw]:
        parsed = shapes[one["object"]].model_validate(one, strict=True)
        assert not (unknown := _unknown(parsed)), f"members the SDK does not know: {unknown}"
        for choice in one.get("choices", ()):
            assert choice.keys() >= {"index", "finish_reason", "logprobs"}
            assert choice["message"].keys() >= {"role", "content", "refusal"} if "message" in choice else "delta" in choice


def _unknown(part: Any) -> list[str]:
    if isinstance(part, list | tuple):
        return [name for one in part for name in _unknown(one)]
    if not isinstance(part, openai.BaseModel):
        return []
    return [*(part.model_extra or {}), *(name for field in type(part).model_fields for name in _unknown(getattr(part, field)))]


@pytest.fixture(scope="session")
def conforms() -> Callable[[int, dict[str, Any]], None]:
    """Give what checks one answer, or one chunk of a stream, of the OpenAI side."""
    return check_chat_answer


@pytest.fixture
def call(sandbox: process.Address) -> Callable[..., tuple[int, dict[str, str], Any]]:
    """Give a function that makes one raw HTTP request to the sandbox and returns status, headers (lower case) and JSON body."""

    def request(
        method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
        try:
            content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, content, headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(answer.read())
        finally:
            connection.close()

    return request


@pytest.fixture
def scope(request: pytest.FixtureRequest, call: Callable[..., tuple[int, dict[str, str], Any]]) -> Iterator[str]:
    """Give a scope of this test's own; faults set in it and its ledger end with the test."""
    name = "".join(letter if letter.isalnum() else "-" for letter in f"{request.node.name}-{os.getpid()}")[:200]
    yield name
    call("DELETE", f"/sandbox/faults?scope={name}")
    call("POST", f"/sandbox/ledger/reset?scope={name}")
