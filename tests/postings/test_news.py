"""News after the end against the sandbox, which signs and sends it; lost webhooks, and what a refund needs later."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django.test import Client

from pipeline import marks, retention
from pipeline.models import Finding, Inbox, Pipeline, Step
from pipeline.reconciliation import reconcile
from pipeline.testing import ScriptedBroker, drain
from pipeline.verification import violations
from postings import endings
from postings.models import PendingNews, Posting
from postings.news.missed import take_missed
from postings.news.pending import settle_pending
from postings.news.settling import take_stripe
from postings.operators import tell_of_findings
from tests.postings.conftest import PRICE, Outside
from tests.sandbox.conftest import Receiver, receiver  # noqa: F401 - a fixture

WHY = {"by": "olga", "reason": "The customer asked for it"}
Submit = Callable[..., uuid.UUID]
STRIPE = ("/webhooks/stripe/", ("Stripe-Signature",))
SENDGRID = (
    "/webhooks/sendgrid/",
    ("X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"),
)


class News:
    """What the sandbox plays after the fact, and its webhooks: delivered as they were signed, one by one."""

    def __init__(self, outside: Outside, target: Receiver) -> None:
        self.outside, self._target = outside, target

    def listen(self) -> None:
        self.outside.sandbox.post("webhooks", {"stripe": self._target.url, "sendgrid": self._target.url})

    def play(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self.outside.sandbox.post(path, body or {})

    def deliver(self, count: int) -> list[str]:
        """The next webhooks, in order; what they are of."""
        return [self._deliver() for _ in range(count)]

    def _deliver(self) -> str:
        received = self._target.next(timeout=20)
        told = json.loads(received.body)
        address, names = STRIPE if isinstance(told, dict) else SENDGRID
        headers = {name: received.headers[name] for name in names}
        answer = Client().post(address, received.body, content_type="application/json", headers=headers)
        assert answer.status_code == 204, answer.content
        return str(told["type"] if isinstance(told, dict) else told[0]["event"])


@pytest.fixture
def news(outside: Outside, receiver: Receiver, settings: Any) -> Iterator[News]:  # noqa: F811
    keys = outside.sandbox.get("keys")
    settings.STRIPE_WEBHOOK_SECRETS = [keys["stripe_webhook_secret"]]
    settings.SENDGRID_WEBHOOK_PUBLIC_KEY = keys["sendgrid_public_key"]
    settings.PIPELINE = settings.PIPELINE | {"ON_ATTENTION": "", "RECONCILE_AFTER": timedelta(minutes=-1)}
    yield News(outside, receiver)
    outside.sandbox.post("webhooks", {"stripe": None, "sendgrid": None})


@pytest.fixture
def sold(news: News, broker: ScriptedBroker, submit: Submit) -> Posting:
    pipeline = submit(has_logo=False)
    assert drain(pipeline, broker) == "committed"
    return Posting.objects.get(pipeline_id=pipeline)


@pytest.fixture
def withdrawal(sold: Posting, broker: ScriptedBroker) -> uuid.UUID:
    started = endings.withdraw(sold, **WHY).id
    assert drain(started, broker) == "committed"
    return started


def codes(pipeline: uuid.UUID) -> list[str]:
    return [mark["code"] for mark in marks.standing_of(pipeline)]


def refund_of(news: News, pipeline: uuid.UUID) -> str:
    [entry] = [each for each in news.outside.entries(pipeline) if each["effect"] == "refunded"]
    return str(entry["object_id"])


def mail_of(news: News, pipeline: uuid.UUID) -> str:
    [entry] = [each for each in news.outside.entries(pipeline) if each["effect"] == "email_accepted"]
    return str(entry["object_id"])


def test_a_refund_that_fails_days_after_its_withdrawal_marks_it(news: News, withdrawal: uuid.UUID) -> None:
    news.listen()
    news.play(f"stripe/refunds/{refund_of(news, withdrawal)}/conclude", {"status": "failed"})
    assert news.deliver(3) == ["refund.updated", "charge.refund.updated", "refund.failed"]
    assert codes(withdrawal) == ["refund_failed"]
    assert Pipeline.objects.get(pk=withdrawal).attention == 1
    news.outside.assert_verified()


def test_the_card_whose_refund_fails_later_says_so_by_itself(
    news: News, broker: ScriptedBroker, submit: Submit
) -> None:
    pipeline = submit("pm_card_refundFail", has_logo=False)
    drain(pipeline, broker)
    withdrawal = endings.withdraw(Posting.objects.get(pipeline_id=pipeline), **WHY).id
    assert drain(withdrawal, broker) == "committed"
    news.listen()
    news.play("clock", {"days": 4})
    news.deliver(3)
    assert codes(withdrawal) == ["refund_failed"]


def test_a_refund_that_is_pending_is_told_as_sent_and_marked_when_it_fails(
    news: News, broker: ScriptedBroker, submit: Submit
) -> None:
    pipeline = submit("pm_card_pendingRefund", has_logo=False)
    drain(pipeline, broker)
    withdrawal = endings.withdraw(Posting.objects.get(pipeline_id=pipeline), **WHY).id
    assert drain(withdrawal, broker) == "committed"
    mail = news.outside.sandbox.get("state")["mails"][-1]
    assert "We have sent a refund of 99.00 EUR" in mail["text"]
    assert "Refunded" not in mail["subject"] + mail["text"]
    news.listen()
    news.play(f"stripe/refunds/{refund_of(news, withdrawal)}/conclude", {"status": "failed"})
    news.deliver(3)
    assert codes(withdrawal) == ["refund_failed"]


def test_a_failed_refund_whose_webhooks_were_lost_is_found_by_reading(news: News, withdrawal: uuid.UUID) -> None:
    news.play(f"stripe/refunds/{refund_of(news, withdrawal)}/conclude", {"status": "failed"})
    assert ("I2", withdrawal) in {(each.invariant, each.pipeline) for each in violations()}
    dealt = [each.verdict.why for each in reconcile()]
    assert any("kept of a posting that was withdrawn" in why for why in dealt)
    take_missed()
    take_missed()
    assert codes(withdrawal) == ["refund_failed"]
    assert violations() == []


def test_a_refund_of_a_purchase_that_rolled_back_marks_it_when_it_fails(news: News, sold: Posting) -> None:
    """As after a rollback that had to refund; its mark is the refund's own."""
    client = news.outside.sandbox.stripe(timeout=5)
    rolled_back = uuid.uuid4()
    made = client.v1.refunds.create({"payment_intent": sold.intent, "metadata": {"pipeline_id": str(rolled_back)}})
    Pipeline.objects.filter(pk=sold.pipeline_id).update(state="rolled_back", error={"code": "x"}, result=None)
    news.play(f"stripe/refunds/{made.id}/conclude", {"status": "failed"})
    take_missed()
    settle_pending()
    assert codes(sold.pipeline_id) == ["refund_failed"], "the mark is nobody's, so the charge tells"


