"""One record of a batch job: a request as a line of JSON, and a line of the output as a reply or as the error of a call.

Two forms. "invoke" (InvokeModel jobs) holds the body of the model's own family, with the forced tool of the live call. "converse" (Converse
jobs) holds a Converse body; those refuse `toolConfig`, so the answer is asked for as JSON in the text. Both are parsed as a live reply is.
"""

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal

from workshop_lib.catalog import Model
from workshop_lib.errors import DataError
from workshop_lib.llm import CallError, Cost, Reply, Request
from workshop_lib.llm.bedrock import converse_arguments, kind_of_code
from workshop_lib.llm.bedrock_reading import read as read_converse
from workshop_lib.llm.errors import Kind, kind_of_status
from workshop_lib.llm.native import native_body, read_native
from workshop_lib.tasks import TRIAGE, RoutingDecision, Task, Ticket
from workshop_lib.tasks.variants import in_text

Form = Literal["invoke", "converse"]
INVOCATION: Mapping[Form, Literal["InvokeModel", "Converse"]] = {"invoke": "InvokeModel", "converse": "Converse"}
"""What each form is called in CreateModelInvocationJob."""
_LONGEST = 18  # digits: Python refuses to read thousands of them


def task(form: Form) -> Task[Ticket, RoutingDecision]:
    """Return what is asked in a form."""
    return TRIAGE if form == "invoke" else in_text(TRIAGE)


def record(number: int, model: Model, request: Request, form: Form) -> bytes:
    """Return the line that asks a model about the input's entry of that number (from 0)."""
    return _line({"recordId": _id(number), "modelInput": _body(model, request, form)})


def number_of(line: bytes) -> int:
    """Return the entry that a line of an input or an output is about; raise DataError if it is none of ours."""
    return _number(_object(line))


def numbers(lines: Iterable[bytes]) -> set[int]:
    """Return the entries that some lines are about; what is damaged or none of ours is passed over."""
    found = set()
    for line in lines:
        with suppress(DataError):
            found.add(number_of(line))
    return found


def reply(line: bytes, model: Model, form: Form, source: str) -> tuple[int, Reply | CallError]:
    """Return the entry that a line of the output is about, with what the model replied, at the batch price, or why it did not.

    The latency of a record is not known, and is not a number. Raises DataError for a line that is none of ours.
    """
    found = _object(line)
    number = _number(found)
    output = found.get("modelOutput")
    if not isinstance(output, Mapping):
        return number, _error(found.get("error"), model)
    raw = read_native(model, output) if form == "invoke" else read_converse(output)
    price = model.price.for_batch()
    cost = Cost(0.0, complete=False)
    if raw.usage is not None:
        cost = Cost(price.usd(raw.usage.input_tokens, raw.usage.output_tokens, raw.usage.cache_read_tokens, raw.usage.cache_write_tokens))
    return number, Reply(model.id, raw.text, raw.tool_input, raw.usage, cost, math.nan, raw.stop_reason, source=source)


def _body(model: Model, request: Request, form: Form) -> dict[str, Any]:
    if form == "invoke":
        return native_body(model, request)
    return {name: value for name, value in converse_arguments(model, request).items() if name != "modelId"}


def _error(error: Any, model: Model) -> CallError:
    """Return what an output's `error {errorCode, errorMessage}` says; the code is a status, or the name of an exception."""
    fields = error if isinstance(error, Mapping) else {}
    code, message = fields.get("errorCode"), fields.get("errorMessage")
    kind: Kind = "server"
    if isinstance(code, int) or (isinstance(code, str) and code.isdecimal() and len(code) <= _LONGEST):
        kind = kind_of_status(int(code))
    elif isinstance(code, str):
        kind = kind_of_code(code) or "server"
    return CallError(kind, model.id, f"batch record: {code if code is not None else 'no code'}: {message or 'no message'}.")


def _id(number: int) -> str:
    """Return a record's id: eleven digits, as the oldest text of the service's guide asks for eleven alphanumeric characters."""
    return f"{number:011d}"


def _number(found: Mapping[str, Any]) -> int:
    given = found.get("recordId")
    if not isinstance(given, str) or not given.isdecimal() or len(given) > _LONGEST:
        raise DataError(f"A batch output holds the record {str(given)[:40]!r}, which this run did not ask for. Look at the outputs in S3.")
    return int(given)


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError("A batch output holds a line that is no JSON object. Look at the outputs in S3.")
    return found


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
