"""Webhooks: signature and age first, each event once, and only ever a hint. The sandbox's own tests sign likewise."""

import base64
import json
import time
import uuid

import pytest
import stripe
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline import actions
from pipeline.models import Event, Inbox, Pipeline, Step
from pipeline.testing import IN_THE_END, drain, snapshot
from postings.models import PendingNews
from tests.api.conftest import APPS, problem

STRIPE, SENDGRID = "/webhooks/stripe/", "/webhooks/sendgrid/"
committed = pytest.mark.django_db(transaction=True, available_apps=APPS)


@pytest.fixture
def key(settings):
    made = ec.generate_private_key(ec.SECP256R1())
    public = made.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    settings.SENDGRID_WEBHOOK_PUBLIC_KEY = base64.b64encode(public).decode()
    return made


@pytest.fixture
def tell_stripe(http, db, settings):
    """`tell_stripe(event)` delivers it signed; `secret`, `at` (Unix time) and `header` may be others."""
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", "whsec_old"]

    def send(event, *, secret="whsec_new", at=None, header=None):
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        if header is None:
            moment = int(at if at is not None else time.time())
            header = stripe.WebhookSignature.generate_signature_header(body.decode(errors="replace"), secret, moment)
        headers = {"Stripe-Signature": header}
        return http.post(STRIPE, body, content_type="application/json", headers=headers)

    return send


@pytest.fixture
def tell_sendgrid(http, db, key):
    """`tell_sendgrid(events)` delivers them signed; `signature` and `at` may be others."""

    def send(events, *, at=None, signature=None, tampered=False):
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        at = str(int(time.time())) if at is None else at
        if signature is None:
            signature = base64.b64encode(key.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": at,
        }
        body += b" " if tampered else b""
        return http.post(SENDGRID, body, content_type="application/json", headers=headers)

    return send


def an_event(pipeline=None, *, kind="payment_intent.succeeded", id="evt_1", **about):
    about = {"id": "pi_1", "object": "payment_intent"} | about
    if pipeline:
        about["metadata"] = {"pipeline_id": str(pipeline)}
    return {"id": id, "object": "event", "type": kind, "data": {"object": about}}


def a_mail_event(pipeline, *, event="delivered", id="sg-1", **more):
    return {
        "email": "customer@example.com",
        "timestamp": int(time.time()),
        "event": event,
        "sg_event_id": id,
        "pipeline_id": str(pipeline),
        "step": "email",
        "verb": "commit",
        "sending": "1",
    } | more


def hints(pipeline):
    return [event.data["by"] for event in Event.objects.filter(pipeline=pipeline, type="hinted")]


def test_a_signed_event_is_a_hint(tell_stripe, begin):
    pipeline = begin()
    assert tell_stripe(an_event(pipeline)).status_code == 204
    assert hints(pipeline) == ["stripe"]
    stored = Inbox.objects.get()
    assert (stored.provider, stored.event_id, stored.pipeline_id) == ("stripe", "evt_1", pipeline)


def test_an_event_counts_once_however_often_it_comes(tell_stripe, begin):
    pipeline = begin()
    assert [tell_stripe(an_event(pipeline)).status_code for _ in range(3)] == [204] * 3
    assert hints(pipeline) == ["stripe"]


def test_an_event_without_our_mark_is_found_by_its_intent(tell_stripe, begin):
    pipeline = begin()
    Step.objects.filter(pipeline=pipeline, name="payment").update(data={"intent": "pi_77"})
    tell_stripe(an_event(kind="charge.updated", id="evt_2", object="charge", payment_intent="pi_77"))
    assert hints(pipeline) == ["stripe"]


@pytest.mark.parametrize("secret", ["whsec_new", "whsec_old"])
def test_each_secret_is_good_while_one_is_rotated(tell_stripe, begin, secret):
    assert tell_stripe(an_event(begin()), secret=secret).status_code == 204


@pytest.mark.parametrize("age", [-299, 0, 299])
def test_an_event_of_the_last_five_minutes_is_taken(tell_stripe, begin, age):
    assert tell_stripe(an_event(begin()), at=time.time() - age + (1 if age > 0 else 0)).status_code == 204


