"""The stub of the tests of bulk serves these too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
