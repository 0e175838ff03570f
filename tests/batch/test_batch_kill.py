"""`workshop batch` as a process: five thousand tickets over a local S3, killed with kill -9 at several stages."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from batch_bench import tickets
from botocore.config import Config

from workshop_lib import catalog
from workshop_lib.paths import ROOT
from workshop_lib.sandbox import process
from workshop_lib.settings import S3_ENDPOINT, Settings

pytestmark = [  # loading moto alone takes seconds
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9"),
]

COUNT = 5_000
SEED = 5  # of a sandbox that no other test asks
STAGES = [r"w1-nano-0001: \d+ records to nano", r"w1-nano-0002: Completed", r"w2-sonnet-0001: \d+ records to sonnet", "w2-sonnet-0001: Completed"]
"""What the command says when: wave 1 is asked, one of its outputs was read, wave 2 is asked, its output was read."""


@pytest.fixture(scope="module")
def sandbox_process(sandbox_settings: Settings) -> Iterator[process.Address]:
    """Give a sandbox of this module's own: its ledger is compared to the last call, and other tests run beside it."""
    own = sandbox_settings.model_copy(update={"seed": SEED})
    yield process.ensure(own)
    process.stop(own)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Give the address of a local S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


DIES = """
import os, re, signal, sys, typer
from workshop_lib.cli import main

stage, echo = sys.argv[1], typer.echo

def say(line, **more):
    echo(line, **more)
    if stage and re.match(stage, str(line)):
        os.kill(os.getpid(), signal.SIGKILL)

typer.echo = say
sys.argv = ["workshop", *sys.argv[2:]]
main()
"""
"""The command, which is killed as soon as it says that it has come to a stage."""


def command(source: Path, out: Path, env: dict[str, str], stage: str) -> "subprocess.CompletedProcess[str]":
    """Run the command, with jobs of at most 2,000 records, to a stage or to its end."""
    options = ["batch", str(source), "--out", str(out), "--bucket", "s3://tickets/five", "--max-records", "2000"]
    return subprocess.run([sys.executable, "-c", DIES, stage, *options], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_five_thousand_tickets_killed_at_four_stages_are_asked_once_each(s3: str, sandbox: Any, call: Any, tmp_path: Path) -> None:
    """Without it nobody would know that two waves of real size survive kill -9 with nothing lost or paid twice."""
    source, out = tickets(tmp_path / "in.ndjson", COUNT), tmp_path / "out.ndjson"
    env = {**os.environ, S3_ENDPOINT: s3, "WORKSHOP_SEED": str(SEED)}
    for stage in STAGES:
        killed = command(source, out, env, stage)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = command(source, out, env, "")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    nano, claude = ([row for row in rows if row["model"] == name] for name in ("nano", "claude"))
    assert len(nano) == len({row["ticket_id"] for row in nano}) == COUNT
    assert {row["ticket_id"] for row in claude} == {row["ticket_id"] for row in nano if row["escalated"]}
    ledger = call("GET", "/sandbox/ledger")[2]
    models = ledger["batch"]["models"]
    assert models[catalog.model("nano").id]["ok"] == COUNT
    assert models[catalog.model("sonnet").id]["ok"] == len(claude) == len({row["ticket_id"] for row in claude})
    assert ledger["total"]["attempts"] == 0  # nothing went by ordinary calls
    assert sum(row["cost"] for row in rows) == pytest.approx(ledger["batch"]["total"]["usd"])
    assert f"{COUNT} tickets, {len(claude)} escalated, 0 failed, {ledger['batch']['total']['usd']:.6f} USD" in done.stdout
    bedrock = boto3.client("bedrock", endpoint_url=sandbox.root, config=Config(signature_version="v4"))
    jobs = [job for job in bedrock.list_model_invocation_jobs()["invocationJobSummaries"] if "/five/" in str(job["inputDataConfig"])]
    assert sorted(job["totalRecordCount"] for job in jobs) == sorted([2000, 2000, 1000, *_split(len(claude))])


def _split(count: int) -> list[int]:
    """Return the records of the jobs of a wave."""
    return [2000] * (count // 2000) + ([count % 2000] if count % 2000 else [])
