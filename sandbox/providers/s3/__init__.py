"""S3, path style: buckets, objects with conditions and checksums, listing. Buckets stay through a reset, emptied.

Requests must be signed (header or presigned query); the signature itself is not verified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from sandbox.provider import Answer, Call, Json, Operation, Provider
from sandbox.providers.s3 import buckets, lacks, listing, objects
from sandbox.providers.s3.lacks import imperfect
from sandbox.providers.s3.xml import error_answer, iso, refused, words

if TYPE_CHECKING:
    from sandbox.world import World

NAME = "s3"
OBJECT = "/{bucket}/{key*}"
OPERATIONS = (
    Operation("objects.copy", "PUT", OBJECT, imperfect(objects.copy), header="x-amz-copy-source"),
    Operation("objects.put", "PUT", OBJECT, imperfect(objects.put)),
    Operation("objects.get", "GET", OBJECT, imperfect(objects.get)),
    Operation("objects.head", "HEAD", OBJECT, imperfect(objects.head)),
    Operation("objects.delete", "DELETE", OBJECT, imperfect(objects.delete)),
    Operation("objects.list", "GET", "/{bucket}", imperfect(listing.listed), queries=("list-type",)),
    Operation("buckets.create", "PUT", "/{bucket}", buckets.create),
    Operation("buckets.head", "HEAD", "/{bucket}", buckets.head),
    Operation("buckets.delete", "DELETE", "/{bucket}", buckets.delete),
    Operation("buckets.list", "GET", "/", buckets.listed),
)
# What S3 knows and this stand-in does not: refused rather than taken for an ordinary put or get.
SUBRESOURCES = frozenset(
    {"acl", "cors", "lifecycle", "policy", "tagging", "uploadId", "uploads", "versionId", "versioning", "versions"}
)


def authorise(_: World, call: Call) -> None:
    """Signed at all, and for something that the stand-in does. Raises 403 or 501."""
    asked = {name for name, _ in parse_qsl(call.query, keep_blank_values=True)}
    signed = call.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ")
    if not signed and not asked & {"X-Amz-Signature", "Signature"}:
        raise refused(403, "AccessDenied", "Access Denied")
    if unknown := asked & SUBRESOURCES:
        raise refused(501, "NotImplemented", f"The sandbox's S3 does not do ?{min(unknown)}")


def unknown_route(method: str, path: str) -> Answer:
    return error_answer(501, "NotImplemented", f"The sandbox's S3 does not do {method} {path}")


def request_headers(call: Call) -> Mapping[str, str]:
    return {"x-amz-request-id": call.request_id.removeprefix("req_")[:16].upper(), "x-amz-id-2": call.request_id}


def state(world: World) -> Json:
    """`objects`: what is stored, without its bytes."""
    rows = world.store.all(
        "SELECT bucket, key, etag, size, at, headers, checksums FROM s3_objects ORDER BY bucket, key"
    )
    found = []
    for row in rows:
        headers = json.loads(row["headers"])
        found.append(
            {
                "object_id": f"{row['bucket']}/{row['key']}",
                "bucket": row["bucket"],
                "key": row["key"],
                "size": row["size"],
                "etag": row["etag"],
                "checksums": json.loads(row["checksums"]),
                "content_type": headers["content-type"],
                "reference": headers.get(objects.REFERENCE),
                "last_modified": iso(row["at"]),
            }
        )
    return {"objects": found}


def make_bucket(world: World, name: str) -> None:
    """Makes a bucket unless it is there. Raises ValueError for a name that S3 would refuse."""
    if buckets.NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no bucket name: 3 to 63 small letters, digits, dots and hyphens")
    buckets.make(world, name)


PROVIDER = Provider(
    name=NAME,
    operations=OPERATIONS,
    schema=objects.SCHEMA + lacks.SCHEMA,
    tables=objects.TABLES + lacks.TABLES,
    authorise=authorise,
    unknown_route=unknown_route,
    words=words,
    state=state,
    request_headers=request_headers,
    control=lacks.CONTROL,
)
