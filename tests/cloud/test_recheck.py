"""The periodic re-check, run over executions of the emulator: what is drawn, what is written, and what the service is asked for."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from machine_room import Room

from workshop_lib.cloud import recheck as module
from workshop_lib.cloud.emulator import REGION
from workshop_lib.cloud.recheck import start
from workshop_lib.errors import DataError, SettingsError
from workshop_lib.evaluation.managed.records import Record, keys_of
from workshop_lib.tasks import TRIAGE, Ticket

pytestmark = pytest.mark.slow  # loading moto alone takes seconds

ROLE = "arn:aws:iam::123456789012:role/stack-EvaluationRole"
JOB = "arn:aws:bedrock:us-west-2:123456789012:evaluation-job/abcdefghij12"
NUMBER = count(1)
TICKETS = [
    {"id": "T-1", "subject": "Charged twice", "body": "Two payments for one invoice. Please refund one."},
    {"id": "T-2", "subject": "Locked out", "body": "Since noon nobody in our team can log in with single sign-on."},
    {"id": "T-3", "subject": "Dark mode", "body": "It would be nice to have a dark mode in the editor."},
]


class Service:
    """Bedrock's control plane, which the emulator does not have: requests are checked against its model, and kept."""

    def __init__(self) -> None:
        self.client = boto3.client("bedrock", region_name=REGION, aws_access_key_id="sandbox", aws_secret_access_key="sandbox")
        self.stub = Stubber(self.client)
        self.asked: list[dict[str, Any]] = []
        self.client.meta.events.register("provide-client-params.bedrock.CreateEvaluationJob", self._asked)
        self.stub.activate()

    def _asked(self, params: dict[str, Any], **_: Any) -> None:
        self.asked.append(params)
        self.stub.add_response("create_evaluation_job", {"jobArn": JOB})


@pytest.fixture
def service() -> Iterator[Service]:
    """Give that control plane."""
    made = Service()
    yield made
    made.stub.deactivate()


