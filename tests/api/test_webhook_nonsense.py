"""Whatever is sent to a webhook, signed or not, is answered 204 or 400: never by an error of ours."""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import pytest
import stripe
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.models import Inbox
from postings.models import PendingNews

SECRET, TOKEN = "whsec_fuzz", "twilio-token"
KEY = ec.generate_private_key(ec.SECP256R1())
DER = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
NOW = str(int(time.time()))

# Every character, NUL and halves of characters too.
anything = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(["\x00", "\ud800", "evt_1", ""])
scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False) | anything
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3))
kinds = st.sampled_from(
    ["charge.refunded", "charge.dispute.created", "refund.failed", "review.opened", "payment_intent.succeeded", "x"]
)
abouts = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("id", "object", "metadata", "payment_intent", "charge", "status", "captured", "amount_refunded"), values
    ),
)
stripe_events = st.fixed_dictionaries(
    {"id": anything | values, "type": kinds | values},
    optional={"data": st.fixed_dictionaries({"object": abouts | values}) | values, "created": values},
)
mail_events = st.fixed_dictionaries(
    {"event": st.sampled_from(["bounce", "dropped", "delivered", "spamreport"]) | values, "sg_event_id": values},
    optional=dict.fromkeys(
        ("sg_message_id", "pipeline_id", "step", "verb", "sending", "timestamp", "reason", "type", "email"), values
    ),
)
playing = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def told(http, db, settings):
    """`told(provider, body, headers)`: the answer's status; an exception of ours fails the test."""
    settings.STRIPE_WEBHOOK_SECRETS, settings.TWILIO_AUTH_TOKEN = [SECRET], TOKEN
    settings.SENDGRID_WEBHOOK_PUBLIC_KEY = base64.b64encode(DER).decode()

    def send(path, body, headers, content_type="application/json"):
        return http.post(f"/webhooks/{path}", body, content_type=content_type, headers=headers).status_code

    return send


def stripe_signed(body):
    text = body.decode(errors="replace")
    return {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(text, SECRET, int(time.time()))}


