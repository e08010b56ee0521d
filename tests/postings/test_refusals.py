"""What a provider refuses ends at once, and says whose fault it was: the card's, or our settings'."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline import actions
from pipeline.errors import Misconfigured, Refused, StepFailure
from pipeline.models import Circuit, Event, Pipeline, Step
from pipeline.testing import SOON, ScriptedBroker, crash_at, drain, drain_all, state_of
from postings import card_attempts
from postings.models import Plan
from postings.providers import stripe
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]
UNKNOWN_CARD = "pm_nobody_knows_this"
DEADLINE = timedelta(minutes=16)  # of staging, and a person is told before it


def _count(outside: Outside, *routes: str) -> Callable[[str], int]:
    """How often each route is asked from now on: a latency of nothing counts its requests."""
    for route in routes:
        outside.fault("stripe", route, "latency", seconds=0)

    def asked(route: str) -> int:
        return sum(fault["calls"] for fault in outside.sandbox.faults() if fault["route"] == route)

    return asked


def _payment(pipeline: uuid.UUID) -> Step:
    return Step.objects.get(pipeline=pipeline, name="payment")


# --- made nothing -----------------------------------------------------------------------------------------


def test_a_refused_create_made_nothing_and_is_not_sent_again(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    asked = _count(outside, "payment_intents.create", "payment_intents.list")
    pipeline = submit(UNKNOWN_CARD)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert (asked("payment_intents.create"), asked("payment_intents.list")) == (1, 0)
    assert outside.mails(pipeline) == ["not_published"]
    outside.assert_agrees(pipeline)


def test_a_create_that_is_refused_after_an_unknown_sending_is_looked_up_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("stripe", "payment_intents.create", "drop_before", times=1)
    asked = _count(outside, "payment_intents.list")
    pipeline = submit(UNKNOWN_CARD)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert asked("payment_intents.list") == 1
    assert _payment(pipeline).attempts == 2
    outside.assert_agrees(pipeline)


def test_what_a_create_made_before_it_was_refused_is_found_and_cancelled(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("stripe", "payment_intents.create", "drop_after", times=1)
    pipeline = submit()
    broker.deliver_all()
    outside.fault("stripe", "payment_intents.create", "other_mode")
    actions.cancel(pipeline)
    broker.deliver_all()
    outside.sandbox.http.delete("/_sandbox/faults").raise_for_status()
    drain(pipeline, broker, within=DEADLINE)
    assert outside.sandbox.get("state")["open_intents"] == []
    outside.assert_agrees(pipeline)


@pytest.mark.parametrize("place", ["create_stored", "effect"])
def test_a_worker_that_dies_around_the_refusal_leaves_it_to_the_next(
    outside: Outside, broker: ScriptedBroker, submit: Submit, place: str
) -> None:
    crash_at(f"payment.stage.{place}")
    pipeline = submit(UNKNOWN_CARD)
    assert drain(pipeline, broker, within=10 * SOON) == "rolled_back"
    assert _payment(pipeline).data == {}
    outside.assert_agrees(pipeline)


def test_a_create_that_never_reached_stripe_is_not_asked_for_when_it_is_undone(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    """So a Stripe that stays away keeps "not charged" from nobody."""
    outside.fault("stripe", None, "rate_limit")
    pipeline = submit()
    broker.deliver_all()
    Circuit.objects.update_or_create(
        provider="stripe",
        defaults={"opened_at": "2026-01-01T00:00:00Z", "retry_at": "2100-01-01T00:00:00Z", "failures": 9},
    )
    actions.cancel(pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    outside.assert_agrees(pipeline)


# --- our settings -----------------------------------------------------------------------------------------

FAULTS = [
    ("unauthorised", {}, "STRIPE_SECRET_KEY", True),
    ("not_activated", {}, "activate the account", True),
    ("other_mode", {}, "both to live or test", False),
    ("bad_request", {}, "Stripe's dashboard", False),
    ("", {"amount": 20}, "raise it in the admin", False),
    ("", {"amount": 999_999_999}, "lower it in the admin", False),
    ("", {"currency": "XXX"}, "change it in the admin", False),
]


@pytest.mark.parametrize(
    ("fault", "price", "cure", "opens"), FAULTS, ids=[f"{kind}{price}" for kind, price, *_ in FAULTS]
)
def test_a_fault_of_our_settings_is_told_to_a_person_with_its_cure_and_never_blamed_on_the_card(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Submit,
    plan: Plan,
    settings: Any,
    fault: str,
    price: dict[str, Any],
    cure: str,
    opens: bool,
) -> None:
    settings.MAX_REFUSED_CARDS_PER_HOUR = 1
    if fault:
        outside.fault("stripe", None, fault)
    Plan.objects.update(**price)
    plan.refresh_from_db()
    pipeline = submit(has_logo=False)
    Pipeline.objects.filter(pk=pipeline).update(client="203.0.113.9")
    broker.deliver_all()
    assert cure in Event.objects.get(pipeline=pipeline, type="attention").data["detail"]
    assert Circuit.objects.filter(opened_at__isnull=False).exists() == opens
    assert drain(pipeline, broker, within=DEADLINE) == "rolled_back"
    error = Pipeline.objects.get(pk=pipeline).error
    assert error["code"] == "staging_timed_out"
    assert "our side" in error["detail"]
    assert "card" not in error["detail"]
    assert outside.mails(pipeline) == ["not_published"]
    assert Event.objects.filter(pipeline=pipeline, type="attention").count() == 1
    card_attempts.check("203.0.113.9")


@pytest.mark.parametrize(("provider", "cure"), [("s3", "check the S3 settings"), ("sendgrid", "SENDGRID_API_KEY")])
def test_a_key_that_another_provider_refuses_opens_its_circuit_at_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit, provider: str, cure: str
) -> None:
    outside.fault(provider, None, "unauthorised")
    pipeline = submit()
    broker.deliver_all()
    assert cure in Event.objects.get(pipeline=pipeline, type="attention").data["detail"]
    circuit = Circuit.objects.get(provider={"s3": "storage"}.get(provider, provider))
    assert circuit.opened_at is not None
    outside.sandbox.http.delete("/_sandbox/faults").raise_for_status()
    assert drain(pipeline, broker, within=DEADLINE) == "committed"
    outside.assert_agrees(pipeline)


def test_a_mail_refused_for_its_sender_is_ours_and_not_its_recipient_s(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("sendgrid", None, "bad_request", times=1)
    pipeline = submit()
    assert drain(pipeline, broker, within=DEADLINE) == "committed"
    assert "MAIL_FROM" in Event.objects.get(pipeline=pipeline, type="attention").data["detail"]
    assert outside.mails(pipeline) == ["receipt"]


@pytest.mark.parametrize(("card", "end"), [("pm_card_visa", "committed"), (UNKNOWN_CARD, "rolled_back")])
def test_a_person_is_told_when_the_address_of_a_mail_is_refused_as_the_customer_was_not(
    outside: Outside, broker: ScriptedBroker, submit: Submit, card: str, end: str
) -> None:
    pipeline = submit(card, contact_email="me@localhost")
    assert drain(pipeline, broker, within=DEADLINE) == end
    assert outside.mails(pipeline) == []
    mark = Event.objects.get(pipeline=pipeline, type="attention")
    assert (mark.data["code"], mark.data["about"], mark.step) == ("email_refused", "email", None)
    assert Pipeline.objects.get(pk=pipeline).attention == 1


# --- the card ---------------------------------------------------------------------------------------------


def test_a_payment_method_that_was_used_asks_for_the_card_again_and_counts_for_nothing(
    outside: Outside, broker: ScriptedBroker, submit: Submit, settings: Any
) -> None:
    used = outside.sandbox.stripe(timeout=5).v1.payment_methods.retrieve("pm_card_visa").id
    assert drain(submit(used), broker, within=SOON) == "committed"
    again = [submit(used), submit(UNKNOWN_CARD)]
    drain_all(again, broker, within=2 * SOON)
    Pipeline.objects.filter(pk__in=again).update(client="203.0.113.9")
    error = Pipeline.objects.get(pk=again[0]).error
    assert (error["code"], error["field"]) == ("payment_method_used", "payment_method")
    assert "enter the card again" in error["detail"]
    settings.MAX_REFUSED_CARDS_PER_HOUR = 1
    card_attempts.check("203.0.113.9")


@pytest.mark.parametrize(
    ("code", "param", "words", "kind", "ours"),
    [
        ("", "", "this paymentmethod was previously used without being attached", Refused, "payment_method_used"),
        ("", "", "the provided paymentmethod ... it may not be used again.", Refused, "payment_method_used"),
        ("resource_missing", "payment_method", "no such paymentmethod: 'pm_x'", Refused, "resource_missing"),
        ("", "payment_method", "you cannot use the test id 'pm_card_visa'", Refused, "payment_method_refused"),
        ("resource_missing", "intent", "no such payment_intent: 'pi_x'", Misconfigured, "resource_missing"),
        ("", "", "something that nobody has heard of", Misconfigured, "stripe_request"),
        ("testmode_charges_only", "", "", Misconfigured, "testmode_charges_only"),
    ],
)
def test_of_refused_requests_only_those_about_the_payment_method_are_the_customer_s(
    code: str, param: str, words: str, kind: type[StepFailure], ours: str
) -> None:
    failure = stripe._invalid(code, param, words)
    assert (type(failure), failure.code) == (kind, ours)


# --- nobody is asked --------------------------------------------------------------------------------------


def test_postings_without_a_logo_do_not_wait_for_a_storage_that_is_down(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("s3", None, "down")
    with_logo = [submit() for _ in range(5)]
    broker.deliver_all()
    assert Circuit.objects.get(provider="storage").opened_at is not None
    Circuit.objects.update(retry_at="2100-01-01T00:00:00Z")
    without = [submit(has_logo=False) for _ in range(8)]
    broker.deliver_all()
    assert {state_of(pipeline) for pipeline in without} == {"committed"}
    assert {state_of(pipeline) for pipeline in with_logo} == {"staging"}
    assert Circuit.objects.get(provider="storage").opened_at is not None


def test_a_customer_who_cancels_waits_for_no_mail_server(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    pipeline = submit("pm_card_authenticationRequired")
    broker.deliver_all()
    Circuit.objects.create(
        provider="sendgrid", opened_at="2026-01-01T00:00:00Z", retry_at="2100-01-01T00:00:00Z", failures=9
    )
    actions.cancel(pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    outside.assert_agrees(pipeline)
