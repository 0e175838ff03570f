"""The service side of a batch against botocore's own model: what is sent, what is refused, and whom it is asked of."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from workshop_lib import catalog
from workshop_lib.batch.service import Place, Service, Standing
from workshop_lib.errors import SettingsError, WorkshopError
from workshop_lib.settings import Settings

NANO = catalog.model("nano")
ROLE = "arn:aws:iam::123456789012:role/batch"
ARN = "arn:aws:bedrock:us-west-2:123456789012:model-invocation-job/abcdefghijkl"
INPUT = {"s3InputDataConfig": {"s3Uri": "s3://bucket/runs/x/in/p.jsonl", "s3InputFormat": "JSONL"}}
OUTPUT = {"s3OutputDataConfig": {"s3Uri": "s3://bucket/runs/x/out/"}}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Give a live service, made once, as its clients take their time to load."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        yield Service(Settings(backend="live"), Place.named("s3://bucket/runs"), ROLE)


@pytest.fixture
def live(service: Service) -> Iterator[tuple[Service, Stubber, Stubber]]:
    """Give it with botocore's stubs for answers, which check what is sent against the model."""
    with Stubber(service._bedrock) as bedrock, Stubber(service._s3) as s3:
        yield service, bedrock, s3


def create(service: Service) -> str | None:
    """Make a job."""
    return service.create(NANO, "x/in/p.jsonl", "x/out/", name="cascade-x-p", token="x-p", invocation="InvokeModel", hours=48)


def summary(name: str) -> dict[str, Any]:
    """Return a job of a list."""
    return {
        "jobArn": ARN, "jobName": name, "modelId": NANO.id, "roleArn": ROLE, "submitTime": datetime(2026, 1, 1, tzinfo=UTC), "inputDataConfig": INPUT,
        "outputDataConfig": OUTPUT,
    }  # fmt: skip


def test_a_job_is_asked_for_as_the_service_wants_it(live: Any) -> None:
    """Without it the first live job would be refused, or made without its token."""
    service, bedrock, _ = live
    sent = {
        "jobName": "cascade-x-p", "clientRequestToken": "x-p", "roleArn": ROLE, "modelId": NANO.id, "inputDataConfig": INPUT, "outputDataConfig": OUTPUT,
        "modelInvocationType": "InvokeModel", "timeoutDurationInHours": 48,
    }  # fmt: skip
    bedrock.add_response("create_model_invocation_job", {"jobArn": ARN}, sent)
    assert create(service) == ARN


@pytest.mark.parametrize("code", ["ServiceQuotaExceededException", "ThrottlingException"])
def test_a_service_that_is_full_is_asked_later(live: Any, code: str) -> None:
    """Without it the quota of jobs under way would end the run."""
    service, bedrock, _ = live
    bedrock.add_client_error("create_model_invocation_job", code, "later")
    assert create(service) is None


@pytest.mark.parametrize(("code", "words"), [("AccessDeniedException", "no access"), ("ValidationException", "no access"), ("ResourceNotFoundException", "--restart")])
def test_a_refusal_is_one_line_with_the_way_on(live: Any, code: str, words: str) -> None:
    """Without it a missing permission would be a traceback."""
    service, bedrock, _ = live
    bedrock.add_client_error("create_model_invocation_job", code, "no access\nto that")
    with pytest.raises(WorkshopError, match=words) as refused:
        create(service)
    assert "\n" not in str(refused.value)


def test_a_job_is_found_by_its_whole_name(live: Any) -> None:
    """Without it a job that was made just before a crash would be made again, or another be taken for it."""
    service, bedrock, _ = live
    for name, found in (("cascade-x-p", ARN), ("cascade-x-q", None)):
        bedrock.add_response("list_model_invocation_jobs", {"invocationJobSummaries": [summary("cascade-x-p2"), summary("cascade-x-p")]}, {"nameContains": name})
        assert service.find(name) == found


def test_how_a_job_stands_is_told_with_its_message(live: Any) -> None:
    """Without it nobody would know why a job failed."""
    service, bedrock, _ = live
    bedrock.add_response("get_model_invocation_job", {**summary("x"), "status": "Failed", "message": "too\nfew"}, {"jobIdentifier": ARN})
    assert service.standing(ARN) == Standing("Failed", "too few")


def test_outputs_are_all_lines_of_the_jobs_folder_and_its_manifest(live: Any, tmp_path: Path) -> None:
    """Without it an output in several files would be read in part, or the manifest be taken for records."""
    service, _, s3 = live
    below = "runs/x/out/abcdefghijkl/"
    contents = {f"{below}manifest.json.out": b'{"totalRecordCount": 2, "note": "x"}', f"{below}p.jsonl.out": b"a\nb\n", f"{below}q.jsonl.out": b"c\n"}
    s3.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in contents]}, {"Bucket": "bucket", "Prefix": below})
    for key, content in contents.items():
        s3.add_response("get_object", {"Body": StreamingBody(BytesIO(content), len(content))}, {"Bucket": "bucket", "Key": key})
    assert service.fetch(ARN, "x/out/", tmp_path / "p.out") == {"totalRecordCount": 2}
    assert (tmp_path / "p.out").read_bytes() == b"a\nb\nc\n"


@pytest.mark.parametrize(("uri", "bucket", "prefix"), [("s3://bucket", "bucket", ""), ("s3://bucket/", "bucket", ""), ("s3://a.b-c/x/Y.1/", "a.b-c", "x/Y.1/")])
def test_a_folder_of_s3_is_read(uri: str, bucket: str, prefix: str) -> None:
    """Without it a slash more or less would be another folder."""
    place = Place.named(uri)
    assert (place.bucket, place.prefix) == (bucket, prefix)
    assert place.uri("in/a") == f"s3://{bucket}/{prefix}in/a"


@pytest.mark.parametrize("uri", ["bucket", "s3://", "s3://B/x", "s3://bucket//x", "s3://bucket/a b", "s3://bucket/a&b", "https://bucket/x", ""])
def test_what_is_no_folder_of_s3_is_refused(uri: str) -> None:
    """Without it the first request to the service would fail instead."""
    with pytest.raises(SettingsError, match="s3://BUCKET"):
        Place.named(uri)


@pytest.mark.parametrize(
    ("changes", "role", "variable", "words"),
    [
        ({"backend": "live"}, None, {}, "--role"),
        ({"backend": "live"}, "me", {}, "no ARN"),
        ({"backend": "live"}, ROLE, {}, "no AWS credentials"),
        ({"backend": "live"}, ROLE, {"AWS_ENDPOINT_URL_BEDROCK": "http://127.0.0.1:1"}, "unset AWS_ENDPOINT_URL_BEDROCK"),
        ({"backend": "live"}, ROLE, {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, "unset AWS_ENDPOINT_URL_S3"),
        ({"backend": "live"}, ROLE, {"AWS_PROFILE": "nobody"}, "AWS_PROFILE"),
        ({}, None, {}, "moto_server"),
        ({}, None, {"AWS_ENDPOINT_URL_S3": "http://10.0.0.1:1"}, "not on this machine"),
        ({}, None, {"AWS_ENDPOINT_URL_S3": "minio:9000"}, "not on this machine"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], role: str | None, variable: dict[str, str], words: str
) -> None:
    """Without it a sandbox's run could write to a real bucket, or a live one fail after it was agreed to."""
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=words):
        Service(Settings(**changes), Place.named("s3://bucket"), role)
