"""A webhook may be lost, so Stripe's own list of events is read too, and events that never came are taken in."""

import logging
from datetime import timedelta
from typing import Final

from pipeline import db
from pipeline.models import Inbox
from pipeline.webhooks import text_at
from postings.news.settling import take_stripe
from postings.providers import stripe_money

log = logging.getLogger(__name__)

BACK: Final = timedelta(days=7)  # longer than the three days for which Stripe repeats a webhook; it keeps events for 30

# Every type that may mark an ended pipeline, except captures: each sale has one, and `reconcile` compares them.
TYPES: Final = (
    "charge.refunded",
    "refund.failed",
    "refund.updated",
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.closed",
    "radar.early_fraud_warning.created",
    "review.opened",
)


def take_missed() -> None:
    """The chore: the last week's events. Raises Stripe's failures."""
    events = {text_at(event, "id"): event for event in stripe_money.events(TYPES, db.now() - BACK)}
    known = Inbox.objects.filter(provider="stripe", event_id__in=list(events)).values_list("event_id", flat=True)
    for missed in sorted(events.keys() - set(known), key=list(events).index):
        log.warning("event %s (%s) did not come by webhook", missed, text_at(events[missed], "type"))
        take_stripe(events[missed])
