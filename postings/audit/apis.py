"""What real providers' APIs can tell, as traces. What was mailed they cannot: SendGrid has no list by our mark."""

from datetime import datetime

from postings.audit.traces import Outside
from postings.providers import storage, stripe


def read(since: datetime | None) -> Outside:
    """Read what was made since. Raises the providers' failures."""
    outside = Outside(knows_what_was_told=False)
    for intent in stripe.intents(since):
        if not intent.reference:
            continue
        traces = outside.of[intent.reference]
        traces.authorised += [intent.id] if intent.was_held else []
        outside.refunded[intent.id] = intent.amount_refunded
        if intent.status == "succeeded":
            traces.captured.append((intent.id, (intent.amount_received, intent.currency)))
        elif intent.status == "requires_capture":
            traces.holds.append(intent.id)
        elif intent.status != "canceled":
            traces.open_intents.append(intent.id)
    for refund in stripe.refunds(since):
        if refund.reference:
            found = (refund.id, refund.intent, (refund.amount, refund.currency))
            outside.of[refund.reference].refunds.append(found)
    for stored in storage.objects(since):
        if stored.reference:
            outside.of[stored.reference].objects[stored.key] = stored.digest
    return outside
