"""One batch job, and the jobs that a sandbox knows: what was asked, how it stands, what it counted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from workshop_lib.catalog import Model
from workshop_lib.sandbox import draw

Status = Literal["Submitted", "Validating", "Scheduled", "InProgress", "Completed", "PartiallyCompleted", "Failed", "Stopping", "Stopped", "Expired"]
ENDED: frozenset[str] = frozenset({"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"})
ACCOUNT = "123456789012"
_MOST = 10_000
_HOURS = 24


@dataclass
class Counts:
    """Records of a job: all, those read, and how those ended; and tokens."""

    total: int = 0
    success: int = 0
    error: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def manifest(self) -> dict[str, int]:
        """Return the summary that lies beside the outputs."""
        tokens = {"inputTokenCount": self.input_tokens, "outputTokenCount": self.output_tokens}
        return {**self.members(), **tokens}

    def members(self) -> dict[str, int]:
        """Return the counts as the operations tell them."""
        processed = self.success + self.error
        return {"totalRecordCount": self.total, "processedRecordCount": processed, "successRecordCount": self.success, "errorRecordCount": self.error}


@dataclass
class Job:
    """One job: `given` is the request as it came, `endpoint` the local S3 that its addresses are of, `scope` the account it counts for."""

    id: str
    region: str
    model: Model
    given: Mapping[str, Any]
    endpoint: str
    scope: str | None = None
    status: Status = "Submitted"
    message: str = ""
    counts: Counts = field(default_factory=Counts)
    submitted: datetime = field(default_factory=lambda: datetime.now(UTC))
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def arn(self) -> str:
        """Return the job's ARN."""
        return f"arn:aws:bedrock:{self.region}:{ACCOUNT}:model-invocation-job/{self.id}"

    @property
    def converse(self) -> bool:
        """Say whether the records are Converse requests; else they are bodies for InvokeModel, which is the default."""
        return self.given.get("modelInvocationType") == "Converse"

    @property
    def source(self) -> str:
        """Return where the input lies, as s3://."""
        return str(self.given["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])

    @property
    def target(self) -> str:
        """Return under which prefix the outputs are written, as s3://, without a slash at its end."""
        return str(self.given["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]).rstrip("/") + f"/{self.id}"

    def move(self, status: Status, message: str = "") -> None:
        """Enter a status."""
        self.status, self.message, self.modified = status, message or self.message, datetime.now(UTC)

    def told(self) -> dict[str, Any]:
        """Return the job as GetModelInvocationJob and ListModelInvocationJobs tell it."""
        hours = self.given.get("timeoutDurationInHours") or _HOURS
        members = ("jobName", "modelId", "roleArn", "clientRequestToken", "inputDataConfig", "outputDataConfig", "vpcConfig")
        return {
            "jobArn": self.arn,
            **{name: self.given[name] for name in members if self.given.get(name) is not None},
            "status": self.status,
            **({"message": self.message} if self.message else {}),
            "submitTime": stamp(self.submitted),
            "lastModifiedTime": stamp(self.modified),
            **({"endTime": stamp(self.modified)} if self.status in ENDED else {}),
            "timeoutDurationInHours": hours,
            "jobExpirationTime": stamp(self.submitted + timedelta(hours=hours)),
            "modelInvocationType": self.given.get("modelInvocationType") or "InvokeModel",
            **self.counts.members(),
        }


def stamp(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Jobs:
    """The jobs of one sandbox, oldest first; a request token that was seen leads to its job. Bounded: past ten thousand the oldest is forgotten."""

    def __init__(self, seed: int) -> None:
        self._jobs: dict[str, Job] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._number = 0
        self._seed = seed

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def find(self, identifier: str) -> Job | None:
        """Return a job by id or ARN."""
        return self._jobs.get(identifier.rsplit("/", 1)[-1])

    def of_token(self, scope: str | None, token: str | None) -> Job | None:
        """Return the job that a request with this token made."""
        return self._jobs.get(self._tokens.get((scope or "", token), "")) if token else None

    def add(self, make: Callable[[str], Job]) -> Job:
        """Make a job under a new id."""
        self._number += 1
        name = draw.name(draw.digest(self._seed, "batch", {"job": self._number, "at": datetime.now(UTC).isoformat()}), "job", 12)
        job = self._jobs[name] = make(name)
        token = job.given.get("clientRequestToken")
        if token:
            self._tokens[job.scope or "", token] = name
        while len(self._jobs) > _MOST:
            del self._jobs[next(iter(self._jobs))]
        return job
