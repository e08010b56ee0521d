"""Objects: put, copied, read and deleted, under the conditions that the request sets."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sandbox.provider import Answer, Call, Refused
from sandbox.providers.s3 import body, buckets
from sandbox.providers.s3.xml import element, http_date, iso, refused, xml_answer

if TYPE_CHECKING:
    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS s3_buckets (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS s3_objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL, at REAL NOT NULL,
    headers TEXT NOT NULL, checksums TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (bucket, key));
"""
TABLES = ("s3_objects",)
META = "x-amz-meta-"
REFERENCE = f"{META}pipeline-id"  # becomes the ledger's `reference`
KEPT = ("content-type", "content-disposition", "cache-control", "content-encoding", "content-language", "expires")
LONGEST_KEY = 1024  # bytes
FIND = "SELECT bucket, key, etag, size, at, headers, checksums FROM s3_objects WHERE bucket = ? AND key = ?"


def find(world: World, bucket: str, key: str) -> sqlite3.Row | None:
    return world.store.one(FIND, (bucket, key))


def existing(world: World, bucket: str, key: str) -> sqlite3.Row:
    """Raises `NoSuchBucket` or `NoSuchKey`."""
    buckets.require(world, bucket)
    row = find(world, bucket, key)
    if row is None:
        raise refused(404, "NoSuchKey", "The specified key does not exist.", Key=key)
    return row


def quoted(etag: str) -> str:
    return f'"{etag}"'


def _matches(condition: str, row: sqlite3.Row) -> bool:
    return condition == "*" or quoted(row["etag"]) in [each.strip() for each in _with_quotes(condition)]


def _with_quotes(condition: str) -> list[str]:
    return [each if '"' in each else quoted(each.strip()) for each in condition.split(",")]


def check_write_conditions(call: Call, row: sqlite3.Row | None) -> None:
    """`If-None-Match: *` and `If-Match` of a put or copy. Raises 412, 404 or 501 as S3 does."""
    unless, only_if = call.headers.get("if-none-match"), call.headers.get("if-match")
    if unless not in (None, "*"):
        raise refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented.",
                      Header="If-None-Match")  # fmt: skip
    if unless == "*" and row is not None:
        raise precondition_failed("If-None-Match")
    if only_if is not None:
        if row is None:
            raise refused(404, "NoSuchKey", "The specified key does not exist.", Key=call.params["key"])
        if not _matches(only_if, row):
            raise precondition_failed("If-Match")


def precondition_failed(condition: str) -> Refused:
    message = "At least one of the pre-conditions you specified did not hold"
    return refused(412, "PreconditionFailed", message, Condition=condition)


def put(world: World, call: Call) -> Answer:
    """Stores the body. The answer has no body: boto3 takes any for an error."""
    bucket, key = call.params["bucket"], call.params["key"]
    buckets.require(world, bucket)
    if len(key.encode()) > LONGEST_KEY:
        raise refused(400, "KeyTooLongError", "Your key is too long", Size=str(len(key.encode())))
    data, checksums = body.read(call)
    check_write_conditions(call, find(world, bucket, key))
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    _store(world, call, (bucket, key), data, kept_headers(call), checksums)
    return Answer(200, headers={"etag": quoted(etag), **checksums, "x-amz-checksum-type": "FULL_OBJECT"})


def kept_headers(call: Call) -> dict[str, str]:
    """The headers that come back with the object."""
    headers = {name: call.headers[name] for name in KEPT if name in call.headers}
    encodings = [each.strip() for each in headers.pop("content-encoding", "").split(",")]
    if left := [each for each in encodings if each not in ("", "aws-chunked")]:
        headers["content-encoding"] = ",".join(left)
    headers.setdefault("content-type", "binary/octet-stream")
    return headers | {name: value for name, value in call.headers.items() if name.startswith(META)}


def _store(
    world: World, call: Call, name: tuple[str, str], data: bytes, headers: dict[str, str], checksums: dict[str, str]
) -> None:
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    world.store.execute(
        "INSERT OR REPLACE INTO s3_objects (bucket, key, etag, size, at, headers, checksums, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*name, etag, len(data), world.clock.now(), json.dumps(headers), json.dumps(checksums), data),
    )
    world.ledger.record(call.origin, "object_put", "/".join(name), reference=headers.get(REFERENCE))


