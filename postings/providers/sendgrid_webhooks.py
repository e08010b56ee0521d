"""SendGrid's event webhook: the ECDSA signature, and an age check of our own, as the SDK has none.

Source: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from sendgrid.helpers.eventwebhook import EventWebhook

from pipeline.webhooks import Forged, header, json_of

SIGNATURE_HEADER: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER: Final = "X-Twilio-Email-Event-Webhook-Timestamp"
TOLERANCE: Final = 300  # seconds, in both directions
MAX_EVENTS: Final = 5_000  # in one request; SendGrid sends at most some hundreds

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def verified_events(body: bytes, signature: str, timestamp: str, public_key: str) -> list[Mapping[str, Any]]:
    """The events in a request's raw body; Forged when the key has not signed it within the tolerance."""
    if not _SECONDS.fullmatch(timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE:
        raise Forged("The timestamp is missing or older than 300 s.")
    if not public_key or not _is_signed(body, header(signature), timestamp, public_key):
        raise Forged("The signature does not match.")
    events = json_of(body)
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
