"""The request headers that the API reads: Idempotency-Key, Prefer, If-None-Match."""

import re
from typing import Final

from django.http import HttpRequest
from django.utils.http import parse_etags

from pipeline.api.cards import has_card_number
from pipeline.api.problems import Problem

LONGEST_WAIT: Final = 30  # seconds

_VISIBLE: Final = re.compile(r"[\x21-\x7e]{8,255}")
_QUOTED: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_WAIT: Final = re.compile(r"\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:;.*)?", re.IGNORECASE)


def idempotency_key(request: HttpRequest) -> str:
    """The key, whether it came bare or as a structured-field string; Problem 400 when missing or malformed.

    draft-ietf-httpapi-idempotency-key-header; a string of RFC 9651 escapes only `"` and the backslash.
    """
    header = request.headers.get("Idempotency-Key", "").strip(" \t")
    if not header:
        detail = "Send the header Idempotency-Key: a new random one for each submission, such as a UUID."
        raise Problem(400, "idempotency_key_missing", "Idempotency-Key missing", detail)
    key: str | None = header
    if header.startswith('"'):
        quoted = _QUOTED.fullmatch(header)
        key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else None
    if key is None or not _VISIBLE.fullmatch(key):
        detail = "An Idempotency-Key has 8 to 255 visible ASCII characters, bare or as a quoted string."
        raise Problem(400, "idempotency_key_malformed", "Idempotency-Key malformed", detail)
    if has_card_number(key):
        detail = "This Idempotency-Key looks like a card number, and keys are kept for ever: send a random one."
        raise Problem(400, "idempotency_key_malformed", "Idempotency-Key malformed", detail)
    return key


def wait_seconds(request: HttpRequest) -> int:
    """`Prefer: wait=N` (RFC 7240), at most 30 seconds; 0 without one or with one that cannot be read."""
    for preference in request.headers.get("Prefer", "").split(","):
        if found := _WAIT.fullmatch(preference):
            return min(int(found[1]), LONGEST_WAIT)
    return 0


def is_known(request: HttpRequest, etag: str) -> bool:
    """Whether If-None-Match names this entity tag (RFC 9110, 13.1.2: weakly compared)."""
    tags = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in tags or any(tag.removeprefix("W/") == etag for tag in tags)
