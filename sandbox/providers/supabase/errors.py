"""GoTrue's errors, in the form that the request's `X-Supabase-Api-Version` asks for."""

from __future__ import annotations

import json
from datetime import date

from sandbox.provider import Answer, Call, Refused

VERSION_HEADER = "x-supabase-api-version"
WITH_CODES = date(2024, 1, 1)  # from this version on `code` is the error's name, before it the HTTP status


def speaks_codes(version: str | None) -> bool:
    """Whether a request of this API version is answered in the newer form."""
    try:
        return date.fromisoformat(version or "") >= WITH_CODES
    except ValueError:
        return False


def error_answer(version: str | None, status: int, code: str, message: str) -> Answer:
    newer = {"code": code, "message": message}
    older = {"code": status, "error_code": code, "msg": message}
    body = json.dumps(newer if speaks_codes(version) else older).encode()
    return Answer(status, body, {"content-type": "application/json", "x-sb-error-code": code})


def refused(call: Call, status: int, code: str, message: str) -> Refused:
    return Refused(error_answer(call.headers.get(VERSION_HEADER), status, code, message))


def invalid(call: Call, message: str, status: int = 400) -> Refused:
    return refused(call, status, "validation_failed", message)


def not_found(call: Call) -> Refused:
    return refused(call, 404, "user_not_found", "User not found")


def words(kind: str, _: float) -> Answer:
    """A fault as GoTrue words it, in both forms at once: what befell the request asked for neither."""
    match kind:
        case "rate_limit":
            return _both(429, "over_request_rate_limit", "Request rate limit reached")
        case "conflict":
            return _both(409, "conflict", "Too many current requests")
        case "unauthorised":
            return _both(401, "no_authorization", "This endpoint requires a valid Bearer token")
        case "bad_request":
            return _both(400, "bad_json", "Could not parse request body as JSON")
    return _both(500, "unexpected_failure", "Unexpected failure, please check server logs for more information")


def _both(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"code": code, "error_code": code, "message": message, "msg": message}).encode()
    return Answer(status, body, {"content-type": "application/json", "x-sb-error-code": code})
