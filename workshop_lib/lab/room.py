"""Telling the room's board how an exercise stands: name, lab, exercise and state, and nothing of the answer."""

import os
from contextlib import suppress
from http.client import HTTPException

from workshop_lib.backend import ROOM_OPENED
from workshop_lib.joining import ask

_REPORT_S = 1.0


def report(lab: str, exercise: str, state: str) -> None:
    """Report the outcome of a check to the room that the backend was opened in, if any; a room that is gone is none of a check's business."""
    root = os.environ.get(ROOM_OPENED)
    if root:
        with suppress(OSError, HTTPException, ValueError):
            ask("POST", f"{root}/report", {"lab": lab, "exercise": exercise, "state": state}, timeout_s=_REPORT_S)
