"""Refusals and failures in one shape, `{"error": {"type", "message"}}`, which never repeats what a customer wrote."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from workshop_lib.errors import WorkshopError
from workshop_lib.llm import CallError

_STATUS = {"throttled": 503, "deadline": 503, "budget": 503, "read_timeout": 504, "connect_timeout": 504}
_NOT_JSON = "The body is not JSON."
_OWN_WORDS = {
    400: ("invalid_request", f"{_NOT_JSON[:-1]}, or nested too deeply, or not UTF-8."),  # what the framework raises of a body it cannot parse
    404: ("not_found", "There is no such address here. GET /openapi.json lists those there are."),
    405: ("method_not_allowed", "This address is there for another method. GET /openapi.json says for which."),
}


class Problem(WorkshopError):
    """A request that is not answered as asked: a status, a type for programs, and one line for people."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """Return the problem as it travels."""
        return JSONResponse({"error": {"type": self.kind, "message": str(self)}}, self.status, self.headers)


def of_call(error: CallError) -> Problem:
    """Return a failed model call as a problem: 503 if it may pass, 504 if it took too long, else 502."""
    wait = {"Retry-After": str(max(1, round(error.retry_after_s)))} if error.retry_after_s else {}
    return Problem(_STATUS.get(error.kind, 502), error.kind, str(error), wait)


def invalid_input(error: RequestValidationError) -> Problem:
    """Return the first thing that is wrong with a request, by its place and without its value."""
    first = error.errors()[0]
    places = first["loc"][first["loc"][:1] == ("body",) :]  # the framework begins with it, and a ticket has a field of that name
    where = ".".join(map(str, places)) or "body"
    if first["type"] == "json_invalid":
        return Problem(400, "invalid_request", _NOT_JSON)
    said = first["msg"].removeprefix("Value error, ").replace("tuple", "list").replace("Tuple", "List")  # as JSON calls what we keep in one
    return Problem(400, "invalid_request", f"{where}: {said}.")


def install(app: FastAPI) -> None:
    """Let an application answer every refusal and failure in the one shape."""

    async def problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.response()

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return invalid_input(error).response()

    async def http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        kind, message = _OWN_WORDS.get(error.status_code, ("invalid_request", str(error.detail)))
        return Problem(error.status_code, kind, message, error.headers).response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
