"""The code of docs/cache.md runs, from its first block to its last, and prints what the page says."""

import contextlib
import io

import pytest
from playbook import says, steps

from workshop_lib.paths import ROOT


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox", "restored_environment")
def test_the_page_about_the_cache_says_what_its_code_prints() -> None:
    """Without it a reader's first cache could be of an older interface, or the figures of an older cache."""
    names: dict[str, object] = {}
    printed, checked = "", 0
    for step in steps((ROOT / "docs/cache.md").read_text(encoding="utf-8")):
        if step.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(step.text, names)
            printed = said.getvalue()
        else:
            assert says(printed, step.text), f"the page says\n{step.text}\nbut what came is\n{printed}"
            checked += 1
    assert checked == 4
