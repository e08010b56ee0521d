"""Twilio's status callback: signed, stored once, and only a hint."""

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import pytest
from django.db import connection

from pipeline import marks
from pipeline.models import Event, Inbox, Pipeline

TOKEN = "twilio-token"


@pytest.fixture
def tell(http, db, settings):
    """`tell(pipeline, form)` delivers it signed; `token` may be another."""
    settings.TWILIO_AUTH_TOKEN = TOKEN

    def send(pipeline, form, token=TOKEN):
        path = f"/webhooks/twilio/?pipeline_id={pipeline}"
        text = settings.SITE_URL + path + "".join(f"{name}{form[name]}" for name in sorted(form))
        signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
        form_type = "application/x-www-form-urlencoded"
        return http.post(path, urlencode(form), content_type=form_type, headers={"X-Twilio-Signature": signature})

    return send


def _hints(pipeline):
    return Event.objects.filter(pipeline=pipeline, type="hinted").count()


def test_a_callback_makes_its_pipeline_look_again_once(tell, begin):
    pipeline = begin()
    form = {"MessageSid": "SM1", "MessageStatus": "sent", "To": "+4930123456"}
    assert [tell(pipeline, form).status_code for _ in range(3)] == [204, 204, 204]
    assert _hints(pipeline) == 1
    assert Inbox.objects.get(provider="twilio").event_id == "SM1:sent"


def test_a_forged_callback_is_refused(tell, begin):
    pipeline = begin()
    answer = tell(pipeline, {"MessageSid": "SM1", "MessageStatus": "sent"}, token="another")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert _hints(pipeline) == 0
    assert not Inbox.objects.exists()


def test_without_a_token_nothing_is_believed(tell, begin, settings):
    settings.TWILIO_AUTH_TOKEN = ""
    assert tell(begin(), {"MessageSid": "SM1", "MessageStatus": "sent"}, token="").status_code == 400


@pytest.mark.parametrize("pipeline", ["nonsense", "0199f000-0000-7000-8000-000000000000"])
def test_an_unknown_pipeline_is_answered_all_the_same(tell, pipeline):
    assert tell(pipeline, {"MessageSid": "SM1", "MessageStatus": "sent"}).status_code == 204


@pytest.mark.parametrize(
    ("statuses", "codes"),
    [
        (["sent", "delivered"], []),
        (["sent", "undelivered"], ["sms_undelivered"]),
        (["failed", "failed"], ["sms_undelivered"]),
        (["undelivered", "delivered"], []),
        (["delivered", "undelivered"], []),
    ],
)
def test_an_sms_that_does_not_arrive_after_the_end_needs_a_person(tell, begin, statuses, codes):
    pipeline = begin()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pipeline_pipeline SET state = 'committed', cursor = step_count, pivots = 0, effects = 0, tells = 0,"
            " finished_at = now(), due_at = NULL WHERE id = %s",
            [pipeline],
        )
    for status in statuses:
        assert tell(pipeline, {"MessageSid": "SM1", "MessageStatus": status}).status_code == 204
    assert [mark["code"] for mark in marks.standing_of(pipeline)] == codes
    assert Pipeline.objects.get(pk=pipeline).attention == len(codes)
