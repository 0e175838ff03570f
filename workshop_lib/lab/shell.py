"""Foreseeable failures in a notebook: one clear line instead of a traceback, while the cell still counts as failed."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import openai
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from workshop_lib.errors import WorkshopError
from workshop_lib.llm import CallError
from workshop_lib.settings import Settings

STOPPED = "The sandbox has stopped. Run lab.reconnect() in a new cell, then run this cell again."
_LOST = (EndpointConnectionError, ConnectionClosedError, openai.APIConnectionError)


def explain(error: BaseException, backend: str) -> str:
    """Return the line a learner reads for a foreseeable failure."""
    if _connection_lost(error):
        return STOPPED if backend == "sandbox" else f"No connection to the model's endpoint: {str(error).rstrip('.')}. Check the network, then run this cell again."
    return str(error)


def _connection_lost(error: BaseException) -> bool:
    if isinstance(error, CallError):
        return error.kind in ("unreachable", "disconnected")
    return isinstance(error, _LOST) and not isinstance(error, openai.APITimeoutError)


def install(shell: Any, settings: Callable[[], Settings]) -> None:
    """Make an IPython shell show `explain` for foreseeable failures; does nothing outside IPython (shell None)."""
    if shell is None:
        return

    def show(self: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None, tb_offset: int | None = None) -> list[str]:
        line = f"{kind.__name__}: {explain(error, settings().backend)}"
        # IPython asks the exception for its own rendering; going through showtraceback keeps the error message that nbclient,
        # papermill and nbval look for.
        error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
        self.showtraceback((kind, error, trace))
        return [line]

    shell.set_custom_exc((WorkshopError, *_LOST), show)
