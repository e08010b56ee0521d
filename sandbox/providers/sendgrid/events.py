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


LATER: dict[str, Json] = {
    "bounce": {"reason": "550 5.1.1 The email account does not exist.", "status": "5.1.1", "type": "bounce"},
    "blocked": {"reason": "550 5.7.1 Message rejected.", "status": "5.7.1", "type": "blocked"},
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "spamreport": {},
    "deferred": {"response": "451 try again later", "attempt": "2"},
    "delivered": {"response": "250 OK"},
}  # by what may be asked for of an accepted mail


def emit(world: World, message_id: str, mail: Json) -> None:
    """Queues the events of every recipient of an accepted mail."""
    for personalization in mail["personalizations"]:
        for recipient in personalization["to"]:
            for event, more in fate(recipient["email"]):
                _tell(world, message_id, mail, personalization, recipient["email"], event, more)


def tell_later(world: World, message_id: str, mail: Json, kind: str, *, with_arguments: bool = True) -> None:
    """Queues one event more of every recipient; SendGrid leaves the custom arguments out of some."""
    event = "bounce" if kind == "blocked" else kind
    for personalization in mail["personalizations"]:
        for recipient in personalization["to"]:
            marked = personalization if with_arguments else None
            _tell(world, message_id, mail, marked, recipient["email"], event, LATER[kind])


def _tell(world: World, message_id: str, mail: Json, marked: Json | None, address: str, event: str, more: Json) -> None:
    """One event; with the custom arguments of `marked`, a personalization, if it is given."""
    if world.outbox.target("sendgrid") is None:
        return
    arguments = {} if marked is None else {**(mail.get("custom_args") or {}), **(marked.get("custom_args") or {})}
    body = {
        **arguments,
        **more,
        "email": address,
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
