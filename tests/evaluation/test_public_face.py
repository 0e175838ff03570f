"""The package's own names: all there, and loaded only when used."""

import subprocess
import sys

import pytest

from workshop_lib import evaluation


def test_every_name_is_there() -> None:
    """Without it the shortest way to a bake-off could be a dead name."""
    assert all(getattr(evaluation, name) is not None for name in (*evaluation.__all__, "recorded"))
    assert {*evaluation.__all__, "recorded"} <= set(dir(evaluation))
    assert set(evaluation._HOME) == set(evaluation.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = evaluation.nothing


def test_importing_the_package_loads_no_tables_library() -> None:
    """Without it every start of the command line would wait for pandas."""
    code = "import sys, workshop_lib.evaluation; sys.exit('pandas' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
