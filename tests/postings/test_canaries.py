"""From the request to the end, whatever goes wrong: card numbers, keys and the bank's secrets are kept nowhere,
and personal data only where docs/security.md says.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from pipeline import actions, dispatch
from pipeline.logs import redact
from pipeline.testing import SOON, ScriptedBroker, crash_at, drain
from postings.models import Plan
from tests.places import in_database, in_redis, redis_content, told
from tests.postings.conftest import Outside

CARD = "4242424242424242"
KEYS = {"STRIPE_SECRET_KEY": "sk_test_canary1Zx", "SENDGRID_API_KEY": "SG.canary-2.Zx"}
PERSON = "ada.canary@example.com"
PHONE = "+4930123456789"
# Tables that hold what was submitted until it is reaped, as docs/security.md lists them.
PERSONAL = {"pipeline_pipeline", "pipeline_step", "postings_posting"}


@pytest.fixture
def submit_over_http(outside: Outside, plan: Plan, settings: Any, caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Posts a submission; at the end nothing that must not be anywhere is anywhere."""
    for name, value in KEYS.items():
        setattr(settings, name, value)
    rates = {"DEFAULT_THROTTLE_RATES": {"submit": "1000/min", "read": "1000/min", "act": "1000/min"}}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | rates
    caplog.set_level(logging.DEBUG)
    number = iter(range(100))

    def post(**changed: Any) -> Any:
        body = {
            "title": "Engineer",
            "company_name": "ACME",
            "description": "We are looking for somebody who likes pipelines.",
            "employment_type": "FULL_TIME",
            "location": "Berlin",
            "country": "DE",
            "apply_url": "https://jobs.example.com/",
            "contact_email": PERSON,
            "contact_phone": PHONE,
            "payment_method": "pm_card_visa",
            "plan": plan.slug,
        } | changed
        headers = {"Idempotency-Key": f"canary-{next(number)}"}
        return Client().post("/api/v1/postings/", json.dumps(body), content_type="application/json", headers=headers)

    yield post
    for canary in (CARD, *KEYS.values(), "_secret_"):
        assert in_redis(canary) == []
        assert canary not in told(caplog.records)
    for canary in (CARD, *KEYS.values()):
        assert in_database(canary) == []
    for canary in (PERSON, PHONE):
        assert in_redis(canary) == []
        assert set(in_database(canary)) <= PERSONAL
        assert canary not in redact(told(caplog.records))


def test_a_card_number_is_kept_nowhere(submit_over_http: Any, broker: ScriptedBroker) -> None:
    for name in ("payment_method", "title", "description", "contact_phone"):
        answer = submit_over_http(**{name: f"here {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}"})
        assert answer.status_code == 400
        assert CARD[4:] not in answer.content.decode().replace(" ", "")
        assert submit_over_http(**{name: CARD}).status_code == 400
    assert submit_over_http(another=CARD, **{CARD: 1}).status_code == 202, "an unknown field is not read, nor kept"


def test_a_posting_that_is_published_over_failures_leaves_no_trace(
    submit_over_http: Any, outside: Outside, broker: ScriptedBroker
) -> None:
    outside.fault("stripe", "payment_intents.create", "error_before", times=1)
    outside.fault("stripe", "payment_intents.capture", "drop_after", times=1)
    outside.fault("sendgrid", "mail.send", "error_before", times=1)
    pipeline = submit_over_http().json()["id"]
    crash_at("payment.stage.effect")
    assert drain(pipeline, broker) == "committed"
    assert outside.fired() >= 2
    assert set(in_database(PERSON)) == PERSONAL


def test_the_banks_secret_is_gone_with_the_question(submit_over_http: Any, broker: ScriptedBroker) -> None:
    pipeline = submit_over_http(payment_method="pm_card_threeDSecure2Required").json()["id"]
    broker.deliver_all()
    assert in_database("_secret_") == ["pipeline_pipeline"]
    actions.cancel(pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert in_database("_secret_") == []


def test_a_declined_card_leaves_no_trace(submit_over_http: Any, broker: ScriptedBroker) -> None:
    pipeline = submit_over_http(payment_method="pm_card_chargeDeclined").json()["id"]
    assert drain(pipeline, broker, within=SOON) == "rolled_back"


def test_the_real_brokers_messages_hold_ids_and_names(submit_over_http: Any, broker: ScriptedBroker) -> None:
    dispatch.use_sender(None)
    try:
        pipeline = submit_over_http().json()["id"]
        assert any(pipeline.encode() in each for each in redis_content()), "nothing was published"
        assert in_redis(PERSON) == []
    finally:
        broker.come_back()
    drain(pipeline, broker)
