"""The service side of a batch: files to and from S3, and jobs of Bedrock, through boto3; the sandbox's jobs go over a local S3."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workshop_lib.batch.state import sync_folder
from workshop_lib.catalog import Model
from workshop_lib.errors import DataError, SettingsError, WorkshopError
from workshop_lib.llm.bedrock import without_user_files
from workshop_lib.llm.errors import one_line
from workshop_lib.settings import S3_ENDPOINT, Settings, is_loopback, shown

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_s3 import S3Client

ENDED = frozenset({"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"})
"""Statuses that a job does not leave."""
_LATER = frozenset({"ServiceQuotaExceededException", "ThrottlingException"})
_GONE = frozenset({"ResourceNotFoundException"})
_BUCKET = re.compile(r"s3://([a-z0-9][-.a-z0-9]{1,61}[a-z0-9])((?:/[-!_*'().a-zA-Z0-9]+)*)/?")
_ROLE = re.compile(r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+")
SANDBOX_ROLE = "arn:aws:iam::123456789012:role/sandbox"
_NO_S3 = (
    "The sandbox runs batch jobs over a local S3, and {variable} names none. In another terminal: moto_server -p 5555; "
    "here: export {variable}=http://127.0.0.1:5555 (docs/batch.md)."
)


@dataclass(frozen=True)
class Place:
    """A folder of S3: bucket and prefix (with a slash at its end, or empty)."""

    bucket: str
    prefix: str

    @staticmethod
    def named(uri: str) -> "Place":
        """Return the folder of an address such as s3://bucket/folder; raise SettingsError for anything else."""
        found = _BUCKET.fullmatch(uri)
        if found is None:
            raise SettingsError(f"--bucket {uri!r} is no folder of S3. Write s3://BUCKET or s3://BUCKET/FOLDER, with letters, digits and -_.!*'() only.")
        return Place(found[1], f"{found[2].strip('/')}/" if found[2] else "")

    def uri(self, rest: str) -> str:
        """Return the address of something in it."""
        return f"s3://{self.bucket}/{self.prefix}{rest}"


@dataclass(frozen=True)
class Standing:
    """How a job stands: its status and what the service says of a failure."""

    status: str
    message: str = ""


class Service:
    """Batch jobs and their files; raises WorkshopError, one line, for what the service or the network refuses.

    Requests here may be repeated without paying twice (a job is made under a token), so the SDK's own retries are on, unlike for model calls.
    """

    def __init__(self, settings: Settings, place: Place, role: str | None) -> None:
        self._place = place
        self._sandbox = settings.backend == "sandbox"
        if role is None and not self._sandbox:
            raise SettingsError("A live batch job needs the role that it reads and writes S3 with. Name it with --role arn:aws:iam::ACCOUNT:role/NAME.")
        if role is not None and not _ROLE.fullmatch(role):
            raise SettingsError(f"--role {role!r} is no ARN of a role. Write arn:aws:iam::ACCOUNT:role/NAME.")
        self._role = role or SANDBOX_ROLE
        self._bedrock, self._s3 = _sandbox_clients(settings) if self._sandbox else _live_clients(settings)

    def ready(self) -> None:
        """Check that the bucket is there; the sandbox's local S3 gets it if it is not."""
        with _told(f"s3://{self._place.bucket}"):
            try:
                self._s3.head_bucket(Bucket=self._place.bucket)
            except ClientError as error:
                if not self._sandbox or _status(error) != 404:
                    raise
                where: Any = self._s3.meta.region_name
                more: Any = {} if where == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": where}}  # S3's own default is not to be named
                self._s3.create_bucket(Bucket=self._place.bucket, **more)

    def upload(self, file: Path, key: str) -> None:
        """Copy a file of this machine to the folder."""
        with _told(self._place.uri(key)):
            self._s3.upload_file(str(file), self._place.bucket, self._place.prefix + key)

    def create(self, model: Model, key: str, out: str, *, name: str, token: str, invocation: str, hours: int) -> str | None:
        """Make a job and return its ARN; the same token again returns the same job. None if the service takes no more jobs for now."""
        try:
            with _told(f"the job {name}", pass_on=_LATER):
                made = self._bedrock.create_model_invocation_job(
                    jobName=name,
                    clientRequestToken=token,
                    roleArn=self._role,
                    modelId=model.id,
                    inputDataConfig={"s3InputDataConfig": {"s3Uri": self._place.uri(key), "s3InputFormat": "JSONL"}},
                    outputDataConfig={"s3OutputDataConfig": {"s3Uri": self._place.uri(out)}},
                    modelInvocationType=invocation,  # type: ignore[arg-type]  # one of the two
                    timeoutDurationInHours=hours,
                )
        except ClientError:
            return None
        return made["jobArn"]

    def find(self, name: str) -> str | None:
        """Return the ARN of a job by its name, or None: a job may have been made just before the command that asked for it was killed."""
        with _told("the list of jobs"):
            for page in self._bedrock.get_paginator("list_model_invocation_jobs").paginate(nameContains=name):
                for job in page.get("invocationJobSummaries", ()):
                    if job["jobName"] == name:
                        return job["jobArn"]
        return None

    def standing(self, arn: str) -> Standing:
        """Return how a job stands."""
        with _told(f"the job {arn}"):
            job = self._bedrock.get_model_invocation_job(jobIdentifier=arn)
        return Standing(job.get("status", ""), one_line(job.get("message", "")))

    def fetch(self, arn: str, out: str, file: Path) -> dict[str, int]:
        """Copy the outputs of a job that has ended into one file, which is whole once it is there, and return the counts of its manifest.

        A job that failed may have neither: the file is empty then, and so are the counts.
        """
        counts: dict[str, int] = {}
        below = f"{self._place.prefix}{out}{arn.rsplit('/', 1)[-1]}/"
        beside = file.with_suffix(".part")
        with _told(f"s3://{self._place.bucket}/{below}"), beside.open("wb") as written:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._place.bucket, Prefix=below)
            keys = sorted(part["Key"] for page in pages for part in page.get("Contents", ()))
            for key in keys:
                if key.endswith(".jsonl.out"):
                    shutil.copyfileobj(self._s3.get_object(Bucket=self._place.bucket, Key=key)["Body"], written)
                elif key.endswith("/manifest.json.out"):
                    counts = _counts(self._s3.get_object(Bucket=self._place.bucket, Key=key)["Body"].read())
            written.flush()
            os.fsync(written.fileno())
        beside.replace(file)
        sync_folder(file.parent)
        return counts


