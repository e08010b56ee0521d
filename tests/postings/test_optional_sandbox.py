"""The optional steps against the sandbox's own Twilio and Google: told once, whatever becomes of the answers."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.testing import IN_THE_END, IN_TIME, ScriptedBroker, drain
from postings import endings
from postings.models import Posting
from tests.postings.conftest import Outside

ROUTES = (("twilio", "messages.create", "sms_sent"), ("google", "url_notifications.publish", "url_updated"))


@pytest.fixture
def switched_on(outside: Outside, settings: Any) -> None:
    url = outside.sandbox.url
    settings.SANDBOX_URL = url
    settings.SMS_ENABLED = settings.INDEXING_ENABLED = True
    settings.TWILIO_API_BASE, settings.GOOGLE_INDEXING_BASE = f"{url}/twilio", f"{url}/google"
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "ACsandbox", "sandbox"
    settings.TWILIO_FROM = "+15005550006"


def _told(outside: Outside, effect: str) -> int:
    return sum(entry["effect"] == effect for entry in outside.sandbox.ledger())


@pytest.mark.parametrize(("provider", "route", "effect"), ROUTES)
@pytest.mark.parametrize(
    "kind", ["error_before", "error_after", "drop_before", "drop_after", "timeout_after", "rate_limit", "conflict"]
)
def test_each_is_told_once_whatever_fails(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Callable[..., uuid.UUID],
    switched_on: None,
    provider: str,
    route: str,
    effect: str,
    kind: str,
) -> None:
    outside.fault(provider, route, kind, times=1)
    # A quota that is used up is waited for: an hour at a time.
    within = IN_THE_END if (provider, kind) == ("google", "rate_limit") else IN_TIME
    assert drain(submit(has_logo=False, contact_phone="+4930123456"), broker, within=within) == "committed"
    assert outside.fired() == 1
    assert (_told(outside, "sms_sent"), _told(outside, "url_updated")) == (1, 1)


def test_a_withdrawal_is_told_to_google(
    outside: Outside, broker: ScriptedBroker, submit: Callable[..., uuid.UUID], switched_on: None
) -> None:
    drain(submit(has_logo=False), broker)
    assert drain(endings.withdraw(Posting.objects.get(), by="olga", reason="Asked for").id, broker) == "committed"
    assert _told(outside, "url_deleted") == 1


def test_an_sms_carries_the_pipelines_id_as_its_reference(
    outside: Outside, broker: ScriptedBroker, submit: Callable[..., uuid.UUID], switched_on: None
) -> None:
    pipeline = submit(has_logo=False, contact_phone="+4930123456")
    assert drain(pipeline, broker) == "committed"
    assert "sms_sent" in outside.effects(pipeline)
