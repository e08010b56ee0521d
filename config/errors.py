"""Django's own errors: problem details under /api/ and /webhooks/, pages elsewhere."""

import sys
from collections.abc import Callable
from typing import Any, Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import loader
from django.views import defaults
from django.views.csrf import csrf_failure as csrf_page
from django.views.decorators.csrf import csrf_exempt

from pipeline.api.problems import Problem, as_problem, not_found, server_error

_MACHINES: Final = ("/api/", "/webhooks/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler400: malformed requests, wrong hosts, bodies over the limit."""
    problem = as_problem(exception) or Problem(400, "bad_request", "Bad request", "The request is malformed.")
    return _answer(request, problem.response, lambda: defaults.bad_request(request, exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler403."""
    problem = Problem(403, "permission_denied", "Not allowed", "You may not do this.")
    return _answer(request, problem.response, lambda: defaults.permission_denied(request, exception))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler404."""
    return _answer(request, not_found().response, lambda: defaults.page_not_found(request, exception))


def internal(request: HttpRequest) -> HttpResponseBase:
    """handler500. A database that is away is no mistake of ours: 503."""
    raised = sys.exc_info()[1]
    known = as_problem(raised) if isinstance(raised, OperationalError | InterfaceError) else None
    return _answer(
        request,
        known.response if known is not None else lambda: server_error(request),
        lambda: defaults.server_error(request) if known is None else _unavailable_page(known),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """CSRF_FAILURE_VIEW."""
    problem = Problem(403, "csrf_failed", "Not allowed", "The CSRF token is missing or wrong.")
    return _answer(request, problem.response, lambda: csrf_page(request, reason))


@csrf_exempt
def unknown_route(request: HttpRequest, **_: Any) -> HttpResponse:
    """Every address under /api/ that is none: 404 for every method, without a redirect that loses a body."""
    hint = "" if request.path.endswith("/") else " Addresses here end with a slash."
    return not_found(f"There is nothing at this address.{hint}").response()


def _unavailable_page(problem: Problem) -> HttpResponse:
    """Made without the request, whose user would be looked for in the database."""
    page = loader.get_template("503.html").render()
    return HttpResponse(page, status=problem.status_code, headers=problem.headers | {"Cache-Control": "no-store"})


def _answer(
    request: HttpRequest, problem: Callable[[], HttpResponse], page: Callable[[], HttpResponseBase]
) -> HttpResponseBase:
    return problem() if request.path.startswith(_MACHINES) else page()
