"""A posting's submission: what makes two the same, what is refused, and what the pipeline is given.

The API and the form both go through here: `accept(PostingAcceptance(), fields, key=…, by=…)`.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone

from pipeline.api.acceptance import Acceptance, Invalid, TooManyRefused, Valid
from pipeline.api.cards import has_card_number
from pipeline.api.fields import as_flag, as_whole
from pipeline.api.problems import FieldError, field_errors
from pipeline.models import Pipeline
from postings import captcha, logo
from postings.api.serializers import PostingSubmission
from postings.models import Plan
from postings.workflow import PublishPosting

HOUR: Final = timedelta(hours=1)
FIELDS: Final = tuple(PostingSubmission().fields)  # the names, in API.md's order
FLAGS: Final = frozenset({"remote"})
NUMBERS: Final = frozenset({"salary_min", "salary_max"})

# The payment's errors that do not speak against the card.
_NOT_THE_CARD: Final = frozenset({"staging_timed_out", "customer_timed_out", "hold_expired", "payment_cancelled"})
_DATA_URL: Final = re.compile(r"\Adata:[\w.+/-]*(?:;[\w.=+-]+)*;base64,", re.IGNORECASE)
_NAME: Final = re.compile(r"\A[A-Za-z_]{1,40}\Z")

_CARD_ERROR: Final = (
    "This looks like a card number. Never send one: it belongs into Stripe's form, and its pm_… id here."
)

Fields = Mapping[str, Any]


class PostingAcceptance(Acceptance):
    """Submissions of `publish_posting`."""

    workflow = PublishPosting

    def content(self, fields: Fields) -> Mapping[str, Any]:
        """The known fields as leniently as both media types need it, the logo as its digest."""
        return {name: _same(name, fields.get(name)) for name in FIELDS} | {"logo": _digest(fields.get("logo"))}

    def validate(self, fields: Fields) -> Valid:
        """Every wrong field in one Invalid."""
        errors = _card_errors(fields)
        spoiled = {error["field"] for error in errors}
        serializer = PostingSubmission(data=_given(fields))
        if not serializer.is_valid():
            errors += [error for error in field_errors(serializer.errors) if error["field"] not in spoiled]
        picture = b""
        try:
            picture = logo_bytes(fields.get("logo"))
            if picture:
                logo.check(picture)
        except logo.BadLogo as error:
            errors.append({"field": "logo", "code": error.code, "detail": str(error)})
        errors += captcha.missing(fields)
        if errors := errors or captcha.refused(fields):
            raise Invalid(sorted(errors, key=_position))
        return _valid(serializer.validated_data, picture)

    def check_client(self, client: str) -> None:
        """The ceiling of refused cards per address and hour: whoever tests cards meets it."""
        ceiling = settings.MAX_REFUSED_CARDS_PER_HOUR
        if not ceiling or not client:
            return
        now = timezone.now()
        refused = (
            Pipeline.objects.filter(client=client, created_at__gt=now - HOUR, error__step="payment")
            .exclude(error__code__in=sorted(_NOT_THE_CARD))
            .order_by("-created_at")
            .values_list("created_at", flat=True)[ceiling - 1 : ceiling]
        )
        if at := list(refused):
            raise TooManyRefused("Too many cards were refused: wait before you try another one.", at[0] + HOUR - now)


def logo_bytes(value: Any) -> bytes:
    """The logo as it was sent: a file, or base64 with or without a `data:` prefix. Empty means none. BadLogo."""
    if value is None or value == "":
        return b""
    if isinstance(value, UploadedFile):
        value.seek(0)
        return bytes(value.read())
    if not isinstance(value, str):
        raise logo.BadLogo("invalid", "Send the logo as one file, or as base64 text.")
    text = "".join(_DATA_URL.sub("", value.strip(), count=1).split())
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise logo.BadLogo("invalid_base64", "The logo is not base64 (RFC 4648).") from error


def _valid(values: Mapping[str, Any], picture: bytes) -> Valid:
    plan: Plan = values["plan"]
    snapshot = {
        "slug": plan.slug,
        "name": plan.name,
        "amount": plan.amount,
        "currency": plan.currency,
        "duration_days": plan.duration_days,
    }
    given = {name: values[name] for name in FIELDS} | {"plan": snapshot, "has_logo": bool(picture)}
    return Valid(input=given, attachments={"logo": picture} if picture else {})


def _given(fields: Fields) -> dict[str, Any]:
    """What was really given: a missing field, null and blank text are the same."""
    return {name: fields[name] for name in FIELDS if not _is_blank(fields.get(name))}


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip(" "))


def _card_errors(fields: Fields) -> list[FieldError]:
    """One for each field, known or not, that seems to hold a card number. The value is told to nobody."""
    return [
        {"field": name if _NAME.match(name) else "", "code": "card_number", "detail": _CARD_ERROR}
        for name, value in fields.items()
        if name != "logo" and (has_card_number(value) or has_card_number(name))
    ]


def _same(name: str, value: Any) -> Any:
    """A value such that JSON's and a form's spelling of it are equal. What is neither stays as it is."""
    if isinstance(value, UploadedFile):
        return {"file": _digest(value)}
    if name in FLAGS:
        flag = as_flag(value)
        return False if value is None else {"raw": value} if flag is None else flag
    if name in NUMBERS:
        number = as_whole(value)
        return None if _is_blank(value) else {"raw": value} if number is None else number
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n").strip()
    return {"raw": json.loads(json.dumps(value, default=_digest))}


def _digest(value: Any) -> str:
    """SHA-256 of the logo's bytes; of what cannot be one, of its text."""
    try:
        raw = logo_bytes(value)
    except logo.BadLogo:
        raw = repr(value).encode(errors="backslashreplace")
        return "not a logo: " + hashlib.sha256(raw).hexdigest()
    return hashlib.sha256(raw).hexdigest() if raw else ""


def _position(error: FieldError) -> int:
    return FIELDS.index(error["field"]) if error["field"] in FIELDS else len(FIELDS)
