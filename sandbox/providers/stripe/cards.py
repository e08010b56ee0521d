"""Stripe's test cards: which PaymentMethod ids exist without having been made, and what a charge of them does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a bank refuses: the error's `code`, `decline_code`, `message`, and the network's two-digit code."""

    code: str
    decline_code: str
    message: str
    network_code: str = "01"


@dataclass(frozen=True, slots=True)
class Card:
    """`challenge` asks for 3-D Secure first; `decline` refuses the charge; the last four act after capture."""

    last4: str = "4242"
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    challenge: bool = False
    disputed: bool = False
    refund_fails: bool = False
    refund_fails_later: bool = False
    refund_pends: bool = False


def _declined(decline_code: str, message: str = "Your card was declined.", code: str = "card_declined") -> Decline:
    return Decline(code, decline_code, message)


GENERIC = _declined("generic_decline")
INSUFFICIENT = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.", "51")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
CARDS = {
    "visa": Card(),
    "visa_debit": Card("5556", funding="debit"),
    "mastercard": Card("4444", "mastercard"),
    "mastercard_debit": Card("8210", "mastercard", "debit"),
    "mastercard_prepaid": Card("5100", "mastercard", "prepaid"),
    "amex": Card("8431", "amex"),
    "discover": Card("9424", "discover"),
    "diners": Card("0004", "diners"),
    "jcb": Card("0505", "jcb"),
    "unionpay": Card("0005", "unionpay"),
    "chargeDeclined": Card("0002", decline=GENERIC),
    "chargeDeclinedInsufficientFunds": Card("9995", decline=INSUFFICIENT),
    "chargeDeclinedLostCard": Card("9987", decline=_declined("lost_card")),
    "chargeDeclinedStolenCard": Card("9979", decline=_declined("stolen_card")),
    "chargeDeclinedFraudulent": Card("0019", decline=_declined("fraudulent")),
    "chargeDeclinedVelocityLimitExceeded": Card("6975", decline=_declined("card_velocity_exceeded")),
    "chargeDeclinedExpiredCard": Card(
        "0069", decline=Decline("expired_card", "expired_card", "Your card has expired.", "54")
    ),
    "chargeDeclinedIncorrectCvc": Card(
        "0127", decline=_declined("incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc")
    ),
    "chargeDeclinedProcessingError": Card(
        "0119",
        decline=_declined(
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
            "processing_error",
        ),
    ),
    "chargeCustomerFail": Card("0341", decline=GENERIC),
    "authenticationRequired": Card("3184", challenge=True),
    "authenticationRequiredOnSetup": Card("3155", challenge=True),
    "authenticationRequiredSetupForOffSession": Card("3155", challenge=True),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Card("8341", challenge=True, decline=INSUFFICIENT),
    "threeDSecure2Required": Card("3220", challenge=True),
    "threeDSecureRequired": Card("3063", challenge=True),
    "threeDSecureRequiredChargeDeclined": Card("1629", challenge=True, decline=GENERIC),
    "threeDSecureOptional": Card("3055"),
    "createDispute": Card("0259", disputed=True),
    "refundFail": Card("5126", refund_fails_later=True),
    "refundFailAtOnce": Card("5126", refund_fails=True),  # the sandbox's own: some banks refuse in the answer
    "pendingRefund": Card("7726", refund_pends=True),
}


def card_named(payment_method: str) -> tuple[str, Card] | None:
    """The card behind `pm_card_NAME` or `pm_card_visa_NAME`, with its name; None when there is no such test card."""
    for prefix in ("pm_card_visa_", "pm_card_"):
        if payment_method.startswith(prefix):
            name = payment_method.removeprefix(prefix)
            if name in CARDS:
                return name, CARDS[name]
    return None
