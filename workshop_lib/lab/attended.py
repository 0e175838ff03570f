"""Whether a person works in this kernel: the one switch for what is kept on disk, and for what only a person can use."""

import os
from typing import Any

from IPython.core.getipython import get_ipython

VARIABLE = "WORKSHOP_PROGRESS"
"""1 keeps progress wherever the code runs, 0 nowhere; unset, it is kept where a person works."""


def attended(shell: Any = None) -> bool:
    """Say whether the cell that runs was sent by a front end with a person in front of it.

    JupyterLab, VS Code and Colab let a cell ask for input; nbclient, and with it the builder, papermill and nbconvert, and nbval do not.
    WORKSHOP_PROGRESS=0 or 1 decides by hand, and WORKSHOP_STATIC=1, as when a notebook is built, is never attended.
    """
    if os.environ.get("WORKSHOP_STATIC") == "1":
        return False
    said = os.environ.get(VARIABLE)
    if said in ("0", "1"):
        return said == "1"
    kernel = getattr(shell or get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))
