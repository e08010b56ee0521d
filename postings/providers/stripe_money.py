"""Stripe's events, for webhooks that were lost, and the pipeline that a charge belongs to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.webhooks import text_at
from postings.providers.stripe import _PAGE, _listed, _made_since, _send


def whose(charge: str, intent: str) -> tuple[str, str]:
    """Our mark on a charge or an intent, and the intent's id; each empty without. Refused: Stripe knows neither."""
    if charge:
        found = _send(lambda client: client.v1.charges.retrieve(charge)).to_dict()
    elif intent:
        found = _send(lambda client: client.v1.payment_intents.retrieve(intent)).to_dict()
    else:
        return "", ""
    return text_at(found, "metadata", "pipeline_id"), text_at(found, "payment_intent") or intent


def events(types: Sequence[str], since: datetime) -> list[Mapping[str, Any]]:
    """The events of these types since, oldest first, as their webhooks carry them. Stripe keeps them for 30 days."""
    params: Any = _made_since(since) | {"limit": _PAGE, "types": list(types)}
    listed = list(_listed(lambda client: client.v1.events.list(params)))
    return [each.to_dict() for each in reversed(listed)]
