"""The money: holds, 3-D Secure, captures, and what becomes of them when things go wrong."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from pipeline import actions
from pipeline.models import Pipeline, Step
from pipeline.testing import IN_THE_END, SOON, ScriptedBroker, advance, crash_at, drain, state_of
from tests.postings.conftest import PRICE, Outside

Submit = Callable[..., uuid.UUID]
NEEDS_CUSTOMER = "pm_card_authenticationRequired"


def _intent(pipeline: uuid.UUID) -> str:
    return str(Step.objects.get(pipeline_id=pipeline, name="payment").data["intent"])


def _authenticate(outside: Outside, pipeline: uuid.UUID, outcome: str) -> None:
    outside.sandbox.post(f"stripe/payment_intents/{_intent(pipeline)}/authenticate", {"outcome": outcome})


def test_a_posting_is_paid_published_and_confirmed(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit()
    assert drain(pipeline, broker) == "committed"
    outside.assert_agrees(pipeline)
    assert outside.effects(pipeline) == ["object_put", "authorised", "captured", "email_accepted"]


def test_nothing_is_captured_before_everything_is_staged(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    crash_at("email.stage.claimed")
    pipeline = submit()
    broker.deliver_all()
    assert outside.effects(pipeline) == ["object_put", "authorised"]
    assert drain(pipeline, broker) == "committed"
    outside.assert_agrees(pipeline)


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("pm_card_chargeDeclined", "card_declined"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error"),
        ("pm_nobody_knows_this", "resource_missing"),
    ],
)
def test_a_refused_card_says_why_in_the_customers_words(
    outside: Outside, broker: ScriptedBroker, submit: Submit, card: str, code: str
) -> None:
    pipeline = submit(card)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    error = Pipeline.objects.get(pk=pipeline).error
    assert (error["code"], error["step"]) == (code, "payment")
    assert "Nothing was charged" in error["detail"]
    outside.assert_agrees(pipeline)


def test_the_customer_is_waited_for_and_then_charged(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit(NEEDS_CUSTOMER)
    broker.deliver_all()
    row = Pipeline.objects.get(pk=pipeline)
    assert row.state == "waiting"
    assert row.next_action["type"] == "confirm_payment"
    assert row.next_action["client_secret"].startswith(_intent(pipeline))
    _authenticate(outside, pipeline, "succeed")
    actions.resume(pipeline)
    broker.deliver_all()
    assert state_of(pipeline) == "committed"
    outside.assert_agrees(pipeline)


def test_without_any_webhook_the_provider_is_asked(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit(NEEDS_CUSTOMER)
    broker.deliver_all()
    _authenticate(outside, pipeline, "succeed")
    assert drain(pipeline, broker) == "committed"


def test_a_failed_authentication_rolls_back(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit(NEEDS_CUSTOMER)
    broker.deliver_all()
    _authenticate(outside, pipeline, "fail")
    actions.resume(pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "authentication_failed"
    outside.assert_agrees(pipeline)


def test_an_abandoned_authentication_is_asked_once_more_at_its_deadline(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    pipeline = submit(NEEDS_CUSTOMER)
    broker.deliver_all()
    advance(timedelta(hours=1))
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "customer_timed_out"
    outside.assert_agrees(pipeline)


def test_who_confirmed_at_the_last_moment_gets_the_posting(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    pipeline = submit(NEEDS_CUSTOMER)
    broker.deliver_all()
    advance(timedelta(hours=1))
    _authenticate(outside, pipeline, "succeed")
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    outside.assert_agrees(pipeline)


def test_who_cancels_while_waiting_is_not_charged_and_gets_no_mail(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    pipeline = submit(NEEDS_CUSTOMER)
    broker.deliver_all()
    actions.cancel(pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert outside.mails(pipeline) == []
    outside.assert_agrees(pipeline)


def test_a_hold_that_expired_before_its_capture_rolls_back(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("stripe", "payment_intents.capture", "down", times=1)
    pipeline = submit()
    broker.deliver_all()
    assert state_of(pipeline) == "committing"
    outside.sandbox.post("clock", {"advance": 8 * 86400})
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "hold_expired"
    outside.assert_agrees(pipeline)


@pytest.mark.parametrize("route", ["payment_intents.create", "payment_intents.confirm", "payment_intents.capture"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "error_before", "error_after"])
def test_an_answer_lost_a_day_ago_is_asked_for_not_sent_again(
    outside: Outside, broker: ScriptedBroker, submit: Submit, route: str, kind: str
) -> None:
    """Stripe forgets keys after a day: by then only reading tells what the call did."""
    outside.fault("stripe", route, kind, times=1)
    pipeline = submit()
    broker.deliver_all()
    late = Pipeline.objects.get(pk=pipeline).due_at + timedelta(days=9)
    Pipeline.objects.filter(pk=pipeline).update(deadline_at=late)
    outside.sandbox.post("clock", {"advance": 25 * 3600})
    advance(timedelta(hours=25))
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    outside.assert_agrees(pipeline)


def test_a_price_is_fixed_when_the_posting_is_accepted(
    outside: Outside, broker: ScriptedBroker, submit: Submit, plan: object
) -> None:
    pipeline = submit()
    type(plan).objects.update(amount=1)  # type: ignore[attr-defined]
    assert drain(pipeline, broker) == "committed"
    assert [entry["amount"] for entry in outside.entries(pipeline) if entry["effect"] == "captured"] == [PRICE]


def test_a_capture_found_when_rolling_back_is_refunded_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    """It cannot happen by the engine's rules; a person at Stripe's dashboard can make it happen."""
    pipeline = submit(NEEDS_CUSTOMER)
    broker.deliver_all()
    _authenticate(outside, pipeline, "succeed")
    outside.sandbox.stripe(timeout=5).v1.payment_intents.capture(_intent(pipeline))
    actions.cancel(pipeline)
    outside.fault("stripe", "refunds.create", "drop_after", times=1)
    assert drain(pipeline, broker) == "rolled_back"
    effects = outside.effects(pipeline)
    assert (effects.count("captured"), effects.count("refunded")) == (1, 1)
