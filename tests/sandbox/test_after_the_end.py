"""What banks and mail servers do later, and how the sandbox's controls refuse what cannot be."""

import json

import pytest
from sendgrid.helpers.mail import Mail


@pytest.fixture
def sale(sandbox, create):
    """A captured intent."""
    client = sandbox.stripe(timeout=5)
    intent = create(client, confirm=True, capture_method="automatic")
    return client, intent


def answer(sandbox, path, body):
    return sandbox.http.post(f"/_sandbox/{path}", json=body).status_code


def test_a_refund_that_fails_gives_the_charge_its_money_back_and_may_be_made_again(sandbox, sale):
    client, intent = sale
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    sandbox.post(f"stripe/refunds/{refund.id}/conclude", {"status": "failed"})
    charge = client.v1.charges.retrieve(intent.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    assert sandbox.effects()[-2:] == ["refunded", "refund_failed"]
    assert sandbox.get("state")["captures"][0]["refunded"] == 0
    assert client.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"
    assert answer(sandbox, f"stripe/refunds/{refund.id}/conclude", {"status": "failed"}) == 409


def test_the_card_whose_refund_fails_does_so_after_three_days(sandbox, create):
    client = sandbox.stripe(timeout=5)
    intent = create(client, "pm_card_refundFail", confirm=True, capture_method="automatic")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    sandbox.post("clock", {"days": 2})
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    sandbox.post("clock", {"days": 2})
    assert client.v1.refunds.retrieve(refund.id).status == "failed"


def test_a_dispute_is_closed_once_and_its_intent_may_be_missing(sandbox, sale):
    _client, intent = sale
    opened = sandbox.post(f"stripe/charges/{intent.id}/dispute", {"without_intent": True})
    assert (opened["payment_intent"], opened["charge"]) == (None, intent.latest_charge)
    assert answer(sandbox, f"stripe/charges/{intent.id}/dispute", {}) == 409
    assert answer(sandbox, f"stripe/disputes/{opened['id']}/close", {"outcome": "perhaps"}) == 400
    assert sandbox.post(f"stripe/disputes/{opened['id']}/close", {"outcome": "lost"})["status"] == "lost"
    assert answer(sandbox, f"stripe/disputes/{opened['id']}/close", {"outcome": "won"}) == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("stripe/charges/ch_none/dispute", {}, 404),
        ("stripe/charges/ch_none/dispute", {"reason": "none"}, 400),
        ("stripe/charges/ch_none/early_fraud_warning", {}, 404),
        ("stripe/disputes/dp_none/close", {"outcome": "won"}, 404),
        ("stripe/refunds/re_none/conclude", {"status": "failed"}, 409),
        ("stripe/refunds/re_none/conclude", {"status": "lost"}, 400),
        ("sendgrid/mails/none/events", {"event": "bounce"}, 404),
        ("sendgrid/mails/none/events", {"event": "lost"}, 400),
        ("sendgrid/mails/none/events", [], 400),
    ],
)
def test_what_cannot_be_is_refused(sandbox, path, body, status):
    assert answer(sandbox, path, body) == status


def test_a_mail_may_be_lost_later_with_our_arguments_or_without(sandbox, receiver):
    sandbox.post("webhooks", {"sendgrid": receiver.url})
    mail = Mail("jobs@example.com", "customer@example.com", "Subject", plain_text_content="Text")
    message_id = sandbox.sendgrid().send(mail).headers["X-Message-Id"]
    for event in ("blocked", "dropped"):
        sandbox.post(f"sendgrid/mails/{message_id}/events", {"event": event, "without_arguments": True})
    told = []
    while len(told) < 4:
        told += json.loads(receiver.next().body)
    sandbox.post("webhooks", {"sendgrid": None})
    assert [(each["event"], each.get("type")) for each in told[2:]] == [("bounce", "blocked"), ("dropped", None)]
    assert all(each["sg_message_id"].startswith(f"{message_id}.") for each in told)
