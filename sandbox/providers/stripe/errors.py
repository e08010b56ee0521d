"""Stripe's errors, worded and shaped as Stripe's."""

from __future__ import annotations

from typing import Any

from sandbox.provider import Answer, Json, Refused, compact

JSON_TYPE = {"content-type": "application/json"}
DOC_URL = "https://docs.stripe.com/error-codes/"
LOG_URL = "https://dashboard.stripe.com/test/logs/"


def json_answer(status: int, body: Json, *, storable: bool = True) -> Answer:
    return Answer(status, compact(body).encode(), JSON_TYPE, storable)


def error_answer(status: int, kind: str, message: str, *, storable: bool = True, **more: Any) -> Answer:
    """`{"error": {...}}` with `type` = `kind`; members that are None are left out, as Stripe does."""
    error = {"type": kind, "message": message, **{name: value for name, value in more.items() if value is not None}}
    if "code" in error:
        error["doc_url"] = DOC_URL + str(error["code"]).replace("_", "-")
    return json_answer(status, {"error": dict(sorted(error.items()))}, storable=storable)


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> Refused:
    """400: parameters that fail validation. Stripe stores no idempotent result for it."""
    return Refused(error_answer(400, "invalid_request_error", message, param=param, code=code, storable=False))


def missing(kind: str, object_id: str, *, param: str = "id", status: int = 404) -> Refused:
    """An object that is not there: 404 when the path names it, 400 when a parameter does."""
    message = f"No such {kind}: '{object_id}'"
    return Refused(error_answer(status, "invalid_request_error", message, param=param, code="resource_missing"))


def unexpected_state(message: str, intent: Json, *, param: str | None = None) -> Refused:
    """400 `payment_intent_unexpected_state`, with the intent as it is."""
    code = "payment_intent_unexpected_state"
    return Refused(error_answer(400, "invalid_request_error", message, code=code, param=param, payment_intent=intent))


def unauthorised(message: str) -> Refused:
    answer = error_answer(401, "invalid_request_error", message, storable=False)
    return Refused(Answer(401, answer.body, {**JSON_TYPE, "www-authenticate": 'Bearer realm="Stripe"'}, False))


def words(kind: str, _seconds: float) -> Answer:
    """A fault as Stripe words it. Stripe sends no `Retry-After`."""
    match kind:
        case "rate_limit":
            message = (
                "Request rate limit exceeded. Learn more about rate limits at https://docs.stripe.com/rate-limits."
            )
            answer = error_answer(429, "invalid_request_error", message, code="rate_limit", storable=False)
            return Answer(429, answer.body, {**JSON_TYPE, "stripe-rate-limited-reason": "global-rate"}, False)
        case "lock_timeout":
            message = (
                "This object cannot be accessed right now because another API request or Stripe process is currently "
                "accessing it. If you see this error intermittently, retry the request."
            )
            return error_answer(429, "invalid_request_error", message, code="lock_timeout", storable=False)
        case "conflict":
            message = "There is currently another in-progress request that conflicts with this one. Please try again."
            return error_answer(409, "invalid_request_error", message, code="idempotency_key_in_use", storable=False)
        case "unauthorised" | "bad_request" | "not_activated" | "other_mode":
            return _settings_fault(kind)
    message = "An unknown error occurred. The request may or may not have had an effect."
    return error_answer(500, "api_error", message)


def _settings_fault(kind: str) -> Answer:
    """Stripe's answers to faults of the shop's own key, account or code."""
    match kind:
        case "unauthorised":
            return unauthorised(f"Expired API Key provided: sk_{'*' * 8}").answer
        case "not_activated":
            message = (
                "Your account cannot currently make live charges. If you are a customer trying to make a purchase, "
                "please contact the owner of this site. Your transaction has not been processed."
            )
            return error_answer(400, "invalid_request_error", message)
        case "other_mode":
            message = (
                "No such payment_method: 'pm_3sandbox'; a similar object exists in live mode, but a test mode key was "
                "used to make this request."
            )
            return invalid(message, param="payment_method", code="resource_missing").answer
    return invalid("Received unknown parameter: nonsense", param="nonsense", code="parameter_unknown").answer
