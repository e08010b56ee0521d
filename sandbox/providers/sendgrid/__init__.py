"""SendGrid's mail/send and its signed Event Webhook.

Addresses whose local part is `bounce`, `dropped` or `deferred` (also with `+anything`) meet that fate; all others are
delivered. A mail in sandbox mode is checked and forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json, Operation, Provider, Refused, WebhookRules, credentials
from sandbox.providers.sendgrid import mail
from sandbox.providers.sendgrid.errors import errors_answer
from sandbox.providers.sendgrid.events import joined

if TYPE_CHECKING:
    from sandbox.world import World

NAME = "sendgrid"
OPERATIONS = (Operation("mail.send", "POST", "/v3/mail/send", mail.send),)


def authorise(_: World, call: Call) -> None:
    scheme, key = credentials(call)
    if scheme != "bearer" or not key.strip():
        message = "Authorization is invalid, expired or revoked"
        raise Refused(errors_answer(401, [(message, None, None)]))


def words(kind: str, seconds: float) -> Answer:
    """A fault as SendGrid words it; too many requests name the time of the reset in `X-RateLimit-Reset`."""
    match kind:
        case "rate_limit":
            answer = errors_answer(429, [("too many requests", None, None)])
            reset = str(int(time.time() + seconds) + 1)
            limits = {"x-ratelimit-limit": "600", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
            return Answer(429, answer.body, {**answer.headers, **limits})
        case "conflict":
            return errors_answer(409, [("The request conflicts with another one in progress.", None, None)])
        case "unauthorised":
            return errors_answer(401, [("Authorization is invalid, expired or revoked", None, None)])
        case "bad_request":
            return errors_answer(400, [("The from email does not contain a valid address.", "from.email", None)])
    return errors_answer(500, [("Internal server error", None, None)])


def unknown_route(_: str, path: str) -> Answer:
    if any(operation.path == path for operation in OPERATIONS):
        return errors_answer(405, [("method not allowed", None, None)])
    return errors_answer(404, [("not found", None, None)])


def sign(world: World, payload: bytes) -> Mapping[str, str]:
    """ECDSA over timestamp and raw body; dated by the machine's clock, as receivers check its age."""
    moment = str(int(time.time()))
    return {
        "x-twilio-email-event-webhook-signature": world.keys.sign_for_sendgrid(moment.encode() + payload),
        "x-twilio-email-event-webhook-timestamp": moment,
    }


def state(world: World) -> Json:
    """`mails`: every accepted one, oldest first."""
    return {"mails": mail.accepted(world)}


PROVIDER = Provider(
    name=NAME,
    operations=OPERATIONS,
    schema=mail.SCHEMA,
    tables=mail.TABLES,
    authorise=authorise,
    unknown_route=unknown_route,
    words=words,
    state=state,
    webhooks=WebhookRules(batch_size=100, join=joined, sign=sign),
    control=mail.ROUTES,
)
