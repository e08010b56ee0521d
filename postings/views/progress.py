"""The live progress page. Whoever holds the pipeline's unguessable id may look, cancel and confirm."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.decorators import decorator_from_middleware
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from pipeline import actions
from pipeline.api import resource
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline, Step
from pipeline.registry import words_of
from pipeline.states import OPEN, PipelineState, StepState
from pipeline.workflow import StepFailure
from postings.providers import sandbox
from postings.workflow import PublishPosting

View = Callable[..., HttpResponseBase]

# How each step's state reads to the customer, and the look of its line.
STEPS: Final = {
    StepState.PENDING: ("to do", ""),
    StepState.STAGING: ("in progress", "working"),
    StepState.STAGED: ("ready", "done"),
    StepState.COMMITTING: ("being completed", "working"),
    StepState.COMMITTED: ("done", "done"),
    StepState.ROLLING_BACK: ("being undone", "working"),
    StepState.ROLLED_BACK: ("undone", "undone"),
    StepState.SKIPPED: ("not needed", ""),
}
# How often the page asks, by how long nothing has changed: most pipelines end within a second or two.
EVERY: Final = (
    (timedelta(seconds=30), 1),
    (timedelta(minutes=2), 2),
    (timedelta(minutes=10), 5),
)
EVERY_AT_MOST: Final = 15  # seconds


class _TokenAlone(CsrfViewMiddleware):
    """For a page with `Referrer-Policy: no-referrer`, whose forms browsers post with `Origin: null` (Fetch, 3.2).

    The token still proves that the form is ours; any other foreign origin is refused as everywhere.
    """

    def _origin_verified(self, request: HttpRequest) -> bool:
        is_ours = super()._origin_verified(request)  # type: ignore[misc] # not in the stubs
        return request.META.get("HTTP_ORIGIN") == "null" or bool(is_ours)


_protected = decorator_from_middleware(_TokenAlone)


def _from_progress_page(view: View) -> View:
    """A POST by a form of the progress page."""
    return csrf_exempt(_protected(require_POST(view)))


@require_safe
def progress(request: HttpRequest, pipeline_id: uuid.UUID) -> HttpResponse:
    """The page; for htmx its changing part, or 204 when nothing has changed since `seen`."""
    pipeline = get_object_or_404(Pipeline.objects.defer("input", "secrets"), pk=pipeline_id)
    every = _every(pipeline)
    is_fragment = bool(getattr(request, "htmx", False))
    has_changed = (request.GET.get("seen"), request.GET.get("every")) != (str(pipeline.seq), str(every))
    if is_fragment and not has_changed:
        return _private(HttpResponse(status=204))
    template = "postings/progress_fragment.html" if is_fragment else "postings/progress.html"
    return _private(render(request, template, _context(pipeline, every) | {"is_fragment": is_fragment}))


@_from_progress_page
def cancel(request: HttpRequest, pipeline_id: uuid.UUID) -> HttpResponse:
    """Turn it back, if it is not decided yet."""
    pipeline = get_object_or_404(Pipeline.objects.only("pk"), pk=pipeline_id)
    try:
        actions.cancel(pipeline.pk)
    except IllegalAction:
        messages.error(request, "It could not be cancelled any more: it is decided already.")
    return _back(pipeline_id)


@_from_progress_page
def authenticate(request: HttpRequest, pipeline_id: uuid.UUID) -> HttpResponse:
    """Only with a sandbox: be the cardholder whom the bank asks. Then the provider is asked at once."""
    if not settings.SANDBOX_URL:
        raise Http404("There is no sandbox here.")
    step = get_object_or_404(Step.objects.filter(pipeline_id=pipeline_id, name="payment"))
    outcome: sandbox.Outcome = "fail" if request.POST.get("outcome") == "fail" else "succeed"
    try:
        sandbox.authenticate(str(step.data.get("intent", "")), outcome)
    except StepFailure:
        messages.error(request, "The bank did not take your answer: the payment is not waiting for it.")
        return _back(pipeline_id)
    with suppress(IllegalAction):  # the webhook may have been faster
        actions.resume(pipeline_id)
    return _back(pipeline_id)


def _context(pipeline: Pipeline, every: int) -> dict[str, Any]:
    words = words_of(pipeline.workflow, pipeline.version)
    shown = resource.render(pipeline, list(pipeline.steps.order_by("position")), settings.SITE_URL)
    is_undoing = pipeline.state in (PipelineState.ROLLING_BACK, PipelineState.ROLLED_BACK)
    bar = (
        (shown["progress"]["completed"], shown["progress"]["total"])
        if is_undoing
        else (shown["progress"]["percent"], 100)
    )
    return {
        "pipeline": shown,
        "bar": {"value": bar[0], "max": bar[1], "is_undoing": is_undoing},
        "headline": words.headline(pipeline.state),
        "words": words,
        "steps": [_step(step) for step in shown["steps"]],
        "deadline": pipeline.deadline_at,
        "posting_url": ((pipeline.result or {}).get("posting") or {}).get("url"),
        "is_terminal": pipeline.is_terminal,
        "is_cancelled": pipeline.is_cancelled,
        "is_sandbox": bool(settings.SANDBOX_URL),
        "may_cancel": pipeline.state in OPEN,
        "may_repeat": pipeline.is_terminal and pipeline.workflow == PublishPosting.name,
        "address": reverse("postings:progress", args=[pipeline.pk]),
        "seen": pipeline.seq,
        "every": every,
    }


def _step(step: dict[str, Any]) -> dict[str, Any]:
    """One line of the list; its next attempt only while that is still to come."""
    words, kind = STEPS[StepState(step["state"])]
    again = step["next_attempt_at"]
    at = parse_datetime(again) if isinstance(again, str) else again
    upcoming = at if at is not None and at > timezone.now() else None
    return {"label": step["label"], "words": words, "kind": kind, "next_attempt_at": upcoming}


def _every(pipeline: Pipeline) -> int:
    """Seconds between two looks of the page."""
    quiet = timezone.now() - pipeline.updated_at
    return next((seconds for until, seconds in EVERY if quiet < until), EVERY_AT_MOST)


def _private(response: HttpResponse) -> HttpResponse:
    """The address is the capability: it is neither kept nor told to anybody."""
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"
    return response


def _back(pipeline_id: uuid.UUID) -> HttpResponse:
    return _private(HttpResponseRedirect(reverse("postings:progress", args=[pipeline_id]), status=303))
