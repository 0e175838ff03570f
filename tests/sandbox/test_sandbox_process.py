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
from workshop_lib.errors import PortError, SandboxError, SettingsError
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


pytestmark = pytest.mark.usefixtures("restored_environment")


def starter(state: Path) -> subprocess.Popen[str]:
    """Start a process that ensures a sandbox, prints its address and then waits."""
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=paths.ROOT
    )


def address(child: subprocess.Popen[str]) -> process.Address:
    """Return the address that a starter got, once it has it."""
    out: IO[str] | None = child.stdout
    assert out is not None
    port, pid = out.readline().split()
    return process.Address(int(port), int(pid))


@pytest.mark.slow
def test_two_starters_share_one_and_it_ends_with_the_last_even_after_kill_9(tmp_path: Path) -> None:
    """Without it every notebook would start a server of its own, or a killed run would leave one behind."""
    first, second = starter(tmp_path), starter(tmp_path)  # at the same time, as two kernels that open a lab
    at = address(first)
    assert at == address(second)
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


@pytest.mark.slow
def test_after_a_crash_or_a_stop_it_restarts_on_the_same_port_and_clients_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a killed sandbox, or one whose state was removed, would leave every client of a notebook pointing nowhere."""
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
    for file in tmp_path.iterdir():  # as `rm -r .workshop` does
        file.unlink()
    assert backend.reconnect().bedrock_endpoint == settings.bedrock_endpoint
    assert client.converse(**arguments)["output"] == before
    assert process.stop(again, tmp_path)


@pytest.mark.slow
def test_an_explicit_port_in_use_is_one_clear_line() -> None:
    """Without it `workshop sandbox --port 8000` would end in a traceback when something else runs there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            PortError, match=rf"Port {port} on 127.0.0.1 is in use by another program. Choose another with --port"
        ) as caught:
            run.listen(port)
        assert "\n" not in str(caught.value)
        run.listen(port, or_any=True).close()
        with pytest.raises(PortError, match="1 to 65535"):
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


def test_another_sandbox_in_the_state_file_is_not_taken_for_the_one_that_starts(
    sandbox: process.Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a caller could get the address of a sandbox that does not know it, and that ends under its hands."""
    settings = Settings(time_scale=0, seed=7)
    (tmp_path / f"sandbox-{process.key(settings)}.json").write_text(json.dumps({"port": sandbox.port, "pid": sandbox.pid}))
    monkeypatch.setattr(sys, "executable", "/bin/false" if Path("/bin/false").exists() else "/usr/bin/false")
    with pytest.raises(SandboxError, match="ended while starting"):
        process.ensure(settings, state=tmp_path)


def test_an_interrupted_start_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it stopping a cell that waits for the sandbox would leave one behind for as long as the kernel lives."""
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(child: subprocess.Popen[bytes], *_: object) -> process.Address:
        started.append(child)
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "_announced", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.ensure(Settings(time_scale=0, seed=7), state=tmp_path)
    assert started[0].wait(timeout=20) != 0


def test_a_sandbox_whose_starter_is_gone_announces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it one that nobody waits for could overwrite the address of one that is in use."""
    monkeypatch.setattr(run, "_warm_up", lambda: None)
    gone = Owner(pid=os.getpid(), started=0)
    run.run(run.Options(state_file=tmp_path / "sandbox-x.json", owners=(gone,)))
    assert not list(tmp_path.iterdir())


def test_an_ending_sandbox_tidies_up_after_itself_only(tmp_path: Path) -> None:
    """Without it the last breath of one sandbox would remove the address or the log of its successor."""
    state, log = tmp_path / "sandbox-x.json", tmp_path / "sandbox-x.log"
    log.touch()
    state.write_text(json.dumps({"port": 1, "pid": os.getpid() + 1}))
    run._tidy(state)
    assert state.exists()
    assert log.exists()
    state.write_text(json.dumps({"port": 1, "pid": os.getpid()}))
    run._tidy(state)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_hold_the_state_is_one_clear_line(tmp_path: Path) -> None:
    """Without it a read-only checkout or a full disk would end in a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(SandboxError, match=r"state in .*file.*Make that folder writable") as caught:
        process.ensure(Settings(time_scale=0, seed=7), state=tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_what_old_sandboxes_left_is_removed_unless_they_still_run(tmp_path: Path) -> None:
    """Without it `.workshop` would grow for ever, or a sandbox that runs for weeks would no longer be found."""
    for name, pid in (("old", 2**30), ("running", os.getpid())):
        for suffix, text in ((".json", json.dumps({"port": 1, "pid": pid})), (".log", "")):
            file = tmp_path / f"sandbox-{name}{suffix}"
            file.write_text(text)
            os.utime(file, (0, 0))
    process._prune(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"sandbox-running.json", "sandbox-running.log"}


def test_other_seeds_and_paces_are_other_sandboxes() -> None:
    """Without it a run with another seed would be answered by the first one's sandbox."""
    keys = {process.key(Settings(seed=seed, time_scale=scale)) for seed in (0, 1) for scale in (0.0, 0.02)}
    assert len(keys) == 4


def test_a_lease_ends_with_its_process_and_a_reused_id_is_another_process() -> None:
    """Without it a recycled process id would keep a sandbox alive for ever."""
    me = Owner.current()
    assert me.process() is not None
    assert Owner(pid=me.pid, started=me.started - 60).process() is None
    assert not Leases(me).abandoned
    assert Leases(Owner(pid=me.pid, started=0)).abandoned
    assert not Leases().abandoned


def test_setting_the_clock_does_not_end_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a laptop that wakes up and sets its clock would lose the sandbox in the middle of a lab."""
    leases = Leases(Owner.current())
    true = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: true(self) + 3600)
    assert not leases.abandoned


def test_nobody_joins_a_sandbox_that_is_ending() -> None:
    """Without it a second kernel could be given a sandbox that stops a moment later."""
    leases = Leases(Owner(pid=os.getpid(), started=0))
    assert leases.abandoned
    assert not leases.add(Owner.current())
    assert leases.abandoned
    assert not Leases().add(Owner(pid=os.getpid(), started=0))


def test_a_broken_state_file_is_as_good_as_none(tmp_path: Path) -> None:
    """Without it a half-written file after a crash would stop every later start."""
    for content in ("", "{", "[]", '{"port": "x"}', '{"port": 70000, "pid": 1}', '{"port": 1e999, "pid": 1}', '{"port": 1234, "pid": 0}'):
        (tmp_path / "sandbox-x.json").write_text(content)
        assert not any(process.started_here(port, tmp_path) for port in (1234, 70000))


def test_the_environment_is_pointed_at_the_sandbox(sandbox: process.Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it plain boto3 and openai clients in a notebook would not find the sandbox, or trip over a setting meant for AWS."""
    for name in (BEDROCK_ENDPOINT, OPENAI_BASE, "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "")  # set but empty means unset
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "secret")
    monkeypatch.setenv("NO_PROXY", "example.com")
    settings = backend.open_backend()
    assert settings.bedrock_endpoint == os.environ[BEDROCK_ENDPOINT] == sandbox.root
    assert settings.openai_base_url == os.environ[OPENAI_BASE] == sandbox.openai
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert os.environ["AWS_ACCESS_KEY_ID"] == os.environ["OPENAI_API_KEY"] == "sandbox"
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