@pytest.mark.parametrize("without_intent", [False, True])
def test_a_dispute_is_marked_also_when_it_names_its_charge_alone(
    news: News, sold: Posting, *, without_intent: bool
) -> None:
    news.listen()
    opened = news.play(f"stripe/charges/{sold.intent}/dispute", {"without_intent": without_intent})
    assert news.deliver(2) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    settle_pending()
    assert codes(sold.pipeline_id) == ["disputed"]
    news.play(f"stripe/disputes/{opened['id']}/close", {"outcome": "lost"})
    assert news.deliver(1) == ["charge.dispute.closed"]
    settle_pending()
    assert codes(sold.pipeline_id) == ["disputed", "dispute_lost"]
    assert not PendingNews.objects.exists()
    assert not Finding.objects.exists()


def test_a_dispute_that_is_won_adds_nothing(news: News, sold: Posting) -> None:
    opened = news.play(f"stripe/charges/{sold.intent}/dispute")
    news.play(f"stripe/disputes/{opened['id']}/close", {"outcome": "won"})
    take_missed()
    assert codes(sold.pipeline_id) == ["disputed"]


def test_an_early_fraud_warning_asks_for_a_person(news: News, sold: Posting) -> None:
    news.listen()
    news.play(f"stripe/charges/{sold.intent}/early_fraud_warning", {"without_intent": True})
    news.deliver(1)
    settle_pending()
    assert codes(sold.pipeline_id) == ["early_fraud_warning"]


def test_a_dispute_of_a_payment_that_nobody_here_knows_is_a_finding_and_mailed(
    news: News, sold: Posting, settings: Any
) -> None:
    """Not of ours: no mark at Stripe, no step, no posting."""
    client = news.outside.sandbox.stripe(timeout=5)
    theirs = client.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
            "confirm": True,
        }
    )
    news.listen()
    opened = news.play(f"stripe/charges/{theirs.id}/dispute")
    news.deliver(2)
    settle_pending()
    finding = Finding.objects.get()
    assert (finding.kind, finding.object_id, finding.state) == ("disputed", opened["id"], "open")
    assert theirs.latest_charge in finding.why
    settings.OPERATOR_EMAIL = "operators@example.com"
    for _ in range(2):
        tell_of_findings()
    mails = [each for each in news.outside.sandbox.get("state")["mails"] if each["category"] == "operator"]
    assert [opened["id"] in each["text"] for each in mails] == [True]
    assert Pipeline.objects.filter(attention__gt=0).count() == 0


def test_while_stripe_cannot_be_asked_the_news_waits_an_hour_at_most(news: News, sold: Posting) -> None:
    news.play(f"stripe/charges/{sold.intent}/dispute", {"without_intent": True})
    take_missed()
    news.outside.fault("stripe", "charges.retrieve", "error_before")
    for is_over in (False, True):
        PendingNews.objects.update(look_at="2020-01-01T00:00:00Z")
        if is_over:
            PendingNews.objects.update(made_at="2020-01-01T00:00:00Z")
        with pytest.raises(Exception, match="500"):
            settle_pending()
        assert Finding.objects.exists() == is_over
    assert not PendingNews.objects.exists()


