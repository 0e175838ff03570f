"""Failures of a single call, in words shared by both providers."""

import re
from typing import Literal

from workshop_lib.errors import WorkshopError

Kind = Literal[
    "throttled", "server", "connect_timeout", "disconnected", "unreachable", "read_timeout", "validation", "access", "not_found", "model",
    "deadline", "budget",
]

RETRYABLE: frozenset[Kind] = frozenset({"throttled", "server", "connect_timeout", "disconnected"})
MAYBE_BILLED: frozenset[Kind] = frozenset({"disconnected", "read_timeout", "model"})
_LONGEST_DETAIL = 500

_REMEDY: dict[Kind, str] = {
    "throttled": "Lower the concurrency or wait a minute; every retry was throttled too.",
    "server": "The provider failed on every retry; try again later.",
    "connect_timeout": "No connection was made in time; check the network and WORKSHOP_CONNECT_TIMEOUT_S.",
    "disconnected": "The connection was cut before an answer came, on every retry; check the network.",
    "unreachable": "Nothing answers there. In a lab run lab.reconnect(); elsewhere start `workshop sandbox` or check the endpoint.",
    "read_timeout": "The model took too long, and may still be charged; raise WORKSHOP_READ_TIMEOUT_S. It is not retried, as that could pay twice.",
    "validation": "The request itself is wrong, so it is not retried; correct it.",
    "access": "Check credentials and that the account has access to this model (`workshop doctor`).",
    "not_found": "Check the model id and the region (`workshop doctor`).",
    "model": "The model failed on this input; try another tier.",
    "deadline": "No call was made; allow the item more time, or send it again later.",
    "budget": "No call was made; raise the item's budget, or send it again later.",
}


def kind_of_status(status: int) -> Kind:
    """Return what an HTTP status says of a failed call, where no error code says more."""
    by_status: dict[int, Kind] = {401: "access", 403: "access", 404: "not_found", 408: "model", 424: "model", 429: "throttled"}
    return by_status.get(status, "server" if status >= 500 else "validation")


def header_number(header: str | None, unit: float = 1.0) -> float | None:
    """Return the number in a response header times `unit` (0.001 turns ms into seconds); None if it holds no number."""
    if header is None or re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", header.strip()) is None:
        return None
    return float(header) * unit


def one_line(text: str) -> str:
    """Return a server's message as one line of bounded length: a gateway may answer with a whole web page."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]} ..."


class CallError(WorkshopError):
    """One model could not be made to answer one request; `kind` says why and `attempts` how often it was tried."""

    def __init__(self, kind: Kind, model: str, detail: str, *, retry_after_s: float | None = None) -> None:
        self.detail = one_line(detail)
        super().__init__(f"{model}: {self.detail} {_REMEDY[kind]}")
        self.kind: Kind = kind
        self.model = model
        self.retry_after_s = retry_after_s
        self.attempts = 1
        self.earlier_maybe_billed = False

    @property
    def retryable(self) -> bool:
        """Say whether the same request may succeed later."""
        return self.kind in RETRYABLE

    @property
    def maybe_billed(self) -> bool:
        """Say whether the provider may have charged for the failed call, or for an attempt before it."""
        return self.kind in MAYBE_BILLED or self.earlier_maybe_billed


class InvalidAnswer(WorkshopError):
    """A model replied, but not with a valid answer to the task; the reply is charged all the same."""
