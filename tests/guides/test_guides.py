"""What the guides to production promise runs as it stands there."""

from pathlib import Path

import pytest
from guide_blocks import run_python


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("name", ["when-to-cascade.md", "production.md", "evaluation-jobs.md"])
def test_the_code_of_a_guide_prints_what_it_says(name: str, tmp_path: Path) -> None:
    """Without it a reader could copy code of an older interface, or believe a number that the library no longer computes."""
    for printed, shown in run_python(name, tmp_path):
        assert printed == shown