def sendgrid_signed(body):
    at = str(int(time.time()))
    signature = base64.b64encode(KEY.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    return {"X-Twilio-Email-Event-Webhook-Signature": signature, "X-Twilio-Email-Event-Webhook-Timestamp": at}


def twilio_signed(address, fields):
    text = address + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return {"X-Twilio-Signature": base64.b64encode(hmac.digest(TOKEN.encode(), text.encode(), hashlib.sha1)).decode()}


@playing
@given(event=stripe_events | values)
def test_signed_nonsense_of_stripes_is_taken_or_refused(told, event):
    body = json.dumps(event).encode()
    assert told("stripe/", body, stripe_signed(body)) in (204, 400)


@playing
@given(events=st.lists(mail_events | values, max_size=3) | values)
def test_signed_nonsense_of_sendgrids_is_taken_or_refused(told, events):
    body = json.dumps(events).encode()
    assert told("sendgrid/", body, sendgrid_signed(body)) in (204, 400)


@playing
@given(
    fields=st.dictionaries(
        st.sampled_from(["MessageSid", "MessageStatus", "To"]) | st.text(max_size=5), st.text(max_size=20), max_size=4
    ),
    pipeline=st.text(max_size=40) | st.uuids().map(str),
)
def test_signed_nonsense_of_twilios_is_taken_or_refused(told, settings, fields, pipeline):
    path = f"twilio/?{urlencode({'pipeline_id': pipeline})}"
    headers = twilio_signed(f"{settings.SITE_URL}/webhooks/{path}", fields)
    assert told(path, urlencode(fields), headers, "application/x-www-form-urlencoded") in (204, 400)


@playing
@given(value=st.text(st.characters(max_codepoint=0xFF), max_size=60), body=st.binary(max_size=40))
def test_whatever_the_headers_and_the_body_are_the_unsigned_are_refused(told, value, body):
    for name in ("Stripe-Signature", "X-Twilio-Signature"):
        path = "stripe/" if name.startswith("Stripe") else "twilio/"
        assert told(path, body, {name: value}) == 400
    headers = {"X-Twilio-Email-Event-Webhook-Signature": value, "X-Twilio-Email-Event-Webhook-Timestamp": NOW}
    assert told("sendgrid/", body, headers) == 400
    assert told("sendgrid/", body, headers | {"X-Twilio-Email-Event-Webhook-Timestamp": value}) == 400


BROKEN = [
    "t=NOW,v1=é",
    "t=NOW,v1=\x00",
    "t=NOW,v1=\ud800",
    "t=NOW,v1=,v1=é",
    f"t=NOW,t=NOW,v1={'0' * 64}",
    f"t={'9' * 4000},v1={'0' * 64}",
    f"t={'9' * 5000},v1={'0' * 64}",
    f"t=-NOW,v1={'0' * 64}",
    f"t=NOW.5,v1={'0' * 64}",
    f"t=1e9999,v1={'0' * 64}",
    f"t=NOW,v1={'0' * 60_000}",
    "t=NOW," + ",".join([f"v1={'0' * 64}"] * 900),
    "=" * 4000,
    "," * 4000,
]  # NOW stands for the time


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_broken_signature_is_refused(told, number):
    header = BROKEN[number].replace("NOW", str(int(time.time())))
    assert told("stripe/", b'{"id": "evt_1", "type": "x"}', {"Stripe-Signature": header}) == 400


def _deep(opening, closing, depth=100_000):
    return b'{"id": "evt_1", "type": "charge.refunded", "data": ' + opening * depth + b"1" + closing * depth + b"}"


TOO_MUCH = [
    _deep(b"[", b"]"),
    _deep(b'{"object":', b"}"),
    b'{"id": "evt_1", "type": "x", "created": ' + b"9" * 100_000 + b"}",
    b'{"id": "evt_1", "type": "x", "created": NaN}',
    b'{"id": "evt_1", "type": "x", "created": Infinity}',
    b'\xef\xbb\xbf{"id": "evt_1", "type": "x"}',
    b'{"id": "evt_1", "type": "x"}\x00',
    b"\xff\xfe",
    b'{"id": "' + b"x" * 4_000_000 + b'", "type": "x"}',
    b'{"id": "evt_1", "type": "x", "data": {"object": [' + b"[]," * 100_000 + b"1]}}",
]


@pytest.mark.parametrize("number", range(len(TOO_MUCH)))
def test_a_signed_body_that_is_too_much_is_taken_or_refused(told, number):
    body = TOO_MUCH[number]
    assert told("stripe/", body, stripe_signed(body)) in (204, 400)
    batch = b"[" + body + b"]"
    assert told("sendgrid/", batch, sendgrid_signed(batch)) in (204, 400)


def test_what_cannot_be_stored_is_replaced_and_the_event_is_kept(told):
    event = {
        "id": "evt_\x00\ud800",
        "type": "charge.dispute.created\x00",
        "data": {"object": {"id": "dp_\x00", "payment_intent": "pi_\ud800", "metadata": {"pipeline_id": "\x00"}}},
    }
    for changed in ({}, {"type": "charge.dispute.created"}):
        body = json.dumps(event | {"id": f"evt_{len(changed)}\x00\ud800"} | changed).encode()
        assert told("stripe/", body, stripe_signed(body)) == 204
    assert set(Inbox.objects.values_list("event_id", flat=True)) == {"evt_0\ufffd\ufffd", "evt_1\ufffd\ufffd"}
    assert PendingNews.objects.get().news["about"] == "dp_\ufffd"


def test_a_twilio_body_of_four_megabytes_is_refused_unread(told):
    body = b"%41" * 1_300_000
    kind = "application/x-www-form-urlencoded"
    assert told("twilio/", body, {"X-Twilio-Signature": "x"}, kind) == 400


@pytest.mark.parametrize("charset", ["idna", "utf-16"])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain"])
def test_no_charset_is_believed(told, kind, charset):
    assert told("twilio/", b"--x--", {"X-Twilio-Signature": "x"}, f"{kind}; charset={charset}") in (400, 415)
