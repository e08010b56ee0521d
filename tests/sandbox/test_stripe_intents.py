"""PaymentIntents as the official SDK sees them."""

import httpx
import pytest
import stripe


def test_an_unconfirmed_intent_holds_no_money_and_writes_no_entry(sandbox, create):
    intent = create(sandbox.stripe())
    assert intent.status == "requires_confirmation"
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert sandbox.ledger() == []
    assert [each["id"] for each in sandbox.get("state")["open_intents"]] == [intent.id]


def test_confirming_by_id_holds_the_money_and_capturing_takes_it(sandbox, create):
    client = sandbox.stripe()
    intent = create(client)
    held = client.v1.payment_intents.confirm(intent.id, options={"idempotency_key": "confirm-1"})
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 9900, 0)
    assert [each["id"] for each in sandbox.get("state")["holds"]] == [intent.id]
    taken = client.v1.payment_intents.capture(intent.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 9900)
    first, second = sandbox.ledger()
    assert {**first, "at": None} == {
        "seq": 1,
        "at": None,
        "provider": "stripe",
        "effect": "authorised",
        "object_id": intent.id,
        "idempotency_key": "confirm-1",
        "reference": "pipeline-1",
        "amount": 9900,
        "currency": "eur",
        "charged": "99.00",
        "replayed": False,
        "client_saw_answer": True,
    }
    assert (second["seq"], second["effect"], second["reference"]) == (2, "captured", "pipeline-1")


def test_creating_with_confirm_holds_at_once(sandbox, create):
    assert create(sandbox.stripe(), confirm=True).status == "requires_capture"
    assert sandbox.effects() == ["authorised"]


def test_automatic_capture_succeeds_at_once(sandbox, create):
    intent = create(sandbox.stripe(), confirm=True, capture_method="automatic")
    assert (intent.status, intent.amount_received) == ("succeeded", 9900)
    assert sandbox.effects() == ["captured"]


def test_a_partial_capture_takes_its_part_and_releases_the_rest(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, confirm=True)
    taken = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 4000, "expand": ["latest_charge"]})
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 4000, 0)
    assert (taken.latest_charge.amount_captured, taken.latest_charge.amount_refunded) == (4000, 5900)
    assert sandbox.ledger()[-1]["amount"] == 4000


def test_capturing_more_than_is_held_is_refused(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, confirm=True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 9901})
    assert refused.value.param == "amount_to_capture"


def test_the_latest_charge_tells_until_when_the_hold_lasts(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, confirm=True)
    charge = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]}).latest_charge
    assert charge.payment_method_details.card.capture_before == charge.created + 7 * 86_400
    assert client.v1.charges.retrieve(charge.id).captured is False


def test_cancelling_a_hold_voids_it_and_cancelling_without_one_is_only_cancelled(sandbox, create):
    client = sandbox.stripe()
    held, unconfirmed = create(client, confirm=True), create(client)
    cancelled = client.v1.payment_intents.cancel(held.id, {"cancellation_reason": "abandoned"})
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")
    client.v1.payment_intents.cancel(unconfirmed.id)
    assert sandbox.effects() == ["authorised", "voided", "cancelled"]


