"""The real command `workshop bakeoff` from end to end: reviews, all arms, an interrupt gone on with, and two runs at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workshop_lib.errors import SettingsError
from workshop_lib.evaluation.cache import ReplyCache
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.evaluation.reply_file import alone
from workshop_lib.paths import ROOT
from workshop_lib.sandbox import process
from workshop_lib.settings import BEDROCK_ENDPOINT, OPENAI_BASE, Settings

COMMAND = [sys.executable, "-m", "workshop_lib.cli", "bakeoff"]


@pytest.fixture
def slow_sandbox(sandbox_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a sandbox that answers at the pace of the labs, so that all replies take seconds."""
    paced = sandbox_settings.model_copy(update={"time_scale": 0.02})
    here = process.ensure(paced)
    for variable, value in ((BEDROCK_ENDPOINT, here.root), (OPENAI_BASE, here.openai), ("WORKSHOP_TIME_SCALE", "0.02")):
        monkeypatch.setenv(variable, value)
    yield
    process.stop(paced)


def bakeoff(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_all_arms_report_json_and_reviews(tmp_path: Path) -> None:
    """Without it an option could work alone and not beside the others, or a person's review not reach the tables."""
    reviews, tables = tmp_path / "reviews.jsonl", tmp_path / "b.json"
    first = load_tickets("test")[0]
    reviews.write_text(json.dumps({"item_id": first.ticket.id, **first.label.model_dump(), "reviewer": "a person"}) + "\n", encoding="utf-8")
    done = bakeoff("--all", "--limit", "10", "--report", "--json", str(tables), "--reviews", str(reviews), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    written = json.loads(tables.read_text(encoding="utf-8"))
    assert {"kNN", "category majority", "cascade nano>super>sonnet", "oracle nano, super, sonnet"} <= {row["arm"] for row in written["summary"]}
    assert (written["judge_labels_replaced_by_review"], written["provenance"]["datasets"]["calibration"]["items"]) == (1, 80)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "People reviewed 1 of the judge&#x27;s labels" in page
    assert "data: calibration, whole" in page
    assert "kNN" in page


@pytest.mark.slow
def test_interrupted_labelling_is_gone_on_with(tmp_path: Path, slow_sandbox: None) -> None:
    """Without it Ctrl-C could lose replies that were paid for, or the run that follows ask for them again."""
    cache = tmp_path / "r.jsonl"
    with subprocess.Popen([*COMMAND, "--label", "--cache", str(cache)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        while run.poll() is None and (not cache.exists() or cache.read_bytes().count(b"\n") < 10):
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "Traceback" not in said
    kept = len(ReplyCache(cache))
    assert 9 <= kept < 640
    assert f"Stopped. {kept} replies are in {cache}; {640 - kept} are missing. Go on with: workshop bakeoff --label --cache {cache}" in said
    assert ReplyCache(cache).partial
    done = bakeoff("--label", "--cache", str(cache))
    assert done.stdout.startswith(f"{640 - kept} calls made; 640 replies in {cache}, all that were wanted."), done.stderr
    assert not ReplyCache(cache).partial


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_a_second_run_on_one_file_is_refused(tmp_path: Path) -> None:
    """Without it two runs would pay for the same replies, and each count on what the other writes."""
    cache = tmp_path / "r.jsonl"
    with alone(cache):
        done = bakeoff("--label", "--limit", "2", "--cache", str(cache))
        with pytest.raises(SettingsError, match="Another run is asking"), alone(cache):
            pass
    assert (done.returncode, done.stderr.strip()) == (1, f"workshop: Another run is asking for the replies in {cache}. Wait for it to end, or name another file with --cache.")
    assert bakeoff("--label", "--limit", "2", "--cache", str(cache)).returncode == 0
    assert os.path.getsize(f"{cache}.lock") == 0


@pytest.mark.slow
def test_it_starts_without_what_it_does_not_use() -> None:
    """Without it somebody who mistyped a file's name would wait two seconds longer for the line that says so."""
    code = "import sys, workshop_lib.commands.bakeoff; print([name for name in ('nbformat', 'nbconvert', 'IPython', 'openai', 'sklearn', 'matplotlib') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120, check=True).stdout.strip() == "[]"
