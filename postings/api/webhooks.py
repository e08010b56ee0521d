"""Webhooks: verified, stored once, and only a hint. The job that it makes due asks the provider itself."""

import logging
import uuid
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from pipeline import actions, marks
from pipeline.api.problems import Problem
from pipeline.models import Inbox, Pipeline, Step
from pipeline.states import PipelineState
from postings.models import Posting
from postings.providers import sendgrid_webhooks, stripe_webhooks, twilio_webhooks

log = logging.getLogger(__name__)

# Money that went back without us.
_BAD_NEWS: Final = {
    "charge.refunded": "refunded_at_stripe",
    "charge.dispute.created": "disputed",
}
_KINDS: Final = frozenset({"processed", "deferred", "delivered", "bounce", "dropped", "open", "click"})

View = Callable[[HttpRequest], HttpResponse]


def _posted_only(view: View) -> View:
    """Other methods are answered with a problem."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            return view(request)
        detail = "Events are sent here by POST."
        return Problem(405, "method_not_allowed", "Method not allowed", detail, headers={"Allow": "POST"}).response()

    return answer


@csrf_exempt
@_posted_only
def stripe(request: HttpRequest) -> HttpResponse:
    """Something changed at Stripe: look again. A refund or dispute after the commit needs a person."""
    header = request.headers.get("Stripe-Signature", "")
    try:
        event = stripe_webhooks.verified_event(request.body, header, settings.STRIPE_WEBHOOK_SECRETS)
    except stripe_webhooks.Forged as forged:
        return Problem(400, "forged", "Not accepted", str(forged)).response()
    with transaction.atomic():
        _take_stripe(event)
    return HttpResponse(status=204)


@csrf_exempt
@_posted_only
def sendgrid(request: HttpRequest) -> HttpResponse:
    """What became of mails: settles those whose sending is unknown."""
    try:
        events = sendgrid_webhooks.verified_events(
            request.body,
            request.headers.get(sendgrid_webhooks.SIGNATURE_HEADER, ""),
            request.headers.get(sendgrid_webhooks.TIMESTAMP_HEADER, ""),
            settings.SENDGRID_WEBHOOK_PUBLIC_KEY,
        )
    except sendgrid_webhooks.Forged as forged:
        return Problem(400, "forged", "Not accepted", str(forged)).response()
    with transaction.atomic():
        for event in events:
            _take_sendgrid(event)
    return HttpResponse(status=204)


@csrf_exempt
@_posted_only
def twilio(request: HttpRequest) -> HttpResponse:
    """What became of an SMS: the pipeline that its address names looks again."""
    form = request.POST.dict()
    address = f"{settings.SITE_URL}{request.get_full_path()}"
    signature = request.headers.get("X-Twilio-Signature", "")
    if not twilio_webhooks.is_signed(address, form, signature, settings.TWILIO_AUTH_TOKEN):
        return Problem(400, "forged", "Not accepted", "The signature does not match.").response()
    pipeline = _uuid(request.GET.get("pipeline_id"))
    message, status = form.get("MessageSid", ""), form.get("MessageStatus", "")
    if pipeline is not None and message and status:
        with transaction.atomic():
            if _is_first("twilio", f"{message}:{status}", pipeline, status, {}) and actions.hint(pipeline, by="twilio"):
                _publish_after_commit(pipeline)
    return HttpResponse(status=204)


def _take_stripe(event: Mapping[str, Any]) -> None:
    about = _dict(_dict(event.get("data")).get("object"))
    pipeline = _pipeline_of(about)
    kind = event["type"]
    if not _is_first("stripe", event["id"], pipeline, kind, {}):
        return
    if pipeline is None:
        if kind in _BAD_NEWS:
            log.error("%s at Stripe (%s) of a payment that no pipeline is known for", kind, event["id"])
        return
    if kind == "charge.refunded" and _is_ours(pipeline):
        return
    if kind in _BAD_NEWS:
        _tell_bad_news(pipeline, _BAD_NEWS[kind])
    elif actions.hint(pipeline, by="stripe"):
        _publish_after_commit(pipeline)


def _take_sendgrid(event: Mapping[str, Any]) -> None:
    kind, event_id = event.get("event"), event.get("sg_event_id")
    pipeline = _uuid(event.get("pipeline_id"))
    if not isinstance(event_id, str) or kind not in _KINDS or pipeline is None:
        return
    data = {name: str(event.get(name, ""))[:60] for name in ("step", "verb", "sending")}
    if _is_first("sendgrid", event_id, pipeline, kind, data) and actions.hint(pipeline, by="sendgrid"):
        _publish_after_commit(pipeline)


def _publish_after_commit(pipeline: uuid.UUID) -> None:
    transaction.on_commit(lambda: actions.publish_due(pipeline), robust=True)


def _is_first(provider: str, event_id: str, pipeline: uuid.UUID | None, kind: str, data: Mapping[str, str]) -> bool:
    """Store the event; False when it was delivered before."""
    _, is_new = Inbox.objects.get_or_create(
        provider=provider,
        event_id=event_id[:255],
        defaults={"pipeline_id": pipeline, "kind": kind[:60], "data": dict(data)},
    )
    return is_new


def _pipeline_of(about: Mapping[str, Any]) -> uuid.UUID | None:
    """By our mark; a charge or a dispute without one by its intent, which the payment step recorded."""
    marked = _uuid(_dict(about.get("metadata")).get("pipeline_id"))
    if marked is not None:
        return marked
    intent = about.get("payment_intent") or about.get("id")
    step = Step.objects.filter(kind="payment", data__intent=str(intent)).first()
    return step.pipeline_id if step is not None else None


def _is_ours(pipeline: uuid.UUID) -> bool:
    """Whether a withdrawal of that pipeline's posting refunds it: then it is no news."""
    ended_by = Posting.objects.filter(pipeline_id=pipeline).exclude(ended_by=None).values("ended_by")
    return Step.objects.filter(pipeline_id__in=ended_by, kind="refund").exists()


def _tell_bad_news(pipeline: uuid.UUID, code: str) -> None:
    if Pipeline.objects.filter(pk=pipeline, state=PipelineState.COMMITTED).exists():
        marks.attention(pipeline, {"code": code, "by": "stripe"})


def _dict(value: object) -> dict[str, Any]:
    """Signed is not yet well-formed."""
    return value if isinstance(value, dict) else {}


def _uuid(text: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None
