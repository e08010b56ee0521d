"""Webhooks: signed so that the SDKs accept them, delivered until answered, bent by their faults."""

import json
import queue
import time

import pytest
import stripe
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import Category, CustomArg, Mail


@pytest.fixture
def told(sandbox, receiver):
    """The sandbox, telling the receiver of everything."""
    sandbox.post("webhooks", {"stripe": receiver.url, "sendgrid": receiver.url})
    yield sandbox
    sandbox.post("webhooks", {"stripe": None, "sendgrid": None})


def event_in(received):
    return json.loads(received.body)


def types(receiver, count):
    return [event_in(receiver.next())["type"] for _ in range(count)]


def test_stripes_events_are_signed_as_the_sdk_expects(told, receiver, create):
    intent = create(told.stripe(), key="create-1")
    received = receiver.next()
    secret = told.get("keys")["stripe_webhook_secret"]
    event = told.stripe().construct_event(received.body, received.headers["stripe-signature"], secret)
    assert (event.type, event.data.object.id) == ("payment_intent.created", intent.id)
    assert event.request.idempotency_key == "create-1"
    assert event.api_version == stripe.api_version
    with pytest.raises(stripe.SignatureVerificationError):
        told.stripe().construct_event(received.body + b" ", received.headers["stripe-signature"], secret)


def test_signatures_are_dated_by_the_machines_clock_whatever_the_sandboxs_says(told, receiver, create):
    told.post("clock", {"days": 3})
    create(told.stripe())
    received = receiver.next()
    moment = int(received.headers["stripe-signature"].split(",")[0].removeprefix("t="))
    assert abs(moment - time.time()) < 60
    assert event_in(received)["created"] > time.time() + 2 * 86_400


def test_each_change_of_an_intent_is_told(told, receiver, create):
    client = told.stripe()
    intent = create(client)
    client.v1.payment_intents.confirm(intent.id)
    client.v1.payment_intents.capture(intent.id)
    client.v1.refunds.create({"payment_intent": intent.id})
    told.post(f"stripe/charges/{intent.id}/dispute")
    assert types(receiver, 8) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
        "charge.refunded",
        "refund.created",
        "charge.dispute.created",
    ]


def test_declines_and_cancellations_are_told(told, receiver, create):
    client = told.stripe()
    intent = create(client, "pm_card_chargeDeclined")
    with pytest.raises(stripe.CardError):
        client.v1.payment_intents.confirm(intent.id)
    client.v1.payment_intents.cancel(intent.id)
    assert types(receiver, 4) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
    ]


def test_authentication_is_told_with_the_intent_as_it_then_is(told, receiver, create):
    intent = create(told.stripe(), "pm_card_authenticationRequired", confirm=True)
    assert types(receiver, 2) == ["payment_intent.created", "payment_intent.requires_action"]
    told.post(f"stripe/payment_intents/{intent.id}/authenticate", {"outcome": "succeed"})
    receiver.next()
    event = event_in(receiver.next())
    assert (event["type"], event["data"]["object"]["status"]) == (
        "payment_intent.amount_capturable_updated",
        "requires_capture",
    )


def test_an_expired_hold_is_told(told, receiver, create):
    create(told.stripe(), confirm=True)
    types(receiver, 3)
    told.post("clock", {"days": 7})
    assert types(receiver, 2) == ["charge.expired", "payment_intent.canceled"]


def test_the_card_create_dispute_is_disputed_once_captured(told, receiver, create):
    create(told.stripe(), "pm_card_createDispute", confirm=True, capture_method="automatic")
    assert types(receiver, 4)[-1] == "charge.dispute.created"


def test_an_event_is_sent_again_until_it_is_answered_with_2xx(told, receiver, create):
    receiver.status = 500
    create(told.stripe())
    first = receiver.next()
    receiver.status = 204
    assert receiver.next().body == first.body
    with pytest.raises(queue.Empty):
        receiver.next(timeout=1.2)


def test_a_duplicated_event_comes_twice_under_one_id(told, receiver, create):
    told.fault("stripe", "webhook_duplicate", times=1)
    create(told.stripe(), confirm=True)
    events = [event_in(receiver.next()) for _ in range(4)]
    assert [event["type"] for event in events][:2] == ["payment_intent.created"] * 2
    assert events[0]["id"] == events[1]["id"]
    assert told.faults()[0]["fired"] == 1


