"""Errors as problem details (RFC 9457): what the API raises, and how every other exception is worded.

Whatever `Accept` says, an error is `application/problem+json`. Nothing internal is told; a 500 carries a
correlation id that stands in the log.
"""

import json
import logging
import math
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions
from rest_framework.views import set_rollback

from pipeline.api.resource import path
from pipeline.errors import IllegalAction

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = 1  # seconds, when the database is away: its clients come back at their own pace anyway

# No client reads more, and the answer stays small for any request.
MOST_ERRORS: Final = 50
_LONGEST_NAME: Final = 100
_LONGEST_DETAIL: Final = 500

FieldError = dict[str, str]


class Problem(exceptions.APIException):
    """An answer that is an error. `code` for programs; `title` and `detail` for people. At most 50 `errors`."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        pipeline: uuid.UUID | None = None,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status_code = status
        self.code = code
        self.title = title
        self.text = detail[:_LONGEST_DETAIL]
        self.errors = [_short(error) for error in errors[:MOST_ERRORS]]
        self.pipeline = pipeline
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The problem object."""
        made: dict[str, Any] = {
            "type": f"urn:problem:{self.code.replace('_', '-')}",
            "title": self.title,
            "status": self.status_code,
            "code": self.code,
        }
        if self.text:
            made["detail"] = self.text
        if self.pipeline is not None:
            made |= {"instance": path(self.pipeline), "pipeline": str(self.pipeline)}
        if self.errors:
            made["errors"] = self.errors
        return self.members | made

    def response(self) -> HttpResponse:
        """The answer."""
        response = HttpResponse(
            json.dumps(self.body()), content_type=CONTENT_TYPE, status=self.status_code, headers=self.headers
        )
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's hook. None lets the exception on to Django, which logs it and calls `server_error`."""
    problem = as_problem(exc)
    if problem is None:
        return None
    set_rollback()
    return problem.response()


def as_problem(exc: Exception) -> Problem | None:
    """The exception in the API's words; None for one that is our own mistake."""
    match exc:
        case Problem():
            return exc
        case exceptions.APIException():
            return _of_framework(exc)
        case OperationalError() | InterfaceError():
            log.warning("the database does not answer: %s", type(exc).__name__)
            return unavailable("The database does not answer at the moment: repeat the request.")
        case IllegalAction():
            return Problem(409, "illegal_action", "Not possible now", str(exc))
    return _of_django(exc)


def unavailable(detail: str, *, retry_after: int = RETRY_AFTER) -> Problem:
    """503 with Retry-After, in seconds."""
    return Problem(503, "unavailable", "Not available at the moment", detail, headers={"Retry-After": str(retry_after)})


def too_large(limit: int) -> Problem:
    """413 for a whole body over the limit, in bytes."""
    size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    detail = f"The whole body may have {limit} bytes ({size})."
    return Problem(413, "body_too_large", "Body too large", detail)


def not_found(detail: str = "There is nothing at this address.") -> Problem:
    """404 for an address, or a thing in it, that does not exist."""
    return Problem(404, "not_found", "Not found", detail)


def no_pipeline() -> Problem:
    """404 for an id that no pipeline has."""
    return not_found("There is no pipeline of this id.")


def throttled(detail: str, retry_after: float, *, code: str = "throttled") -> Problem:
    """429; `retry_after` in seconds."""
    headers = {"Retry-After": str(max(1, math.ceil(retry_after)))}
    return Problem(429, code, "Too many requests", detail, headers=headers)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 with a correlation id, under which the log has the exception."""
    correlation = uuid.uuid4().hex
    log.error("correlation id %s: %s", correlation, getattr(sys.exc_info()[0], "__name__", "unknown"))
    detail = f"Something went wrong here. If you tell us, name {correlation}."
    return Problem(500, "server_error", "Server error", detail, members={"correlation_id": correlation}).response()


def _of_framework(exc: exceptions.APIException) -> Problem:
    match exc:
        case exceptions.Throttled():
            return throttled("You have sent too many requests: wait a while.", getattr(exc, "wait", None) or 1)
        case exceptions.ValidationError():
            return Problem(400, "invalid", "Wrong fields", "See errors.", errors=field_errors(exc.detail))
        case exceptions.UnsupportedMediaType():
            detail = "Send application/json or multipart/form-data."
            return Problem(415, "unsupported_media_type", "Media type not supported", detail)
        case exceptions.ParseError():
            return Problem(400, "unparseable", "The body cannot be read", str(exc.detail))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            header = getattr(exc, "auth_header", "") or "Token"
            return Problem(
                401, str(exc.get_codes()), "Not authenticated", str(exc.detail), headers={"WWW-Authenticate": header}
            )
    titles = {403: "Not allowed", 404: "Not found", 405: "Method not allowed", 406: "Not acceptable"}
    return Problem(exc.status_code, str(exc.get_codes()), titles.get(exc.status_code, "Refused"), str(exc.detail))


def _of_django(exc: Exception) -> Problem | None:
    match exc:
        case Http404():
            return not_found()
        case PermissionDenied():
            return Problem(403, "permission_denied", "Not allowed", "You may not do this.")
        case RequestDataTooBig():
            from django.conf import settings

            return too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        case MultiPartParserError() | UnreadablePostError():
            return Problem(400, "unparseable", "The body cannot be read", "The multipart body is damaged or cut off.")
        case BadRequest() | SuspiciousOperation():
            return Problem(400, "bad_request", "Bad request", "The request is malformed.")
    return None


def field_errors(detail: Any, prefix: str = "") -> list[FieldError]:
    """DRF's nested details as a flat list; a field within a list is named `items.0.amount`."""
    if isinstance(detail, Mapping):
        return [error for name, inner in detail.items() for error in field_errors(inner, _path(prefix, str(name)))]
    if isinstance(detail, list):
        found: list[FieldError] = []
        for position, inner in enumerate(detail):
            nested = isinstance(inner, Mapping | list)
            found += field_errors(inner, f"{prefix}.{position}" if nested and prefix else prefix)
        return found
    return [{"field": prefix, "code": str(getattr(detail, "code", "invalid")), "detail": str(detail)}]


def _short(error: FieldError) -> FieldError:
    """The error with a name and a sentence of bounded length."""
    return error | {
        "field": error["field"][:_LONGEST_NAME],
        "detail": error["detail"][:_LONGEST_DETAIL],
    }


def _path(prefix: str, name: str) -> str:
    """What concerns a whole object or list is named as that is."""
    if name == "non_field_errors":
        return prefix
    return f"{prefix}.{name}" if prefix else name
