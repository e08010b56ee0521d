"""S3's XML answers and errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import escape  # nosec B406 # it writes XML and parses none

from sandbox.provider import Answer, Refused

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
XML_TYPE = {"content-type": "application/xml"}


def element(name: str, value: str | int | None) -> str:
    return "" if value is None else f"<{name}>{escape(str(value))}</{name}>"


def xml_answer(root: str, inner: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = f"{DECLARATION}<{root} {NAMESPACE}>{inner}</{root}>"
    return Answer(200, body.encode(), {**XML_TYPE, **(headers or {})})


def error_answer(status: int, code: str, message: str, **more: str) -> Answer:
    """`<Error>` with S3's code; `more` are further elements such as `Key`."""
    inner = element("Code", code) + element("Message", message)
    inner += "".join(element(name, value) for name, value in more.items())
    return Answer(status, f"{DECLARATION}<Error>{inner}</Error>".encode(), XML_TYPE)


def refused(status: int, code: str, message: str, **more: str) -> Refused:
    return Refused(error_answer(status, code, message, **more))


def words(kind: str, seconds: float) -> Answer:
    """A fault as S3 words it. S3 calls too many requests `SlowDown`; the status is 429 as for every provider here."""
    match kind:
        case "rate_limit":
            answer = error_answer(429, "SlowDown", "Please reduce your request rate.")
            return Answer(429, answer.body, {**answer.headers, "retry-after": str(max(1, round(seconds)))})
        case "conflict":
            message = "The conditional request cannot succeed due to a conflicting operation against this resource."
            return error_answer(409, "ConditionalRequestConflict", message)
        case "unauthorised":
            return error_answer(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        case "bad_request":
            return error_answer(400, "InvalidArgument", "Invalid Argument")
    return error_answer(500, "InternalError", "We encountered an internal error. Please try again.")


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def http_date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
