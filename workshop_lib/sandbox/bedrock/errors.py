"""The errors of Bedrock Runtime as AWS sends them: status, `x-amzn-ErrorType`, request id and a message."""

from uuid import uuid4

from workshop_lib.sandbox import wire
from workshop_lib.sandbox.faults import Failure
from workshop_lib.sandbox.wire import Reply

_STATUS = {
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
    "ValidationException": 400,
    "SerializationException": 400,
    "ResourceNotFoundException": 404,
    "UnknownOperationException": 404,
    "MissingAuthenticationTokenException": 403,
    "RequestEntityTooLargeException": 413,
    "AccessDeniedException": 403,
    "IncompleteSignatureException": 403,
    "InvalidSignatureException": 403,
    "ServiceQuotaExceededException": 400,
    "ConflictException": 400,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ModelNotReadyException": 429,
}
_FAILURES = {
    "throttled": "ThrottlingException",
    "server": "InternalServerException",
    "unavailable": "ServiceUnavailableException",
    "validation": "ValidationException",
    "model_timeout": "ModelTimeoutException",
    "model_error": "ModelErrorException",
    "not_ready": "ModelNotReadyException",
    "access_denied": "AccessDeniedException",
}
# What may come in the middle of a stream; any other failure is told as a model's.
_IN_STREAM = {"ThrottlingException", "InternalServerException", "ServiceUnavailableException", "ValidationException"}


class Refusal(wire.Refusal):
    """A request answered with one of the service's errors."""

    def __init__(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.status = _STATUS[code]

    def reply(self) -> Reply:
        """Return status, headers and body of the error as AWS sends it."""
        headers = {
            "x-amzn-errortype": f"{self.code}:http://internal.amazon.com/coral/com.amazon.bedrock/",
            "x-amzn-requestid": str(uuid4()),
        }
        if self.retry_after_ms is not None:
            headers["x-amz-retry-after"] = str(self.retry_after_ms)
            headers["retry-after"] = f"{self.retry_after_ms / 1000:.3f}"
        return self.status, headers, {"message": self.message}


def refusal(failure: Failure) -> Refusal:
    """Return a failure as the service's error."""
    return Refusal(_FAILURES[failure.kind], failure.message, failure.retry_after_ms)


def in_stream(failure: Failure) -> tuple[str, str]:
    """Return the exception type, in the camel case of event streams, and the message of a failure in the middle of a stream."""
    code = _FAILURES[failure.kind]
    if code not in _IN_STREAM:
        code = "ModelStreamErrorException"
    return code[0].lower() + code[1:], failure.message
