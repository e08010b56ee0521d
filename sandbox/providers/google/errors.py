"""Google's errors: `{"error": {"code", "message", "status", "details"?}}`."""

from __future__ import annotations

import json

from sandbox.provider import Answer, Json, Refused


def error_answer(code: int, status: str, message: str, details: list[Json] | None = None) -> Answer:
    error: Json = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = details
    return Answer(code, json.dumps({"error": error}).encode(), {"content-type": "application/json; charset=UTF-8"})


def invalid(message: str) -> Refused:
    return Refused(error_answer(400, "INVALID_ARGUMENT", message))


def words(kind: str, _: float) -> Answer:
    match kind:
        case "rate_limit":
            message = "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute'."
            return error_answer(429, "RESOURCE_EXHAUSTED", message)
        case "conflict":
            return error_answer(409, "ABORTED", "The operation was aborted.")
        case "unauthorised":
            return error_answer(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        case "bad_request":
            return error_answer(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
    return error_answer(500, "INTERNAL", "Internal error encountered.")