def test_a_reordered_event_is_overtaken_by_the_next(told, receiver, create):
    told.fault("stripe", "webhook_reorder", route="charge.succeeded", seconds=0.3)
    create(told.stripe(), confirm=True)
    assert types(receiver, 3) == [
        "payment_intent.created",
        "payment_intent.amount_capturable_updated",
        "charge.succeeded",
    ]


def test_a_lost_event_never_comes_but_is_listed(told, receiver, create):
    told.fault("stripe", "webhook_lost", route="payment_intent.created")
    client = told.stripe()
    create(client, confirm=True)
    assert types(receiver, 2) == ["charge.succeeded", "payment_intent.amount_capturable_updated"]
    assert "payment_intent.created" in [event.type for event in client.v1.events.list().data]


def test_events_wait_through_a_kill_and_are_told_by_the_next_process(own_sandbox, receiver, create):
    receiver.status = 503
    own_sandbox.start("--stripe-webhook-url", receiver.url)
    create(own_sandbox.stripe())
    refused = receiver.next()
    own_sandbox.kill()
    receiver.status = 200
    own_sandbox.start()
    received = receiver.next()
    assert received.body == refused.body
    secret = own_sandbox.get("keys")["stripe_webhook_secret"]
    assert own_sandbox.stripe().construct_event(received.body, received.headers["stripe-signature"], secret)


def mail_to(address):
    mail = Mail("shop@example.com", address, "Your receipt", html_content="<p>Thanks</p>")
    mail.add_category(Category("receipt"))
    mail.add_custom_arg(CustomArg("pipeline_id", "pipeline-1"))
    mail.add_custom_arg(CustomArg("step", "email"))
    return mail


def sendgrid_events(receiver, count):
    events = []
    while len(events) < count:
        events += event_in(receiver.next())
    return events


def test_sendgrids_events_are_signed_as_the_sdk_expects(told, receiver):
    told.sendgrid().send(mail_to("customer@example.com"))
    received = receiver.next()
    verifier = EventWebhook()
    key = verifier.convert_public_key_to_ecdsa(told.get("keys")["sendgrid_public_key"])
    signature = received.headers["x-twilio-email-event-webhook-signature"]
    timestamp = received.headers["x-twilio-email-event-webhook-timestamp"]
    assert verifier.verify_signature(received.body.decode(), signature, timestamp, key)
    assert not verifier.verify_signature(received.body.decode() + " ", signature, timestamp, key)
    assert abs(int(timestamp) - time.time()) < 60


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("customer@example.com", ["processed", "delivered"]),
        ("bounce@example.com", ["processed", "bounce"]),
        ("Bounce+7@example.com", ["processed", "bounce"]),
        ("dropped@example.com", ["dropped"]),
        ("deferred@example.com", ["processed", "deferred", "delivered"]),
    ],
)
def test_what_becomes_of_a_mail_is_told_with_its_custom_arguments(told, receiver, address, expected):
    message_id = told.sendgrid().send(mail_to(address)).headers["X-Message-Id"]
    events = sendgrid_events(receiver, len(expected))
    assert [event["event"] for event in events] == expected
    for event in events:
        assert (event["pipeline_id"], event["step"], event["email"]) == ("pipeline-1", "email", address)
        assert event["sg_message_id"].startswith(f"{message_id}.")
        assert event["category"] == ["receipt"]
    assert len({event["sg_event_id"] for event in events}) == len(expected)


def test_a_mail_in_sandbox_mode_is_not_told_of(told, receiver):
    mail = mail_to("customer@example.com").get()
    mail["mail_settings"] = {"sandbox_mode": {"enable": True}}
    told.sendgrid().send(mail)
    told.sendgrid().send(mail_to("other@example.com"))
    assert {event["email"] for event in sendgrid_events(receiver, 2)} == {"other@example.com"}


def test_a_target_that_is_no_url_is_refused(sandbox):
    answer = sandbox.http.post("/_sandbox/webhooks", json={"stripe": "localhost"})
    assert (answer.status_code, "URL" in answer.json()["error"]) == (400, True)
    answer = sandbox.http.post("/_sandbox/webhooks", json={"s3": None})
    assert answer.json()["allowed"] == ["stripe", "sendgrid"]
