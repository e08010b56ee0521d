"""The bytes of an upload: freed from aws-chunked encoding and compared with every checksum that came along."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable

from sandbox.provider import Call
from sandbox.providers.s3.xml import refused

CHECKSUM = "x-amz-checksum-"
CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    f"{CHECKSUM}crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    f"{CHECKSUM}sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    f"{CHECKSUM}sha256": lambda data: hashlib.sha256(data).digest(),
}


def read(call: Call) -> tuple[bytes, dict[str, str]]:
    """The object's bytes and its verified `x-amz-checksum-…` headers. Raises S3's 400 on any difference."""
    data, trailer = _decoded(call)
    given = {name: value for name, value in {**call.headers, **trailer}.items() if _is_checksum(name)}
    verified = {name: value for name, value in given.items() if _verify(name, value, data)}
    _verify_md5(call.headers.get("content-md5"), data)
    _verify_payload_hash(call.headers.get("x-amz-content-sha256", ""), data)
    if not verified:
        name = f"{CHECKSUM}crc32"
        verified = {name: base64.b64encode(CHECKSUMS[name](data)).decode()}
    return data, verified


def _is_checksum(name: str) -> bool:
    return name.startswith(CHECKSUM) and name not in (f"{CHECKSUM}mode", f"{CHECKSUM}algorithm", f"{CHECKSUM}type")


def _verify(name: str, value: str, data: bytes) -> bool:
    digest = CHECKSUMS.get(name)
    if digest is None:
        raise refused(501, "NotImplemented", f"The sandbox verifies crc32, sha1 and sha256 only, not {name}")
    if base64.b64encode(digest(data)).decode() != value:
        kind = name.removeprefix(CHECKSUM).upper()
        raise refused(400, "BadDigest", f"The {kind} you specified did not match the calculated checksum.")
    return True


def _verify_md5(value: str | None, data: bytes) -> None:
    if value is None:
        return
    try:
        given = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise refused(400, "InvalidDigest", "The Content-MD5 you specified was invalid.") from error
    if len(given) != 16:
        raise refused(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
    if given != hashlib.md5(data, usedforsecurity=False).digest():
        raise refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")


def _verify_payload_hash(value: str, data: bytes) -> None:
    if re.fullmatch(r"[0-9a-f]{64}", value) and value != hashlib.sha256(data).hexdigest():
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise refused(400, "XAmzContentSHA256Mismatch", message)


def _decoded(call: Call) -> tuple[bytes, dict[str, str]]:
    """The payload and the trailing headers of an aws-chunked body; any other body as it is."""
    streaming = call.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    if not streaming and "aws-chunked" not in call.headers.get("content-encoding", ""):
        return call.body, {}
    chunks: list[bytes] = []
    at = 0
    while True:
        end = call.body.find(b"\r\n", at)
        size = re.match(rb"[0-9a-fA-F]+", call.body[at:end]) if end >= 0 else None
        if size is None:
            raise refused(400, "IncompleteBody", "The aws-chunked body could not be parsed.")
        at, length = end + 2, int(size[0], 16)
        if length == 0:
            break
        chunks.append(call.body[at : at + length])
        at += length + 2
    data = b"".join(chunks)
    if len(data) != int(call.headers.get("x-amz-decoded-content-length", len(data))):
        raise refused(400, "IncompleteBody", "You did not provide the number of bytes that you announced.")
    return data, _trailer(call.body[at:])


def _trailer(raw: bytes) -> dict[str, str]:
    lines = [line.partition(":") for line in raw.decode("latin-1").split("\r\n")]
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
