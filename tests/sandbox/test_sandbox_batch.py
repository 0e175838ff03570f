"""The sandbox's batch jobs: botocore's model of every answer, what the service refuses, and what becomes of a job."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_bench import ROLE, Bucket, handled, sandbox_over
from botocore.validate import ParamValidator

from workshop_lib import catalog
from workshop_lib.llm.bedrock import converse_arguments
from workshop_lib.llm.native import native_body
from workshop_lib.sandbox import shapes
from workshop_lib.sandbox.batch import storage
from workshop_lib.sandbox.batch.routes import Sent
from workshop_lib.sandbox.batch.storage import Storage, StorageFailed
from workshop_lib.sandbox.batch.support import TABLE, markdown
from workshop_lib.sandbox.faults import Fault
from workshop_lib.sandbox.server import Sandbox
from workshop_lib.tasks import TRIAGE, Ticket
from workshop_lib.tasks.variants import in_text

NANO, SONNET = catalog.model("nano"), catalog.model("sonnet")
JOB = {
    "jobName": "one", "roleArn": ROLE, "modelId": NANO.id,
    "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in/a.jsonl"}},
    "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
}  # fmt: skip
TICKETS = [Ticket(id=f"T-{number}", subject="Invoice", body=f"Two payments for one invoice, number {number}. Please refund one.") for number in range(12)]


@pytest.fixture
def bucket() -> Bucket:
    """Give a bucket with records in the forms of Nano, of Claude, and of Converse."""
    found = Bucket()
    for name, bodies in {
        "a": [native_body(NANO, TRIAGE.request(ticket)) for ticket in TICKETS],
        "claude": [native_body(SONNET, TRIAGE.request(ticket)) for ticket in TICKETS],
        "text": [_converse(in_text(TRIAGE).request(ticket)) for ticket in TICKETS],
        "tool": [_converse(TRIAGE.request(ticket)) for ticket in TICKETS],
    }.items():
        found.objects[f"in/{name}.jsonl"] = "\n".join(json.dumps({"recordId": f"R{number}", "modelInput": body}) for number, body in enumerate(bodies)).encode()
    return found


def _converse(request: Any) -> dict[str, Any]:
    return {name: value for name, value in converse_arguments(NANO, request).items() if name != "modelId"}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> Sandbox:
    """Give a sandbox over that bucket."""
    return sandbox_over(monkeypatch, bucket)


def conforms(operation: str, body: Any) -> Any:
    """Return an answer that is as botocore's model says, with no member that it does not know."""
    shape = shapes.operation(operation).output_shape
    problems = ParamValidator().validate(body, shape)
    assert not problems.has_errors(), problems.generate_report()
    return body


def run(here: Sandbox, **changes: Any) -> dict[str, Any]:
    """Run a job to its end and return how it stands."""
    made = conforms("CreateModelInvocationJob", handled(here, "POST", "/model-invocation-job", {**JOB, **changes})[1])
    found: dict[str, Any] = conforms("GetModelInvocationJob", handled(here, "GET", f"/model-invocation-job/{made['jobArn']}")[1])
    return found


def source(name: str) -> dict[str, Any]:
    """Return an input."""
    return {"s3InputDataConfig": {"s3Uri": f"s3://bucket/in/{name}"}}


