"""Errors as OpenAI's API writes them, and as NVIDIA's hosted NIM service does for its models."""

import math
from collections.abc import Mapping
from typing import Any

from workshop_lib.catalog import Model
from workshop_lib.sandbox import wire
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Reply

_FAILURES: Mapping[str, tuple[int, str, str]] = {
    "throttled": (429, "rate_limit_error", "rate_limit_exceeded"),
    "server": (500, "server_error", "internal_error"),
    "unavailable": (503, "server_error", "unavailable"),
    "validation": (400, "invalid_request_error", "invalid_input"),
    "model_timeout": (408, "server_error", "timeout"),
    "model_error": (424, "server_error", "model_error"),
    "not_ready": (429, "server_error", "model_not_ready"),
    "access_denied": (403, "permission_error", "access_denied"),
}
# The hosted service sits behind a gateway that answers in its own shape: {"status":429,"title":"Too Many Requests"} (free-claude-code
# issues 30 and 690), {"status":403,"title":"Forbidden","detail":"Authorization failed"} for a key it does not know (oh-my-pi issue 499),
# and the words of the 401 below for none (OmniRoute issue 6242, which shows the words only; the shape around them is taken from the other two).
_HOSTED: Mapping[str, dict[str, Any]] = {
    "throttled": {"status": 429, "title": "Too Many Requests"},
    "access_denied": {"status": 403, "title": "Forbidden", "detail": "Authorization failed"},
}
_NO_KEY = {"status": 401, "title": "Unauthorized", "detail": "Header of type `authorization` was missing"}


class Refusal(wire.Refusal):
    """A request answered with an error in OpenAI's shape, or with a body and headers of its own."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after_ms: int | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body or {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.retry_after_ms = retry_after_ms
        self.hosted = body is not None

    def reply(self) -> Reply:
        """Return status, headers and body; a delay is in the headers that the SDK reads, of which the hosted service has only the plain one."""
        if self.retry_after_ms is None:
            return self.status, {}, self.body
        if self.hosted:  # whole seconds, as the standard has it
            return self.status, {"retry-after": str(math.ceil(self.retry_after_ms / 1000))}, self.body
        headers = {"retry-after": f"{self.retry_after_ms / 1000:.3f}", "retry-after-ms": str(self.retry_after_ms)}
        return self.status, headers, self.body


def refusal(failure: Failure, model: Model | None = None) -> Refusal:
    """Return a failure as the service that hosts the model would tell it: OpenAI's shape, or for a NIM model that of NVIDIA's gateway."""
    status, kind, code = _FAILURES.get(failure.kind, _FAILURES["server"])
    body = _HOSTED.get(failure.kind) if model is not None and model.provider == "nim" else None
    return Refusal(status, failure.message, kind, code, retry_after_ms=failure.retry_after_ms, body=body)


def no_key(model: Model | None = None) -> Refusal:
    """Return the refusal of a request without a key."""
    message = "You didn't provide an API key. Send any key in an Authorization header: Bearer KEY."
    return Refusal(401, message, code="missing_api_key", body=_NO_KEY if model is not None and model.provider == "nim" else None)
