"""Labels, recorded replies, metrics, arms on the same items, and the bake-off that compares them.

The names below are all that a bake-off of one's own needs; each is loaded when it is first used, so that importing the package costs nothing.
`recorded("nemotron_sonnet_150")` returns the arms of the recording of 2026-08-31 in the shape of a sandbox run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workshop_lib.evaluation.arm_intervals import family_intervals
    from workshop_lib.evaluation.arms import frame, run_arm, summary, text_table
    from workshop_lib.evaluation.bakeoff import Bakeoff, compare, run_bakeoff
    from workshop_lib.evaluation.cache import CacheMiss, ProvenanceError, ReplyCache
    from workshop_lib.evaluation.labels import load_questions, load_tickets, read_tickets

_HOME = {
    "Bakeoff": "bakeoff", "CacheMiss": "cache", "ProvenanceError": "cache", "ReplyCache": "cache", "compare": "bakeoff",
    "family_intervals": "arm_intervals", "frame": "arms", "load_questions": "labels", "load_tickets": "labels", "read_tickets": "labels",
    "run_arm": "arms", "run_bakeoff": "bakeoff", "summary": "arms", "text_table": "arms",
}  # fmt: skip

__all__ = [
    "Bakeoff", "CacheMiss", "ProvenanceError", "ReplyCache", "compare", "family_intervals", "frame", "load_questions", "load_tickets",
    "read_tickets", "run_arm", "run_bakeoff", "summary", "text_table",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "recorded":  # the module itself, which can be called
        return import_module(f"{__name__}.recorded")
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "recorded"])
