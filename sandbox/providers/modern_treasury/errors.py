"""Modern Treasury's errors: `{"errors": {"code", "message", "parameter"}}`, an object and not a list.

None of them is kept under an idempotency key: only what succeeded is.
"""

from __future__ import annotations

import json
import math

from sandbox.provider import Answer, Refused


def error_answer(status: int, code: str, message: str, parameter: str | None = None) -> Answer:
    error = {"code": code, "message": message} | ({} if parameter is None else {"parameter": parameter})
    body = json.dumps({"errors": error}).encode()
    return Answer(status, body, {"content-type": "application/json"}, storable=False)


def invalid(message: str, parameter: str) -> Refused:
    return Refused(error_answer(422, "parameter_invalid", message, parameter))


def missing(parameter: str) -> Refused:
    return Refused(error_answer(422, "parameter_missing", f"Missing required parameter: {parameter}", parameter))


def not_found(kind: str, object_id: str) -> Refused:
    return Refused(error_answer(404, "resource_not_found", f"No {kind} exists with the ID {object_id}"))


def words(kind: str, seconds: float) -> Answer:
    """A fault as Modern Treasury words it; too many requests name the wait in `Retry-After`, whole seconds."""
    match kind:
        case "rate_limit":
            answer = error_answer(429, "rate_limited", "Too many requests. Please try again later.")
            return Answer(429, answer.body, {**answer.headers, "retry-after": str(math.ceil(seconds))}, storable=False)
        case "conflict":
            return error_answer(409, "conflict", "The resource is being changed by another request. Please try again.")
        case "unauthorised":
            return error_answer(401, "unauthorized", "The API key is not valid.")
        case "bad_request":
            return error_answer(400, "parameter_invalid", "The request is not valid.", "ledger_entries")
    return error_answer(500, "internal_server_error", "Something went wrong on our end.")
