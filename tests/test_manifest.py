"""The shipped data's fingerprints find every kind of damage."""

import shutil
import subprocess
from pathlib import Path

import pytest

from workshop_lib import manifest
from workshop_lib.errors import DataError


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make a small data folder with its manifest written."""
    folder = tmp_path / "data"
    (folder / "tickets").mkdir(parents=True)
    (folder / "models.toml").write_text("[nano]\n")
    (folder / "tickets" / "test.jsonl").write_text("{}\n")
    monkeypatch.setattr(manifest, "DATA", folder)
    monkeypatch.setattr(manifest, "MANIFEST", folder / "MANIFEST")
    (folder / "MANIFEST").write_text(manifest.text())
    return folder


def test_untouched_data_are_fine(data: Path) -> None:
    """Without it `workshop doctor` would complain on a fresh clone."""
    assert manifest.problems() == []


def test_every_kind_of_damage_is_one_line(data: Path) -> None:
    """Without it an edited test set would quietly change every figure."""
    (data / "models.toml").write_text("[nano]\r\n")
    (data / "tickets" / "test.jsonl").unlink()
    (data / "tickets" / "more.jsonl").write_text("{}\n")
    assert manifest.problems() == [
        "data/tickets/test.jsonl is missing",
        "data/tickets/more.jsonl is not in data/MANIFEST",
        "data/models.toml differs from data/MANIFEST",
    ]


def test_a_missing_manifest_is_said(data: Path) -> None:
    """Without it a lost manifest would pass for intact data."""
    (data / "MANIFEST").unlink()
    assert manifest.problems() == ["data/MANIFEST is missing"]


@pytest.mark.parametrize("broken", ["<<<<<<< HEAD", "abc  models.toml", ""])
def test_a_broken_manifest_names_its_line(data: Path, broken: str) -> None:
    """Without it a merge conflict in the manifest would be a traceback."""
    (data / "MANIFEST").write_text(manifest.text() + broken + "\n")
    with pytest.raises(DataError, match=r"data/MANIFEST line 3 .* git checkout"):
        manifest.problems()


def test_what_a_desktop_leaves_behind_is_not_data(data: Path) -> None:
    """Without it opening the folder on a Mac would fail the check."""
    (data / ".DS_Store").write_text("x")
    (data / "tickets" / ".ipynb_checkpoints").mkdir()
    (data / "tickets" / ".ipynb_checkpoints" / "test.jsonl").write_text("x")
    assert manifest.problems() == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_agrees(data: Path) -> None:
    """Without it the file could not be checked without this package."""
    done = subprocess.run(["sha256sum", "--check", "--strict", "MANIFEST"], cwd=data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