@pytest.mark.parametrize(
    "how",
    [
        {"secret": "whsec_other"},
        {"at": time.time() - 1000},
        {"at": time.time() + 1000},
        {"header": ""},
        {"header": "nonsense"},
        {"header": "t=,v1="},
        {"header": "t=99999999999999999999999,v1=00"},
        {"header": f"t={int(time.time())},v1={'0' * 64}"},
        {"header": f"t={int(time.time())},v0={'0' * 64}"},
        {"header": "t=²,v1=ü"},
    ],
)
def test_a_forged_or_stale_event_is_refused(tell_stripe, begin, how):
    pipeline = begin()
    problem(tell_stripe(an_event(pipeline), **how), 400, "forged")
    assert (hints(pipeline), Inbox.objects.count()) == ([], 0)


def test_without_a_secret_nothing_is_believed(tell_stripe, begin, settings):
    settings.STRIPE_WEBHOOK_SECRETS = []
    problem(tell_stripe(an_event(begin()), secret=""), 400)


@pytest.mark.parametrize(
    "body", [b"nonsense", b"[]", b"{}", b"null", b'{"id": 5, "type": "x"}', b'{"id": "evt_1"}', b""]
)
def test_a_signed_body_that_is_no_event_is_refused(tell_stripe, body):
    problem(tell_stripe(body), 400)


@pytest.mark.parametrize(
    "event",
    [
        {"id": "evt_1", "type": "x"},
        {"id": "evt_1", "type": "x", "data": []},
        {"id": "evt_1", "type": "x", "data": {"object": "text"}},
        {"id": "evt_1", "type": "x", "data": {"object": {"metadata": "text"}}},
        {"id": "evt_1", "type": "x" * 500, "data": {"object": {"metadata": {"pipeline_id": ["x"]}}}},
        {"id": "evt_" + "1" * 500, "type": "x", "data": {"object": {"payment_intent": {"id": "pi_1"}}}},
        an_event(uuid.uuid4()),
        an_event("nonsense"),
    ],
)
def test_an_event_of_no_pipeline_is_stored_and_answered_2xx(tell_stripe, event):
    assert tell_stripe(event).status_code == 204
    assert Inbox.objects.count() == 1


@committed
@pytest.mark.parametrize(
    ("kind", "code"), [("charge.refunded", "refunded_at_stripe"), ("charge.dispute.created", "disputed")]
)
def test_money_that_goes_back_without_us_needs_a_person(tell_stripe, begin, broker, kind, code):
    pipeline = begin()
    drain(pipeline, broker, within=IN_THE_END)
    Step.objects.filter(pipeline=pipeline, name="payment").update(data={"intent": "pi_5"})
    assert tell_stripe(an_event(kind=kind, payment_intent="pi_5", object="charge")).status_code == 204
    assert tell_stripe(an_event(kind=kind, payment_intent="pi_5", object="charge")).status_code == 204
    row = Pipeline.objects.get(pk=pipeline)
    assert (row.state, row.attention) == ("committed", 1)
    assert Event.objects.get(pipeline=pipeline, type="attention").data["code"] == code


@pytest.mark.parametrize(
    ("kind", "about", "is_kept"), [("charge.dispute.created", "dispute", True), ("charge.captured", "charge", False)]
)
def test_money_news_of_no_known_pipeline_waits_until_stripe_was_asked_whose_it_is(tell_stripe, kind, about, is_kept):
    """Its steps are erased, and with them the intent's id."""
    assert tell_stripe(an_event(kind=kind, payment_intent="pi_of_last_year", object=about)).status_code == 204
    assert PendingNews.objects.exists() == is_kept


def test_our_own_refund_of_a_pipeline_that_turns_back_needs_nobody(tell_stripe, begin, http):
    pipeline = begin()
    http.post(f"/api/v1/pipelines/{pipeline}/cancel/")
    tell_stripe(an_event(pipeline, kind="charge.refunded", object="charge"))
    assert Pipeline.objects.get(pk=pipeline).attention == 0