def copy(world: World, call: Call) -> Answer:
    bucket, key = call.params["bucket"], call.params["key"]
    named = unquote(call.headers["x-amz-copy-source"].partition("?")[0]).lstrip("/")
    source_bucket, _, source_key = named.partition("/")
    buckets.require(world, bucket)
    source = existing(world, source_bucket, source_key)
    wanted = call.headers.get("x-amz-copy-source-if-match")
    unwanted = call.headers.get("x-amz-copy-source-if-none-match")
    if wanted is not None and not _matches(wanted, source):
        raise precondition_failed("x-amz-copy-source-If-Match")
    if unwanted is not None and _matches(unwanted, source):
        raise precondition_failed("x-amz-copy-source-If-None-Match")
    check_write_conditions(call, find(world, bucket, key))
    replace = call.headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    if (source_bucket, source_key) == (bucket, key) and not replace:
        message = "This copy request is illegal because it is trying to copy an object to itself without changing it."
        raise refused(400, "InvalidRequest", message)
    headers = kept_headers(call) if replace else json.loads(source["headers"])
    data = _data(world, source_bucket, source_key)
    _store(world, call, (bucket, key), data, headers, json.loads(source["checksums"]))
    inner = element("LastModified", iso(world.clock.now())) + element("ETag", quoted(source["etag"]))
    return xml_answer("CopyObjectResult", inner)


def _data(world: World, bucket: str, key: str) -> bytes:
    row = world.store.one("SELECT body FROM s3_objects WHERE bucket = ? AND key = ?", (bucket, key))
    return b"" if row is None else bytes(row["body"])


def described(call: Call, row: sqlite3.Row) -> dict[str, str]:
    """The headers of a get or head."""
    headers = {
        **json.loads(row["headers"]),
        "etag": quoted(row["etag"]),
        "last-modified": http_date(row["at"]),
        "accept-ranges": "bytes",
    }
    if call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
        headers |= {**json.loads(row["checksums"]), "x-amz-checksum-type": "FULL_OBJECT"}
    return headers


def check_read_conditions(call: Call, row: sqlite3.Row) -> Answer | None:
    """Raises 412 on `If-Match`; answers 304 on `If-None-Match`; None when the object is to be sent."""
    only_if, unless = call.headers.get("if-match"), call.headers.get("if-none-match")
    if only_if is not None and not _matches(only_if, row):
        raise precondition_failed("If-Match")
    if unless is not None and _matches(unless, row):
        return Answer(304, headers={"etag": quoted(row["etag"])})
    return None


def get(world: World, call: Call) -> Answer:
    row = existing(world, call.params["bucket"], call.params["key"])
    unchanged = check_read_conditions(call, row)
    if unchanged is not None:
        return unchanged
    data = _data(world, row["bucket"], row["key"])
    headers = described(call, row)
    span = _range(call.headers.get("range"), len(data))
    if span is None:
        return Answer(200, data, headers)
    first, last = span
    part = {name: value for name, value in headers.items() if not name.startswith("x-amz-checksum-")}
    return Answer(206, data[first : last + 1], {**part, "content-range": f"bytes {first}-{last}/{len(data)}"})


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None for none, or for one that S3 ignores. Raises 416."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if found is None or found[0] == "bytes=-":
        return None
    if found[1] == "":
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(size - 1, int(found[2] or size))
    if first >= size or first > last:
        raise refused(416, "InvalidRange", "The requested range is not satisfiable", ActualObjectSize=str(size))
    return first, last


def head(world: World, call: Call) -> Answer:
    """As `get` without the body; S3 sends no error body to a HEAD either."""
    row = existing(world, call.params["bucket"], call.params["key"])
    unchanged = check_read_conditions(call, row)
    if unchanged is not None:
        return unchanged
    return Answer(200, headers={**described(call, row), "content-length": str(row["size"])})


def delete(world: World, call: Call) -> Answer:
    """204 also when there was nothing; then nothing is recorded either."""
    bucket, key = call.params["bucket"], call.params["key"]
    buckets.require(world, bucket)
    row = find(world, bucket, key)
    only_if = call.headers.get("if-match")
    if only_if is not None and row is not None and not _matches(only_if, row):
        raise precondition_failed("If-Match")
    if row is not None:
        world.store.execute("DELETE FROM s3_objects WHERE bucket = ? AND key = ?", (bucket, key))
        reference = json.loads(row["headers"]).get(REFERENCE)
        world.ledger.record(call.origin, "object_deleted", f"{bucket}/{key}", reference=reference)
    return Answer(204)
