"""Twilio's errors: `{"code", "message", "more_info", "status"}`."""

from __future__ import annotations

import json

from sandbox.provider import Answer, Refused


def error_answer(status: int, code: int, message: str) -> Answer:
    error = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Answer(status, json.dumps(error).encode(), {"content-type": "application/json"})


def invalid(code: int, message: str) -> Refused:
    return Refused(error_answer(400, code, message))


def not_found(path: str) -> Answer:
    return error_answer(404, 20404, f"The requested resource {path} was not found")


def words(kind: str, _: float) -> Answer:
    match kind:
        case "rate_limit":
            return error_answer(429, 20429, "Too Many Requests")
        case "conflict":
            return error_answer(409, 20409, "Conflict")
        case "unauthorised":
            return error_answer(401, 20003, "Authenticate")
        case "bad_request":
            return error_answer(400, 21606, "The From number is not a valid, SMS-capable Twilio number")
    return error_answer(500, 20500, "An internal server error has occurred")
