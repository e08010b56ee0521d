"""SendGrid's event webhook: the ECDSA signature, and an age check of our own, as the SDK has none.

Source: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import json
import re
import time
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from sendgrid.helpers.eventwebhook import EventWebhook

SIGNATURE_HEADER: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER: Final = "X-Twilio-Email-Event-Webhook-Timestamp"
TOLERANCE: Final = 300  # seconds, in both directions
MAX_EVENTS: Final = 5_000  # in one request; SendGrid sends at most some hundreds

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class Forged(Exception):
    """The body is not SendGrid's, or too old, or no list of events."""


def verified_events(body: bytes, signature: str, timestamp: str, public_key: str) -> list[dict[str, Any]]:
    """The events in a request's raw body; Forged when the key has not signed it within the tolerance."""
    if not _SECONDS.fullmatch(timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE:
        raise Forged("The timestamp is missing or older than 300 s.")
    if not public_key or not _is_signed(body, signature, timestamp, public_key):
        raise Forged("The signature does not match.")
    try:
        events = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Forged("The body is not JSON.") from error
    if not isinstance(events, list) or len(events) > MAX_EVENTS:
        raise Forged(f"The body is not a list of at most {MAX_EVENTS} events.")
    return [event for event in events if isinstance(event, dict)]


def _is_signed(body: bytes, signature: str, timestamp: str, public_key: str) -> bool:
    webhook = EventWebhook()
    try:
        key = webhook.convert_public_key_to_ecdsa(public_key)
        return bool(webhook.verify_signature(body.decode(), signature, timestamp, key))
    except (InvalidSignature, ValueError):  # binascii's and unicode's errors are ValueErrors
        return False
