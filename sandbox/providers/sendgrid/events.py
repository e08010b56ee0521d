"""The Event Webhook: what became of a mail, its custom arguments flattened into each event."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.provider import Json

if TYPE_CHECKING:
    from sandbox.world import World

# What follows on acceptance, by the address' local part.
FATES: dict[str, tuple[tuple[str, Json], ...]] = {
    "bounce": (
        ("processed", {}),
        ("bounce", {"reason": "550 5.1.1 The email account does not exist.", "status": "5.1.1", "type": "bounce"}),
    ),
    "dropped": (("dropped", {"reason": "Bounced Address", "status": "5.0.0"}),),
    "deferred": (
        ("processed", {}),
        ("deferred", {"response": "451 try again later", "attempt": "1"}),
        ("delivered", {"response": "250 OK"}),
    ),
}
DELIVERED: tuple[tuple[str, Json], ...] = (("processed", {}), ("delivered", {"response": "250 OK"}))


def emit(world: World, message_id: str, mail: Json) -> None:
    """Queues the events of every recipient of an accepted mail."""
    if world.outbox.target("sendgrid") is None:
        return
    for personalization in mail["personalizations"]:
        arguments = {**(mail.get("custom_args") or {}), **(personalization.get("custom_args") or {})}
        for recipient in personalization["to"]:
            for event, more in fate(recipient["email"]):
                body = {
                    **arguments,
                    **more,
                    "email": recipient["email"],
                    "timestamp": int(world.clock.now()),
                    "smtp-id": f"<{message_id}@sandbox>",
                    "event": event,
                    "category": mail.get("categories") or [],
                    "sg_event_id": base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("="),
                    "sg_message_id": f"{message_id}.recvd-sandbox-1.0",
                }
                world.outbox.put("sendgrid", event, json.dumps(body).encode())


def fate(address: Any) -> tuple[tuple[str, Json], ...]:
    local = str(address).rpartition("@")[0].lower().partition("+")[0]
    return FATES.get(local, DELIVERED)


def joined(payloads: Sequence[bytes]) -> bytes:
    """SendGrid sends an array of events."""
    return b"[" + b",".join(payloads) + b"]"
