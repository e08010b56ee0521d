"""The form: it shows what is asked for and hands what was typed to the API's acceptance."""

from typing import Any, Final

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from pipeline.api.acceptance import Invalid, NotKnown, Submitter, TooManyRefused, accept
from pipeline.api.clients import client_of
from pipeline.api.throttles import Throttle
from pipeline.start import KeyReused, TooManyOpen
from postings import captcha
from postings.forms import Errors, PostingForm, raw_fields
from postings.submission import PostingAcceptance

ACCEPTANCE: Final = PostingAcceptance()
RETRY_SOON: Final = 5  # seconds

_TOO_LARGE = "What you sent is larger than 4 MiB in all. Go back, choose a smaller logo and send it again."
_REUSED = (
    "This form was submitted before, with other content. That submission goes on by itself, and its progress page "
    "tells what becomes of it. To submit this content as well, send the form once more."
)
_NOT_KNOWN = "The shop could not be reached just now. Send the form once more: it is accepted at most once."
_TOO_FAST = "There were too many submissions from your network in a short time. Please try again in {} seconds."


@csrf_exempt  # checked in `_submit`: reading the token reads the whole body, which has to be small enough first
@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_cache=True)
def submit(request: HttpRequest) -> HttpResponse:
    """GET shows the form; POST answers 303 to the progress page, or the form with everything that is wrong.

    Errors: 400 wrong fields, 413 too large, 422 form used before, 429 too many, 503 not known to be accepted.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return render(request, "postings/message_page.html", {"heading": "Too large", "text": _TOO_LARGE}, status=413)
    return _submit(request)


@csrf_protect
def _submit(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return render(request, "postings/submit.html", {"form": PostingForm(), "captcha": captcha.shown()})
    throttle = Throttle()
    if not throttle.allow_request(request, _Scope()):  # type: ignore[arg-type] # it reads user and META alone
        wait = round(throttle.wait() or RETRY_SOON)
        return _again(request, {"": [("throttled", _TOO_FAST.format(wait))]}, 429, retry_after=wait)
    return _accepted(request)


class _Scope:
    """The form and the API share one rate."""

    throttle_scope = "submit"


def _accepted(request: HttpRequest) -> HttpResponse:
    """The progress page of the form's pipeline, however often the form was sent."""
    form = PostingForm(request.POST)
    fields = raw_fields(request.POST)
    fields |= _files(request)
    by = Submitter(request.user.pk, client_of(request))
    try:
        started = accept(ACCEPTANCE, fields, key=form.key, by=by)
    except Invalid as invalid:
        return _again(request, _by_field(invalid), 400)
    except KeyReused:
        return _again(request, {"": [("idempotency_key_reused", _REUSED)]}, 422, is_new=True)
    except TooManyOpen as many:
        return _again(request, {"": [("too_many_open", str(many))]}, 429, retry_after=RETRY_SOON)
    except TooManyRefused as many:
        return _again(
            request, {"": [("too_many_refused", str(many))]}, 429, retry_after=round(many.retry_after.total_seconds())
        )
    except (NotKnown, OperationalError, InterfaceError):
        return _again(request, {"": [("unavailable", _NOT_KNOWN)]}, 503, retry_after=RETRY_SOON)
    return HttpResponseRedirect(reverse("postings:progress", args=[started.id]), status=303)


def _files(request: HttpRequest) -> dict[str, Any]:
    """The logo, if a file was chosen: without one a browser sends a part that has neither a name nor content."""
    logos = [*request.FILES.getlist("logo"), *filter(None, request.POST.getlist("logo"))]
    others = {name: file for name, file in request.FILES.items() if name != "logo"}
    return others | ({"logo": logos[0] if len(logos) == 1 else logos} if logos else {})


def _again(
    request: HttpRequest, errors: Errors, status: int, *, retry_after: int | None = None, is_new: bool = False
) -> HttpResponse:
    """The form with what was typed and what is wrong; `is_new` gives it another key."""
    form = PostingForm(request.POST)
    form.forget_cards()
    if is_new:
        form.renew_key()
    form.refuse(errors)
    context = {"form": form, "had_logo": bool(request.FILES.get("logo")), "captcha": captcha.shown()}
    response = render(request, "postings/submit.html", context, status=status)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def _by_field(invalid: Invalid) -> Errors:
    found: dict[str, list[tuple[str, str]]] = {}
    for error in invalid.errors:
        found.setdefault(error["field"], []).append((error["code"], error["detail"]))
    return found
