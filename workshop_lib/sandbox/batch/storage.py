"""The local S3 behind batch jobs: reading inputs and writing outputs through boto3, which is loaded when the first job comes."""

import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from workshop_lib.errors import WorkshopError
from workshop_lib.serving import names_loopback

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ENDPOINT = "AWS_ENDPOINT_URL_S3"
ENDPOINT_HEADER = b"x-workshop-s3-endpoint"


class StorageFailed(WorkshopError):
    """An object cannot be read or written; the message says which and why."""


def endpoint(named: str | None) -> str | None:
    """Return the local S3 that a client named, or that of this process; None if there is none on this machine: nothing else is ever asked."""
    found = named or os.environ.get(ENDPOINT) or ""
    try:
        parts = urlsplit(found)
        here = parts.scheme == "http" and "@" not in parts.netloc and bool(parts.netloc) and names_loopback(parts.netloc)
    except ValueError:
        return None
    return found if here else None


def split(uri: str) -> tuple[str, str]:
    """Return bucket and key of an address s3://bucket/key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


class Storage:
    """S3 at one endpoint, with any credentials; every method blocks and raises StorageFailed."""

    def __init__(self, url: str, region: str) -> None:
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        ignored = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
        plain = botocore.session.Session({name: (None, [], value, None) for name, value in ignored.items()})
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"}, proxies={}, s3={"addressing_style": "path"}, signature_version="s3v4",
            connect_timeout=5, read_timeout=60,
        )  # fmt: skip
        self._errors: tuple[type[Exception], ...] = (ClientError, BotoCoreError)
        self._client: S3Client = boto3.Session(botocore_session=plain).client(
            "s3", region_name=region, endpoint_url=url, aws_access_key_id="sandbox", aws_secret_access_key="sandbox", config=config,  # noqa: S106  # a dummy
        )  # fmt: skip

    def inputs(self, uri: str) -> list[str]:
        """Return the keys of the input: the one file that is named, or every .jsonl below a folder."""
        bucket, key = split(uri)
        if key.endswith(".jsonl"):
            return [key]
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key.rstrip("/") + "/" if key else "")
        with self._told(uri):
            return [part["Key"] for page in pages for part in page.get("Contents", ()) if part["Key"].endswith(".jsonl")]

    def lines(self, uri: str, key: str) -> Iterator[bytes]:
        """Yield the lines of an object as they come."""
        with self._told(f"s3://{split(uri)[0]}/{key}"):
            yield from self._client.get_object(Bucket=split(uri)[0], Key=key)["Body"].iter_lines(64 * 1024)

    def write(self, uri: str, content: IO[bytes]) -> None:
        """Write an object."""
        bucket, key = split(uri)
        with self._told(uri):
            self._client.upload_fileobj(content, bucket, key)

    def _told(self, uri: str) -> "_Told":
        return _Told(uri, self._errors)


class _Told:
    """Turns errors of S3 inside a block into StorageFailed."""

    def __init__(self, uri: str, errors: tuple[type[Exception], ...]) -> None:
        self._uri = uri
        self._errors = errors

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, _trace: Any) -> None:
        if isinstance(error, self._errors):
            raise StorageFailed(f"{self._uri}: {' '.join(str(error).split())[:300]}") from error
