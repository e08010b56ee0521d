"""PaymentMethods: a test card's name stands for a card that is made when it is first used, as at Stripe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.cards import CARDS, Card, card_named
from sandbox.providers.stripe.errors import invalid, json_answer, missing
from sandbox.providers.stripe.params import Params

if TYPE_CHECKING:
    from sandbox.world import World

KIND = "payment_method"


def resource(card: Card, created: int) -> Json:
    """A PaymentMethod of Stripe's shape."""
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {
        "id": objects.stripe_id("pm"),
        "object": KIND,
        "allow_redisplay": "unspecified",
        "billing_details": {"address": address, "email": None, "name": None, "phone": None, "tax_id": None},
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
            "country": "US",
            "display_brand": card.brand,
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": f"sandbox{card.brand}{card.last4}",
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }


USED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use "
    "a PaymentMethod multiple times, you must attach it to a Customer first."
)


def use(world: World, payment_method: str, intent: str = "") -> tuple[Json, Card]:
    """The PaymentMethod of that id and what charging it does. Raises `resource_missing`, and 400 without a code if
    another intent has used it.
    """
    found = card_named(payment_method)
    if found is not None:
        name, card = found
        made = resource(card, int(world.clock.now()))
        objects.insert(world, made, card=name)
        return made, card
    existing = objects.load(world, KIND, payment_method)
    if existing is None:
        raise missing("PaymentMethod", payment_method, param="payment_method", status=400)
    used = world.store.one("SELECT intent FROM stripe_uses WHERE payment_method = ?", (payment_method,))
    if used is not None and used["intent"] != intent:
        raise invalid(USED)
    return existing, card_of(world, payment_method)


def mark_used(world: World, payment_method: str, intent: str) -> None:
    """It was charged, or tried: without a customer, that is for this intent alone."""
    world.store.execute("INSERT OR IGNORE INTO stripe_uses VALUES (?, ?)", (payment_method, intent))


def card_of(world: World, payment_method: str) -> Card:
    """The test card that a made PaymentMethod came of."""
    row = world.store.one("SELECT card FROM stripe_objects WHERE id = ? AND kind = ?", (payment_method, KIND))
    return CARDS[row["card"]] if row is not None else CARDS["visa"]


def retrieve(world: World, call: Call) -> Answer:
    Params(call.query, {"expand"})
    wanted = call.params["id"]
    if card_named(wanted) is not None:
        return json_answer(200, use(world, wanted)[0])
    found = objects.load(world, KIND, wanted)
    if found is None:
        raise missing("PaymentMethod", wanted, param="payment_method")
    return json_answer(200, found)
