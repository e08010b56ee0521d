"""docs/unknown-outcomes.md, row by row: each call whose outcome is unknown, asked about a day later.

By then no provider remembers a key, and what was on its way has arrived. tests/postings/test_faults.py asks at once.
"""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline import actions
from pipeline.models import Pipeline, Step
from pipeline.testing import IN_THE_END, ScriptedBroker, advance, drain, state_of
from postings import endings
from postings.models import Posting
from tests.faults import LEAVING_UNKNOWN, a_day_later, leave_unknown
from tests.postings.conftest import PRICE, Outside

Submit = Callable[..., uuid.UUID]
FORWARD = (
    ("s3", "objects.put"),
    ("stripe", "payment_intents.create"),
    ("stripe", "payment_intents.confirm"),
    ("stripe", "payment_intents.capture"),
    ("sendgrid", "mail.send"),
    ("twilio", "messages.create"),
    ("google", "url_notifications.publish"),
)
BACKWARD = (("stripe", "payment_intents.cancel"), ("s3", "objects.delete"), ("sendgrid", "mail.send"))


@pytest.fixture(autouse=True)
def every_step(outside: Outside, settings: Any) -> None:
    """With the SMS and the search engine."""
    url = outside.sandbox.url
    settings.SANDBOX_URL, settings.SMS_ENABLED, settings.INDEXING_ENABLED = url, True, True
    settings.TWILIO_API_BASE, settings.GOOGLE_INDEXING_BASE = f"{url}/twilio", f"{url}/google"
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "ACsandbox", "sandbox"
    settings.TWILIO_FROM = "+15005550006"


def told(outside: Outside, effect: str) -> int:
    return sum(entry["effect"] == effect and not entry["replayed"] for entry in outside.sandbox.ledger())


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
@pytest.mark.parametrize(("provider", "route"), FORWARD)
def test_on_the_way_forward_everything_comes_about_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit, provider: str, route: str, kind: str
) -> None:
    leave_unknown(outside, provider, route, kind)
    pipeline = submit(contact_phone="+4930123456")
    broker.deliver_all()
    assert state_of(pipeline) in ("staging", "committing")
    a_day_later(outside, kind)
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    outside.assert_agrees(pipeline, mails_at_most=1 if provider != "sendgrid" or kind == "timeout_before" else 2)
    assert (told(outside, "sms_sent"), told(outside, "url_updated")) == (1, 1)


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
@pytest.mark.parametrize(("provider", "route"), BACKWARD)
def test_on_the_way_back_nothing_is_left(
    outside: Outside, broker: ScriptedBroker, submit: Submit, provider: str, route: str, kind: str
) -> None:
    leave_unknown(outside, provider, route, kind)
    pipeline = submit("pm_card_chargeDeclined")
    broker.deliver_all()
    assert state_of(pipeline) == "rolling_back"
    a_day_later(outside, kind)
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    outside.assert_agrees(pipeline, mails_at_most=1 if provider != "sendgrid" or kind == "timeout_before" else 2)
    assert set(outside.mails(pipeline)) == {"not_published"}


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
def test_a_withdrawal_refunds_once(outside: Outside, broker: ScriptedBroker, submit: Submit, kind: str) -> None:
    assert drain(submit(), broker, within=IN_THE_END) == "committed"
    leave_unknown(outside, "stripe", "refunds.create", kind)
    withdrawal = endings.withdraw(Posting.objects.get(), by="olga", reason="Asked for").id
    broker.deliver_all()
    a_day_later(outside, kind)
    assert drain(withdrawal, broker, within=IN_THE_END) == "committed"
    assert [entry["amount"] for entry in outside.entries(withdrawal) if entry["effect"] == "refunded"] == [PRICE]


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "a day later"])
@pytest.mark.parametrize("kind", [*LEAVING_UNKNOWN, "error_before"])
def test_a_capture_that_should_not_be_is_refunded_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit, kind: str, *, is_late: bool
) -> None:
    """A person at Stripe's dashboard captured what is then turned back."""
    pipeline = submit("pm_card_authenticationRequired")
    broker.deliver_all()
    intent = Step.objects.get(pipeline_id=pipeline, name="payment").data["intent"]
    outside.sandbox.post(f"stripe/payment_intents/{intent}/authenticate", {"outcome": "succeed"})
    outside.sandbox.stripe(timeout=5).v1.payment_intents.capture(intent)
    leave_unknown(outside, "stripe", "refunds.create", kind)
    actions.cancel(pipeline)
    broker.deliver_all()
    assert state_of(pipeline) == "rolling_back"
    if is_late:
        a_day_later(outside, kind)
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert outside.effects(pipeline).count("refunded") == 1


def test_a_hold_that_expired_before_its_capture_is_told_to_the_customer(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    leave_unknown(outside, "stripe", "payment_intents.capture", "timeout_before")
    pipeline = submit()
    broker.deliver_all()
    outside.sandbox.post("clock", {"advance": timedelta(days=8).total_seconds()})
    advance(timedelta(days=8))
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "hold_expired"
    assert outside.mails(pipeline) == ["not_published"]
    outside.assert_agrees(pipeline)
