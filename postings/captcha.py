"""reCAPTCHA in the request, before anything starts. Switched on by RECAPTCHA_ENABLED.

A token works once: it is only asked about when nothing else is wrong, and a repeated submission is found by
its key before it comes to this. What is not known is never let through: it asks for a new token.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from pipeline.api.acceptance import NotKnown
from pipeline.api.cards import has_card_number
from pipeline.api.problems import FieldError
from pipeline.workflow import Refused, Unavailable, Unknown
from postings.providers import recaptcha

log = logging.getLogger(__name__)

FIELD: Final = "recaptcha_token"
_LONGEST: Final = 8192  # characters; Google's have some hundreds to a few thousand
_MISSING: Final = "Show that you are no robot, and send the token that reCAPTCHA gave for it."
_IS_CARD: Final = "This looks like a card number, and is no token of reCAPTCHA."
_AGAIN: Final = "reCAPTCHA did not take this token: it may have been used or be too old. Please get a new one."


def missing(fields: Mapping[str, Any]) -> list[FieldError]:
    """The error of a submission without a token; it can be told together with others, as nobody is asked."""
    token = fields.get(FIELD)
    if isinstance(token, str) and len(token) <= _LONGEST and has_card_number(token):
        return [{"field": FIELD, "code": "card_number", "detail": _IS_CARD}]
    if not settings.RECAPTCHA_ENABLED or (isinstance(token, str) and 0 < len(token.strip()) <= _LONGEST):
        return []
    return [{"field": FIELD, "code": "invalid" if token else "required", "detail": _MISSING}]


def refused(fields: Mapping[str, Any]) -> list[FieldError]:
    """Ask Google. NotKnown when Google cannot be asked: the same submission may be sent again."""
    if not settings.RECAPTCHA_ENABLED:
        return []
    try:
        recaptcha.verify(fields[FIELD].strip())
    except Refused:
        return [{"field": FIELD, "code": "recaptcha_refused", "detail": _AGAIN}]
    except Unknown as unknown:
        log.warning("reCAPTCHA: %s", unknown)
        return [{"field": FIELD, "code": "recaptcha_unknown", "detail": _AGAIN}]
    except Unavailable as away:
        log.warning("reCAPTCHA: %s", away)
        raise NotKnown("reCAPTCHA cannot be asked just now. Nothing was accepted: send the same again.") from away
    return []


def shown() -> dict[str, Any] | None:
    """What the form's page needs to show it; None while it is switched off."""
    if not settings.RECAPTCHA_ENABLED:
        return None
    return {
        "version": settings.RECAPTCHA_VERSION,
        "key": settings.RECAPTCHA_SITE_KEY,
        "action": recaptcha.ACTION,
        "script": f"{settings.RECAPTCHA_BASE}/recaptcha/api.js",
    }
