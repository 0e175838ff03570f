"""The solutions run headless with another seed and other parameters than the stored ones."""

from pathlib import Path

import papermill
import pytest

from tools.course import Course, seeds, source
from workshop_lib.paths import ROOT

LABS = sorted(path.parent for path in (ROOT / "notebooks").glob("*/solution.ipynb"))


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_runs_with_another_seed_and_other_parameters(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a lab could lean on the numbers of one seed and break in the first room that changes a parameter."""
    monkeypatch.setenv("WORKSHOP_STRICT", "1")
    stored = seeds.parameters_of(source.read(lab, Course()))
    assert "SEED" in stored
    parameters = seeds.other(stored) | {"SEED": 2}
    done = papermill.execute_notebook(
        str(lab / "solution.ipynb"), str(tmp_path / "out.ipynb"), parameters=parameters, cwd=str(lab), progress_bar=False, kernel_name="python3"
    )
    assert all(cell.execution_count for cell in done.cells if cell.cell_type == "code" and cell.source.strip())


def test_every_lab_is_here() -> None:
    """Without it a lab that was never built would pass by not being tested."""
    assert [lab.name for lab in LABS] == ["01_call_tiers", "02_confidence", "03_cascade", "04_bulk", "05_bakeoff"]


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_parameters_print_a_manual(lab: Path) -> None:
    """Without it `papermill --help-notebook` would show parameters without a type or a word of what they do."""
    for name, parameter in papermill.inspect_notebook(str(lab / "lab.ipynb")).items():
        assert parameter["inferred_type_name"] != "None", name
        assert parameter["help"], name
