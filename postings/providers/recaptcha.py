"""Google's reCAPTCHA, versions 2 and 3, over plain HTTP. A token is valid for two minutes and can be asked about once.

Source: https://developers.google.com/recaptcha/docs/verify
"""

from typing import Any, Final

import requests
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from pipeline.conf import conf
from pipeline.providers import budget
from pipeline.workflow import Refused, Unavailable, Unknown
from postings.providers import http

ACTION: Final = "submit_posting"  # what version 3 is told that people do on the form's page
_OURS: Final = frozenset({"missing-input-secret", "invalid-input-secret", "bad-request"})


def verify(token: str) -> None:
    """Nothing when Google takes it for a person's.

    Refused: no such token, used up, or a robot's. Unavailable: it was not looked at. Unknown: perhaps it was,
    and then it is used up.
    """
    if not settings.RECAPTCHA_SECRET or not settings.RECAPTCHA_SITE_KEY:
        raise ImproperlyConfigured("RECAPTCHA_ENABLED needs RECAPTCHA_SITE_KEY and RECAPTCHA_SECRET.")
    form = {"secret": settings.RECAPTCHA_SECRET, "response": token}
    with budget.within(conf().CALL_TIME_IN_REQUEST):
        answer = http.ask("google", "POST", f"{settings.RECAPTCHA_BASE}/recaptcha/api/siteverify", data=form)
    if answer.status_code in (429, 503):
        raise Unavailable("recaptcha_busy", f"Google answered {answer.status_code}")
    if answer.status_code != requests.codes.ok:
        raise Unknown("server_error", f"Google answered {answer.status_code}")
    _judge(http.body_of("google", answer))


def _judge(verdict: dict[str, Any]) -> None:
    errors = set(verdict.get("error-codes") or ())
    if errors & _OURS:
        raise Unavailable("recaptcha_settings", f"{', '.join(sorted(errors))}: check RECAPTCHA_SECRET")
    if not verdict.get("success"):
        raise Refused("recaptcha_refused", ", ".join(sorted(errors)) or "no success")
    if settings.RECAPTCHA_VERSION >= 3:
        score = float(verdict.get("score") or 0)
        if verdict.get("action") != ACTION or score < float(settings.RECAPTCHA_MIN_SCORE):
            raise Refused("recaptcha_refused", f"score {score} for {verdict.get('action')!r}")
