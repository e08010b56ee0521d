"""Twilio's Messages over plain HTTP. It knows no idempotency key, but lists what was sent to a number.

Source: https://www.twilio.com/docs/messaging/api/message-resource
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import requests
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from pipeline.retry import retry_after
from pipeline.workflow import Misconfigured, Refused, StepFailure, Unavailable, Unknown
from postings.providers import http

_PAUSE: Final = timedelta(seconds=5)  # after a 429 that names none
_PAGE: Final = 1000  # Twilio's most; nobody gets that many between a sending and its look-up
# Codes that speak about the recipient: not a number, no mobile, unsubscribed, region not allowed.
_RECIPIENT: Final = frozenset({21211, 21214, 21217, 21219, 21265, 21408, 21610, 21612, 21614})
_SENDER: Final = frozenset({20404, 21212, 21603, 21606, 21701, 21703})  # those about ours: no message passes


def message(*, to: str, text: str, reference: str) -> dict[str, str]:
    """The form of one message, as it will be stored and sent. Its callback's address carries our reference."""
    service = settings.TWILIO_MESSAGING_SERVICE_SID
    sender = {"MessagingServiceSid": service} if service else {"From": settings.TWILIO_FROM}
    callback = f"{settings.SITE_URL}/webhooks/twilio/?{urlencode({'pipeline_id': reference})}"
    return {"To": to, "Body": text, "StatusCallback": callback} | sender


def send(form: Mapping[str, str]) -> str:
    """Hand one message over; its sid.

    Refused: the number takes none. Unavailable: certainly not accepted. Unknown: perhaps accepted.
    """
    answer = _ask("POST", data=dict(form))
    if answer.status_code != requests.codes.created:
        raise _ours(answer)
    return str(http.body_of("twilio", answer).get("sid", ""))


def was_sent(to: str, mark: str) -> bool:
    """Whether a message to that number carries the mark; the list is newest first."""
    answer = _ask("GET", params={"To": to, "PageSize": _PAGE})
    if answer.status_code != requests.codes.ok:
        raise _ours(answer)
    messages = http.body_of("twilio", answer).get("messages", [])
    return any(mark in str(each.get("body", "")) and each.get("status") != "failed" for each in messages)


def _ask(method: str, **given: Any) -> requests.Response:
    account, token = settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN
    if not account or not token or not (settings.TWILIO_FROM or settings.TWILIO_MESSAGING_SERVICE_SID):
        raise ImproperlyConfigured(
            "SMS_ENABLED needs TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, and TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID."
        )
    url = f"{settings.TWILIO_API_BASE}/2010-04-01/Accounts/{account}/Messages.json"
    return http.ask("twilio", method, url, auth=(account, token), **given)


def _ours(answer: requests.Response) -> StepFailure:
    status = answer.status_code
    if status == 429:
        pause = retry_after(answer.headers) or _PAUSE
        return Unavailable("rate_limited", "Twilio asks for fewer requests", retry_after=pause)
    if status == 409:
        return Unavailable("busy", "Twilio answered 409: another request is in progress")
    if status in (401, 403):
        return Misconfigured("twilio_credentials", "Twilio refuses our key: check TWILIO_AUTH_TOKEN")
    if 400 <= status < 500:
        code = http.body_of("twilio", answer).get("code")
        if code in _RECIPIENT:
            return Refused("sms_refused", f"Twilio refuses the number ({code})", title="SMS refused")
        detail = f"Twilio answered {status} ({code}): check the TWILIO_ settings"
        return Misconfigured("twilio_settings", detail, outage=code in _SENDER)
    return Unknown("server_error", f"Twilio answered {status}")
