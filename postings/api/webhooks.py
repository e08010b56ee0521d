"""Webhooks: verified, stored once, and worth a hint or a mark at most (postings/news)."""

from collections.abc import Callable
from functools import wraps
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from pipeline.api.problems import Problem
from pipeline.webhooks import Forged, as_uuid
from postings.news import settling
from postings.providers import sendgrid_webhooks, stripe_webhooks, twilio_webhooks

View = Callable[[HttpRequest], HttpResponse]

TAKEN: Final = 204


def _signed_post(view: View) -> View:
    """Answer other methods, and requests that are not the provider's, with a problem."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            detail = "Events are sent here by POST."
            allow = {"Allow": "POST"}
            return Problem(405, "method_not_allowed", "Method not allowed", detail, headers=allow).response()
        try:
            return view(request)
        except Forged as forged:
            return Problem(400, "forged", "Not accepted", str(forged)).response()

    return csrf_exempt(answer)


@_signed_post
def stripe(request: HttpRequest) -> HttpResponse:
    """An event of Stripe's: a hint before the pipeline's end; after it postings/news/meaning.py decides."""
    signature = request.headers.get("Stripe-Signature", "")
    event = stripe_webhooks.verified_event(request.body, signature, settings.STRIPE_WEBHOOK_SECRETS)
    settling.take_stripe(event)
    return HttpResponse(status=TAKEN)


@_signed_post
def sendgrid(request: HttpRequest) -> HttpResponse:
    """Events of mails. Each has a transaction of its own, so a batch that is sent again repeats none."""
    events = sendgrid_webhooks.verified_events(
        request.body,
        request.headers.get(sendgrid_webhooks.SIGNATURE_HEADER, ""),
        request.headers.get(sendgrid_webhooks.TIMESTAMP_HEADER, ""),
        settings.SENDGRID_WEBHOOK_PUBLIC_KEY,
    )
    for event in events:
        settling.take_sendgrid(event)
    return HttpResponse(status=TAKEN)


@_signed_post
def twilio(request: HttpRequest) -> HttpResponse:
    """A status of an SMS of the pipeline that the URL names."""
    form = twilio_webhooks.verified_form(
        request.body,
        f"{settings.SITE_URL}{request.get_full_path()}",
        request.headers.get("X-Twilio-Signature", ""),
        settings.TWILIO_AUTH_TOKEN,
    )
    pipeline = as_uuid(request.GET.get("pipeline_id"))
    message, status = form.get("MessageSid", ""), form.get("MessageStatus", "")
    if pipeline is not None and message and status:
        settling.take_twilio(pipeline, message, status)
    return HttpResponse(status=TAKEN)
