"""The one switch between widgets and text."""

import os
from typing import Any

from IPython.core.getipython import get_ipython

STATIC = "WORKSHOP_STATIC"


def widgets_wanted(interactive: bool = True) -> bool:
    """Say whether widgets are to be shown: they were not declined, WORKSHOP_STATIC is not set, and somebody can answer the running cell.

    A front end that people use says in its request that it takes input (`allow_stdin`); papermill, nbclient, nbconvert and nbval say that they
    do not. So a stored notebook holds text, whoever executed it.
    """
    if not interactive or os.environ.get(STATIC, "") not in ("", "0"):
        return False
    return _answers(get_ipython())  # type: ignore[no-untyped-call, unused-ignore]


def _answers(shell: Any) -> bool:
    kernel = getattr(shell, "kernel", None)  # a terminal's IPython has none
    if kernel is None:
        return False
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin", False))
