"""mail/send: checked, then accepted, or only checked in sandbox mode."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.clock import rfc3339
from sandbox.provider import Answer, Call, Json, Refused
from sandbox.providers.sendgrid import events
from sandbox.providers.sendgrid.errors import errors_answer
from sandbox.providers.sendgrid.validation import complaints

if TYPE_CHECKING:
    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS sendgrid_mails (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, reference TEXT, category TEXT,
    body TEXT NOT NULL);
"""
TABLES = ("sendgrid_mails",)
REFERENCE = "pipeline_id"  # the custom argument that becomes the ledger's `reference`


def send(world: World, call: Call) -> Answer:
    """202 with `X-Message-Id`; 200 and no mail in sandbox mode; 400 with everything that is wrong."""
    if not call.headers.get("content-type", "").startswith("application/json"):
        raise Refused(errors_answer(415, [("Content-Type should be application/json.", None, None)]))
    try:
        mail = json.loads(call.body)
    except ValueError as error:
        raise Refused(errors_answer(400, [("Bad Request", None, None)])) from error
    wrong = complaints(mail, world.clock.now())
    if wrong:
        raise Refused(errors_answer(400, wrong))
    reference, category = reference_of(mail), next(iter(mail.get("categories") or []), None)
    if ((mail.get("mail_settings") or {}).get("sandbox_mode") or {}).get("enable"):
        world.ledger.record(call.origin, "email_validated", None, reference=reference, category=category)
        return Answer(200)
    message_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    world.store.execute(
        "INSERT INTO sendgrid_mails (id, at, reference, category, body) VALUES (?, ?, ?, ?, ?)",
        (message_id, world.clock.now(), reference, category, json.dumps(mail)),
    )
    world.ledger.record(call.origin, "email_accepted", message_id, reference=reference, category=category)
    events.emit(world, message_id, mail)
    return Answer(202, headers={"x-message-id": message_id})


async def tell_of(request: Request) -> Response:
    """`{"event", "without_arguments"?}`: something becomes of an accepted mail later; the signed webhook follows."""
    world: World = request.app.state.world
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict) or body.get("event") not in events.LATER:
        return JSONResponse({"error": "'event' must be one of these", "allowed": list(events.LATER)}, status_code=400)
    row = world.store.one("SELECT body FROM sendgrid_mails WHERE id = ?", (request.path_params["id"],))
    if row is None:
        return JSONResponse({"error": "no such accepted mail", "allowed": []}, status_code=404)
    with world.store.transaction():
        marked = not body.get("without_arguments")
        events.tell_later(
            world, request.path_params["id"], json.loads(row["body"]), body["event"], with_arguments=marked
        )
    return JSONResponse({"event": body["event"]})


def reference_of(mail: Json) -> str | None:
    """The mail's own custom argument, else that of its first personalization that has one."""
    for source in (mail, *mail["personalizations"]):
        value = (source.get("custom_args") or {}).get(REFERENCE)
        if value:
            return str(value)
    return None


def accepted(world: World) -> list[Json]:
    """Every accepted mail as the sandbox's state shows it."""
    return [_shown(dict(row)) for row in world.store.all("SELECT * FROM sendgrid_mails ORDER BY seq")]


def _shown(row: Json) -> Json:
    mail = json.loads(row["body"])
    personal = mail["personalizations"]
    content = {each["type"]: each["value"] for each in mail.get("content") or []}
    return {
        "id": row["id"],
        "at": rfc3339(row["at"]),
        "from": mail["from"]["email"],
        "to": [recipient["email"] for each in personal for recipient in each["to"]],
        "subject": personal[0].get("subject") or mail.get("subject"),
        "category": row["category"],
        "reference": row["reference"],
        "text": content.get("text/plain"),
        "html": content.get("text/html"),
    }


ROUTES = (Route("/mails/{id}/events", tell_of, methods=["POST"]),)
