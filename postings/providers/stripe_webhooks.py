"""Stripe's webhook: the signature and the age of what comes in.

Source: https://docs.stripe.com/webhooks/signature. Several secrets may be given, so that one can be rotated.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import stripe

from pipeline.webhooks import Forged, header, json_of, text_at

TOLERANCE: Final = 300  # seconds, in both directions


def verified_event(body: bytes, signature: str, secrets: Sequence[str]) -> Mapping[str, Any]:
    """The event in a request's raw body, which has an id and a type.

    Forged when none of the secrets has signed it within the tolerance, or it is no event.
    """
    given = header(signature)
    if not any(_is_signed(body, given, secret) for secret in secrets):
        raise Forged("The signature does not match, or is older than 300 s.")
    if _signed_at(given) > time.time() + TOLERANCE:
        raise Forged("The signature's time lies in the future.")
    event = json_of(body)
    if not text_at(event, "id") or not text_at(event, "type"):
        raise Forged("The body is not an event.")
    found: Mapping[str, Any] = event
    return found


def _is_signed(body: bytes, given: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body.decode(), given, secret, TOLERANCE))
    except (stripe.SignatureVerificationError, ValueError):
        return False


def _signed_at(given: str) -> float:
    """The time that was signed: of several, the first, which is the one that the SDK takes."""
    times = [part[2:] for part in given.split(",") if part.startswith("t=")]
    return float(times[0]) if times and times[0].isascii() and times[0].isdigit() else float("inf")
