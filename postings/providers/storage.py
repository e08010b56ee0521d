"""Object storage (S3, by boto3): immutable objects that carry our mark."""

import hashlib
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

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
from urllib3.exceptions import HTTPError

from pipeline.conf import conf
from pipeline.once import Once
from pipeline.providers import budget
from pipeline.providers.over_urllib3 import bind
from pipeline.retry import retry_after
from pipeline.workflow import Misconfigured, Refused, StepFailure, Unavailable, Unknown

T = TypeVar("T")
log = logging.getLogger(__name__)

_CONFIG: Final = Config(
    request_checksum_calculation="when_required",  # we send our own, and not every server knows trailers
    response_checksum_validation="when_required",
    retries={"total_max_attempts": 1, "mode": "standard"},  # a retry of the SDK's own would hide whose object it is
    signature_version="s3v4",
    max_pool_connections=100,  # as many as a worker has threads: with botocore's 10 the others connect anew each time
)
PREFIX: Final = "logos/"  # of the keys of all that we store
_LARGEST: Final = 72 * 1024 * 1024  # bytes of one object: the pixels of a picture of 4096 by 4096, uncompressed
_EXISTS: Final = "PreconditionFailed"
_BUSY: Final = frozenset({"SlowDown", "ServiceUnavailable", "ConditionalRequestConflict", "RequestTimeTooSkewed"})
# Also "400", which stands for an answer without a body.
_NOT_KNOWN: Final = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest", "NotSupported", "400"})
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
    asked = {"IfNoneMatch": "*", "ChecksumSHA256": b64encode(hashlib.sha256(body).digest()).decode()}

    def put(way: tuple[str, ...]) -> None:
        if "IfNoneMatch" not in way and owner_of(key) is not None:
            raise _Exists("object_exists")
        _send(
            lambda client: client.put_object(
                Bucket=settings.S3_BUCKET,
                Key=key,
                Body=body,
                ContentType=content_type,
                ContentDisposition="inline",
                Metadata={"pipeline-id": reference, "sha256": digest},
                **{name: asked[name] for name in way},
            )
        )

    try:
        _ways().send(put)
    except _Exists:
        return False
    return True


def owner_of(key: str) -> str | None:
    """The mark on the object; None when there is no such object."""
    try:
        found = _send(lambda client: client.head_object(Bucket=settings.S3_BUCKET, Key=key))
    except _Missing:
        return None
    return _mark(found)


def objects(since: datetime | None = None) -> Iterator[Stored]:
    """The inventory: every object under our prefix that was stored since, with its mark."""
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=settings.S3_BUCKET, Prefix=PREFIX)
    pages = iter(pages)
    while (page := _send(lambda _: next(pages, None))) is not None:
        for each in page.get("Contents", []):
            if since is None or each["LastModified"] >= since:
                found = described(each["Key"])
                if found is not None:
                    yield found


def described(key: str) -> Stored | None:
    """The object's mark and content's digest; None when there is no such object."""
    try:
        found = _send(lambda client: client.head_object(Bucket=settings.S3_BUCKET, Key=key, ChecksumMode="ENABLED"))
    except _Missing:
        return None
    if "LastModified" not in found:
        raise Unknown("unexpected_answer", "object storage answered without a time")
    checksum = found.get("ChecksumSHA256", "")
    return Stored(
        key=key,
        reference=_mark(found),
        digest=b64decode(checksum).hex() if checksum else "",
        stored_at=found["LastModified"],
    )


def read(key: str) -> bytes:
    """The object's bytes; Refused (code `object_missing`) when there is none."""
    with budget.within(conf().CALL_TIME_IN_REQUEST, size=_LARGEST):
        found = _send(lambda client: client.get_object(Bucket=settings.S3_BUCKET, Key=key))
        body: bytes = _send(lambda _: found["Body"].read())
    return body


def delete(key: str) -> None:
    """Delete it; deleting nothing is fine."""
    _send(lambda client: client.delete_object(Bucket=settings.S3_BUCKET, Key=key))


def way_of_puts() -> tuple[str, ...]:
    """The features that a put uses, as far as is known: IfNoneMatch, ChecksumSHA256."""
    return _ways().way


