"""Refunds of captured charges."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json, Origin, Refused
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.errors import error_answer, invalid, missing, unexpected_state
from sandbox.providers.stripe.events import emit
from sandbox.providers.stripe.expansion import answer
from sandbox.providers.stripe.intents import form
from sandbox.providers.stripe.params import Params
from sandbox.providers.stripe.payment_methods import card_of

if TYPE_CHECKING:
    from sandbox.world import World

KIND = "refund"
CREATING = ("amount", "charge", "expand", "metadata", "payment_intent", "reason")
FAILS_AFTER = timedelta(days=3)  # of the card refundFail, by the sandbox's clock
REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(world: World, call: Call) -> Answer:
    params = Params(form(call), CREATING)
    reason = params.choice("reason", REASONS)
    metadata = {name: value for name, value in params.metadata().items() if value}
    charge, intent = _charge_to_refund(world, params)
    amount = _amount(params, charge)
    refund = _resource(charge, amount, reason, metadata, int(world.clock.now()))
    card = card_of(world, charge["payment_method"])
    refund["status"] = "failed" if card.refund_fails else "pending" if card.refund_pends else "succeeded"
    fails_at = refund["created"] + int(FAILS_AFTER.total_seconds()) if card.refund_fails_later else None
    objects.insert(world, refund, expires_at=fails_at)
    if refund["status"] != "failed":
        _take_back(world, call, charge, intent, refund)
    emit(world, call.origin, "refund.created", refund)
    if refund["status"] == "failed":
        emit(world, call.origin, "refund.failed", refund)
    return answer(world, refund, params.expand())


def conclude(world: World, origin: Origin, refund: Json, status: str) -> None:
    """What the bank says of a refund later. One that fails gives the charge its money back, days after it succeeded."""
    refund["status"] = status
    if status == "failed":
        refund |= {
            "failure_balance_transaction": objects.stripe_id("txn"),
            "failure_reason": "expired_or_canceled_card",
        }
        _give_back(world, origin, refund)
    objects.update(world, refund)
    emit(world, origin, "refund.updated", refund)
    emit(world, origin, "charge.refund.updated", refund)
    if status == "failed":
        emit(world, origin, "refund.failed", refund)


def _give_back(world: World, origin: Origin, refund: Json) -> None:
    charge = objects.load(world, "charge", refund["charge"]) or {}
    charge["refunds"]["data"] = [each for each in charge["refunds"]["data"] if each["id"] != refund["id"]]
    charge |= {"amount_refunded": charge["amount_refunded"] - refund["amount"], "refunded": False}
    objects.update(world, charge)
    intent = objects.load(world, "payment_intent", refund["payment_intent"]) or {}
    world.ledger.record(
        origin,
        "refund_failed",
        refund["id"],
        reference=objects.reference_of(refund) or objects.reference_of(intent),
        amount=refund["amount"],
        currency=refund["currency"],
        payment_intent=refund["payment_intent"],
    )


def _charge_to_refund(world: World, params: Params) -> tuple[Json, Json]:
    """The captured charge and its intent, named by either."""
    intent_id, charge_id = params.text("payment_intent"), params.text("charge")
    if intent_id is None and charge_id is None:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise invalid(message, code="parameter_missing")
    charge = objects.load(world, "charge", charge_id)
    if charge_id is not None and charge is None:
        raise missing("charge", charge_id, param="charge")
    intent_id = charge["payment_intent"] if charge is not None else intent_id
    intent = objects.load(world, "payment_intent", intent_id)
    if intent is None:
        raise missing("payment_intent", intent_id or "", param="payment_intent")
    charge = charge or objects.load(world, "charge", intent["latest_charge"])
    if charge is None or not charge["captured"]:
        message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise unexpected_state(message, intent)
    return charge, intent


def _amount(params: Params, charge: Json) -> int:
    left = int(charge["amount_captured"] - _refunded(charge))
    if left <= 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise Refused(error_answer(400, "invalid_request_error", message, code="charge_already_refunded"))
    amount = params.integer("amount")
    if amount is None:
        return left
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", param="amount")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise invalid(message, param="amount", code="amount_too_large")
    return amount


def _refunded(charge: Json) -> int:
    """What refunds have taken back: not what a partial capture released."""
    return sum(each["amount"] for each in charge["refunds"]["data"])


def _take_back(world: World, call: Call, charge: Json, intent: Json, refund: Json) -> None:
    charge["refunds"]["data"].insert(0, refund)
    charge["amount_refunded"] += refund["amount"]
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
    objects.update(world, charge)
    world.ledger.record(
        call.origin,
        "refunded",
        refund["id"],
        reference=objects.reference_of(refund) or objects.reference_of(intent),
        amount=refund["amount"],
        currency=refund["currency"],
        payment_intent=intent["id"],
    )
    emit(world, call.origin, "charge.refunded", charge)


def _resource(charge: Json, amount: int, reason: str | None, metadata: dict[str, str], now: int) -> Json:
    return {
        "id": objects.stripe_id("re"),
        "object": KIND,
        "amount": amount,
        "balance_transaction": objects.stripe_id("txn"),
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def retrieve(world: World, call: Call) -> Answer:
    params = Params(call.query, ("expand",))
    refund = objects.load(world, KIND, call.params["id"])
    if refund is None:
        raise missing("refund", call.params["id"])
    return answer(world, refund, params.expand())