@pytest.fixture
def scheduled(room: Room, service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give a function that runs the re-check over a new machine's executions, and returns what it returned and the records it wrote."""
    arn = room.emulator.create("ticket")
    s3 = room.emulator.service("s3")
    bucket = f"tickets-{next(NUMBER)}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for name, value in {"MACHINE_ARN": arn, "BUCKET": bucket, "ROLE_ARN": ROLE, "NAME": "My-Stack", "COST_CENTER": "support"}.items():
        monkeypatch.setenv(f"RECHECK_{name}", value)

    def run(*tickets: dict[str, str], at: datetime | None = None, before: Callable[[], None] = lambda: None, **settings: object) -> tuple[dict[str, Any], list[Record]]:
        for ticket in tickets:
            assert room.emulator.run(arn, {"ticket": ticket}).status == "SUCCEEDED"
        before()
        for name, value in settings.items():
            monkeypatch.setenv(f"RECHECK_{name.upper()}", str(value))
        said = start({"id": "0f3c2b1a-event", "time": f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}, room.emulator.client, s3, service.client)
        if said["job"] is None:
            return said, []
        lines = s3.get_object(Bucket=bucket, Key=said["dataset"].removeprefix(f"s3://{bucket}/"))["Body"].read().decode().splitlines()
        return said, [Record.model_validate_json(line) for line in lines]

    return run


@pytest.mark.slow
def test_first_answers_become_a_dataset_and_a_job(scheduled: Any, service: Service) -> None:
    """Without it the schedule could run for months and judge nothing, or something else than the cheap tier's answers."""
    said, records = scheduled(*TICKETS, TICKETS[0], at=datetime(2027, 1, 4, 4, 0, tzinfo=UTC), days=90)
    assert (said["job"], said["records"], said["dataset"].partition("/evaluation/")[2]) == (JOB, 3, "my-stack-20270104-0400.jsonl")
    assert {one.key for one in records} == set(keys_of(TRIAGE, [Ticket.model_validate(ticket) for ticket in TICKETS]).values())
    assert {one.category for one in records} <= {"kept", "escalated"}
    (asked,) = service.asked
    (label,) = {one.source for one in records}
    assert label is not None
    assert label.startswith("nano.triage-1.deployed-")
    assert asked["inferenceConfig"]["models"] == [{"precomputedInferenceSource": {"inferenceSourceIdentifier": label}}]
    assert asked["evaluationConfig"]["automated"]["datasetMetricConfigs"][0]["dataset"]["datasetLocation"] == {"s3Uri": said["dataset"]}
    assert (asked["roleArn"], asked["clientRequestToken"], asked["jobName"]) == (ROLE, "0f3c2b1a-event", "my-stack-20270104-0400")
    assert {"key": "cost-center", "value": "support"} in asked["jobTags"]


def test_the_answer_is_what_the_execution_says(scheduled: Any, room: Room) -> None:
    """Without it the final answer could be judged in place of the cheap tier's."""
    execution = room.emulator.run(room.arn, {"ticket": TICKETS[1]})
    assert execution.output is not None
    first = execution.output["trace"]["steps"][0]["answer"]
    _, (one,) = scheduled(TICKETS[1])
    shown = json.loads(one.modelResponses[0].response)
    assert shown == {name: first[name] for name in shown}
    assert set(shown) == {"ticket_id", "category", "priority", "needs_human"}


def test_a_sample_is_no_larger_than_asked(scheduled: Any) -> None:
    """Without it the bill would grow with the traffic."""
    said, records = scheduled(*TICKETS, sample=2)
    assert (said["records"], len(records)) == (2, 2)


@pytest.mark.slow
def test_executions_of_another_time_or_policy_are_left_out(scheduled: Any, service: Service, deployed: Any) -> None:
    """Without it a new threshold would be judged by answers that were kept under the old one."""
    said, _ = scheduled(*TICKETS, at=datetime.now(UTC) + timedelta(days=3), days=2)
    assert (said["job"], said["records"]) == (None, 0)
    said, _ = scheduled(TICKETS[0], before=lambda: deployed(min_confidence=0.95), days=7)
    assert said["why"] == "nano answered no ticket first in 7 days under the present policy."
    assert service.asked == []


def test_foreign_executions_are_named(scheduled: Any, room: Room) -> None:
    """Without it the wrong machine's ARN would end in a traceback about a missing key, or one old execution would end every re-check of its week."""
    arn = room.emulator.client.create_state_machine(name="other", definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', roleArn=ROLE)["stateMachineArn"]
    room.emulator.run(arn, {"x": 1})
    with pytest.raises(DataError, match=r"has not the input and output of this state machine \(KeyError\)"):
        scheduled(machine_arn=arn)
    output = room.emulator.run(room.arn, {"ticket": TICKETS[0]}).output
    definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed", "OutputPath": "$.output"}}}'
    passed_on = room.emulator.client.create_state_machine(name="passed-on", roleArn=ROLE, definition=definition)["stateMachineArn"]
    for data in ({"output": {"x": 1}}, {"ticket": TICKETS[0], "output": output}):
        assert room.emulator.run(passed_on, data).status == "SUCCEEDED"
    found, records = scheduled(machine_arn=passed_on)
    assert (found["unreadable"], len(records)) == (1, 1)


def test_an_input_that_is_no_object_is_named_too(scheduled: Any, room: Room) -> None:
    """Without it one execution of another machine that was given a list would be a traceback."""
    arn = room.emulator.client.create_state_machine(name="lists", definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', roleArn=ROLE)["stateMachineArn"]
    room.emulator.client.start_execution(stateMachineArn=arn, input="[1]")
    with pytest.raises(DataError, match=r"has not the input and output of this state machine \(TypeError\)"):
        scheduled(machine_arn=arn)


@pytest.mark.parametrize("event", [{}, {"id": "x"}, {"time": "2026-11-22T12:00:00Z"}, {"id": "x", "time": "2026-11-22T12:00:00"}, {"id": "x", "time": "noon"}, {"id": "x", "time": 7}])
def test_an_event_by_hand_that_is_none_is_one_line(event: dict[str, object], scheduled: Any, service: Service, room: Room) -> None:
    """Without it who starts a re-check by hand would read of a missing key, or of two times that cannot be compared."""
    with pytest.raises(DataError, match=r'Send one such as \{"id"'):
        start(event, room.emulator.client, None, service.client)
    assert service.asked == []


@pytest.mark.parametrize(("name", "value", "said"), [("SAMPLE", "0", "RECHECK_SAMPLE"), ("TIER", "gpt", "RECHECK_TIER"), ("BUCKET", None, "RECHECK_BUCKET")])
def test_settings_that_are_wrong_are_named(name: str, value: str | None, said: str, scheduled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the schedule would fail with a traceback in a log that nobody reads."""
    monkeypatch.delenv(f"RECHECK_{name}", raising=False)
    if value is not None:
        monkeypatch.setenv(f"RECHECK_{name}", value)
    with pytest.raises(SettingsError, match=said):
        scheduled()


def test_the_handler_makes_its_own_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the deployed function might call a service that its role may not use."""
    monkeypatch.setattr(boto3, "client", lambda name: name)
    monkeypatch.setattr(module, "start", lambda *given: {"given": given})
    assert module.recheck({"id": "1"}, None) == {"given": ({"id": "1"}, "stepfunctions", "s3", "bedrock")}
