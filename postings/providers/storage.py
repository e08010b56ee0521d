"""Object storage (S3, by boto3): immutable objects that carry our mark."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)
from django.conf import settings

from pipeline.once import Once
from pipeline.retry import retry_after
from pipeline.workflow import Refused, StepFailure, Unavailable, Unknown

T = TypeVar("T")

_CONFIG: Final = Config(
    connect_timeout=2,
    read_timeout=8,
    retries={"total_max_attempts": 1, "mode": "standard"},  # a retry of the SDK's own would hide whose object it is
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    max_pool_connections=100,  # as many as a worker has threads: with botocore's 10 the others connect anew each time
)
PREFIX: Final = "logos/"  # of the keys of all that we store
_EXISTS: Final = "PreconditionFailed"
_BUSY: Final = frozenset({"SlowDown", "ServiceUnavailable", "ConditionalRequestConflict", "RequestTimeTooSkewed"})
_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: `reference` is its mark, `digest` the storage's own SHA-256 of its bytes in hex, or empty."""

    key: str
    reference: str
    digest: str
    stored_at: datetime


def put_new(key: str, body: bytes, *, content_type: str, reference: str, digest: str) -> bool:
    """Upload under a key that must not exist yet; False when it does. `digest` is the body's SHA-256 in hex."""
    try:
        _send(
            lambda: _client().put_object(
                Bucket=settings.S3_BUCKET,
                Key=key,
                Body=body,
                ContentType=content_type,
                ContentDisposition="inline",
                ChecksumSHA256=b64encode(hashlib.sha256(body).digest()).decode(),
                Metadata={"pipeline-id": reference, "sha256": digest},
                IfNoneMatch="*",
            )
        )
    except _Exists:
        return False
    return True


def owner_of(key: str) -> str | None:
    """The mark on the object; None when there is no such object."""
    try:
        found = _send(lambda: _client().head_object(Bucket=settings.S3_BUCKET, Key=key))
    except _Missing:
        return None
    return str(found["Metadata"].get("pipeline-id", ""))


def objects(since: datetime | None = None) -> Iterator[Stored]:
    """The inventory: every object under our prefix that was stored since, with its mark."""
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=settings.S3_BUCKET, Prefix=PREFIX)
    pages = iter(pages)
    while (page := _send(lambda: next(pages, None))) is not None:
        for each in page.get("Contents", []):
            if since is None or each["LastModified"] >= since:
                found = described(each["Key"])
                if found is not None:
                    yield found


def described(key: str) -> Stored | None:
    """The object's mark and content's digest; None when there is no such object."""
    try:
        found = _send(lambda: _client().head_object(Bucket=settings.S3_BUCKET, Key=key, ChecksumMode="ENABLED"))
    except _Missing:
        return None
    checksum = found.get("ChecksumSHA256", "")
    return Stored(
        key=key,
        reference=str(found["Metadata"].get("pipeline-id", "")),
        digest=b64decode(checksum).hex() if checksum else "",
        stored_at=found["LastModified"],
    )


def read(key: str) -> bytes:
    """The object's bytes; Refused (code `object_missing`) when there is none."""
    found = _send(lambda: _client().get_object(Bucket=settings.S3_BUCKET, Key=key))
    body: bytes = _send(found["Body"].read)
    return body


def delete(key: str) -> None:
    """Delete it; deleting nothing is fine."""
    _send(lambda: _client().delete_object(Bucket=settings.S3_BUCKET, Key=key))


def is_reachable() -> bool:
    """Whether the bucket answers."""
    try:
        _send(lambda: _client().head_bucket(Bucket=settings.S3_BUCKET))
    except StepFailure:
        return False
    return True


def has_credentials() -> bool:
    """Whether the settings, the environment or the SDK's own files give credentials.

    A machine's own role (EC2) is not asked for: that takes the network.
    """
    if settings.S3_ACCESS_KEY_ID and settings.S3_SECRET_ACCESS_KEY:
        return True
    sources = botocore.session.get_session().get_component("credential_provider")
    sources.remove("iam-role")
    return sources.load_credentials() is not None


class _Exists(StepFailure):
    """The key is taken."""


class _Missing(Refused):
    """There is no such object."""


@Once
def _client() -> Any:
    """One a process, made on first use: never before a worker forks. boto3's clients are thread-safe."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=settings.S3_ENDPOINT_URL or None,
        region_name=settings.S3_REGION,
        aws_access_key_id=settings.S3_ACCESS_KEY_ID or None,
        aws_secret_access_key=settings.S3_SECRET_ACCESS_KEY or None,
        config=_CONFIG,
    )


def _send(request: Callable[[], T]) -> T:
    try:
        return request()
    except (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError) as error:
        raise Unavailable("storage_unreachable", "no connection to object storage") from error
    except ClientError as error:
        raise _ours(error) from error
    except BotoCoreError as error:
        raise Unknown("no_answer", "the connection to object storage broke") from error


def _ours(error: ClientError) -> StepFailure:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == _EXISTS or status == 412:
        return _Exists("object_exists")
    if code in _MISSING:
        return _Missing("object_missing")
    if code in _BUSY or status in (409, 429, 503):
        pause = retry_after(error.response["ResponseMetadata"].get("HTTPHeaders"))
        return Unavailable("storage_busy", f"object storage answered {code or status}", retry_after=pause)
    if status >= 500 or not status:
        return Unknown("server_error", f"object storage answered {status}")
    # A missing bucket, a refused key: our own settings, mended by a person. Never the customer's fault.
    return Unavailable("storage_settings", f"object storage answered {code or status}: check the S3 settings")
