"""What of Bedrock's batch operations the sandbox honours and what it refuses, as data: the documentation's table is written from it."""

from collections.abc import Iterator

from workshop_lib.sandbox.bedrock.support import Support, Verdict


def _of(operation: str, *rows: tuple[str, Verdict, str]) -> tuple[Support, ...]:
    return tuple(Support(operation, *row) for row in rows)


TABLE: tuple[Support, ...] = (
    *_of(
        "CreateModelInvocationJob",
        ("jobName", "honoured", ""),
        ("roleArn", "in part", "its form is checked; nothing is asked of it"),
        ("clientRequestToken", "honoured", "the same token again returns the same job"),
        ("modelId", "in part", "as of Converse"),
        ("inputDataConfig", "in part", "one .jsonl file or a folder of them, in a local S3; `s3BucketOwner` is not looked at"),
        ("outputDataConfig", "in part", "`FOLDER/JOB-ID/NAME.jsonl.out` and `manifest.json.out`, in a local S3; key and owner are not looked at"),
        ("vpcConfig", "refused", "there is no network to keep apart"),
        ("timeoutDurationInHours", "in part", "told again; no job takes that long here"),
        ("tags", "in part", "their form is checked; they are not kept"),
        ("modelInvocationType", "honoured", "`InvokeModel`: bodies as of InvokeModel; `Converse`: a record with `toolConfig` fails with 400, as the user guide says"),
    ),
    *_of("GetModelInvocationJob", ("jobIdentifier", "honoured", "id or ARN; jobs are forgotten when the sandbox ends")),
    *_of(
        "ListModelInvocationJobs",
        ("submitTimeAfter", "honoured", ""),
        ("submitTimeBefore", "honoured", ""),
        ("statusEquals", "honoured", ""),
        ("nameContains", "honoured", ""),
        ("maxResults", "honoured", ""),
        ("nextToken", "honoured", ""),
        ("sortBy", "honoured", ""),
        ("sortOrder", "honoured", "newest first unless `Ascending`"),
    ),
    *_of("StopModelInvocationJob", ("jobIdentifier", "honoured", "records that were answered stay; a job that has ended is a conflict (assumed)")),
)


def markdown() -> Iterator[str]:
    """Yield the lines of the table as Markdown."""
    yield "| operation | member | here | how |"
    yield "|---|---|---|---|"
    for row in TABLE:
        yield f"| {row.operation} | `{row.member}` | {row.verdict} | {row.note} |"
