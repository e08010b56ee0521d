"""Webhooks as their providers sign them, delivered when a test says so."""

import base64
import json
import time
from typing import Any

import httpx
import stripe
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.test import Client

from tests.sandbox.conftest import Sandbox

_KEY = ec.generate_private_key(ec.SECP256R1())
_FORM = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
SENDGRID_PUBLIC_KEY = base64.b64encode(_KEY.public_key().public_bytes(*_FORM)).decode()
STRIPE_SECRET = "whsec_matrix"
_VERBS = {"receipt": "commit", "not_published": "rollback"}


class Webhooks:
    """Tells the shop what Stripe's list of events and the ledger of mails hold."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._client = Client()

    def from_stripe(self, which: int, times: int) -> None:
        """One of Stripe's events so far, the newest being 0."""
        answer: httpx.Response = self._sandbox.http.get(
            "/stripe/v1/events", headers={"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"}
        )
        if answer.status_code != 200 or not answer.json()["data"]:
            return
        events = answer.json()["data"]
        body = json.dumps(events[which % len(events)])
        signed = stripe.WebhookSignature.generate_signature_header(body, STRIPE_SECRET, int(time.time()))
        for _ in range(times):
            self._post("stripe", body, {"Stripe-Signature": signed})

    def from_sendgrid(self, mail: dict[str, Any], kind: str, times: int) -> None:
        """What became of a mail of the ledger."""
        event = {
            "event": kind,
            "sg_event_id": f"{mail['object_id']}-{kind}",
            "pipeline_id": mail["reference"],
            "step": "email",
            "verb": _VERBS[mail["category"]],
            "sending": "1",
        }
        body, at = json.dumps([event]), str(int(time.time()))
        signature = base64.b64encode(_KEY.sign((at + body).encode(), ec.ECDSA(hashes.SHA256()))).decode()
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": at,
        }
        for _ in range(times):
            self._post("sendgrid", body, headers)

    def _post(self, provider: str, body: str, headers: dict[str, str]) -> None:
        answer = self._client.post(f"/webhooks/{provider}/", body, content_type="application/json", headers=headers)
        assert answer.status_code == 204, answer.content