@pytest.mark.parametrize("without_arguments", [False, True])
@pytest.mark.parametrize(
    ("event", "code"), [("dropped", "mail_dropped"), ("bounce", "mail_bounced"), ("blocked", "mail_blocked")]
)
def test_a_receipt_that_is_lost_later_marks_its_pipeline_until_it_arrives(
    news: News, sold: Posting, event: str, code: str, *, without_arguments: bool
) -> None:
    news.listen()
    address = f"sendgrid/mails/{mail_of(news, sold.pipeline_id)}/events"
    news.play(address, {"event": event, "without_arguments": without_arguments})
    news.deliver(1)
    assert codes(sold.pipeline_id) == [code]
    news.play("clock", {"minutes": 5})
    news.play(address, {"event": "delivered", "without_arguments": without_arguments})
    news.deliver(1)
    assert codes(sold.pipeline_id) == []
    assert Pipeline.objects.get(pk=sold.pipeline_id).attention == 0


def test_the_mail_that_nothing_was_charged_is_watched_too(news: News, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit("pm_card_chargeDeclined", has_logo=False)
    assert drain(pipeline, broker) == "rolled_back"
    news.listen()
    news.play(f"sendgrid/mails/{mail_of(news, pipeline)}/events", {"event": "dropped", "without_arguments": True})
    news.deliver(1)
    assert codes(pipeline) == ["mail_dropped"]


def test_the_mail_of_a_withdrawal_is_watched_too(news: News, withdrawal: uuid.UUID) -> None:
    news.listen()
    news.play(f"sendgrid/mails/{mail_of(news, withdrawal)}/events", {"event": "bounce"})
    news.deliver(1)
    assert codes(withdrawal) == ["mail_bounced"]


def test_our_own_events_after_the_end_mark_nothing(news: News, broker: ScriptedBroker, submit: Submit) -> None:
    """Everything that Stripe tells of a sale, of its withdrawal and of a declined card, all of it late."""
    sale, declined = submit(has_logo=False), submit("pm_card_chargeDeclined", has_logo=False)
    assert (drain(sale, broker), drain(declined, broker)) == ("committed", "rolled_back")
    withdrawal = endings.withdraw(Posting.objects.get(pipeline_id=sale), **WHY).id
    assert drain(withdrawal, broker) == "committed"
    client = news.outside.sandbox.stripe(timeout=5)
    events = list(client.v1.events.list({"limit": 100}).data)
    for event in events:
        take_stripe(event.to_dict())
    assert Inbox.objects.filter(provider="stripe").count() == len(events) > 8
    settle_pending()
    assert [codes(each) for each in (sale, declined, withdrawal)] == [[], [], []]
    assert not Finding.objects.exists()


# --- what a refund needs ---------------------------------------------------------------------------


def test_a_posting_that_outlives_its_pipelines_data_is_refunded_all_the_same(
    news: News, sold: Posting, broker: ScriptedBroker
) -> None:
    Pipeline.objects.update(finished_at=F("finished_at") - timedelta(days=200))
    assert retention.reap()["pipelines"] == 1
    assert not Step.objects.filter(pipeline_id=sold.pipeline_id).exists()
    withdrawal = endings.withdraw(sold, **WHY).id
    assert drain(withdrawal, broker) == "committed"
    assert [entry["amount"] for entry in news.outside.sandbox.ledger() if entry["effect"] == "refunded"] == [PRICE]
    assert news.outside.mails(withdrawal) == ["withdrawn"]
    news.play(f"stripe/charges/{sold.intent}/dispute")
    take_missed()
    assert codes(sold.pipeline_id) == ["disputed"]


def test_a_price_that_changed_since_is_not_what_is_refunded(news: News, sold: Posting, broker: ScriptedBroker) -> None:
    Pipeline.objects.update(finished_at=F("finished_at") - timedelta(days=200))
    retention.reap()
    sold.plan.amount = 1
    sold.plan.save()
    assert drain(endings.withdraw(sold, **WHY).id, broker) == "committed"
    assert [entry["amount"] for entry in news.outside.sandbox.ledger() if entry["effect"] == "refunded"] == [PRICE]


def test_what_a_refund_needs_is_erased_with_the_posting_and_found_by_its_address(
    news: News, sold: Posting, broker: ScriptedBroker
) -> None:
    Pipeline.objects.update(finished_at=F("finished_at") - timedelta(days=200))
    retention.reap()
    assert retention.holding("Customer@example.com") == [sold.pipeline_id]
    with pytest.raises(Exception, match="withdraw it in the admin first"):
        call_command("erase", "--email", "customer@example.com")
    assert drain(endings.withdraw(sold, **WHY).id, broker) == "committed"
    call_command("erase", "--email", "customer@example.com")
    sold.refresh_from_db()
    assert (sold.sale, sold.intent != "", sold.is_erased) == ({}, True, True)
    assert retention.holding("customer@example.com") == []


def test_a_posting_that_a_worker_of_the_release_before_has_published_is_refunded_by_its_pipeline(
    news: News, sold: Posting, broker: ScriptedBroker
) -> None:
    Posting.objects.update(sale={}, intent="")
    sold.refresh_from_db()
    assert drain(endings.withdraw(sold, **WHY).id, broker) == "committed"
