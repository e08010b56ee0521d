"""Reading what a request asks for; what the stand-in does not know is refused rather than passed over."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sandbox.provider import Call, Json
from sandbox.providers.modern_treasury.errors import invalid, missing

LONGEST_DESCRIPTION = 1_000  # characters
LONGEST_EXTERNAL_ID = 180


def fields(call: Call, allowed: Iterable[str], required: Iterable[str] = ()) -> Json:
    """The JSON object of the request. Raises Refused for what is no object, unknown or missing."""
    try:
        given = json.loads(call.body or b"{}")
    except ValueError as error:
        raise invalid("The request body must be valid JSON.", "body") from error
    if not isinstance(given, dict):
        raise invalid("The request body must be a JSON object.", "body")
    return known(given, allowed, required)


def known(given: Json, allowed: Iterable[str], required: Iterable[str] = (), within: str = "") -> Json:
    """`given`, checked against the names that may and must be there."""
    for name in required:
        if given.get(name) is None:
            raise missing(within + name)
    for name in sorted(set(given) - set(allowed)):
        raise invalid(f"{within}{name} is not a parameter of this request (as far as the sandbox knows it).", name)
    return given


def text(given: Json, name: str, longest: int = 255) -> str | None:
    value = given.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > longest):
        raise invalid(f"{name} must be a string of at most {longest} characters.", name)
    return value


def one_of(given: Json, name: str, allowed: Iterable[str]) -> str | None:
    value = text(given, name)
    if value is not None and value not in allowed:
        raise invalid(f"{name} must be one of: {', '.join(allowed)}.", name)
    return value


def metadata(given: Json, before: Json | None = None, name: str = "metadata") -> Json:
    """The metadata of before with that given laid over it; an empty value takes its key away."""
    value = given.get("metadata")
    if value is None:
        return dict(before or {})
    if not isinstance(value, dict) or not all(isinstance(each, str) or each is None for each in value.values()):
        raise invalid("metadata must be an object whose keys and values are strings.", name)
    return {key: each for key, each in {**(before or {}), **value}.items() if each}


def whole_number(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise invalid(f"{name} must be a whole number from {low} to {high}.", name)
    return value


def moment(given: Json, name: str) -> str | None:
    """An ISO 8601 time, as given."""
    value = text(given, name)
    if value is not None:
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise invalid(f"{name} must be an ISO 8601 time.", name) from error
    return value