def test_mail_events_are_stored_with_what_settles_them_and_nothing_personal(tell_sendgrid, begin):
    pipeline = begin()
    events = [a_mail_event(pipeline, event=kind, id=f"sg-{kind}") for kind in ("processed", "delivered")]
    assert tell_sendgrid(events).status_code == 204
    stored = Inbox.objects.order_by("kind")
    assert [row.kind for row in stored] == ["delivered", "processed"]
    assert all(row.pipeline_id == pipeline for row in stored)
    assert stored[0].data == {
        "step": "email",
        "verb": "commit",
        "sending": "1",
        "is": "delivered",
        "at": events[0]["timestamp"],
        "reason": "",
    }
    assert "customer@example.com" not in str(list(stored.values()))
    assert set(hints(pipeline)) == {"sendgrid"}


def test_a_mail_event_counts_once(tell_sendgrid, begin):
    pipeline = begin()
    for _ in range(2):
        tell_sendgrid([a_mail_event(pipeline), a_mail_event(pipeline)])
    assert hints(pipeline) == ["sendgrid"]


@pytest.mark.parametrize(
    "how",
    [
        {"signature": ""},
        {"signature": "%%% no base64"},
        {"signature": base64.b64encode(b"no signature").decode()},
        {"at": "0"},
        {"at": str(int(time.time()) - 1000)},
        {"at": str(int(time.time()) + 1000)},
        {"at": "x"},
        {"at": "²"},
        {"at": "9" * 5000},
        {"at": ""},
        {"tampered": True},
    ],
)
def test_forged_or_stale_mail_events_are_refused(tell_sendgrid, begin, how):
    problem(tell_sendgrid([a_mail_event(begin())], **how), 400, "forged")
    assert Inbox.objects.count() == 0


@pytest.mark.parametrize("body", [b"nonsense", b"{}", b"null", b"5", b"\xff", b"[" * 100_000])
def test_a_signed_body_that_is_no_list_of_events_is_refused(tell_sendgrid, body):
    problem(tell_sendgrid(body), 400)


@pytest.mark.parametrize(
    "event", [5, None, [], {}, {"event": "delivered"}, {"event": 5, "sg_event_id": [], "pipeline_id": {}}]
)
def test_what_is_no_event_of_ours_is_answered_2xx(tell_sendgrid, event):
    assert tell_sendgrid([event]).status_code == 204


def test_an_unknown_pipeline_s_mail_event_is_answered_2xx(tell_sendgrid):
    assert tell_sendgrid([a_mail_event(uuid.uuid4())]).status_code == 204


@pytest.mark.parametrize("url", [STRIPE, SENDGRID, "/webhooks/twilio/"])
def test_webhooks_are_posted(http, db, url):
    for method in (http.get, http.put, http.delete):
        answer = method(url)
        problem(answer, 405, "method_not_allowed")
        assert answer["Allow"] == "POST"


@pytest.mark.parametrize("url", [STRIPE, SENDGRID])
def test_a_body_over_the_limit_is_refused(http, db, url, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    problem(http.post(url, b"x" * 1001, content_type="application/json"), 413)


@committed
def test_an_event_that_comes_after_the_end_changes_nothing(tell_stripe, begin, broker):
    pipeline = begin()
    drain(pipeline, broker)
    before = snapshot(pipeline)
    for number, kind in enumerate(("payment_intent.succeeded", "payment_intent.amount_capturable_updated")):
        assert tell_stripe(an_event(pipeline, kind=kind, id=f"evt_late_{number}")).status_code == 204
    assert snapshot(pipeline) == before
    assert Inbox.objects.count() == 2


@committed
def test_events_that_come_before_our_own_record_and_in_the_wrong_order_are_hints_all_the_same(
    tell_stripe, begin, broker
):
    pipeline = begin()  # nothing is recorded of it yet
    for number, kind in enumerate(("payment_intent.succeeded", "payment_intent.created")):
        assert tell_stripe(an_event(pipeline, kind=kind, id=f"evt_early_{number}")).status_code == 204
    assert hints(pipeline) == ["stripe", "stripe"]
    assert drain(pipeline, broker) == "committed"


@committed
def test_an_event_is_stored_with_what_it_causes_or_not_at_all(tell_stripe, begin, broker, monkeypatch):
    pipeline = begin()
    with monkeypatch.context() as patch:
        patch.setattr(actions, "hint", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tell_stripe(an_event(pipeline))
    assert Inbox.objects.count() == 0
    assert tell_stripe(an_event(pipeline)).status_code == 204
    assert hints(pipeline) == ["stripe"]
