"""The bench of the tests of batches serves those of the sandbox's jobs too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "batch"))
