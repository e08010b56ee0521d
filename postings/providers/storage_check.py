"""The features that the object storage lacks, found by storing, reading and deleting one object."""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.workflow import StepFailure
from postings.providers import storage

MARK = "checkstorage"  # whose object it is, while it is there


@dataclass(frozen=True, slots=True)
class Lack:
    """One feature that is missing, and what that means or what to do. `is_needed`: logos cannot be stored so."""

    feature: str
    meaning: str
    is_needed: bool = False


def lacks() -> list[Lack]:
    """The missing features. Raises the storage's own failure where nothing can be stored at all."""
    key, body = f"{storage.PREFIX}check-{secrets.token_hex(16)}", secrets.token_bytes(64)
    digest = hashlib.sha256(body).hexdigest()
    storage.put_new(key, body, content_type="application/octet-stream", reference=MARK, digest=digest)
    try:
        return [*_of_puts(key, body, digest), *_of_reads(key, body, digest), *_of_lists(key)]
    finally:
        storage.delete(key)


def _of_puts(key: str, body: bytes, digest: str) -> Iterator[Lack]:
    if "IfNoneMatch" not in storage.way_of_puts():
        yield Lack(
            "If-None-Match on a put",
            "each logo costs a HEAD before its put. Keys are 128 random bits that one pipeline alone uses, so nothing "
            "of another's is overwritten; only a stranger who writes between the two would not be noticed.",
        )
    elif storage.put_new(key, body, content_type="application/octet-stream", reference=MARK, digest=digest):
        yield Lack(
            "If-None-Match on a put",
            "it is accepted and ignored: a stranger's object under one of our random keys would be overwritten.",
        )
    if "ChecksumSHA256" not in storage.way_of_puts():
        yield Lack("SHA-256 checksums on a put", "bytes that are damaged on their way are noticed by TLS alone.")


def _of_reads(key: str, body: bytes, digest: str) -> Iterator[Lack]:
    found = storage.described(key)
    if found is None or found.reference != MARK:
        yield Lack(
            "metadata",
            "after a lost answer nobody can tell whose object it is, and the posting is refused. Use another storage.",
            is_needed=True,
        )
    if found is not None and found.digest != digest:
        yield Lack("a SHA-256 checksum of what is stored", "`manage.py verify` compares objects by their mark alone.")
    if storage.read(key) != body:
        yield Lack("the same bytes back", "what is stored is changed. Use another storage.", is_needed=True)
    try:
        is_told = storage.owner_of(f"{key}-missing") is None
    except StepFailure as failure:
        yield Lack(
            "404 for what is not there",
            f"{failure}. On Amazon's S3 grant s3:ListBucket on the bucket; elsewhere use another storage.",
            is_needed="IfNoneMatch" not in storage.way_of_puts(),
        )
    else:
        if not is_told:
            yield Lack("404 for what is not there", "every key is taken for used. Use another storage.", is_needed=True)


def _of_lists(key: str) -> Iterator[Lack]:
    try:
        is_listed = any(each.key == key for each in storage.objects())
    except StepFailure as failure:
        is_listed, why = False, f" ({failure})"
    else:
        why = ""
    if not is_listed:
        meaning = f"`manage.py verify` and `manage.py reconcile` cannot look for objects{why}. Grant s3:ListBucket."
        yield Lack("lists of the bucket (ListObjectsV2)", meaning)
