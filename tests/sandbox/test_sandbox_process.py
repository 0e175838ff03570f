"""The sandbox as a process: shared, restarted where it was, and never left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import boto3
import psutil
import pytest
from botocore.config import Config

from workshop_lib import backend, paths
from workshop_lib.errors import SandboxError, SettingsError
from workshop_lib.sandbox import process, run
from workshop_lib.sandbox.leases import Leases, Owner
from workshop_lib.settings import BEDROCK_ENDPOINT, OPENAI_BASE, Settings

STARTER = """
import sys
from pathlib import Path
from workshop_lib.sandbox import process
from workshop_lib.settings import Settings
address = process.ensure(Settings(backend="sandbox", time_scale=0, seed=5), state=Path(sys.argv[1]))
print(address.port, address.pid, flush=True)
sys.stdin.read()
"""


def starter(state: Path) -> tuple[subprocess.Popen[str], process.Address]:
    """Start a process that ensures a sandbox and then waits; return it with the address it got."""
    child = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=paths.ROOT
    )
    out: IO[str] | None = child.stdout
    assert out is not None
    port, pid = out.readline().split()
    return child, process.Address(int(port), int(pid))


def test_two_starters_share_one_and_it_ends_with_the_last_even_after_kill_9(tmp_path: Path) -> None:
    """Without it every notebook would start a server of its own, or a killed run would leave one behind."""
    first, at = starter(tmp_path)
    second, also_at = starter(tmp_path)
    assert at == also_at
    sandbox = psutil.Process(at.pid)
    first.kill()
    first.wait()
    assert process.probe(at.port) is not None
    second.send_signal(signal.SIGKILL)
    second.wait()
    assert sandbox.wait(timeout=20) is None or not sandbox.is_running()
    assert process.probe(at.port) is None
    for child in (first, second):
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()


def test_after_a_crash_it_restarts_on_the_same_port_and_clients_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a killed sandbox would leave every client of a notebook pointing nowhere."""
    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setenv("WORKSHOP_TIME_SCALE", "0")
    monkeypatch.setenv("WORKSHOP_SEED", "6")
    settings = backend.open_backend()
    assert settings.bedrock_endpoint is not None
    client = boto3.client("bedrock-runtime", config=Config(retries={"total_max_attempts": 1, "mode": "standard"}))
    arguments = {"modelId": "nvidia.nemotron-nano-3-30b", "messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}]}
    before = client.converse(**arguments)["output"]
    found = json.loads(next(tmp_path.glob("sandbox-*.json")).read_text())
    crashed = psutil.Process(found["pid"])
    crashed.kill()
    crashed.wait(timeout=20)
    again = backend.reconnect()
    assert again.bedrock_endpoint == settings.bedrock_endpoint
    assert os.environ[OPENAI_BASE] == f"{again.bedrock_endpoint}/v1"
    assert client.converse(**arguments)["output"] == before
    assert process.stop(again, tmp_path)
    assert not process.stop(again, tmp_path)


def test_an_explicit_port_in_use_is_one_clear_line() -> None:
    """Without it `workshop sandbox --port 8000` would end in a traceback when something else runs there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            SandboxError, match=rf"Port {port} on 127.0.0.1 is in use by another program. Choose another with --port"
        ) as caught:
            run.listen(port)
        assert "\n" not in str(caught.value)
        run.listen(port, or_any=True).close()
        with pytest.raises(SandboxError, match="1 to 65535"):
            run.listen(70_000)
        done = subprocess.run(
            [sys.executable, "-m", "workshop_lib.sandbox", "--port", str(port)],
            capture_output=True,
            text=True,
            cwd=paths.ROOT,
            check=False,
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a failed start would only be a time-out."""
    monkeypatch.setattr(sys, "executable", "/bin/false" if Path("/bin/false").exists() else "/usr/bin/false")
    with pytest.raises(SandboxError, match="ended while starting: it wrote nothing"):
        process.ensure(Settings(time_scale=0, seed=7), state=tmp_path)


def test_other_seeds_and_paces_are_other_sandboxes() -> None:
    """Without it a run with another seed would be answered by the first one's sandbox."""
    keys = {process.key(Settings(seed=seed, time_scale=scale)) for seed in (0, 1) for scale in (0.0, 0.02)}
    assert len(keys) == 4


def test_a_lease_ends_with_its_process_and_a_reused_id_is_another_process() -> None:
    """Without it a recycled process id would keep a sandbox alive for ever."""
    me = Owner.current()
    assert me.alive
    assert not Owner(pid=me.pid, started=me.started - 60).alive
    assert not Leases(me).abandoned
    assert Leases(Owner(pid=me.pid, started=0)).abandoned
    assert not Leases().abandoned


def test_a_broken_state_file_is_as_good_as_none(tmp_path: Path) -> None:
    """Without it a half-written file after a crash would stop every later start."""
    for content in ("", "{", "[]", '{"port": "x"}'):
        (tmp_path / "sandbox-x.json").write_text(content)
        assert not process.started_here(1234, tmp_path)


def test_the_environment_is_pointed_at_the_sandbox(sandbox: process.Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it plain boto3 and openai clients in a notebook would not find the sandbox, or trip over a setting meant for AWS."""
    for name in (
        BEDROCK_ENDPOINT,
        OPENAI_BASE,
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "OPENAI_API_KEY",
    ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "secret")
    monkeypatch.setenv("NO_PROXY", "example.com")
    settings = backend.open_backend()
    assert settings.bedrock_endpoint == os.environ[BEDROCK_ENDPOINT] == sandbox.root
    assert settings.openai_base_url == os.environ[OPENAI_BASE] == sandbox.openai
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert "AWS_BEARER_TOKEN_BEDROCK" not in os.environ
    assert "127.0.0.1" in os.environ["NO_PROXY"]
    assert boto3.client("bedrock-runtime").meta.endpoint_url == sandbox.root


def test_an_endpoint_that_the_user_set_is_used_or_named(sandbox: process.Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a user's own server would be replaced silently, or a dead one found only at the first call."""
    with socket.create_server(("127.0.0.1", 0)) as own:
        url = f"http://127.0.0.1:{own.getsockname()[1]}/v1"
        monkeypatch.setenv(OPENAI_BASE, url)
        assert backend.open_backend().openai_base_url == url
    with pytest.raises(SandboxError, match=f"{OPENAI_BASE} is {url}, but nothing answers there"):
        backend.open_backend()


def test_live_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it going live would still point at the sandbox, or a wrong backend would pass."""
    monkeypatch.setenv("WORKSHOP_BACKEND", "live")
    before = dict(os.environ)
    assert backend.open_backend().backend == "live"
    assert dict(os.environ) == before
    monkeypatch.setenv("WORKSHOP_BACKEND", "cloud")
    with pytest.raises(SettingsError, match="WORKSHOP_BACKEND is 'cloud'"):
        backend.open_backend()
