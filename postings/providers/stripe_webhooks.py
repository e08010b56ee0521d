"""Stripe's webhook: the signature and the age of what comes in.

Source: https://docs.stripe.com/webhooks/signature. Several secrets may be given, so that one can be rotated.
"""

import json
import time
from collections.abc import Sequence
from typing import Any, Final

import stripe

TOLERANCE: Final = 300  # seconds, in both directions


class Forged(Exception):
    """The body is not Stripe's, or too old, or no event."""


def verified_event(body: bytes, header: str, secrets: Sequence[str]) -> dict[str, Any]:
    """The event in a request's raw body; Forged when none of the secrets has signed it within the tolerance."""
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise Forged("The signature does not match, or is older than 300 s.")
    if _signed_at(header) > time.time() + TOLERANCE:
        raise Forged("The signature's time lies in the future.")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Forged("The body is not JSON.") from error
    if not isinstance(event, dict) or not isinstance(event.get("id"), str) or not isinstance(event.get("type"), str):
        raise Forged("The body is not an event.")
    return event


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body.decode(), header, secret, TOLERANCE))
    except (stripe.SignatureVerificationError, ValueError):
        return False


def _signed_at(header: str) -> float:
    times = [part[2:] for part in header.split(",") if part.startswith("t=")]
    return float(times[0]) if times and times[0].isascii() and times[0].isdigit() else float("inf")
