"""After publishing: a withdrawal refunds once and takes the posting down; an expiry only takes it down."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db.models import F
from django.test import Client
from django.urls import reverse

from pipeline import actions
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline
from pipeline.states import Verb
from pipeline.testing import IN_THE_END, SOON, ScriptedBroker, crash_at, drain
from postings import endings
from postings.models import Posting
from postings.news import settling
from tests.postings.conftest import PRICE, Outside

Publish = Callable[..., Posting]
WHY: dict[str, str] = {"by": "olga", "reason": "The customer asked for it"}
in_the_admin = pytest.mark.django_db(transaction=True)  # with the tables of every app
STEPS = ("posting", "refund", "email")


@pytest.fixture
def publish(outside: Outside, broker: ScriptedBroker, submit: Callable[..., uuid.UUID]) -> Publish:
    """A posting that was paid for and is on the board."""

    def made(card: str = "pm_card_visa", **changed: Any) -> Posting:
        pipeline = submit(card, **({"has_logo": False} | changed))
        assert drain(pipeline, broker) == "committed"
        return Posting.objects.get(pipeline_id=pipeline)

    return made


def _refunds(outside: Outside) -> list[int]:
    return [
        entry["amount"] for entry in outside.sandbox.ledger() if entry["effect"] == "refunded" and not entry["replayed"]
    ]


def _assert_withdrawn(outside: Outside, posting: Posting, withdrawal: uuid.UUID, *, mails_at_most: int = 1) -> None:
    posting.refresh_from_db()
    assert (posting.state, posting.ended_by) == ("withdrawn", withdrawal)
    assert _refunds(outside) == [PRICE]
    mails = outside.mails(withdrawal)
    assert set(mails) == {"withdrawn"}
    assert len(mails) <= mails_at_most


def _assert_untouched(outside: Outside, posting: Posting) -> None:
    posting.refresh_from_db()
    assert (posting.state, posting.ended_by) == ("published", None)
    assert _refunds(outside) == []


def test_a_withdrawal_refunds_takes_down_and_tells(
    outside: Outside, broker: ScriptedBroker, publish: Publish, client: Client
) -> None:
    posting = publish()
    withdrawal = endings.withdraw(posting, **WHY).id
    assert drain(withdrawal, broker) == "committed"
    _assert_withdrawn(outside, posting, withdrawal)
    page = client.get(f"/jobs/{posting.slug}/")
    assert page.status_code == 410
    assert "withdrawn" in page.content.decode()
    assert client.get(f"/api/v1/postings/{posting.pk}/").status_code == 404
    assert posting.title not in client.get("/").content.decode()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("verb", ["stage", "commit"])
@pytest.mark.parametrize("point", ["claimed", "effect", "recorded"])
def test_a_killed_worker_costs_neither_a_second_refund_nor_the_withdrawal(
    outside: Outside, broker: ScriptedBroker, publish: Publish, step: str, verb: str, point: str
) -> None:
    posting = publish()
    crash_at(f"{step}.{verb}.{point}")
    withdrawal = endings.withdraw(posting, **WHY).id
    assert drain(withdrawal, broker) == "committed"
    _assert_withdrawn(outside, posting, withdrawal, mails_at_most=2 if (step, verb) == ("email", "commit") else 1)


@pytest.mark.parametrize("point", ["claimed", "effect", "recorded"])
def test_a_worker_killed_while_it_turns_back_leaves_the_posting_on_the_board(
    outside: Outside, broker: ScriptedBroker, publish: Publish, point: str
) -> None:
    posting = publish("pm_card_refundFailAtOnce")
    crash_at(f"posting.rollback.{point}")
    withdrawal = endings.withdraw(posting, **WHY).id
    assert drain(withdrawal, broker) == "rolled_back"
    _assert_untouched(outside, posting)


def test_messages_that_come_twice_refund_once(outside: Outside, broker: ScriptedBroker, publish: Publish) -> None:
    posting = publish()
    withdrawal = endings.withdraw(posting, **WHY).id
    for _ in range(4):
        broker.duplicate()
        broker.deliver_all()
    assert drain(withdrawal, broker) == "committed"
    broker.replay_all()
    broker.deliver_all()
    _assert_withdrawn(outside, posting, withdrawal)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", ["error_before", "error_after", "drop_after", "timeout_after", "late", "conflict"])
def test_a_refund_of_unknown_outcome_is_made_once(
    outside: Outside, broker: ScriptedBroker, publish: Publish, kind: str, times: int
) -> None:
    posting = publish()
    outside.fault("stripe", "refunds.create", kind, times=times)
    withdrawal = endings.withdraw(posting, **WHY).id
    assert drain(withdrawal, broker) == "committed"
    assert outside.fired() >= 1
    _assert_withdrawn(outside, posting, withdrawal)


def test_a_refund_that_the_bank_refuses_leaves_the_posting_on_the_board(
    outside: Outside, broker: ScriptedBroker, publish: Publish
) -> None:
    posting = publish("pm_card_refundFailAtOnce")
    withdrawal = endings.withdraw(posting, **WHY).id
    assert drain(withdrawal, broker, within=SOON) == "rolled_back"
    _assert_untouched(outside, posting)
    assert Pipeline.objects.get(pk=withdrawal).error["code"] == "refund_failed"
    assert outside.mails(withdrawal) == []
    assert endings.withdraw(posting, **WHY).id != withdrawal, "after a refusal it may be tried again"


def test_asking_twice_gives_one_withdrawal(outside: Outside, broker: ScriptedBroker, publish: Publish) -> None:
    posting = publish()
    first = endings.withdraw(posting, **WHY)
    again = endings.withdraw(posting, by="otto", reason="Another reason")
    assert (again.id, again.is_new) == (first.id, False)
    drain(first.id, broker)
    posting.refresh_from_db()
    with pytest.raises(IllegalAction, match="withdrawn"):
        endings.withdraw(posting, **WHY)
    assert _refunds(outside) == [PRICE]


def test_a_cancelled_withdrawal_leaves_everything_as_it_was(
    outside: Outside, broker: ScriptedBroker, publish: Publish
) -> None:
    posting = publish()
    withdrawal = endings.withdraw(posting, **WHY).id
    actions.cancel(withdrawal)
    assert drain(withdrawal, broker, within=SOON) == "rolled_back"
    _assert_untouched(outside, posting)


def test_who_withdrew_and_why_stands_in_the_history(outside: Outside, broker: ScriptedBroker, publish: Publish) -> None:
    withdrawal = endings.withdraw(publish(), **WHY).id
    told = [event.data for event in Pipeline.objects.get(pk=withdrawal).events.filter(type="operator_action")]
    assert told == [{"action": "withdraw"} | WHY]


@pytest.mark.parametrize("is_ours", [True, False])
def test_only_a_refund_that_others_made_asks_for_a_person(
    outside: Outside, broker: ScriptedBroker, publish: Publish, *, is_ours: bool
) -> None:
    posting = publish()
    if is_ours:
        drain(endings.withdraw(posting, **WHY).id, broker, within=IN_THE_END)
    charge = {"object": "charge", "metadata": {"pipeline_id": str(posting.pipeline_id)}}
    settling.take_stripe({"id": "evt_1", "type": "charge.refunded", "data": {"object": charge}})
    assert (Pipeline.objects.get(pk=posting.pipeline_id).attention > 0) is not is_ours


def test_a_dispute_of_a_withdrawn_posting_still_asks_for_a_person(
    outside: Outside, broker: ScriptedBroker, publish: Publish
) -> None:
    posting = publish()
    drain(endings.withdraw(posting, **WHY).id, broker, within=IN_THE_END)
    about = {"object": "dispute", "metadata": {"pipeline_id": str(posting.pipeline_id)}}
    settling.take_stripe({"id": "evt_1", "type": "charge.dispute.created", "data": {"object": about}})
    assert Pipeline.objects.get(pk=posting.pipeline_id).attention > 0


def _expire(posting: Posting) -> None:
    Posting.objects.filter(pk=posting.pk).update(expires_at=F("published_at") + timedelta(microseconds=1))


@pytest.mark.parametrize("place", [None, *(f"posting.{verb.value}.effect" for verb in (Verb.STAGE, Verb.COMMIT))])
def test_an_expired_posting_is_taken_down_once_and_nothing_is_refunded(
    outside: Outside, broker: ScriptedBroker, publish: Publish, client: Client, place: str | None
) -> None:
    posting, other = publish(), publish()
    _expire(posting)
    if place:
        crash_at(place)
    call_command("expire_postings")
    call_command("expire_postings")
    expiry = Pipeline.objects.get(workflow="expire_posting")
    assert drain(expiry.pk, broker) == "committed"
    call_command("expire_postings")
    assert Pipeline.objects.filter(workflow="expire_posting").count() == 1
    posting.refresh_from_db()
    other.refresh_from_db()
    assert (posting.state, posting.ended_by, other.state) == ("expired", expiry.pk, "published")
    assert _refunds(outside) == []
    assert client.get(f"/jobs/{posting.slug}/").status_code == 410


def _objects(outside: Outside) -> list[str]:
    return [each["key"] for each in outside.sandbox.get("state")["objects"]]


def _end(posting: Posting, workflow: str) -> uuid.UUID:
    if workflow == "withdraw_posting":
        return endings.withdraw(posting, **WHY).id
    _expire(posting)
    [started] = endings.expire_due()
    return started.id


@pytest.mark.parametrize("point", [None, "claimed", "effect", "recorded"])
@pytest.mark.parametrize("workflow", ["withdraw_posting", "expire_posting"])
def test_the_logo_is_deleted_once_no_page_shows_it(
    outside: Outside, broker: ScriptedBroker, publish: Publish, workflow: str, point: str | None
) -> None:
    posting, other = publish(has_logo=True), publish(has_logo=True)
    if point:
        crash_at(f"logo.commit.{point}")
    assert drain(_end(posting, workflow), broker) == "committed"
    assert _objects(outside) == [other.logo_key]


@pytest.mark.parametrize("workflow", ["withdraw_posting", "expire_posting"])
def test_a_storage_that_is_away_keeps_nobody_from_being_told(
    outside: Outside, broker: ScriptedBroker, publish: Publish, workflow: str
) -> None:
    posting = publish(has_logo=True)
    outside.fault("s3", "objects.delete", "error_before")
    ending = _end(posting, workflow)
    broker.deliver_all()
    posting.refresh_from_db()
    assert posting.ended_at is not None
    assert outside.mails(ending) == (["withdrawn"] if workflow == "withdraw_posting" else [])
    assert _objects(outside) == [posting.logo_key]
    outside.sandbox.http.delete("/_sandbox/faults")
    assert drain(ending, broker) == "committed"
    assert _objects(outside) == []


def test_a_withdrawal_that_turns_back_leaves_the_logo(
    outside: Outside, broker: ScriptedBroker, publish: Publish
) -> None:
    posting = publish("pm_card_refundFailAtOnce", has_logo=True)
    assert drain(endings.withdraw(posting, **WHY).id, broker, within=SOON) == "rolled_back"
    assert _objects(outside) == [posting.logo_key]


def test_of_a_withdrawal_and_an_expiry_that_race_one_is_refused(
    outside: Outside, broker: ScriptedBroker, publish: Publish
) -> None:
    posting = publish()
    _expire(posting)
    withdrawal = endings.withdraw(posting, **WHY).id
    [expiry] = endings.expire_due()
    assert drain(withdrawal, broker) == "committed"
    assert drain(expiry.id, broker, within=SOON) == "rolled_back"
    _assert_withdrawn(outside, posting, withdrawal)


@in_the_admin
def test_staff_withdraw_in_the_admin_with_a_reason(
    outside: Outside, broker: ScriptedBroker, publish: Publish, client: Client
) -> None:
    posting = publish()
    client.force_login(User.objects.create_superuser("olga"))
    page = reverse("admin:postings_posting_changelist")
    chosen = {"action": "withdraw", "_selected_action": [str(posting.pk)]}
    assert "99.00 EUR" in client.post(page, chosen).content.decode()
    assert "errorlist" in client.post(page, chosen | {"apply": "yes", "reason": ""}).content.decode()
    assert not Pipeline.objects.filter(workflow="withdraw_posting").exists()
    for _ in range(2):
        answer = client.post(page, chosen | {"apply": "yes", "reason": WHY["reason"]}, follow=True)
        assert "follow pipeline" in answer.content.decode()
    withdrawal = Pipeline.objects.get(workflow="withdraw_posting").pk
    assert drain(withdrawal, broker) == "committed"
    _assert_withdrawn(outside, posting, withdrawal)
    shown = client.get(reverse("admin:postings_posting_change", args=[posting.pk])).content.decode()
    assert str(withdrawal) in shown


@in_the_admin
def test_who_may_only_look_cannot_withdraw(outside: Outside, publish: Publish, client: Client) -> None:
    posting = publish()
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_posting"))
    client.force_login(viewer)
    page = reverse("admin:postings_posting_changelist")
    client.post(
        page, {"action": "withdraw", "_selected_action": [str(posting.pk)], "apply": "yes", "reason": "Because"}
    )
    assert not Pipeline.objects.filter(workflow="withdraw_posting").exists()
