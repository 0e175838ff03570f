"""The operations of batch jobs: create, get, list, stop."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from workshop_lib.sandbox import shapes
from workshop_lib.sandbox.batch import running, storage
from workshop_lib.sandbox.batch.job import ENDED, Job, Jobs
from workshop_lib.sandbox.batch.running import Serving
from workshop_lib.sandbox.bedrock import address
from workshop_lib.sandbox.bedrock.errors import Refusal
from workshop_lib.sandbox.wire import Reply

ROOTS = (b"/model-invocation-job", b"/model-invocation-jobs")
_LACKING = ("vpcConfig",)
_NO_STORAGE = (
    "The sandbox runs batch jobs over a local S3 and has none. Start one (moto_server -p 5555), set AWS_ENDPOINT_URL_S3=http://127.0.0.1:5555 "
    "where the sandbox is started, or send the header x-workshop-s3-endpoint."
)
_UNDER_WAY = 20
_PAGE = 1000


@dataclass(frozen=True)
class Sent:
    """Of whom a request is: the scope it counts for, its region, and the local S3 that it names."""

    scope: str | None = None
    region: str = "us-west-2"
    storage: str | None = None


def asked(raw_path: bytes) -> bool:
    """Say whether a path is one of batch jobs."""
    first = b"/" + raw_path.split(b"?", 1)[0].split(b"/", 2)[1] if raw_path.count(b"/") else b""
    return first in ROOTS


class Batch:
    """The batch jobs of one sandbox."""

    def __init__(self, here: Serving) -> None:
        self.jobs = Jobs(here.seed)
        self._here = here
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, method: str, raw_path: bytes, query: bytes, fields: Mapping[str, Any] | None, sent: Sent) -> Reply:
        """Answer one request, or refuse it as the service would; must be called in the server's event loop, where jobs run."""
        match (method, *_parts(raw_path)):
            case ("POST", "model-invocation-job"):
                body = self._create(fields, sent)
            case ("GET", "model-invocation-job", identifier):
                body = self._found("GetModelInvocationJob", identifier).told()
            case ("GET", "model-invocation-jobs"):
                body = self._list(dict(parse_qsl(query.decode("latin-1"))), sent.scope)
            case ("POST", "model-invocation-job", identifier, "stop"):
                body = self._stop(self._found("StopModelInvocationJob", identifier))
            case (_, *parts):
                raise Refusal("UnknownOperationException", f"The sandbox has no {method} /{'/'.join(parts)[:200]}.")
        return 200, {"x-amzn-requestid": str(uuid4())}, body

    def _create(self, fields: Mapping[str, Any] | None, sent: Sent) -> dict[str, Any]:
        if fields is None:
            raise Refusal("SerializationException", "The request body is not a JSON object.")
        wrong = shapes.problem("CreateModelInvocationJob", fields)
        if wrong:
            raise Refusal("ValidationException", wrong)
        for name in _LACKING:
            if fields.get(name) is not None:
                raise Refusal("ValidationException", f"The sandbox does not implement '{name}' of CreateModelInvocationJob. Leave it out, or call the real service.")
        known = self.jobs.of_token(sent.scope, fields.get("clientRequestToken"))
        if known is not None:
            return {"jobArn": known.arn}
        model = address.model_for(fields["modelId"])
        url = storage.endpoint(sent.storage)
        if url is None:
            raise Refusal("ValidationException", _NO_STORAGE)
        under_way = sum(job.status not in ENDED and job.model.id == model.id and job.scope == sent.scope for job in self.jobs)
        if under_way >= _UNDER_WAY:
            raise Refusal("ServiceQuotaExceededException", f"{under_way} jobs of this model are under way; no more are taken (the sandbox's stand-in for the quota).")
        job = self.jobs.add(lambda name: Job(name, sent.region, model, fields, url, sent.scope))
        task = asyncio.get_running_loop().create_task(running.run(job, self._here))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"jobArn": job.arn}

    def _found(self, operation: str, identifier: str) -> Job:
        wrong = shapes.problem_of(operation, "jobIdentifier", identifier)
        if wrong:
            raise Refusal("ValidationException", wrong)
        job = self.jobs.find(identifier)
        if job is None:
            raise Refusal("ResourceNotFoundException", f"The sandbox knows no job {identifier}; it forgets its jobs when it ends.")
        return job

    def _list(self, query: Mapping[str, str], scope: str | None) -> dict[str, Any]:
        for name, value in query.items():
            if name not in ("maxResults", "submitTimeAfter", "submitTimeBefore"):
                wrong = shapes.problem_of("ListModelInvocationJobs", name, value) if name in _FILTERS else f"The service does not know the parameter '{name}'."
                if wrong:
                    raise Refusal("ValidationException", wrong)
        most, begin = _whole(query.get("maxResults", str(_PAGE)), "maxResults", 1), _whole(query.get("nextToken", "0"), "nextToken", 0)
        found = [job.told() for job in _filtered(self.jobs, query) if job.scope == scope]
        if query.get("sortOrder") != "Ascending":
            found.reverse()
        page = found[begin : begin + min(most, _PAGE)]
        more = begin + len(page) < len(found)
        return {"invocationJobSummaries": page, **({"nextToken": str(begin + len(page))} if more else {})}

    def _stop(self, job: Job) -> dict[str, Any]:
        if job.status in ENDED:
            raise Refusal("ConflictException", f"The job {job.arn} has ended already, with the status {job.status}.")
        job.move("Stopping")
        return {}


_FILTERS = ("statusEquals", "nameContains", "nextToken", "sortBy", "sortOrder")


def _filtered(jobs: Iterable[Job], query: Mapping[str, str]) -> Iterable[Job]:
    after, before = (_moment(query[name]) if name in query else None for name in ("submitTimeAfter", "submitTimeBefore"))
    for job in jobs:
        in_time = (after is None or job.submitted > after) and (before is None or job.submitted < before)
        if in_time and query.get("statusEquals", job.status) == job.status and query.get("nameContains", "") in job.given["jobName"]:
            yield job


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("ValidationException", f"'{text[:40]}' is not a time in ISO 8601.") from None


def _whole(text: str, name: str, least: int) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise Refusal("ValidationException", f"1 validation error detected: Value '{text[:40]}' at '{name}' must be a whole number, at least {least}.")
    return int(text)


def _parts(raw_path: bytes) -> tuple[str, ...]:
    """Return the unquoted parts of a path; an ARN that was sent without encoding its slash is one part too."""
    first, *rest = address.unquoted(raw_path)
    end = ["stop"] if len(rest) > 1 and rest[-1] == "stop" else []
    return (first, *(["/".join(rest[: len(rest) - len(end)])] if rest else []), *end)
