"""Each how-to does what it says, from its first block to its last, in a copy of the repository."""

from pathlib import Path

import pytest
from playbook import carry_out, copy_of_the_house, steps

from workshop_lib.paths import ROOT

PAGES = sorted((ROOT / "docs/how-to").glob("*.md"))
LONG = ("teach-it", "change-it", "your-tickets")


@pytest.mark.slow
@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.nightly] if page.stem in LONG else [], id=page.stem) for page in PAGES])
def test_a_how_to_can_be_followed(page: Path, tmp_path: Path) -> None:
    """Without it a reader would be the first to find out that a command or an import has changed."""
    assert carry_out(page.read_text(encoding="utf-8"), copy_of_the_house(tmp_path)) >= 2


def test_every_how_to_is_here() -> None:
    """Without it a page that was lost would pass by not being tested."""
    assert {page.stem for page in PAGES} >= {"teach-it", "change-it", "add-a-tier", "add-a-task"}


def test_blocks_are_told_apart(tmp_path: Path) -> None:
    """Without it a block could be skipped, or a wrong output pass, and the pages be tested in name only."""
    page = '```toml title="a/b.toml"\nx = 1\n```\n\n```sh\ncat a/b.toml\n```\n\n```text\n...\nx = 1\n```\n'
    assert [step.language for step in steps(page)] == ["toml", "sh", "text"]
    assert carry_out(page, tmp_path) == 1
    with pytest.raises(AssertionError, match="the page says"):
        carry_out("```sh\necho one\n```\n\n```text\ntwo\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="exit 3"):
        carry_out("```sh\nexit 3\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="neither run nor written"):
        carry_out("```python\nprint(1)\n```\n", tmp_path)
