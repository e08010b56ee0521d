"""Stripe's API v1, as far as a card payment goes: routes, authorisation, idempotency and what time does to holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from sandbox.provider import (
    Answer,
    Call,
    IdempotencyRules,
    Json,
    Operation,
    Origin,
    Provider,
    WebhookRules,
    basic,
    credentials,
)
from sandbox.providers.stripe import charges, control, events, intents, lists, objects, payment_methods, refunds, search
from sandbox.providers.stripe.charging import release
from sandbox.providers.stripe.errors import error_answer, invalid, unauthorised, words

if TYPE_CHECKING:
    from sandbox.world import World

NAME = "stripe"
LONGEST_KEY = 255  # characters of an idempotency key
INTENTS = lists.lister("payment_intent", "/v1/payment_intents", ("customer",))
REFUNDS = lists.lister("refund", "/v1/refunds", ("charge", "payment_intent"))
REFUNDED = """
SELECT body ->> '$.payment_intent', sum(body ->> '$.amount') FROM stripe_objects
WHERE kind = 'refund' AND status IN ('succeeded', 'pending') GROUP BY 1
"""
OPERATIONS = (
    Operation("payment_intents.create", "POST", "/v1/payment_intents", intents.create),
    Operation("payment_intents.search", "GET", "/v1/payment_intents/search", search.search),
    Operation("payment_intents.list", "GET", "/v1/payment_intents", INTENTS),
    Operation("payment_intents.retrieve", "GET", "/v1/payment_intents/{id}", intents.retrieve),
    Operation("payment_intents.confirm", "POST", "/v1/payment_intents/{id}/confirm", intents.confirm),
    Operation("payment_intents.capture", "POST", "/v1/payment_intents/{id}/capture", intents.capture),
    Operation("payment_intents.cancel", "POST", "/v1/payment_intents/{id}/cancel", intents.cancel),
    Operation("payment_methods.retrieve", "GET", "/v1/payment_methods/{id}", payment_methods.retrieve),
    Operation("charges.retrieve", "GET", "/v1/charges/{id}", charges.retrieve),
    Operation("refunds.create", "POST", "/v1/refunds", refunds.create),
    Operation("refunds.list", "GET", "/v1/refunds", REFUNDS),
    Operation("refunds.retrieve", "GET", "/v1/refunds/{id}", refunds.retrieve),
    Operation("events.list", "GET", "/v1/events", lists.events),
    Operation("events.retrieve", "GET", "/v1/events/{id}", events.retrieve),
)


def authorise(_: World, call: Call) -> None:
    """A secret key as bearer token, or as the user name of basic authentication."""
    scheme, given = credentials(call)
    if scheme == "basic":
        given, _password = basic(call)
    if scheme not in ("bearer", "basic") or not given:
        raise unauthorised(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if not given.startswith(("sk_", "rk_")):
        raise unauthorised(f"Invalid API Key provided: {given[:3]}{'*' * 8}")
    if len(call.origin.idempotency_key or "") > LONGEST_KEY:
        raise invalid(f"Idempotency-Key: must be at most {LONGEST_KEY} characters long")


def request_headers(call: Call) -> Mapping[str, str]:
    headers = {"request-id": call.request_id, "stripe-version": call.headers.get("stripe-version", events.API_VERSION)}
    if call.origin.idempotency_key is not None:
        headers["idempotency-key"] = call.origin.idempotency_key
    return headers


def unknown_route(method: str, path: str) -> Answer:
    message = f"Unrecognized request URL ({method}: {path}). Please see https://docs.stripe.com or we can help."
    return error_answer(404, "invalid_request_error", message)


def fingerprint(call: Call) -> str:
    """Of path and parameters, whatever their order."""
    parameters = sorted(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    return hashlib.sha256(json.dumps([call.path, parameters]).encode()).hexdigest()


def mismatch(call: Call, first_path: str) -> Answer:
    key = call.origin.idempotency_key
    what = "parameters" if first_path == call.path else "endpoint"
    message = (
        f"Keys for idempotent requests can only be used with the same {what} they were first used with. Try using a "
        f"key other than '{key}' if you meant to execute a different request."
    )
    return error_answer(400, "idempotency_error", message, storable=False)


def in_use(call: Call) -> Answer:
    message = (
        "There is currently another in-progress request using this Stripe Idempotent Key (that probably means you "
        f"submitted twice, and the other request is still going through): {call.origin.idempotency_key}. Please try "
        "again later."
    )
    return error_answer(409, "invalid_request_error", message, code="idempotency_key_in_use", storable=False)


def replay_headers(_: Call, first_request: str) -> Mapping[str, str]:
    return {"idempotent-replayed": "true", "original-request": first_request}


def let_pass(world: World) -> None:
    """Holds that nobody captured within 7 days go back to the card; refunds to a closed account come back."""
    now = int(world.clock.now())
    for row in world.store.all("SELECT kind, body FROM stripe_objects WHERE expires_at <= ?", (now,)):
        if row["kind"] == "refund":
            refunds.conclude(world, Origin(NAME), json.loads(row["body"]), "failed")
        else:
            release(world, Origin(NAME), json.loads(row["body"]), "automatic")


def state(world: World) -> Json:
    """`holds`, `captures`, and `open_intents` that hold no money yet."""
    rows = world.store.all("SELECT body FROM stripe_objects WHERE kind = 'payment_intent' AND status != 'canceled'")
    refunded = {row[0]: row[1] for row in world.store.all(REFUNDED)}
    found: Json = {"holds": [], "captures": [], "open_intents": []}
    for row in rows:
        intent = json.loads(row["body"])
        shown = {
            "id": intent["id"],
            "status": intent["status"],
            "amount": intent["amount"],
            "currency": intent["currency"],
            "reference": objects.reference_of(intent),
            "created": intent["created"],
        }
        if intent["status"] == "succeeded":
            shown |= {"amount": intent["amount_received"], "refunded": refunded.get(intent["id"], 0)}
            found["captures"].append(shown)
        else:
            found["holds" if intent["status"] == "requires_capture" else "open_intents"].append(shown)
    return found


PROVIDER = Provider(
    name=NAME,
    operations=OPERATIONS,
    schema=objects.SCHEMA,
    tables=objects.TABLES,
    authorise=authorise,
    unknown_route=unknown_route,
    words=words,
    state=state,
    request_headers=request_headers,
    idempotency=IdempotencyRules(
        header="idempotency-key",
        methods=frozenset({"POST"}),
        remembered_for=timedelta(hours=24),
        fingerprint=fingerprint,
        mismatch=mismatch,
        in_use=in_use,
        replay_headers=replay_headers,
    ),
    webhooks=WebhookRules(batch_size=1, join=events.one, sign=events.signature),
    extra_fault_kinds=frozenset({"lock_timeout", "not_activated", "other_mode"}),
    tick=let_pass,
    control=control.ROUTES,
)
