"""A posting's submission: what makes two the same, what is refused, and what the pipeline is given.

The API and the form both go through here: `accept(PostingAcceptance(), fields, key=…, by=…)`.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile

from pipeline.api.acceptance import Acceptance, Busy, Invalid, Valid
from pipeline.api.fields import LONGEST_TEXT, as_flag, as_whole, normal
from pipeline.api.problems import FieldError, field_errors
from postings import captcha, card_attempts, logo
from postings.api.serializers import PostingSubmission
from postings.models import Plan
from postings.workflow import PublishPosting

PATIENCE: Final = 2.0  # seconds that a request waits for its turn to decode a logo
FIELDS: Final = tuple(PostingSubmission().fields)  # the names, in API.md's order
FLAGS: Final = frozenset({"remote"})
NUMBERS: Final = frozenset({"salary_min", "salary_max"})

_DATA_URL: Final = re.compile(r"\Adata:[\w.+/-]{0,127}(?:;[\w.=+-]{1,127}){0,8};base64,", re.IGNORECASE | re.ASCII)
_LIKE_LOGO: Final = re.compile(r"logo\s*(?:\[\d*\])*", re.IGNORECASE)  # as some frameworks name a list's parts
_BLANKS: Final = b" \t\r\n\v\f"

Fields = Mapping[str, Any]


class PostingAcceptance(Acceptance):
    """Submissions of `publish_posting`."""

    workflow = PublishPosting

    def content(self, fields: Fields) -> Mapping[str, Any]:
        """The known fields as leniently as both media types need it, the logo as its digest."""
        return {name: _same(name, fields.get(name)) for name in FIELDS} | {"logo": _digest(fields.get("logo"))}

    def validate(self, fields: Fields) -> Valid:
        """Every wrong field in one Invalid."""
        errors: list[FieldError] = []
        serializer = PostingSubmission(data=_given(fields))
        if not serializer.is_valid():
            errors += field_errors(serializer.errors)
        parts = None
        try:
            if raw := logo_bytes(fields.get("logo")):
                parts = logo.inspect(raw)
        except logo.BadLogo as error:
            errors.append(_wrong_logo(error))
        errors += _misplaced(fields)
        errors += captcha.missing(fields)
        # Decoding costs most, so only the captcha comes after it: its token is good for one request alone.
        picture = _stored_form(parts) if parts and not errors else b""
        if errors := errors or captcha.refused(fields):
            raise Invalid(sorted(errors, key=_position))
        return _valid(serializer.validated_data, picture)

    def check_client(self, client: str) -> None:
        """The ceiling of cards per address and hour."""
        card_attempts.check(client)


def logo_bytes(value: Any) -> bytes:
    """The logo as it was sent: a file, or base64 with or without a `data:` prefix. BadLogo.

    Without a logo nothing is sent at all (or null), and b"" comes back: what is there and empty is refused, as the
    customer means to have one.
    """
    if value is None:
        return b""
    raw = _sent(value)
    if not raw:
        raise logo.BadLogo("logo_empty", "The logo's file is empty: choose another one, or leave the field out.")
    return raw


def _sent(value: Any) -> bytes:
    if isinstance(value, UploadedFile):
        value.seek(0)
        return bytes(value.read())
    if not isinstance(value, str):
        raise logo.BadLogo("invalid", "Send the logo as one file, or as base64 text.")
    try:
        # As bytes: splitting a text at its blanks would make an object of each piece.
        text = _DATA_URL.sub("", value.strip(), count=1).encode("ascii").translate(None, _BLANKS)
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise logo.BadLogo("invalid_base64", "The logo is not base64 (RFC 4648).") from error


def _wrong_logo(error: logo.BadLogo) -> FieldError:
    return {"field": "logo", "code": error.code, "detail": str(error)}


def _stored_form(parts: logo.Parts) -> bytes:
    """The stored form of the logo; Invalid when it does not decode, Busy when too many others are being decoded."""
    try:
        return logo.stored_form(parts, PATIENCE)
    except logo.BadLogo as error:
        raise Invalid([_wrong_logo(error)]) from error
    except logo.NoRoom as error:
        raise Busy("Too many logos are being read just now: repeat this request with the same key.") from error


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


def _misplaced(fields: Fields) -> Iterator[FieldError]:
    """Unknown fields are ignored, but a file means a logo, and so does a name such as `logo[]`."""
    known = {*FIELDS, "logo", captcha.FIELD}
    if any(_LIKE_LOGO.fullmatch(name.strip()) or _has_file(fields[name]) for name in fields.keys() - known):
        detail = "A file was sent under another name: send the logo as the one part named logo."
        yield {"field": "logo", "code": "misplaced_file", "detail": detail}


def _has_file(value: Any) -> bool:
    return any(isinstance(each, UploadedFile) for each in (value if isinstance(value, list) else [value]))


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
        return normal(value).strip() if len(value) <= LONGEST_TEXT else {"long": _digest_of(value)}
    return {"raw": json.loads(json.dumps(value, default=_digest))}


def _digest(value: Any) -> str:
    """SHA-256 of the logo's bytes; of what cannot be one, of its text."""
    try:
        raw = logo_bytes(value)
    except logo.BadLogo:
        return "not a logo: " + _digest_of(repr(value))
    return hashlib.sha256(raw).hexdigest() if raw else ""


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _position(error: FieldError) -> int:
    return FIELDS.index(error["field"]) if error["field"] in FIELDS else len(FIELDS)
