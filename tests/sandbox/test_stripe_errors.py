"""What Stripe refuses, in the SDK's own error classes."""

import pytest
import stripe

GOOD = {"amount": 9900, "currency": "eur"}


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"amount": None}, "amount", "parameter_missing"),
        ({"currency": None}, "currency", "parameter_missing"),
        ({"amount": "12.5"}, "amount", "parameter_invalid_integer"),
        ({"amount": 0}, "amount", "parameter_invalid_integer"),
        ({"amount": 49}, "amount", "amount_too_small"),
        ({"amount": 100_000_000}, "amount", "amount_too_large"),
        ({"currency": "euro"}, "currency", None),
        ({"capture_method": "later"}, "capture_method", None),
        ({"payment_method_types": ["sepa_debit"]}, "payment_method_types", None),
        ({"payment_method_types": ["card"], "automatic_payment_methods": {"enabled": True}}, None, None),
        ({"confirm": "yes"}, "confirm", None),
        ({"surprise": 1}, "surprise", "parameter_unknown"),
        ({"metadata": "text"}, "metadata", None),
        ({"metadata": {"k" * 41: "v"}}, "metadata", None),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", None),
        ({"metadata": {f"k{number}": "v" for number in range(51)}}, "metadata", None),
        ({"payment_method": "pm_card_nope"}, "payment_method", "resource_missing"),
        ({"payment_method": "pm_123"}, "payment_method", "resource_missing"),
        ({"confirm": True}, "payment_method", "payment_intent_unexpected_state"),
        ({"payment_method": "pm_card_visa", "expand": ["secrets"]}, "expand", None),
    ],
)
def test_a_bad_parameter_is_refused_by_name_and_has_no_effect(sandbox, change, param, code):
    given = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.stripe().v1.payment_intents.create(given)
    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)
    assert refused.value.request_id.startswith("req_")
    assert sandbox.ledger() == []


@pytest.mark.parametrize(
    ("service", "missing"),
    [("payment_intents", "pi_x"), ("refunds", "re_x"), ("events", "evt_x"), ("payment_methods", "pm_x")],
)
def test_what_does_not_exist_is_a_missing_resource(sandbox, service, missing):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        getattr(sandbox.stripe().v1, service).retrieve(missing)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert missing in str(refused.value)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer pk_test_x", "Basic !!", b"Basic \xe9\xe9\xe9\xe9"])
def test_without_a_secret_key_the_answer_is_401(sandbox, header):
    headers = {} if header is None else {"authorization": header}
    answer = sandbox.http.get("/stripe/v1/payment_intents", headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")


def test_the_sdk_reads_401_as_its_authentication_error(sandbox):
    with pytest.raises(stripe.AuthenticationError):
        sandbox.stripe(key="nonsense").v1.payment_intents.list()


def test_an_unknown_url_is_named_in_the_refusal(sandbox):
    with pytest.raises(stripe.InvalidRequestError, match=r"Unrecognized request URL \(POST: /v1/customers\)"):
        sandbox.stripe().v1.customers.create({})


@pytest.mark.parametrize(
    ("kind", "error", "status", "code"),
    [
        ("rate_limit", stripe.RateLimitError, 429, "rate_limit"),
        ("lock_timeout", stripe.RateLimitError, 429, "lock_timeout"),
        ("conflict", stripe.APIError, 409, "idempotency_key_in_use"),
        ("error_before", stripe.APIError, 500, None),
    ],
)
def test_faults_are_worded_as_stripe_words_them(sandbox, create, kind, error, status, code):
    sandbox.fault("stripe", kind)
    with pytest.raises(error) as failed:
        create(sandbox.stripe())
    assert type(failed.value) is error
    assert (failed.value.http_status, failed.value.error.code if code else None) == (status, code)


def test_every_answer_bears_a_request_id_and_the_version_asked_for(sandbox, create):
    headers = create(sandbox.stripe(), key="abc").last_response.headers
    assert headers["request-id"].startswith("req_")
    assert headers["stripe-version"] == stripe.api_version
    assert headers["idempotency-key"] == "abc"
