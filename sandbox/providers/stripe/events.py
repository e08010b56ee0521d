"""Stripe's events: written with the change they tell of, listed, and handed to the outbox."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json, Origin, compact
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.errors import json_answer, missing
from sandbox.providers.stripe.params import Params

if TYPE_CHECKING:
    from sandbox.world import World

API_VERSION = "2026-10-28.endive"


def emit(world: World, origin: Origin, event_type: str, resource: Json) -> None:
    """Records that `event_type` happened to `resource`, as it is now, and queues the webhook."""
    event_id = objects.stripe_id("evt")
    created = int(world.clock.now())
    told = world.outbox.target("stripe") is not None
    body = compact(
        {
            "id": event_id,
            "object": "event",
            "api_version": API_VERSION,
            "created": created,
            "data": {"object": resource},
            "livemode": False,
            "pending_webhooks": int(told),
            "request": {"id": origin.request_id, "idempotency_key": origin.idempotency_key},
            "type": event_type,
        }
    )
    world.store.execute(
        "INSERT INTO stripe_events (id, type, created, body) VALUES (?, ?, ?, ?)", (event_id, event_type, created, body)
    )
    if told:
        world.outbox.put("stripe", event_type, body.encode())


def signature(world: World, payload: bytes) -> Mapping[str, str]:
    """`Stripe-Signature`: HMAC-SHA256 over `{t}.{payload}`, dated by the machine's clock: receivers check its age."""
    moment = int(time.time())
    signed = f"{moment}.".encode() + payload
    digest = hmac.new(world.keys.stripe_webhook_secret.encode(), signed, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={moment},v1={digest}"}


def one(payloads: Sequence[bytes]) -> bytes:
    """Stripe sends each event in a request of its own."""
    (payload,) = payloads
    return payload


def retrieve(world: World, call: Call) -> Answer:
    Params(call.query, {"expand"})
    row = world.store.one("SELECT body FROM stripe_events WHERE id = ?", (call.params["id"],))
    if row is None:
        raise missing("event", call.params["id"])
    return json_answer(200, json.loads(row["body"]))
