"""Heads that are refused before anything parses them: too long together, or one of them (RFC 6585, 431)."""

from collections.abc import Sequence
from typing import Any

from config.web import limits
from pipeline.api.problems import Problem

_PER_LINE = 4  # bytes that each header has besides its name and value: ": " and the line's end


def refusal(scope: dict[str, Any]) -> Problem | None:
    """The answer to a head that is over a limit; None when it is within all limits."""
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    target = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    if target > limits.MAX_TARGET:
        detail = f"The path and the query may have {limits.MAX_TARGET} bytes together."
        return Problem(414, "target_too_long", "Address too long", detail)
    if len(headers) > limits.MAX_HEADERS:
        return _too_large(f"A request may have {limits.MAX_HEADERS} headers.")
    if target + sum(len(name) + len(value) + _PER_LINE for name, value in headers) > limits.MAX_HEAD:
        return _too_large(f"All headers together may have {limits.MAX_HEAD} bytes: send fewer or shorter ones.")
    for name, value in headers:
        most = limits.NARROWER.get(name, limits.MAX_HEADER)
        if len(value) > most:
            return _too_large(f"The header {_shown(name)} may have {most} bytes.")
    return None


def _too_large(detail: str) -> Problem:
    return Problem(431, "headers_too_large", "Headers too large", detail)


def _shown(name: bytes) -> str:
    """The header's name if it is one that is known to be long; others could be anything."""
    return name.decode() if name in limits.NARROWER else "that is longest"
