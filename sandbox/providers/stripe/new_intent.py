"""A new PaymentIntent from its parameters: which of them there are, and what may stand in them."""

from __future__ import annotations

import secrets

from sandbox.provider import Json
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.currencies import CURRENCIES, LARGEST_AMOUNT, smallest_amount, step
from sandbox.providers.stripe.errors import invalid
from sandbox.providers.stripe.params import Params

KIND = "payment_intent"
CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
CONFIRMING = (
    "capture_method",
    "error_on_requires_action",
    "expand",
    "mandate",
    "mandate_data",
    "off_session",
    "payment_method",
    "payment_method_options",
    "payment_method_types",
    "radar_options",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "shipping",
    "use_stripe_sdk",
)
CREATING = (
    *CONFIRMING,
    "amount",
    "automatic_payment_methods",
    "confirm",
    "confirmation_method",
    "currency",
    "customer",
    "description",
    "metadata",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def new_intent(params: Params, now: int) -> Json:
    """An unconfirmed intent of Stripe's shape from checked parameters."""
    params.require("amount")
    params.require("currency")
    currency = _currency(params)
    amount = _amount(params, currency)
    intent_id = objects.stripe_id("pi")
    automatic, types = _accepted_methods(params)
    fields = _empty() | {
        "amount": amount,
        "automatic_payment_methods": automatic,
        "client_secret": f"{intent_id}_secret_{secrets.token_hex(12)}",
        "created": now,
        "currency": currency,
        "payment_method_types": types,
        "status": "requires_payment_method",
    }
    return {"id": intent_id, "object": KIND} | dict(sorted((fields | _chosen(params)).items()))


def _chosen(params: Params) -> Json:
    """What the caller may choose, as given or as Stripe fills it in."""
    return {
        "capture_method": params.choice("capture_method", CAPTURE_METHODS) or "automatic_async",
        "confirmation_method": params.choice("confirmation_method", ("automatic", "manual")) or "automatic",
        "customer": params.text("customer"),
        "description": params.text("description", longest=1000),
        "metadata": {name: value for name, value in params.metadata().items() if value},
        "payment_method_options": params.mapping("payment_method_options") or {},
        "receipt_email": params.text("receipt_email", longest=800),
        "setup_future_usage": params.choice("setup_future_usage", ("off_session", "on_session")),
        "shipping": params.mapping("shipping"),
        "statement_descriptor": params.text("statement_descriptor", longest=22),
        "statement_descriptor_suffix": params.text("statement_descriptor_suffix", longest=22),
        "transfer_group": params.text("transfer_group"),
    }


def _empty() -> Json:
    """What no parameter sets: confirming or capturing does, or nothing here."""
    return {
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "customer_account": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "processing": None,
        "review": None,
        "source": None,
        "transfer_data": None,
    }


def _accepted_methods(params: Params) -> tuple[Json | None, list[str]]:
    """`automatic_payment_methods`, on unless types are named or it is switched off, and `payment_method_types`."""
    types = params.strings("payment_method_types")
    automatic = params.mapping("automatic_payment_methods")
    switched_off = automatic is not None and automatic.get("enabled") != "true"
    if types is None:
        redirects = (automatic or {}).get("allow_redirects", "always")
        return None if switched_off else {"allow_redirects": redirects, "enabled": True}, ["card"]
    if automatic is not None and not switched_off:
        raise invalid("You may only specify one of these parameters: automatic_payment_methods, payment_method_types.")
    if "card" not in types:
        message = "The sandbox takes cards only: payment_method_types must contain card"
        raise invalid(message, param="payment_method_types")
    return None, types


def _currency(params: Params) -> str:
    currency = (params.text("currency") or "").lower()
    if currency not in CURRENCIES:
        listed = ", ".join(sorted(CURRENCIES))
        message = f"Invalid currency: {currency}. Stripe currently supports these currencies: {listed}"
        raise invalid(message, param="currency")
    return currency


def _amount(params: Params, currency: str) -> int:
    amount = params.integer("amount") or 0
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise invalid(message, param="amount", code="parameter_invalid_integer")
    smallest = smallest_amount(currency)
    if amount < smallest:
        message = f"Amount must be at least {smallest} in the smallest unit of {currency}"
        raise invalid(message, param="amount", code="amount_too_small")
    if amount % step(currency):
        message = f"Invalid amount: in {currency} it must be divisible by {step(currency)}"
        raise invalid(message, param="amount", code="parameter_invalid_integer")
    if amount > LARGEST_AMOUNT:
        message = f"Amount must be no more than {LARGEST_AMOUNT} in the smallest unit of {currency}"
        raise invalid(message, param="amount", code="amount_too_large")
    return amount
