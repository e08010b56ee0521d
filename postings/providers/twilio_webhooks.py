"""Twilio's status callbacks: the signature over the address and the sorted form.

Source: https://www.twilio.com/docs/usage/security#validating-requests. It carries no time, so there is no age
to check: what a replay could do is to make somebody look again.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping


def is_signed(url: str, form: Mapping[str, str], signature: str, token: str) -> bool:
    """Whether Twilio, who shares the account's token with us, has sent this form to this very address."""
    if not token:
        return False
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    # SHA-1 is Twilio's choice; as an HMAC it is still sound.
    made = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest())
    return hmac.compare_digest(made, signature.encode())
