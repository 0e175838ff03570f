"""The command on a real Ray cluster of this machine, started once: a killed worker, Ctrl-C, and a second run."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import psutil
import pytest
from bulk_stub import PATIENCE_S, Service, rows, serving, tickets

from workshop_lib.bulk.journal import InUse
from workshop_lib.bulk.scale import run
from workshop_lib.bulk.scale.cluster import ADDRESS, Cluster, connected
from workshop_lib.bulk.scale.manifest import open_manifest
from workshop_lib.commands.bulk import Options, bulk
from workshop_lib.paths import ROOT

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.slow,
]
LEAN = Path(__file__).with_name("lean")
CONCURRENCY = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Give a cluster of two processors, started as the command starts one."""
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([os.environ["PYTHONPATH"], str(LEAN)])
    folders = set(Path("/tmp").glob("ray*"))
    try:
        with connected(2) as found:
            import ray  # not before: it reads at import which address it may use

            os.environ["TEST_RAY"] = ray.get_runtime_context().gcs_address
            yield found
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert not [process for process in psutil.Process().children(recursive=True) if "raylet" in process.name()]
    assert set(Path("/tmp").glob("ray*")) == folders, "Ray left its folder behind"


@pytest.fixture
def here(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Let the command, called in this process, use the cluster that runs."""

    @contextmanager
    def running(_cpus: int) -> Iterator[Cluster]:
        yield cluster

    monkeypatch.setattr(run, "connected", running)
    return cluster


def point_at(stub: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls of this process and its workers go to a stub."""
    for name, value in stub.environment().items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)


def until_asked(stub: Service, calls: int) -> None:
    """Wait until the stub was asked so often, as long as a busy machine takes to come to it."""
    for _ in range(5):
        if stub.get(f"/asked/{calls}")["asked"] >= calls:
            return
    pytest.fail(f"{calls} calls were not made")


def options(source: Path, out: Path) -> Options:
    """Return the options of a run with two workers and parts of about forty tickets."""
    return Options(source, out, concurrency=CONCURRENCY, engine="ray", workers=2, part_mb=0.0015)


def assert_each_once(out: Path, names: list[str]) -> None:
    """Assert that the parts hold every ticket, its rows together, and none twice."""
    groups = [name for part in sorted(out.glob("part-*.ndjson")) for name, _ in groupby(row["ticket_id"] for row in rows(part))]
    assert Counter(groups) == Counter(names)


def test_a_killed_worker_loses_nothing(tmp_path: Path, here: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a machine that is lost would take its part with it, or the part be paid and written twice."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out"
    names = tickets(source, 300)
    killed = []

    def kill(stub: Service) -> None:
        until_asked(stub, 60)
        pools = [process for process in psutil.Process().children(recursive=True) if process.cmdline() and process.cmdline()[0].startswith("ray::MapWorker")]
        killed.append(pools[0].pid)
        os.kill(pools[0].pid, signal.SIGKILL)

    with serving({"latency_s": 0.05}) as stub:
        point_at(stub, monkeypatch)
        killer = threading.Thread(target=kill, args=(stub,))
        killer.start()
        assert bulk(options(source, out)) == 0
        killer.join(PATIENCE_S)
        paid = stub.answered()
    assert len(killed) == 1
    assert_each_once(out, names)
    twice = sum(paid[f"nano {name}"] for name in names) - len(names)
    assert 0 <= twice <= CONCURRENCY // 2 + 2, "only what the killed worker had in work is paid again"


@pytest.mark.nightly
def test_ctrl_c_ends_what_is_in_work_and_the_same_command_goes_on(tmp_path: Path, cluster: Cluster) -> None:
    """Without it Ctrl-C would leave a terminal full of Ray's reports, or throw away what was paid for, or never reach the workers."""
    source, out = tmp_path / "in.ndjson", tmp_path / "out"
    names = tickets(source, 200)
    words = [str(source), "--out", str(out), "--engine", "ray", "--workers", "2", "--concurrency", str(CONCURRENCY), "--part-mb", "0.0015"]
    command = [sys.executable, "-m", "workshop_lib.cli", "bulk", *words]
    with serving({"latency_s": 0.2}) as stub:
        environment = {**stub.environment(), ADDRESS: os.environ["TEST_RAY"]}
        first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        until_asked(stub, 20)
        with pytest.raises(InUse, match="Another run is writing"):
            open_manifest(out, {})
        first.send_signal(signal.SIGINT)
        summary, said = first.communicate(timeout=PATIENCE_S)
        assert first.returncode == 3, said
        assert f"Go on with: workshop bulk {' '.join(words)}\n" in said
        unknown = [line for line in said.splitlines() if line and not line.startswith(("Stopping: ", "Stopped after ")) and " of about 200 tickets: " not in line]
        assert not unknown, "what Ray has to say is in its logs"
        assert len(summary.splitlines()) == 1
        assert 0 < sum(stub.answered().values()) < 200
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert set(stub.answered().values()) == {1}, "what was in work when Ctrl-C was pressed was kept"
    assert_each_once(out, names)
