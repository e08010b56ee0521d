"""PaymentIntents: made, read, confirmed, captured and cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json
from sandbox.providers.stripe import objects, payment_methods
from sandbox.providers.stripe.charging import charge_card, dispute_if_contested, release
from sandbox.providers.stripe.errors import invalid, missing, unexpected_state
from sandbox.providers.stripe.events import emit
from sandbox.providers.stripe.expansion import answer
from sandbox.providers.stripe.new_intent import CAPTURE_METHODS, CONFIRMING, CREATING, KIND, new_intent
from sandbox.providers.stripe.params import Params

if TYPE_CHECKING:
    from sandbox.world import World

CAPTURING = (
    "amount_to_capture",
    "expand",
    "final_capture",
    "metadata",
    "statement_descriptor",
    "statement_descriptor_suffix",
)
REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = ("requires_payment_method", "requires_capture", "requires_reauthorization", "requires_confirmation",
              "requires_action", "processing")  # fmt: skip


NO_METHOD = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
    "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method "
    "or ConfirmationToken."
)


def form(call: Call) -> str:
    return call.body.decode("utf-8", "replace")


def find(world: World, call: Call) -> Json:
    intent = objects.load(world, KIND, call.params["id"])
    if intent is None:
        raise missing("payment_intent", call.params["id"], param="intent")
    return intent


def retrieve(world: World, call: Call) -> Answer:
    params = Params(call.query, ("expand", "client_secret"))
    return answer(world, find(world, call), params.expand())


def create(world: World, call: Call) -> Answer:
    params = Params(form(call), CREATING)
    intent = new_intent(params, int(world.clock.now()))
    confirm = params.boolean("confirm")
    method = params.text("payment_method")
    card = None
    if method is not None:
        made, card = payment_methods.use(world, method, intent["id"])
        intent |= {"payment_method": made["id"], "status": "requires_confirmation"}
    elif confirm:
        raise unexpected_state(NO_METHOD, intent, param="payment_method")
    objects.insert(world, intent)
    emit(world, call.origin, "payment_intent.created", intent)
    if confirm and card is not None:
        charge_card(world, call, intent, made, card, params)
    return answer(world, intent, params.expand())


def confirm(world: World, call: Call) -> Answer:
    params = Params(form(call), CONFIRMING)
    intent = find(world, call)
    status = intent["status"]
    if status == "succeeded":
        message = (
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
        )
        raise unexpected_state(message, intent)
    if status not in CONFIRMABLE:
        listed = "requires_confirmation, requires_action"
        message = (
            f"You cannot confirm this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one "
            f"of the following statuses may be confirmed: {listed}."
        )
        raise unexpected_state(message, intent)
    wanted = params.text("payment_method") or intent["payment_method"]
    if wanted is None:
        raise unexpected_state(NO_METHOD, intent, param="payment_method")
    method, card = payment_methods.use(world, wanted, intent["id"])
    intent["capture_method"] = params.choice("capture_method", CAPTURE_METHODS) or intent["capture_method"]
    intent["receipt_email"] = params.text("receipt_email", longest=800) or intent["receipt_email"]
    charge_card(world, call, intent, method, card, params)
    return answer(world, intent, params.expand())


def capture(world: World, call: Call) -> Answer:
    """The whole hold, or a part of it, whose rest is released."""
    params = Params(form(call), CAPTURING)
    intent = find(world, call)
    if intent["status"] != "requires_capture":
        message = (
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture."
        )
        raise unexpected_state(message, intent)
    amount = params.integer("amount_to_capture")
    amount = intent["amount_capturable"] if amount is None else amount
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", param="amount_to_capture")
    if amount > intent["amount_capturable"]:
        capturable = intent["amount_capturable"]
        message = f"The amount_to_capture ({amount}) is greater than the capturable amount ({capturable})."
        raise invalid(message, param="amount_to_capture", code="amount_too_large")
    metadata = {**intent["metadata"], **params.metadata()}
    intent |= {
        "amount_capturable": 0,
        "amount_received": amount,
        "metadata": {name: value for name, value in metadata.items() if value},
        "status": "succeeded",
    }
    objects.update(world, intent)
    charge = objects.load(world, "charge", intent["latest_charge"]) or {}
    charge |= {
        "amount_captured": amount,
        "amount_refunded": charge["amount"] - amount,
        "balance_transaction": objects.stripe_id("txn"),
        "captured": True,
    }
    reference, currency = objects.reference_of(intent), intent["currency"]
    world.ledger.record(call.origin, "captured", intent["id"], reference=reference, amount=amount, currency=currency)
    objects.update(world, charge)
    emit(world, call.origin, "charge.captured", charge)
    emit(world, call.origin, "payment_intent.succeeded", intent)
    dispute_if_contested(world, call.origin, charge)
    return answer(world, intent, params.expand())


def cancel(world: World, call: Call) -> Answer:
    params = Params(form(call), ("cancellation_reason", "expand"))
    reason = params.choice("cancellation_reason", REASONS)
    intent = find(world, call)
    if intent["status"] not in CANCELABLE:
        message = (
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(CANCELABLE)}."
        )
        raise unexpected_state(message, intent)
    release(world, call.origin, intent, reason)
    return answer(world, intent, params.expand())