def is_reachable() -> bool:
    """Whether the bucket answers."""
    try:
        _send(lambda client: client.head_bucket(Bucket=settings.S3_BUCKET))
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


class _NotKnown(Unavailable):
    """The storage does not know what the request asks for."""


class _Ways:
    """The features that a put uses: the most that the storage is known to understand. One a process."""

    ALL: Final = (("IfNoneMatch", "ChecksumSHA256"), ("ChecksumSHA256",), ("IfNoneMatch",), ())

    def __init__(self) -> None:
        self._known = 0

    @property
    def way(self) -> tuple[str, ...]:
        """The one that is used."""
        return self.ALL[self._known]

    def send(self, put: Callable[[tuple[str, ...]], None]) -> None:
        """Put by the first way that the storage understands. If there is none, raise its answer to the first one."""
        refused: _NotKnown | None = None
        for number in range(self._known, len(self.ALL)):
            try:
                put(self.ALL[number])
            except _NotKnown as error:
                refused = refused or error
                continue
            self._learn(number)
            return
        assert refused is not None
        raise refused

    def _learn(self, number: int) -> None:
        if number > self._known:
            lacking = ", ".join(name for name in self.ALL[0] if name not in self.ALL[number])
            log.warning("object storage does not know %s: `manage.py checkstorage` says what that means", lacking)
        self._known = number


_known: WeakKeyDictionary[Any, _Ways] = WeakKeyDictionary()  # by client, as each has a server of its own


def _ways() -> _Ways:
    return _known.setdefault(_client(), _Ways())


@Once
def _client() -> Any:
    """One a process, made on first use: never before a worker forks. boto3's clients are thread-safe."""
    style: Any = {"addressing_style": settings.S3_ADDRESSING_STYLE}
    client: Any = boto3.session.Session().client(
        "s3",
        endpoint_url=settings.S3_ENDPOINT_URL or None,
        region_name=settings.S3_REGION,
        aws_access_key_id=settings.S3_ACCESS_KEY_ID or None,
        aws_secret_access_key=settings.S3_SECRET_ACCESS_KEY or None,
        config=_CONFIG.merge(Config(s3=style)),
    )
    bind(client._endpoint.http_session._pool_classes_by_scheme)  # noqa: SLF001 - botocore has no other place for it
    if settings.S3_ENDPOINT_URL:
        client.meta.events.register("response-received.s3", _refuse_redirect)
    return client


def _refuse_redirect(parsed_response: Mapping[str, Any] | None, **_: Any) -> None:
    """AWS alone redirects, to a bucket's region. Of another server botocore would ask for it without end."""
    answer = (parsed_response or {}).get("ResponseMetadata", {})
    if answer.get("HTTPStatusCode") in (301, 302, 303, 307, 308):
        where = answer.get("HTTPHeaders", {}).get("location", "another address")
        raise Misconfigured("storage_settings", f"object storage redirects to {where}: check S3_ENDPOINT_URL")


def _mark(found: Mapping[str, Any]) -> str:
    """Some servers write the names of metadata in capitals."""
    return next((str(mark) for name, mark in found["Metadata"].items() if name.lower() == "pipeline-id"), "")


def _send(request: Callable[[Any], T]) -> T:
    client = _client()
    try:
        with budget.within():
            return request(client)
    except NoCredentialsError as error:
        raise Misconfigured("storage_settings", "no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise Unavailable("storage_unreachable", "no connection to object storage") from error
    except ClientError as error:
        raise _ours(error) from error
    except (BotoCoreError, HTTPError) as error:  # botocore lets urllib3's through where it reads an error's text
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
    if status == 501 or code in _NOT_KNOWN:
        return _NotKnown("storage_settings", f"object storage answered {code or status}: run `manage.py checkstorage`")
    if status >= 500 or not status:
        return Unknown("server_error", f"object storage answered {status}")
    # A missing bucket, a refused key: our own settings, mended by a person. Never the customer's fault.
    return Misconfigured("storage_settings", f"object storage answered {code or status}: check the S3 settings")