def outputs(bucket: Bucket, job: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the lines and the manifest that a job wrote."""
    below = f"out/{job['jobArn'].rsplit('/', 1)[-1]}/"
    lines = [json.loads(line) for name, content in bucket.objects.items() if name.startswith(below) and name.endswith(".jsonl.out") for line in content.splitlines()]
    return lines, json.loads(bucket.objects[f"{below}manifest.json.out"])


@pytest.mark.parametrize(("name", "changes"), [("a", {}), ("claude", {"modelId": SONNET.id}), ("text", {"modelInvocationType": "Converse"})])
def test_a_job_answers_every_record_in_an_order_of_its_own(here: Sandbox, bucket: Bucket, name: str, changes: dict[str, Any]) -> None:
    """Without it a client could rely on an order that the service does not promise, or on members that it does not write."""
    job = run(here, inputDataConfig=source(f"{name}.jsonl"), **changes)
    assert (job["status"], job["totalRecordCount"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 12, 12, 0)
    lines, manifest = outputs(bucket, job)
    asked = {one["recordId"]: one["modelInput"] for one in map(json.loads, bucket.objects[f"in/{name}.jsonl"].splitlines())}
    assert {line["recordId"]: line["modelInput"] for line in lines} == asked
    assert [line["recordId"] for line in lines] != list(asked)
    assert all(line.keys() == {"recordId", "modelInput", "modelOutput"} for line in lines)
    assert manifest.keys() == {"totalRecordCount", "processedRecordCount", "successRecordCount", "errorRecordCount", "inputTokenCount", "outputTokenCount"}
    if name == "text":
        for line in lines:
            conforms("Converse", line["modelOutput"])
        assert sum(line["modelOutput"]["usage"]["inputTokens"] for line in lines) == manifest["inputTokenCount"]


def test_a_converse_record_with_a_tool_is_refused_as_the_service_refuses_it(here: Sandbox, bucket: Bucket) -> None:
    """Without it a batch could be built on tools in Converse records, which Amazon Bedrock answers with 400."""
    job = run(here, inputDataConfig=source("tool.jsonl"), modelInvocationType="Converse")
    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 0, 12)
    lines, _ = outputs(bucket, job)
    assert {line["error"]["errorCode"] for line in lines} == {400}
    assert "InvokeModel" in lines[0]["error"]["errorMessage"]


def test_the_same_token_makes_one_job(here: Sandbox) -> None:
    """Without it a command that was killed while it made a job would pay for two."""
    first, again, other = (run(here, clientRequestToken=token)["jobArn"] for token in ("t-1", "t-1", "t-2"))
    assert first == again != other
    assert here.batch_ledger.summary()["total"]["ok"] == 24  # type: ignore[index]


def test_records_are_counted_apart_from_calls_at_the_batch_price(here: Sandbox) -> None:
    """Without it what a batch costs could not be told from calls, nor nothing paid twice be shown."""
    job = run(here)
    models = here.batch_ledger.summary()["models"]
    assert isinstance(models, dict)
    count = models[NANO.id]
    assert NANO.price.has_batch
    assert count["usd"] == pytest.approx((count["input_tokens"] * 0.03 + count["output_tokens"] * 0.12) / 1e6)
    assert here.ledger.summary()["total"]["attempts"] == 0  # type: ignore[index]
    assert job["processedRecordCount"] == count["ok"]


def test_a_folder_is_one_job_with_an_output_for_each_file(here: Sandbox, bucket: Bucket) -> None:
    """Without it a folder of inputs could not be tried."""
    for name in ("claude", "text", "tool"):
        del bucket.objects[f"in/{name}.jsonl"]
    bucket.objects["in/b.jsonl"] = bucket.objects["in/a.jsonl"]
    job = run(here, inputDataConfig=source(""))
    assert job["totalRecordCount"] == 24
    names = {name.rsplit("/", 1)[-1] for name in bucket.objects if name.startswith("out/")}
    assert names == {"a.jsonl.out", "b.jsonl.out", "manifest.json.out"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "0 records"), (b"nonsense\n", "line 1 is not a record"), (b'{"recordId": "x", "modelInput": 3}\n', "line 1"), (b"[" * 100_000, "line 1")],
)
def test_an_input_that_is_none_fails_the_job_and_says_so(here: Sandbox, bucket: Bucket, content: bytes, words: str) -> None:
    """Without it a job would hang, or fail without a reason."""
    bucket.objects["in/a.jsonl"] = content
    job = run(here)
    assert (job["status"], "endTime" in job) == ("Failed", True)
    assert words in job["message"]


def test_fewer_records_than_a_job_may_have_fail_it(here: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a small second wave would work here and fail on the service."""
    monkeypatch.setattr("workshop_lib.sandbox.batch.running.FEWEST", 100)
    job = run(here)
    assert (job["status"], job["message"]) == ("Failed", "The job has 12 records; from 100 to 50000 are taken (the sandbox's stand-in for the quotas).")


def test_faults_meet_records(here: Sandbox, bucket: Bucket) -> None:
    """Without it nobody could try what becomes of a record that fails, or is answered badly."""
    here.faults.add(Fault(poison="number 3."))
    here.faults.add(Fault(poison="number 5.", scope="another"))
    here.faults.add(Fault(error_rate=1.0, kind="wrong_enum"))
    job = run(here)
    assert (job["successRecordCount"], job["errorRecordCount"]) == (11, 1)
    lines, _ = outputs(bucket, job)
    (failed,) = [line for line in lines if "error" in line]
    assert (failed["recordId"], failed["error"]["errorCode"]) == ("R3", 400)
    here.faults.clear()
    here.faults.add(Fault(error_rate=1.0, kind="stall_in_body"))
    job = run(here)
    assert (job["status"], job["totalRecordCount"], job["processedRecordCount"]) == ("PartiallyCompleted", 12, 0)


def test_a_record_without_an_id_gets_one(here: Sandbox, bucket: Bucket) -> None:
    """Without it the outputs could not be told apart."""
    body = json.loads(bucket.objects["in/a.jsonl"].splitlines()[0])["modelInput"]
    bucket.objects["in/a.jsonl"] = b"\n".join([json.dumps({"modelInput": body}).encode()] * 3)
    lines, _ = outputs(bucket, run(here))
    assert len({line["recordId"] for line in lines}) == 3


def test_stopping_leaves_what_was_answered(here: Sandbox, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a stopped job would lose what was paid."""
    answered = here.batch_ledger.record

    def stopping(*args: Any, **more: Any) -> float:
        (job,) = here.batch.jobs
        if job.counts.success == 4:
            here.batch.handle("POST", f"/model-invocation-job/{job.id}/stop".encode(), b"", None, Sent())
            assert job.status == "Stopping"
        return answered(*args, **more)

    monkeypatch.setattr(here.batch_ledger, "record", stopping)
    job = run(here)
    assert (job["status"], job["processedRecordCount"]) == ("Stopped", 4)
    assert len(outputs(bucket, job)[0]) == 4
    status, said = handled(here, "POST", f"/model-invocation-job/{job['jobArn'].replace('/', '%2F')}/stop")
    assert (status, "ended already" in said["message"]) == (400, True)


def test_jobs_are_listed_newest_first_and_by_what_is_asked(here: Sandbox) -> None:
    """Without it a command that was killed could not find the job that it had made."""
    for name in ("alpha", "beta", "beta-2"):
        run(here, jobName=name)

    def names(query: str) -> list[str]:
        listed = conforms("ListModelInvocationJobs", handled(here, "GET", "/model-invocation-jobs", query=query)[1])
        return [job["jobName"] for job in listed["invocationJobSummaries"]]

    assert names("") == ["beta-2", "beta", "alpha"]
    assert names("nameContains=beta&sortOrder=Ascending&sortBy=CreationTime") == ["beta", "beta-2"]
    assert names("statusEquals=Failed") == []
    assert names("submitTimeBefore=2020-01-01T00%3A00%3A00Z") == []
    assert len(names("submitTimeAfter=2020-01-01T00%3A00%3A00Z")) == 3
    first = handled(here, "GET", "/model-invocation-jobs", query="maxResults=2")[1]
    assert names(f"maxResults=2&nextToken={first['nextToken']}") == ["alpha"]
    assert handled(here, "GET", "/model-invocation-jobs", sent=Sent("another"))[1]["invocationJobSummaries"] == []


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "status", "words"),
    [
        ("POST", "/model-invocation-job", "", None, 400, "not a JSON object"),
        ("POST", "/model-invocation-job", "", {**JOB, "jobName": "-"}, 400, "jobName"),
        ("POST", "/model-invocation-job", "", {**JOB, "extra": 1}, 400, "extra"),
        ("POST", "/model-invocation-job", "", {**JOB, "timeoutDurationInHours": 12}, 400, "24"),
        ("POST", "/model-invocation-job", "", {**JOB, "modelInvocationType": "Chat"}, 400, "InvokeModel"),
        ("POST", "/model-invocation-job", "", {**JOB, "modelId": "no.such-model"}, 404, "The sandbox has"),
        ("POST", "/model-invocation-job", "", {**JOB, "modelId": "anthropic.claude-sonnet-4-6"}, 400, "inference profile"),
        ("POST", "/model-invocation-job", "", {**JOB, "vpcConfig": {"subnetIds": ["s"], "securityGroupIds": ["g"]}}, 400, "vpcConfig"),
        ("GET", "/model-invocation-job/abcdefghijkl", "", None, 404, "knows no job"),
        ("GET", "/model-invocation-job/short", "", None, 400, "jobIdentifier"),
        ("GET", "/model-invocation-jobs", "statusEquals=Done", None, 400, "statusEquals"),
        ("GET", "/model-invocation-jobs", "maxResults=none", None, 400, "maxResults"),
        ("GET", "/model-invocation-jobs", "submitTimeAfter=now", None, 400, "ISO 8601"),
        ("GET", "/model-invocation-jobs", "color=red", None, 400, "color"),
        ("DELETE", "/model-invocation-job/abcdefghijkl", "", None, 404, "DELETE"),
    ],
)
def test_what_is_wrong_is_refused(here: Sandbox, method: str, path: str, query: str, body: Any, status: int, words: str) -> None:
    """Without it a request that the service refuses would work here."""
    found, said = handled(here, method, path, body, query)
    assert (found, words in said["message"]) == (status, True), said


def test_without_a_local_s3_a_job_is_refused_with_the_way_to_one(here: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the sandbox could reach for a bucket that is not on this machine, or fail much later."""
    monkeypatch.setenv(storage.ENDPOINT, "https://s3.us-west-2.amazonaws.com")
    elsewhere = ("http://10.0.0.5:9000", "https://s3.amazonaws.com", "http://127.0.0.1@10.0.0.5", "http://127.0.0.1:9000@10.0.0.5/", "http://[", "http:///x", "nonsense")
    for sent in (Sent(), *(Sent(storage=url) for url in elsewhere)):
        status, said = handled(here, "POST", "/model-invocation-job", JOB, sent=sent)
        assert (status, "moto_server" in said["message"]) == (400, True)
    assert handled(here, "POST", "/model-invocation-job", JOB, sent=Sent(storage="http://127.0.0.1:5555"))[0] == 200


def test_more_jobs_than_the_quota_are_refused_for_now(here: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a client would never meet the refusal that it must wait for."""
    monkeypatch.setattr("workshop_lib.sandbox.batch.routes._UNDER_WAY", 0)
    status, said = handled(here, "POST", "/model-invocation-job", JOB)
    assert (status, "under way" in said["message"]) == (400, True)


def test_an_s3_that_does_not_answer_fails_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a job would be in progress for ever."""
    unused = Storage("http://127.0.0.1:9", "us-west-2")
    with pytest.raises(StorageFailed, match="s3://bucket/in"):
        unused.inputs("s3://bucket/in/")
    monkeypatch.setenv(storage.ENDPOINT, "http://127.0.0.1:9")
    assert run(Sandbox(0))["status"] == "Failed"


def test_over_http_a_job_is_signed_for_and_refused_in_the_services_words(call: Any) -> None:
    """Without it the routes could be there and not be reached, or be open to what is not signed."""
    assert call("GET", "/model-invocation-jobs")[0] == 403
    signed = {"Authorization": "Bearer sandbox"}
    status, headers, said = call("GET", "/model-invocation-job/abcdefghijkl", headers=signed)
    assert (status, headers["x-amzn-errortype"].split(":")[0]) == (404, "ResourceNotFoundException")
    assert call("GET", "/model-invocation-jobs?maxResults=1", headers=signed)[2]["invocationJobSummaries"] is not None
    assert call("POST", "/model-invocation-job", b"x" * 5_000_000, headers=signed)[0] == 413
    assert "batch" in call("GET", "/sandbox/ledger")[2]
    assert said["message"]


def rows() -> Iterator[tuple[str, str]]:
    """Yield operation and member of the rows."""
    for row in TABLE:
        yield row.operation, row.member


def test_the_table_names_every_member_of_every_operation() -> None:
    """Without it what a new version of the service adds would be neither honoured nor refused knowingly."""
    for operation in ("CreateModelInvocationJob", "GetModelInvocationJob", "ListModelInvocationJobs", "StopModelInvocationJob"):
        shape = shapes.operation(operation).input_shape
        assert shape is not None
        assert {member for name, member in rows() if name == operation} == set(shape.members)
    assert len(set(rows())) == len(TABLE)


def test_the_page_has_the_table() -> None:
    """Without it the page and the data could differ."""
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert "\n".join(markdown()) in page
