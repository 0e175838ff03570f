"""Recorded facts: what Nemotron Nano and Claude Sonnet answered to 150 tickets on 2026-08-31, and the tables that others published.

The module can be called: `evaluation.recorded("nemotron_sonnet_150")` returns the recorded arms in the frame of a sandbox run.
"""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal

import pandas as pd

from workshop_lib import catalog
from workshop_lib.cascade import Policy, documented, single
from workshop_lib.errors import DataError
from workshop_lib.evaluation.arms import FIELDS, frame, run_arm
from workshop_lib.evaluation.cache import CacheMiss
from workshop_lib.evaluation.labels import LabelledTicket
from workshop_lib.llm import Cost, Reply, Request, Usage
from workshop_lib.paths import DATA, ROOT
from workshop_lib.tasks import TRIAGE, Label, Ticket

RECORDED_MODELS = ("nano", "sonnet")


def recorded(name: Literal["nemotron_sonnet_150"] = "nemotron_sonnet_150") -> pd.DataFrame:
    """Return the recorded replies as they were published, one row a ticket; columns and price basis in data/recorded/README.md."""
    return _recorded(name).copy()


def published() -> pd.DataFrame:
    """Return the three published bake-off tables, one row an arm; how they differ stands in data/published/README.md."""
    return _csv(DATA / "published" / "bakeoff.csv")


def recorded_labels() -> tuple[LabelledTicket, ...]:
    """Return the reviewed labels of the recorded tickets; their text was not published, so the tickets are empty but for their ids."""
    rows = _recorded("nemotron_sonnet_150").to_dict("records")
    return tuple(
        LabelledTicket(
            Ticket(id=row["ticket_id"], subject="", body="(the text was not published)"),
            Label(**{field: row[f"gold_{field}"] for field in FIELDS}),
            row["cohort"],
            row["scenario_family"],
        )
        for row in rows
    )


def recorded_ask(model: str, request: Request) -> Reply:
    """Answer as the recorded model did to the recorded ticket named in the request's tags, at the recorded latency and cost: an `Ask`.

    Raises CacheMiss for another model or ticket.
    """
    key, ticket_id = catalog.model(model).key, request.tags.get("ticket", "")
    replies = _replies()
    if (key, ticket_id) not in replies:
        raise CacheMiss(f"No reply of {key} to ticket {ticket_id!r} was recorded on 2026-08-31; recorded are {' and '.join(RECORDED_MODELS)} on P-0051 and following.")
    return replies[key, ticket_id]


def recorded_arms(*policies: Policy) -> dict[str, pd.DataFrame]:
    """Return the recorded arms in the shape of `arms.frame`: "nano", "sonnet" and "cascade (<policy>)" for each policy, `documented` if none.

    The cascades are walked by the library's own engine over the recorded replies, so a policy other than the measured one costs nothing.
    """
    labels = recorded_labels()
    tickets = [entry.ticket for entry in labels]
    arms = {key: single(key) for key in RECORDED_MODELS} | {f"cascade ({policy.name})": policy for policy in policies or (documented(),)}
    return {name: frame(run_arm(TRIAGE, tickets, policy, recorded_ask, concurrency=1), labels) for name, policy in arms.items()}


class _Recorded(ModuleType):
    """The module, made callable: `recorded` names both a module that the labs import from and what `evaluation` offers."""

    def __call__(self, name: Literal["nemotron_sonnet_150"] = "nemotron_sonnet_150", *policies: Policy) -> dict[str, pd.DataFrame]:
        """Return the arms of a recording by name, as `recorded_arms` does; raise DataError for a recording there is not."""
        _recorded(name)
        return recorded_arms(*policies)


sys.modules[__name__].__class__ = _Recorded  # the one way to make a module callable


@cache
def _recorded(name: str) -> pd.DataFrame:
    path = DATA / "recorded" / f"{name}.csv"
    if not path.exists():
        known = sorted(file.stem for file in (DATA / "recorded").glob("*.csv"))
        raise DataError(f"No recording {name!r} in data/recorded. Known: {', '.join(known) or 'none'}.")
    return _csv(path)


@cache
def _replies() -> Mapping[tuple[str, str], Reply]:
    rows = _recorded("nemotron_sonnet_150").to_dict("records")
    return MappingProxyType({(key, row["ticket_id"]): _reply(key, row) for row in rows for key in RECORDED_MODELS})


def _reply(key: str, row: Mapping[Any, Any]) -> Reply:
    return Reply(
        model=catalog.model(key).id,
        text="",
        tool_input={field: row[f"{key}_{field}"] for field in (*FIELDS, "confidence")} | {"reasoning": ""},
        usage=Usage(row[f"{key}_input_tokens"], row[f"{key}_output_tokens"]),
        cost=Cost(row[f"{key}_cost_usd"]),
        latency_ms=float(row[f"{key}_latency_ms"]),
        stop_reason="tool_use",
        source="recorded",
    )


def _csv(path: Path) -> pd.DataFrame:
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
    try:
        return pd.read_csv(path)
    except (OSError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(f"{name} cannot be read ({error}). Restore it with: git checkout {name}") from error
