"""Charges: what a confirmed PaymentIntent leaves at the card's bank."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.cards import Decline
from sandbox.providers.stripe.errors import json_answer, missing
from sandbox.providers.stripe.params import Params

if TYPE_CHECKING:
    from sandbox.world import World

HOLD = timedelta(days=7)
KIND = "charge"


def resource(intent: Json, method: Json, now: int, decline: Decline | None = None) -> Json:
    """A charge of the intent's amount: an uncaptured hold or a sale by its capture method, or a declined one."""
    sale = decline is None and intent["capture_method"] != "manual"
    charge_id = objects.stripe_id("ch")
    return {
        "id": charge_id,
        "object": KIND,
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if sale else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": objects.stripe_id("txn") if sale else None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": intent["statement_descriptor"],
        "captured": sale,
        "created": now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if decline is None else decline.code,
        "failure_message": None if decline is None else decline.message,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": _outcome(decline),
        "paid": decline is None,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": _card_details(intent, method, now, decline), "type": "card"},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "refunds": {"object": "list", "data": [], "has_more": False, "url": f"/v1/charges/{charge_id}/refunds"},
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "succeeded" if decline is None else "failed",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def _outcome(decline: Decline | None) -> Json:
    return {
        "advice_code": None if decline is None else "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None if decline is None else decline.network_code,
        "network_status": "approved_by_network" if decline is None else "declined_by_network",
        "reason": None if decline is None else decline.decline_code,
        "seller_message": "Payment complete." if decline is None else "The bank declined the payment.",
        "type": "authorized" if decline is None else "issuer_declined",
    }


def _card_details(intent: Json, method: Json, now: int, decline: Decline | None) -> Json:
    card = method["card"]
    hold = decline is None and intent["capture_method"] == "manual"
    details = {
        "amount_authorized": intent["amount"] if decline is None else None,
        "authorization_code": None,
        "brand": card["brand"],
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": None},
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
        "regulated_status": card["regulated_status"],
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }
    return {**details, "capture_before": now + int(HOLD.total_seconds())} if hold else details


def retrieve(world: World, call: Call) -> Answer:
    Params(call.query, {"expand"})
    charge = objects.load(world, KIND, call.params["id"])
    if charge is None:
        raise missing("charge", call.params["id"])
    return json_answer(200, charge)
