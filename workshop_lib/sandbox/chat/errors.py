"""Errors in the shape of OpenAI's API."""

from workshop_lib.sandbox import wire
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Reply

_FAILURES = {
    "throttled": (429, "rate_limit_error", "rate_limit_exceeded"),
    "server": (500, "server_error", "internal_error"),
    "unavailable": (503, "server_error", "unavailable"),
    "validation": (400, "invalid_request_error", "invalid_input"),
    "model_timeout": (408, "server_error", "timeout"),
    "model_error": (424, "server_error", "model_error"),
}


class Refusal(wire.Refusal):
    """A request answered with an error in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.retry_after_ms = retry_after_ms

    def reply(self) -> Reply:
        """Return status, headers and body; a delay is given in both headers that the SDK reads."""
        headers = {}
        if self.retry_after_ms is not None:
            headers = {"retry-after": f"{self.retry_after_ms / 1000:.3f}", "retry-after-ms": str(self.retry_after_ms)}
        return self.status, headers, self.body


def refusal(failure: Failure) -> Refusal:
    """Return a failure in OpenAI's shape."""
    status, kind, code = _FAILURES[failure.kind]
    return Refusal(status, failure.message, kind, code, retry_after_ms=failure.retry_after_ms)
