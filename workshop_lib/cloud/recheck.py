"""The periodic re-check of the cheap tier: a sample of its first answers, out of finished executions, is handed to an evaluation job.

It runs on a schedule, keeps nothing, and asks no model: the job does. A ticket's text goes from the history of its execution into the
dataset in the bucket, where it is kept as long as files of tickets are.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from workshop_lib.cascade.gate import ModelKey
from workshop_lib.cloud.deployment import deployment, policy_of_environment
from workshop_lib.errors import DataError, SettingsError, UnknownModelError
from workshop_lib.evaluation.managed.job import judged_job
from workshop_lib.evaluation.managed.records import MOST_RECORDS, Record, dataset, drawn, record, source_label
from workshop_lib.tasks import TRIAGE, RoutingDecision, Ticket

MOST_LISTED = 20_000
"""Executions looked at, newest first: twenty pages, so that a busy week does not run into the function's time limit."""
_PREFIX = "RECHECK_"


class Recheck(BaseSettings):
    """Where the answers are, who judges how many of them, from how many days, and where the dataset and the results go."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    machine_arn: str = Field(min_length=1)
    bucket: str = Field(min_length=1)
    role_arn: str = Field(min_length=1)
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    tier: ModelKey = "sonnet"
    sample: int = Field(default=200, ge=1, le=MOST_RECORDS)
    days: int = Field(default=7, ge=1, le=90)
    cost_center: str = "unassigned"


class _First(BaseModel):
    """What of an execution's output the re-check reads: the first step of the walk, and the policy it was made under."""

    model_config = ConfigDict(extra="ignore")

    tier: str
    answer: RoutingDecision | None = None


class _Walked(BaseModel):
    model_config = ConfigDict(extra="ignore")

    policy: str
    steps: tuple[_First, ...] = Field(min_length=1)


class _Output(BaseModel):
    model_config = ConfigDict(extra="ignore")

    escalated: bool
    trace: _Walked


def recheck(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Write the dataset and create the job; return the job's ARN (None if there was nothing to judge), how many answers it judges, and how many could not be read.

    `event` is that of a schedule: its `time` names the job and its `id` makes a repeated delivery create no second one.
    """
    import boto3

    return start(event, boto3.client("stepfunctions"), boto3.client("s3"), boto3.client("bedrock"))


def start(event: Mapping[str, Any], states: Any, s3: Any, bedrock: Any) -> dict[str, Any]:
    """Do what `recheck` does with the given clients."""
    settings = _settings()
    at = _time(event)
    unreadable: list[str] = []
    records = list(_records(settings, states, at - timedelta(days=settings.days), unreadable))
    if unreadable and not records:
        raise DataError(f"{unreadable[0]} Was it started with another version, or is RECHECK_MACHINE_ARN another machine?")
    if not records:
        return {"job": None, "records": 0, "why": f"{deployment().cheap} answered no ticket first in {settings.days} days under the present policy."}
    name = f"{settings.name.lower()[:40].rstrip('-')}-{at:%Y%m%d-%H%M}"
    key = f"evaluation/{name}.jsonl"
    request = judged_job(
        name, role_arn=settings.role_arn, dataset_uri=f"s3://{settings.bucket}/{key}", output_uri=f"s3://{settings.bucket}/evaluation/results/",
        source=str(records[0].source), judge=settings.tier, tags={"application": "cascade-workshop", "cost-center": settings.cost_center},
    )  # fmt: skip
    s3.put_object(Bucket=settings.bucket, Key=key, Body=dataset(records).encode())
    said = bedrock.create_evaluation_job(**request, clientRequestToken=event["id"])
    return {"job": said["jobArn"], "records": len(records), "unreadable": len(unreadable), "dataset": f"s3://{settings.bucket}/{key}"}


def _time(event: Mapping[str, Any]) -> datetime:
    """Return the time of an event that has an id too; raise DataError for one that a schedule would not send."""
    try:
        at = datetime.fromisoformat(event["time"])
        if at.tzinfo is not None and isinstance(event["id"], str):
            return at
    except (KeyError, TypeError, ValueError):
        pass
    raise DataError('The event has no id, or no time with a zone. Send one such as {"id": "by-hand-1", "time": "2026-11-22T12:00:00Z"}.')


def _records(settings: Recheck, states: Any, since: datetime, unreadable: list[str]) -> Iterator[Record]:
    """Yield the sample's records; executions that are not of this machine's form are added to `unreadable`, a line each."""
    listed = [one["executionArn"] for one in _finished(states, settings.machine_arn, since)]
    tier, policy, seen = deployment().cheap, policy_of_environment(), set[str]()
    label = source_label(tier, TRIAGE.prompt_version, policy.name)
    for arn in drawn(listed, settings.sample) if listed else ():
        said = states.describe_execution(executionArn=arn)
        try:
            ticket = Ticket.model_validate(json.loads(said["input"])["ticket"])
            walked = _Output.model_validate_json(said["output"])
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            unreadable.append(f"{arn} has not the input and output of this state machine ({type(error).__name__}).")
            continue
        first = walked.trace.steps[0]
        if (walked.trace.policy, first.tier) != (policy.name, tier) or first.answer is None:
            continue
        one = record(TRIAGE.request(ticket), first.answer, label, category="escalated" if walked.escalated else "kept")
        if one.key not in seen:  # a ticket that was started twice is judged once
            seen.add(one.key)
            yield one


def _finished(states: Any, machine_arn: str, since: datetime) -> Iterator[Mapping[str, Any]]:
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine_arn, statusFilter="SUCCEEDED")
    for one in islice((one for page in pages for one in page["executions"]), MOST_LISTED):
        if one["startDate"] < since:
            return  # the newest come first
        yield one


def _settings() -> Recheck:
    try:
        return Recheck()
    except UnknownModelError as error:
        raise SettingsError(f"{_PREFIX}TIER: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{_PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}. Correct the deployment's parameters.") from error
