"""ListObjectsV2."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from sandbox.provider import Answer, Call
from sandbox.providers.s3 import buckets
from sandbox.providers.s3.xml import element, iso, refused, xml_answer

if TYPE_CHECKING:
    from sandbox.world import World

MOST = 1_000
LAST = chr(0x10FFFF)  # after every key that begins like the text before it


def listed(world: World, call: Call) -> Answer:
    """Up to `max-keys` keys and common prefixes, in order, with a token for the rest."""
    asked = dict(parse_qsl(call.query, keep_blank_values=True))
    bucket, prefix, delimiter = call.params["bucket"], asked.get("prefix", ""), asked.get("delimiter", "")
    buckets.require(world, bucket)
    most = _most(asked.get("max-keys", str(MOST)))
    after = _after(asked)
    rows, prefixes, truncated, last = _walk(world, bucket, prefix, delimiter, after, most)
    shown = quote if asked.get("encoding-type") == "url" else str
    inner = [
        element("Name", bucket),
        element("Prefix", shown(prefix)),
        element("Delimiter", shown(delimiter)) if delimiter else "",
        element("KeyCount", len(rows) + len(prefixes)),
        element("MaxKeys", most),
        element("EncodingType", asked.get("encoding-type")),
        element("IsTruncated", "true" if truncated else "false"),
        element("ContinuationToken", asked.get("continuation-token")),
        element("NextContinuationToken", base64.urlsafe_b64encode(last.encode()).decode() if truncated else None),
        element("StartAfter", shown(asked["start-after"]) if "start-after" in asked else None),
        *(_contents(row, shown(row["key"])) for row in rows),
        *(f"<CommonPrefixes>{element('Prefix', shown(each))}</CommonPrefixes>" for each in prefixes),
    ]
    return xml_answer("ListBucketResult", "".join(inner))


def _most(given: str) -> int:
    if not given.isdecimal():
        raise refused(400, "InvalidArgument", "Provided max-keys not an integer or within integer range")
    return min(MOST, int(given))


def _after(asked: dict[str, str]) -> str:
    token = asked.get("continuation-token")
    if token is None:
        return asked.get("start-after", "")
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise refused(400, "InvalidArgument", "The continuation token provided is incorrect") from error


def _walk(
    world: World, bucket: str, prefix: str, delimiter: str, after: str, most: int
) -> tuple[list[sqlite3.Row], list[str], bool, str]:
    """Rows, common prefixes, whether there is more, and the last key or prefix looked at."""
    rows: list[sqlite3.Row] = []
    prefixes: list[str] = []
    last = after
    while True:
        row = world.store.one(
            "SELECT key, etag, size, at FROM s3_objects WHERE bucket = ? AND key > ? AND key >= ? AND key < ? "
            "ORDER BY key LIMIT 1",
            (bucket, last, prefix, prefix + LAST),
        )
        if row is None:
            return rows, prefixes, False, last
        if len(rows) + len(prefixes) >= most:
            return rows, prefixes, most > 0, last
        head, found, _ = row["key"][len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if found:
            prefixes.append(prefix + head + delimiter)
            last = prefixes[-1] + LAST
        else:
            rows.append(row)
            last = row["key"]


def _contents(row: sqlite3.Row, key: str) -> str:
    inner = element("Key", key) + element("LastModified", iso(row["at"])) + element("ETag", f'"{row["etag"]}"')
    return f"<Contents>{inner}{element('Size', row['size'])}<StorageClass>STANDARD</StorageClass></Contents>"