def _counts(manifest: bytes) -> dict[str, int]:
    try:
        found = json.loads(manifest)
    except ValueError:
        found = None
    return {name: count for name, count in found.items() if isinstance(count, int)} if isinstance(found, dict) else {}


def _sandbox_clients(settings: Settings) -> "tuple[BedrockClient, S3Client]":
    if settings.s3_endpoint is None:
        raise SettingsError(_NO_S3.format(variable=S3_ENDPOINT))
    if not is_loopback(settings.s3_endpoint):
        raise SettingsError(f"{S3_ENDPOINT} is {shown(settings.s3_endpoint)}, which is not on this machine, but WORKSHOP_BACKEND is 'sandbox'. Unset one of them.")
    session = boto3.Session(botocore_session=without_user_files())
    plain = _config(settings).merge(Config(proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False))
    keys: Mapping[str, Any] = {"region_name": settings.region, "aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    bedrock = session.client("bedrock", endpoint_url=settings.bedrock_endpoint, config=plain.merge(Config(signature_version="v4")), **keys)
    s3 = session.client("s3", endpoint_url=settings.s3_endpoint, config=plain.merge(Config(s3={"addressing_style": "path"})), **keys)
    url = settings.s3_endpoint

    def name_s3(request: Any, **_: Any) -> None:
        request.headers["x-workshop-s3-endpoint"] = url  # the sandbox may have been started where the variable was not set

    bedrock.meta.events.register("before-sign.bedrock.CreateModelInvocationJob", name_s3)
    return bedrock, s3


def _live_clients(settings: Settings) -> "tuple[BedrockClient, S3Client]":
    for variable in (S3_ENDPOINT, "AWS_ENDPOINT_URL_BEDROCK"):
        url = os.environ.get(variable)
        if url is not None and is_loopback(url):
            raise SettingsError(f"WORKSHOP_BACKEND is 'live' but {variable} still points at {shown(url)}. Run: unset {variable}")
    try:
        session = boto3.Session(region_name=settings.region)
        if session.get_credentials() is None:  # a Bedrock API key opens no S3
            raise SettingsError("WORKSHOP_BACKEND is 'live' but no AWS credentials for S3 were found. Run `aws sso login`, or set AWS_PROFILE in the environment.")
        return session.client("bedrock", config=_config(settings)), session.client("s3", config=_config(settings))
    except BotoCoreError as error:
        raise SettingsError(f"AWS settings: {one_line(str(error)).rstrip('.')}. Check AWS_PROFILE and ~/.aws/config.") from error


def _config(settings: Settings) -> Config:
    return Config(
        retries={"total_max_attempts": 5, "mode": "standard"}, connect_timeout=settings.connect_timeout_s, read_timeout=settings.read_timeout_s
    )


@contextmanager
def _told(what: str, pass_on: frozenset[str] = frozenset()) -> Iterator[None]:
    """Turn what boto3 raises into one line; errors with the codes of `pass_on` go on as they are."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in pass_on:
            raise
        said = one_line(error.response.get("Error", {}).get("Message") or code or str(error)).rstrip(".")
        if code in _GONE:
            raise WorkshopError(f"{what}: {said}. If the service has lost it, begin anew with --restart.") from error
        raise WorkshopError(f"{what}: {code}: {said}. Correct it and run the same command again; it goes on where it stopped.") from error
    except (BotoCoreError, boto3.exceptions.Boto3Error) as error:
        raise WorkshopError(f"{what}: {one_line(str(error)).rstrip('.')}. Run the same command again when it answers; it goes on where it stopped.") from error
    except OSError as error:
        raise DataError(f"{what}: {error.filename or 'a file'} cannot be written ({error.strerror}). Make room and run the same command again.") from error


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
