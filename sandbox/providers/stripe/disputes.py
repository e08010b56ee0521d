"""Disputes: a cardholder contests a charge, by the card `createDispute` or because a check asks for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.provider import Json, Origin
from sandbox.providers.stripe import objects
from sandbox.providers.stripe.events import emit

if TYPE_CHECKING:
    from sandbox.world import World

EVIDENCE_WITHIN = timedelta(days=7)
REASONS = (
    "bank_cannot_process",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
)
EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def dispute(
    world: World, origin: Origin, charge: Json, reason: str = "fraudulent", *, names_intent: bool = True
) -> Json:
    """Opens a dispute of the whole charge and tells of it; no money moves in the ledger until it is lost."""
    now = int(world.clock.now())
    opened = _resource(charge, reason, now)
    if not names_intent:
        opened["payment_intent"] = None
    objects.insert(world, opened)
    charge["disputed"] = True
    objects.update(world, charge)
    emit(world, origin, "charge.dispute.created", opened)
    emit(world, origin, "charge.dispute.funds_withdrawn", opened)
    return opened


def close(world: World, origin: Origin, disputed: Json, outcome: str) -> None:
    """The bank has decided: won gives the money back to the seller, lost leaves it with the cardholder."""
    disputed["status"] = outcome
    objects.update(world, disputed)
    emit(world, origin, "charge.dispute.closed", disputed)
    if outcome == "won":
        emit(world, origin, "charge.dispute.funds_reinstated", disputed)


def warn(world: World, origin: Origin, charge: Json, *, names_intent: bool = True) -> Json:
    """The bank warns that the card may be stolen."""
    warning = {
        "id": objects.stripe_id("issfr"),
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": charge["id"],
        "created": int(world.clock.now()),
        "fraud_type": "unauthorized_use_of_card",
        "livemode": False,
        "payment_intent": charge["payment_intent"] if names_intent else None,
    }
    objects.insert(world, warning)
    emit(world, origin, "radar.early_fraud_warning.created", warning)
    return warning


def _resource(charge: Json, reason: str, now: int) -> Json:
    card = charge["payment_method_details"]["card"]
    return {
        "id": objects.stripe_id("dp"),
        "object": "dispute",
        "amount": charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + int(EVIDENCE_WITHIN.total_seconds()),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": card["brand"],
                "case_type": "chargeback",
                "network": card["network"],
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }
