"""Stripe, by its official SDK: PaymentIntents with manual capture. Its errors become ours here and only here.

Facts: https://docs.stripe.com/api/payment_intents, /error-handling, /idempotency.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import requests
import stripe
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from pipeline.once import Once
from pipeline.providers import budget
from pipeline.providers.over_urllib3 import session
from pipeline.retry import retry_after
from pipeline.workflow import Call, Misconfigured, Refused, StepFailure, Unavailable, Unknown

T = TypeVar("T")

API_VERSION: Final = "2026-10-28.endive"
_CLOCK_SKEW: Final = timedelta(minutes=5)
_PAGE: Final = 100  # objects of one page of a list: Stripe's most

_DECLINES: Final = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "Your bank could not process the payment.",
    "authentication_failed": "Your bank could not confirm that it was you.",
    "card_declined": "Your card was declined.",
}
CARD_CODES: Final = frozenset(_DECLINES)  # those that a bank gives for a card: whoever tests cards gets them
# Faults of ours, by Stripe's code or words, and who mends them how. The first concern every payment.
_ACCOUNT_CODES: Final = frozenset(
    {"account_invalid", "api_key_expired", "platform_api_key_expired", "secret_key_required", "testmode_charges_only"}
)
_ACCOUNT_WORDS: Final = ("cannot currently make live charges", "has not been activated")
_CURES: Final = {
    "amount_too_small": "the plan's price is below Stripe's minimum for its currency: raise it in the admin",
    "amount_too_large": "the plan's price is above what Stripe takes: lower it in the admin",
    "currency": "the account takes no payments in the plan's currency: change it in the admin",
}
_OTHER_MODE: Final = "similar object exists in"
_USED: Final = ("may not be used again", "previously used", "already been attached to a customer")
# Stripe's codes, where ours say it in another word.
_CODES: Final = {
    "payment_intent_authentication_failure": "authentication_failed",
    "authentication_required": "authentication_failed",
}


# The intent's or its charge's state does not allow the call: reading it tells more than the answer.
_WRONG_STATES: Final = frozenset(
    {
        "capture_charge_authorization_expired",
        "charge_already_captured",
        "charge_expired_for_capture",
        "payment_intent_unexpected_state",
    }
)


@dataclass(frozen=True, slots=True)
class Intent:
    """What we need of a PaymentIntent. Amounts in the currency's minor unit; `currency` in lower case."""

    id: str
    status: str
    amount: int
    amount_received: int
    amount_refunded: int  # of its charge
    currency: str
    reference: str  # metadata.pipeline_id: whose it is
    client_secret: str
    capture_before: datetime | None
    failure_code: str  # our code of the last failed confirmation, or empty
    created_at: datetime
    was_held: bool  # whether money was held on the card, ever


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund; `reference` is its own mark, or empty when somebody else made it."""

    id: str
    intent: str
    amount: int
    currency: str
    reference: str
    created_at: datetime


class WrongState(StepFailure):
    """The intent's status does not allow this call: read it and see."""

    kind = "unknown"


def create(call: Call) -> Intent:
    """Create an unconfirmed intent."""
    return _as_it_is(_send(lambda client: client.v1.payment_intents.create(_expanded(call), _options(call))))


def confirm(intent: str, call: Call) -> Intent:
    """Confirm it: a hold on the card, a demand for 3-D Secure, or Refused."""
    return _as_it_is(_send(lambda client: client.v1.payment_intents.confirm(intent, _expanded(call), _options(call))))


def capture(intent: str, call: Call) -> Intent:
    """Capture the whole hold."""
    return _as_it_is(_send(lambda client: client.v1.payment_intents.capture(intent, _expanded(call), _options(call))))


def cancel(intent: str, call: Call) -> Intent:
    """Cancel it, which releases a hold."""
    return _as_it_is(_send(lambda client: client.v1.payment_intents.cancel(intent, _expanded(call), _options(call))))


def retrieve(intent: str) -> Intent:
    """Read it."""
    return _intent(_send(lambda client: client.v1.payment_intents.retrieve(intent, {"expand": ["latest_charge"]})))


def refund(call: Call) -> str:
    """Refund a captured intent; the refund's id, or Refused. One that is refunded already is fine."""
    try:
        made = _send(lambda client: client.v1.refunds.create(_params(call), _options(call)))
    except Misconfigured as fault:
        if fault.code == "charge_already_refunded":
            return ""
        if fault.outage:
            raise
        raise Refused(fault.code, fault.detail, title="Refund refused") from fault
    if made.status in ("failed", "canceled"):
        raise Refused(
            "refund_failed",
            f"{made.id} is {made.status}",
            title="Refund refused",
            message="The card's bank does not take the refund back: settle it with the customer by hand.",
        )
    return str(made.id)


def find(reference: str, since: datetime) -> Intent | None:
    """Our intent by its mark, listing from `since` on (lists are read-after-write; search is not)."""
    return next((intent for intent in intents(since) if intent.reference == reference), None)


def intents(since: datetime | None = None) -> list[Intent]:
    """The inventory: every intent made since, newest first, whoever's it is."""
    params: Any = _made_since(since) | {"limit": _PAGE, "expand": ["data.latest_charge"]}
    return [_intent(each) for each in _listed(lambda client: client.v1.payment_intents.list(params))]


def refunds(since: datetime | None = None) -> list[Refund]:
    """The inventory's other half: every refund made since that did not fail."""
    params: Any = _made_since(since) | {"limit": _PAGE}
    made = _listed(lambda client: client.v1.refunds.list(params))
    return [_refund(each) for each in made if each.status not in ("failed", "canceled")]


def declined(code: str) -> Refused:
    """The refusal of a card, in the customer's words."""
    return Refused(
        code or "card_declined",
        "the card was declined",
        title="Payment refused",
        message=f"{_DECLINES.get(code, _DECLINES['card_declined'])} Nothing was charged: try another card.",
    )


def is_reachable() -> bool:
    """Whether Stripe answers."""
    try:
        _send(lambda client: client.v1.payment_intents.list({"limit": 1}))
    except StepFailure:
        return False
    return True


@Once
def _client() -> stripe.StripeClient:
    """One a process, made on first use: never before a worker forks."""
    if not settings.STRIPE_SECRET_KEY:
        raise ImproperlyConfigured("STRIPE_SECRET_KEY is not set: take it from Stripe's dashboard.")
    addresses: Any = {"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else {}
    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        base_addresses=addresses,
        stripe_version=API_VERSION,
        max_network_retries=0,
        http_client=stripe.RequestsClient(session=session()),
    )


def _options(call: Call) -> Any:
    return {"idempotency_key": call.key}


def _params(call: Call) -> Any:
    return dict(call.params)


def _made_since(since: datetime | None) -> dict[str, Any]:
    return {"created": {"gte": int((since - _CLOCK_SKEW).timestamp())}} if since else {}


def _expanded(call: Call) -> Any:
    return _params(call) | {"expand": ["latest_charge"]}


def _send(request: Callable[[stripe.StripeClient], T]) -> T:
    client = _client()
    try:
        with budget.within():
            return request(client)
    except stripe.StripeError as error:
        raise _ours(error) from error


def _listed(first: Callable[[stripe.StripeClient], stripe.ListObject[Any]]) -> Iterator[Any]:
    """A list's objects. Each page is a call of its own."""
    page = _send(first)
    while page.data:
        yield from page.data
        page = _send(lambda _client, page=page: page.next_page())  # type: ignore[misc] # bound now


def _ours(error: stripe.StripeError) -> StepFailure:
    """Refused, unavailable or unknown; `server_error` marks an answer that Stripe stores under the key."""
    if isinstance(error, stripe.APIConnectionError):
        return _not_connected(error)
    if isinstance(error, stripe.CardError):
        return declined(_decline_code(error))
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        detail = "Stripe refuses our key: check STRIPE_SECRET_KEY and what a restricted key may do"
        return Misconfigured("stripe_credentials", detail)
    return _answered(error, (error.error.code if error.error is not None else None) or error.code or "")


def _answered(error: stripe.StripeError, code: str) -> StepFailure:
    status = error.http_status
    if isinstance(error, stripe.RateLimitError):
        pause = retry_after(error.headers)
        return Unavailable(code or "rate_limited", "Stripe asks for fewer requests", retry_after=pause)
    if isinstance(error, stripe.IdempotencyError) or status == 409:
        detail = "the key is in use or was used for something else"
        return Unknown(code or "idempotency_conflict", detail, outage=False)
    if code in _WRONG_STATES:
        return WrongState(code, "the intent is in another state", outage=False)
    if isinstance(error, stripe.InvalidRequestError):
        return _invalid(code, str(error.param or ""), (error.user_message or "").lower())
    return Unknown("server_error", f"Stripe answered {status}")


def _not_connected(error: BaseException) -> StepFailure:
    """Only a connection that was never made is known to have done nothing."""
    cause: BaseException | None = error
    while cause is not None:
        reason = getattr(cause.args[0], "reason", None) if cause.args else None
        if isinstance(cause, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError):
            return Unavailable("stripe_unreachable", "no connection to Stripe")
        cause = cause.__cause__ or cause.__context__
    return Unknown("no_answer", "the connection to Stripe broke")


def _invalid(code: str, param: str, words: str) -> StepFailure:
    """The customer's where it speaks of their payment method; everything else that we sent is ours to mend."""
    if any(used in words for used in _USED):
        return _enter_again("payment_method_used", "was used before")
    if _OTHER_MODE in words or code == "livemode_mismatch":
        detail = "an object of the other mode: set STRIPE_SECRET_KEY and the publishable key both to live or test"
        return Misconfigured("stripe_mode", detail, outage=False)
    if param == "payment_method":
        return _enter_again(code or "payment_method_refused", "is not known, or cannot be used here")
    if code in _ACCOUNT_CODES or any(each in words for each in _ACCOUNT_WORDS):
        return Misconfigured(code or "account_inactive", "activate the account in Stripe's dashboard, check its key")
    cure = _CURES.get(code) or _CURES.get(param) or "see the request in Stripe's dashboard"
    return Misconfigured(code or "stripe_request", f"Stripe refuses {param or 'the request'}: {cure}", outage=False)


def _enter_again(code: str, why: str) -> Refused:
    return Refused(
        code,
        f"the payment method {why}",
        title="Card needed again",
        message=f"This payment method {why}. Nothing was charged: please enter the card again.",
        field="payment_method",
    )


def _decline_code(error: stripe.CardError) -> str:
    body = error.error
    code = (body.code if body is not None else None) or error.code or "card_declined"
    decline = (body.decline_code if body is not None else None) or ""
    return _our_code(code, decline)


def _our_code(code: str, decline: str) -> str:
    code = _CODES.get(code, code)
    if code == "card_declined" and decline in _DECLINES:
        return decline
    return code if code in _DECLINES else "card_declined"


def _as_it_is(answer: stripe.PaymentIntent) -> Intent:
    """The intent as it is now: the answer that Stripe has stored under a key is as old as the key's first use.

    Much may have happened since, by this database's pipelines too, when the database was restored from a backup.
    """
    response = answer.last_response
    is_stored = response is not None and response.headers.get("Idempotent-Replayed") == "true"
    return retrieve(answer.id) if is_stored else _intent(answer)


def _intent(made: stripe.PaymentIntent) -> Intent:
    """From the SDK's object; its charge is expanded, so that the hold's end can be read."""
    found: dict[str, Any] = made.to_dict()
    charge = found.get("latest_charge")
    card = ((charge.get("payment_method_details") or {}).get("card") or {}) if isinstance(charge, dict) else {}
    ends = card.get("capture_before")
    failure = found.get("last_payment_error") or {}
    return Intent(
        id=found["id"],
        status=found["status"],
        amount=found["amount"],
        amount_received=found.get("amount_received") or 0,
        amount_refunded=(charge.get("amount_refunded") or 0) if isinstance(charge, dict) else 0,
        currency=found["currency"],
        reference=(found.get("metadata") or {}).get("pipeline_id", ""),
        client_secret=found.get("client_secret") or "",
        capture_before=datetime.fromtimestamp(ends, UTC) if ends else None,
        failure_code=_our_code(failure.get("code") or "", failure.get("decline_code") or "") if failure else "",
        created_at=datetime.fromtimestamp(found["created"], UTC),
        was_held=isinstance(charge, dict) and charge.get("status") == "succeeded",
    )


def _refund(made: stripe.Refund) -> Refund:
    found: dict[str, Any] = made.to_dict()
    return Refund(
        id=found["id"],
        intent=str(found.get("payment_intent") or ""),
        amount=found["amount"],
        currency=found["currency"],
        reference=(found.get("metadata") or {}).get("pipeline_id", ""),
        created_at=datetime.fromtimestamp(found["created"], UTC),
    )