@pytest.mark.parametrize("act", ["confirm", "capture", "cancel"])
def test_a_cancelled_intent_refuses_everything_and_writes_nothing(sandbox, create, act):
    client = sandbox.stripe()
    intent = create(client)
    client.v1.payment_intents.cancel(intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        getattr(client.v1.payment_intents, act)(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error.payment_intent.status == "canceled"
    assert "canceled" in str(refused.value)
    assert sandbox.effects() == ["cancelled"]


@pytest.mark.parametrize("act", ["confirm", "capture", "cancel"])
def test_a_captured_intent_refuses_everything(sandbox, create, act):
    client = sandbox.stripe()
    intent = create(client, confirm=True, capture_method="automatic")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        getattr(client.v1.payment_intents, act)(intent.id)
    assert refused.value.error.payment_intent.status == "succeeded"


DECLINES = {
    "chargeDeclined": ("card_declined", "generic_decline"),
    "chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "chargeCustomerFail": ("card_declined", "generic_decline"),
}


@pytest.mark.parametrize("prefix", ["pm_card_", "pm_card_visa_"])
@pytest.mark.parametrize("card", DECLINES)
def test_a_declined_card_answers_402_and_leaves_the_intent_to_another_card(sandbox, create, prefix, card):
    client = sandbox.stripe()
    intent = create(client, prefix + card)
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.confirm(intent.id)
    error = declined.value.error
    assert (declined.value.http_status, error.type) == (402, "card_error")
    assert (error.code, error.decline_code) == DECLINES[card]
    assert (error.payment_intent.id, error.payment_intent.status) == (intent.id, "requires_payment_method")
    assert error.payment_intent.last_payment_error.code == error.code
    assert sandbox.effects() == ["declined"]
    paid = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_mastercard"})
    assert (paid.status, paid.last_payment_error) == ("requires_capture", None)


def test_a_decline_on_create_leaves_an_intent_that_can_be_cancelled(sandbox, create):
    client = sandbox.stripe()
    with pytest.raises(stripe.CardError) as declined:
        create(client, "pm_card_chargeDeclined", confirm=True)
    client.v1.payment_intents.cancel(declined.value.error.payment_intent.id)
    assert sandbox.effects() == ["declined", "cancelled"]


def authenticate(sandbox, intent, outcome):
    return sandbox.post(f"stripe/payment_intents/{intent.id}/authenticate", {"outcome": outcome})


@pytest.mark.parametrize("card", ["pm_card_authenticationRequired", "pm_card_visa_threeDSecure2Required"])
def test_three_d_secure_holds_the_money_once_the_customer_succeeds(sandbox, create, card):
    client = sandbox.stripe()
    intent = create(client, card, confirm=True)
    assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
    assert sandbox.ledger() == []
    assert authenticate(sandbox, intent, "succeed")["status"] == "requires_capture"
    assert client.v1.payment_intents.retrieve(intent.id).amount_capturable == 9900
    assert sandbox.effects() == ["authorised"]


def test_three_d_secure_leaves_no_hold_when_the_customer_fails(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, "pm_card_authenticationRequired", confirm=True)
    authenticate(sandbox, intent, "fail")
    failed = client.v1.payment_intents.retrieve(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert sandbox.effects() == ["declined"]


def test_three_d_secure_can_still_be_declined_by_the_bank(sandbox, create):
    intent = create(sandbox.stripe(), "pm_card_threeDSecureRequiredChargeDeclined", confirm=True)
    assert authenticate(sandbox, intent, "succeed")["status"] == "requires_payment_method"


def test_with_a_return_url_the_customer_is_redirected_to_a_page_that_asks(sandbox, create):
    more = {"confirm": True, "return_url": "https://shop.example/back"}
    intent = create(sandbox.stripe(), "pm_card_authenticationRequired", **more)
    page = intent.next_action.redirect_to_url.url
    assert "is it you" in httpx.get(page).text
    gone_back = httpx.post(page, data={"outcome": "succeed"}, headers={"accept": "text/html"})
    assert (gone_back.status_code, gone_back.headers["location"]) == (303, "https://shop.example/back")


def test_without_a_customer_present_authentication_is_a_decline(sandbox, create):
    with pytest.raises(stripe.CardError) as declined:
        create(sandbox.stripe(), "pm_card_authenticationRequired", confirm=True, off_session=True)
    assert declined.value.code == "authentication_required"


def test_authenticating_what_does_not_wait_is_refused(sandbox, create):
    intent = create(sandbox.stripe())
    answer = sandbox.http.post(f"/_sandbox/stripe/payment_intents/{intent.id}/authenticate", json={"outcome": "fail"})
    assert (answer.status_code, "requires_confirmation" in answer.json()["error"]) == (409, True)
    path = "/_sandbox/stripe/payment_intents/pi_nope/authenticate"
    assert sandbox.http.post(path, json={"outcome": "fail"}).status_code == 404
    assert sandbox.http.post(path, json={"outcome": "maybe"}).json()["allowed"] == ["succeed", "fail"]


def test_a_hold_that_nobody_captures_goes_back_after_seven_days(sandbox, create):
    client = sandbox.stripe()
    held, unconfirmed = create(client, confirm=True), create(client)
    sandbox.post("clock", {"days": 6})
    assert client.v1.payment_intents.retrieve(held.id).status == "requires_capture"
    sandbox.post("clock", {"days": 1})
    expired = client.v1.payment_intents.retrieve(held.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    assert client.v1.payment_intents.retrieve(unconfirmed.id).status == "requires_confirmation"
    assert (sandbox.ledger()[-1]["effect"], sandbox.ledger()[-1]["object_id"]) == ("voided", held.id)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.capture(held.id)


def test_a_refund_gives_back_what_was_captured_and_no_more(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, confirm=True, capture_method="automatic")
    part = client.v1.refunds.create({"payment_intent": intent.id, "amount": 900, "reason": "duplicate"})
    rest = client.v1.refunds.create({"payment_intent": intent.id})
    assert (part.amount, rest.amount, rest.status) == (900, 9000, "succeeded")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    assert client.v1.refunds.retrieve(part.id).charge == intent.latest_charge
    assert [each.id for each in client.v1.refunds.list({"payment_intent": intent.id})] == [rest.id, part.id]
    entry = sandbox.ledger()[-1]
    assert (entry["effect"], entry["object_id"], entry["payment_intent"]) == ("refunded", rest.id, intent.id)
    assert entry["reference"] == "pipeline-1"
    assert sandbox.get("state")["captures"][0]["refunded"] == 9900


def test_a_hold_cannot_be_refunded(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, confirm=True)
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        client.v1.refunds.create({"payment_intent": intent.id})


def test_the_card_refund_fail_gives_a_failed_refund_and_no_entry(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, "pm_card_refundFailAtOnce", confirm=True, capture_method="automatic")
    assert client.v1.refunds.create({"payment_intent": intent.id}).status == "failed"
    assert sandbox.effects() == ["captured"]


@pytest.mark.parametrize("by", ["id", "latest_charge"])
def test_a_captured_charge_can_be_disputed_once(sandbox, create, by):
    client = sandbox.stripe()
    intent = create(client, confirm=True, capture_method="automatic")
    path = f"stripe/charges/{intent[by]}/dispute"
    assert sandbox.post(path, {"reason": "unrecognized"})["payment_intent"] == intent.id
    assert client.v1.charges.retrieve(intent.latest_charge).disputed is True
    assert sandbox.http.post(f"/_sandbox/{path}").status_code == 409


def test_a_payment_method_is_made_of_a_test_card_and_can_be_read(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, "pm_card_mastercard")
    method = client.v1.payment_methods.retrieve(intent.payment_method)
    assert (method.id, method.card.brand, method.card.last4) == (intent.payment_method, "mastercard", "4444")
    assert client.v1.payment_methods.retrieve("pm_card_visa").card.last4 == "4242"
