"""What happens at the card's bank: an intent is charged, challenged, declined, released."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json, Origin, Refused
from sandbox.providers.stripe import charges, objects
from sandbox.providers.stripe.cards import AUTHENTICATION_REQUIRED, Card, Decline
from sandbox.providers.stripe.disputes import dispute
from sandbox.providers.stripe.errors import DOC_URL, LOG_URL, json_answer
from sandbox.providers.stripe.events import emit
from sandbox.providers.stripe.params import Params
from sandbox.providers.stripe.payment_methods import card_of, mark_used

if TYPE_CHECKING:
    from sandbox.world import World


def charge_card(world: World, call: Call, intent: Json, method: Json, card: Card, params: Params) -> None:
    """Confirms `intent` with `card`, changing it in place. Raises the 402 of a decline, which stays recorded."""
    intent |= {"last_payment_error": None, "next_action": None, "payment_method": method["id"]}
    mark_used(world, method["id"], intent["id"])
    if not card.challenge:
        settle(world, call.origin, intent, method, card.decline)
    elif params.boolean("error_on_requires_action") or params.text("off_session") not in (None, "false"):
        settle(world, call.origin, intent, method, AUTHENTICATION_REQUIRED)
    else:
        challenge(world, call, intent, params)
    if intent["status"] == "requires_payment_method":
        raise Refused(declined(call, intent))


def challenge(world: World, call: Call, intent: Json, params: Params) -> None:
    """Asks the customer to authenticate: by redirect when there is a `return_url`, else through Stripe.js."""
    return_url = params.text("return_url")
    if return_url is not None and not params.boolean("use_stripe_sdk"):
        page = f"http://{call.headers.get('host', '')}/_sandbox/stripe/payment_intents/{intent['id']}/authenticate"
        intent["next_action"] = {"redirect_to_url": {"return_url": return_url, "url": page}, "type": "redirect_to_url"}
    else:
        details = {"source": f"payatt_3{secrets.token_hex(12)}", "type": "three_d_secure_redirect"}
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": details}
    intent["status"] = "requires_action"
    objects.update(world, intent)
    emit(world, call.origin, "payment_intent.requires_action", intent)


def settle(world: World, origin: Origin, intent: Json, method: Json, decline: Decline | None) -> None:
    """The bank's word on the intent's amount: held, taken or declined. Writes charge, ledger and events."""
    now = int(world.clock.now())
    charge = charges.resource(intent, method, now, decline)
    objects.insert(world, charge)
    intent |= {"latest_charge": charge["id"], "next_action": None}
    manual = intent["capture_method"] == "manual"
    if decline is not None:
        intent |= {"last_payment_error": card_error(decline, charge["id"], method), "payment_method": None}
        _conclude(world, origin, intent, "requires_payment_method", "declined")
        emit(world, origin, "charge.failed", charge)
        emit(world, origin, "payment_intent.payment_failed", intent)
    elif manual:
        intent["amount_capturable"] = intent["amount"]
        _conclude(world, origin, intent, "requires_capture", "authorised", now + int(charges.HOLD.total_seconds()))
        emit(world, origin, "charge.succeeded", charge)
        emit(world, origin, "payment_intent.amount_capturable_updated", intent)
    else:
        intent["amount_received"] = intent["amount"]
        _conclude(world, origin, intent, "succeeded", "captured")
        emit(world, origin, "charge.succeeded", charge)
        emit(world, origin, "payment_intent.succeeded", intent)
        dispute_if_contested(world, origin, charge)


def dispute_if_contested(world: World, origin: Origin, charge: Json) -> None:
    """The card `createDispute` contests every charge that is captured."""
    if card_of(world, charge["payment_method"]).disputed:
        dispute(world, origin, charge)


def _conclude(
    world: World, origin: Origin, intent: Json, status: str, effect: str, expires_at: int | None = None
) -> None:
    intent["status"] = status
    objects.update(world, intent, expires_at=expires_at)
    world.ledger.record(
        origin,
        effect,
        intent["id"],
        reference=objects.reference_of(intent),
        amount=intent["amount"],
        currency=intent["currency"],
    )


def card_error(decline: Decline, charge_id: str, method: Json) -> Json:
    """`last_payment_error` and the heart of the 402."""
    return {
        "advice_code": "try_again_later",
        "charge": charge_id,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": DOC_URL + decline.code.replace("_", "-"),
        "message": decline.message,
        "network_decline_code": decline.network_code,
        "payment_method": method,
        "type": "card_error",
    }


def declined(call: Call, intent: Json) -> Answer:
    """402 with the intent as it now is."""
    error = {**intent["last_payment_error"], "payment_intent": intent, "request_log_url": LOG_URL + call.request_id}
    return json_answer(402, {"error": error})


def fail_authentication(world: World, origin: Origin, intent: Json, method: Json) -> None:
    """The customer did not authenticate: no charge was tried, another card may be."""
    message = (
        "We are unable to authenticate your payment method. Please choose a different payment method and try again."
    )
    code = "payment_intent_authentication_failure"
    intent |= {
        "last_payment_error": {
            "code": code,
            "doc_url": DOC_URL + code.replace("_", "-"),
            "message": message,
            "payment_method": method,
            "type": "invalid_request_error",
        },
        "next_action": None,
        "payment_method": None,
    }
    _conclude(world, origin, intent, "requires_payment_method", "declined")
    emit(world, origin, "payment_intent.payment_failed", intent)


def release(world: World, origin: Origin, intent: Json, reason: str | None) -> None:
    """Cancels the intent; a hold goes back to the card. `voided` when there was one, else `cancelled`."""
    now = int(world.clock.now())
    held = intent["status"] == "requires_capture"
    intent |= {"amount_capturable": 0, "canceled_at": now, "cancellation_reason": reason, "next_action": None}
    _conclude(world, origin, intent, "canceled", "voided" if held else "cancelled")
    charge = objects.load(world, charges.KIND, intent["latest_charge"]) if held else None
    if charge is not None:
        charge |= {"amount_refunded": charge["amount"], "refunded": True}
        objects.update(world, charge)
        emit(world, origin, "charge.expired" if reason == "automatic" else "charge.refunded", charge)
    emit(world, origin, "payment_intent.canceled", intent)
