"""What an administrator may say of a user, checked as GoTrue checks it."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta

from sandbox.clock import rfc3339
from sandbox.provider import Call, Json
from sandbox.providers.supabase.errors import invalid, refused

ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 6, 72  # characters; bytes that bcrypt looks at
# Go's time.ParseDuration.
DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+")
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}
TYPES: dict[str, type] = {
    "id": str,
    "aud": str,
    "role": str,
    "email": str,
    "phone": str,
    "password": str,
    "password_hash": str,
    "ban_duration": str,
    "email_confirm": bool,
    "phone_confirm": bool,
    "user_metadata": dict,
    "app_metadata": dict,
}


def body(call: Call) -> Json:
    """The request's JSON object, empty when it has none. Raises Refused."""
    try:
        given = json.loads(call.body or b"{}")
    except ValueError as error:
        raise refused(call, 400, "bad_json", "Could not parse request body as JSON") from error
    if not isinstance(given, dict):
        raise refused(call, 400, "bad_json", "Could not parse request body as JSON: an object is needed")
    return given


def read(call: Call) -> Json:
    """The attributes that the request gives; null is as if it were not there. Raises Refused."""
    given = {name: value for name, value in body(call).items() if value is not None}
    for name, value in given.items():
        if name in TYPES and not isinstance(value, TYPES[name]):
            message = f"Could not parse request body as JSON: {name} must be of type {TYPES[name].__name__}"
            raise refused(call, 400, "bad_json", message)
    if given.get("email"):
        given["email"] = _address(call, given["email"])
    if "password" in given and given.get("password_hash"):
        raise invalid(call, "Only a password or a password hash should be provided")
    if len(given.get("password", "").encode()) > LONGEST_PASSWORD:
        raise invalid(call, f"Password cannot be longer than {LONGEST_PASSWORD} characters")
    return given


def _address(call: Call, given: str) -> str:
    if len(given) > 255:
        raise invalid(call, "An email address is too long")
    if ADDRESS.fullmatch(given) is None:
        raise invalid(call, "Unable to validate email address: invalid format")
    return given.lower()


def chosen_id(call: Call, given: Json) -> str:
    """The id that the request chooses, else a new one."""
    if not given.get("id"):
        return str(uuid.uuid4())
    try:
        chosen = uuid.UUID(given["id"])
    except ValueError as error:
        raise invalid(call, "ID must conform to the uuid v4 format") from error
    if chosen.int == 0:
        raise invalid(call, "ID cannot be a nil uuid")
    return str(chosen)


def banned_until(call: Call, duration: str, now: float) -> str | None:
    """When a ban of `duration` (as `24h`, `1h30m`, or `none`) ends; None for no ban."""
    if duration in ("none", "0"):
        return None
    match = DURATION.fullmatch(duration)
    if match is None:
        raise invalid(call, f'invalid format for ban duration: time: invalid duration "{duration}"')
    seconds = sum(float(count) * UNITS[unit] for count, unit in PART.findall(duration))
    if seconds > timedelta(days=292 * 365).total_seconds():  # Go counts nanoseconds in 64 bits
        raise invalid(call, f'invalid format for ban duration: time: invalid duration "{duration}"')
    ends = now - seconds if match[1] == "-" else now + seconds
    return rfc3339(ends) if seconds else None


def merged(before: Json, given: Json) -> Json:
    """Metadata with that given laid over it; null takes a key away."""
    return {key: value for key, value in {**before, **given}.items() if value is not None}
