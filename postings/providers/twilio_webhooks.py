"""Twilio's status callbacks: the signature over the address and the sorted form.

Source: https://www.twilio.com/docs/usage/security#validating-requests. It carries no time, so there is no age
to check: what a replay could do is to make somebody look again.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from pipeline.webhooks import Forged, header

_MOST_FIELDS: Final = 200  # Twilio sends some twenty,
_MOST_BYTES: Final = 64 * 1024  # of a few hundred bytes each


def verified_form(body: bytes, url: str, signature: str, token: str) -> Mapping[str, str]:
    """The form in a request's raw body; Forged unless Twilio has signed it for this very address."""
    if len(body) > _MOST_BYTES:
        raise Forged("The body is longer than a status callback.")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise Forged("The body is not a form.") from error
    if not is_signed(url, fields, header(signature), token):
        raise Forged("The signature does not match.")
    return fields


def is_signed(url: str, form: Mapping[str, str], signature: str, token: str) -> bool:
    """Whether Twilio, who shares the account's token with us, has sent this form to this very address."""
    if not token:
        return False
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    # SHA-1 is Twilio's choice; as an HMAC it is still sound.
    made = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest())
    return hmac.compare_digest(made, signature.encode())
