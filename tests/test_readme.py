"""What the README promises runs as it stands there."""

import re

import pytest

from workshop_lib.paths import ROOT


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_the_code_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Without it the first code that a reader copies could be of an older interface."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    exec("\n".join(blocks), {})
    said = capsys.readouterr().out
    assert re.match(r"\w+ (nano|sonnet) \d[\d.e-]+\n", said)
    assert "cascade nano>super>sonnet" in said
    assert "cost_per_1000_high" in said
