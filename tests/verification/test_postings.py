"""Each invariant of a posting's money, object and mail: planted at the provider or here, and named by verify."""

import uuid
from collections.abc import Callable

import pytest
import requests

from pipeline.testing import ScriptedBroker, drain
from postings import endings
from postings.models import Posting
from postings.providers import stripe as our_stripe
from tests.postings.conftest import PRICE, Outside
from tests.verification.conftest import Submit, found, hold, only, put, sql


def _mail(shop: Outside, reference: str, category: str) -> None:
    body = {
        "personalizations": [{"to": [{"email": "c@example.com"}], "custom_args": {"pipeline_id": reference}}],
        "from": {"email": "jobs@example.com"},
        "subject": "Planted",
        "content": [{"type": "text/plain", "value": "Planted"}],
        "categories": [category],
    }
    answer = requests.post(
        f"{shop.sandbox.url}/sendgrid/v3/mail/send", json=body, headers={"Authorization": "Bearer SG.x"}, timeout=5
    )
    assert answer.status_code == 202


def test_a_shop_in_order_is_quiet(shop: Outside, committed: uuid.UUID, rolled_back: uuid.UUID) -> None:
    assert found(settled=True) == set()


def test_a_withdrawal_and_an_expiry_in_order_are_quiet(shop: Outside, committed: uuid.UUID, broker) -> None:
    withdrawal = endings.withdraw(Posting.objects.get(), by="olga", reason="asked for").id
    for _ in range(10):
        assert found() == set()
        broker.deliver()
    assert drain(withdrawal, broker) == "committed"
    assert found(settled=True) == set()


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired"])
def test_nothing_in_flight_is_a_violation(shop: Outside, broker: ScriptedBroker, submit: Submit, settings, card):
    settings.PIPELINE = settings.PIPELINE | {"GO_ON": False}
    pipeline = submit(card)
    seen = set()
    for _ in range(30):
        assert found() == set()
        seen.add(str(Posting.objects.filter(pipeline_id=pipeline).values_list("state", flat=True)))
        if not broker.deliver():
            break
    assert len(seen) > 1, "nothing moved: the test shows nothing"


# --- I2 ------------------------------------------------------------------------------------------


def test_i2_a_committed_posting_that_nobody_sees(shop: Outside, committed: uuid.UUID) -> None:
    sql("UPDATE postings_posting SET state = 'hidden' WHERE pipeline_id = %s", committed)
    assert only("I2", committed).expected == "a posting that is published, or was"


def test_i2_a_committed_posting_that_is_gone(shop: Outside, committed: uuid.UUID) -> None:
    sql("DELETE FROM postings_posting WHERE pipeline_id = %s", committed)
    assert only("I2", committed).found == "there is none"


def test_i2_a_price_that_is_not_what_was_captured(shop: Outside, committed: uuid.UUID) -> None:
    sql("UPDATE pipeline_pipeline SET input = jsonb_set(input, '{plan,amount}', '1') WHERE id = %s", committed)
    wrong = only("I2", committed)
    assert (wrong.expected, wrong.found) == ("one capture of 1 eur", f"{PRICE} eur")


def test_i2_an_intent_beside_the_captured_one(shop: Outside, committed: uuid.UUID) -> None:
    mark = {"pipeline_id": str(committed)}
    client = shop.sandbox.stripe(timeout=5)
    client.v1.payment_intents.create({"amount": PRICE, "currency": "eur", "capture_method": "manual", "metadata": mark})
    assert only("I2", committed).expected == "no intent beside the captured one"


def test_i2_a_capture_that_stripe_knows_nothing_of(shop: Outside, committed: uuid.UUID) -> None:
    shop.sandbox.post("reset")
    wrong = {(each, expected) for each, expected in _listed()}
    assert ("I2", f"one capture of {PRICE} eur") in wrong
    assert ("I2", "receipt once") in wrong
    assert any(expected.startswith("the object logos/") for _, expected in wrong)


def test_i2_a_logo_that_is_gone(shop: Outside, committed: uuid.UUID) -> None:
    key = Posting.objects.get().logo_key
    shop.sandbox.s3(read_timeout=5).delete_object(Bucket="postings", Key=key)
    assert only("I2", committed).expected == f"the object {key}"


def test_i2_a_logo_with_other_bytes(shop: Outside, committed: uuid.UUID) -> None:
    put(shop, Posting.objects.get().logo_key, str(committed), b"something else")
    assert "bytes hash to" in only("I2", committed).expected


def test_i2_a_receipt_that_came_twice(shop: Outside, committed: uuid.UUID) -> None:
    _mail(shop, str(committed), "receipt")
    wrong = only("I2", committed)
    assert (wrong.expected, wrong.found) == ("receipt once", "2 times")


def test_a_receipt_may_come_twice_when_its_sending_was_unknown(shop: Outside, broker, submit: Submit) -> None:
    shop.fault("sendgrid", "mail.send", "drop_after", times=1)
    pipeline = submit()
    assert drain(pipeline, broker) == "committed"
    assert shop.mails(pipeline) == ["receipt", "receipt"]
    assert found(settled=True) == set()


def test_i2_a_capture_before_the_decision(shop: Outside, broker, submit: Submit) -> None:
    pipeline = submit("pm_card_authenticationRequired")
    broker.deliver_all()
    hold(shop, str(pipeline), capture=True)
    assert ("I2", "no capture before the decision") in _listed()


def test_i2_a_posting_published_before_the_decision(shop: Outside, broker, submit: Submit) -> None:
    pipeline = submit("pm_card_authenticationRequired")
    broker.deliver_all()
    sql(
        "UPDATE postings_posting SET state = 'published', published_at = now(), expires_at = now()"
        " WHERE pipeline_id = %s",
        pipeline,
    )
    assert only("I2", pipeline).expected == "a hidden posting before the decision"


def test_i2_a_withdrawal_without_its_refund(shop: Outside, committed: uuid.UUID, broker) -> None:
    withdrawal = endings.withdraw(Posting.objects.get(), by="olga", reason="asked for").id
    assert drain(withdrawal, broker) == "committed"
    sql("UPDATE postings_posting SET state = 'expired' WHERE pipeline_id = %s", committed)
    assert only("I2", withdrawal).expected == "a posting that is withdrawn"


def test_i2_a_logo_that_an_ending_left(shop: Outside, committed: uuid.UUID, broker) -> None:
    withdrawal = endings.withdraw(Posting.objects.get(), by="olga", reason="asked for").id
    assert drain(withdrawal, broker) == "committed"
    key = Posting.objects.get().logo_key
    put(shop, key, str(committed))
    assert only("I2", withdrawal).found == f"the object {key}"


# --- I3 ------------------------------------------------------------------------------------------


def test_i3_money_that_is_still_held(shop: Outside, rolled_back: uuid.UUID) -> None:
    intent = hold(shop, str(rolled_back))
    wrong = only("I3", rolled_back)
    assert (wrong.expected, wrong.found) == ("no money held", f"{intent} holds it")


def test_i3_money_that_was_taken(shop: Outside, rolled_back: uuid.UUID) -> None:
    intent = hold(shop, str(rolled_back), capture=True)
    assert only("I3", rolled_back).expected == "nothing captured, or all of it refunded"
    shop.sandbox.stripe(timeout=5).v1.refunds.create({"payment_intent": intent})
    assert found(settled=True) == set()


def test_i3_an_object_that_was_left(shop: Outside, rolled_back: uuid.UUID) -> None:
    key = next(entry["object_id"] for entry in shop.entries(rolled_back) if entry["effect"] == "object_put")
    put(shop, key.removeprefix("postings/"), str(rolled_back))
    assert only("I3", rolled_back).expected == "no object"


def test_i3_a_receipt_for_nothing(shop: Outside, rolled_back: uuid.UUID) -> None:
    _mail(shop, str(rolled_back), "receipt")
    assert {("I3", "no receipt"), ("I5", "a stored call for every mail")} == set(_listed())


def test_i3_an_intent_that_could_still_be_confirmed(shop: Outside, rolled_back: uuid.UUID) -> None:
    client = shop.sandbox.stripe(timeout=5)
    client.v1.payment_intents.create(
        {"amount": PRICE, "currency": "eur", "capture_method": "manual", "metadata": {"pipeline_id": str(rolled_back)}}
    )
    assert only("I3", rolled_back).expected == "no intent that could still be confirmed"


def test_i3_a_posting_of_a_rolled_back_pipeline(shop: Outside, committed: uuid.UUID, rolled_back: uuid.UUID) -> None:
    sql("UPDATE postings_posting SET pipeline_id = %s", rolled_back)
    assert ("I3", "no posting") in _listed()


def test_i3_not_published_told_twice(shop: Outside, rolled_back: uuid.UUID) -> None:
    _mail(shop, str(rolled_back), "not_published")
    assert only("I3", rolled_back).found == "2 times"


# --- I4, I5, I9 ----------------------------------------------------------------------------------


def test_i4_two_holds_for_one_posting(shop: Outside, committed: uuid.UUID) -> None:
    intent = hold(shop, str(committed))
    our_stripe_client = shop.sandbox.stripe(timeout=5)
    our_stripe_client.v1.payment_intents.cancel(intent)
    assert only("I4", committed).found == "2 at Stripe"


def test_i4_two_captures_for_one_posting(shop: Outside, committed: uuid.UUID) -> None:
    hold(shop, str(committed), capture=True)
    assert {("I4", committed), ("I2", committed)} == found()


@pytest.mark.parametrize("what", ["hold", "object", "mail"])
def test_i5_something_whose_pipeline_is_gone(shop: Outside, what: str) -> None:
    nobody = uuid.uuid4()
    plant: dict[str, Callable[[], object]] = {
        "hold": lambda: hold(shop, str(nobody)),
        "object": lambda: put(shop, "logos/lost.png", str(nobody)),
        "mail": lambda: _mail(shop, str(nobody), "receipt"),
    }
    plant[what]()
    wrong = only("I5", nobody)
    assert "none's" in wrong.found
    assert "reconcile" in wrong.next_step


def test_i5_a_mark_that_is_no_pipelines_at_all(shop: Outside) -> None:
    hold(shop, "somebody else's")
    assert only("I5", None).expected == "a pipeline for everything outside"


def test_i5_an_effect_that_was_never_written_down(shop: Outside, committed: uuid.UUID) -> None:
    put(shop, "logos/other.png", str(committed))
    assert only("I5", committed).expected == "a stored call for every object"
    sql("UPDATE pipeline_step SET calls = '{}' WHERE pipeline_id = %s AND kind = 'payment'", committed)
    assert ("I5", "a stored call for every intent") in _listed()


def test_i9_a_refund_that_nobody_asked_for(shop: Outside, committed: uuid.UUID) -> None:
    intent = next(entry["object_id"] for entry in shop.entries(committed) if entry["effect"] == "captured")
    shop.sandbox.stripe(timeout=5).v1.refunds.create({"payment_intent": intent, "amount": 100})
    assert "100 refunded" in only("I9", committed).found


def test_i9_money_without_any_mark(shop: Outside, committed: uuid.UUID) -> None:
    hold(shop, "", capture=True, amount=500)
    assert found() == set()  # only when nothing is in flight do the sums tell
    wrong = only("I9", None, settled=True)
    assert (wrong.expected.split()[0], wrong.found.split()[0]) == (str(PRICE), str(PRICE + 500))


# --- what real providers' APIs tell ----------------------------------------------------------------


def test_without_the_sandboxs_ledger_the_apis_tell(outside: Outside, broker, submit: Submit, settings) -> None:
    settings.SANDBOX_URL = ""
    good, bad = submit(), submit("pm_card_chargeDeclined")
    assert [drain(each, broker) for each in (good, bad)] == ["committed", "rolled_back"]
    assert found(settled=True) == set()
    hold(outside, str(bad))
    put(outside, Posting.objects.get().logo_key, str(good), b"something else")
    put(outside, "logos/lost.png", str(nobody := uuid.uuid4()))
    assert found(settled=True) == {("I3", bad), ("I5", bad), ("I2", good), ("I5", nobody)} - {("I5", bad)}
    hold(outside, str(good), capture=True)
    assert ("I4", good) in found()


def test_without_the_sandbox_only_what_is_young_is_asked_for(outside: Outside, settings, committed) -> None:
    settings.SANDBOX_URL = ""
    since = Posting.objects.get().created_at.replace(microsecond=0)
    assert our_stripe.intents(since)
    assert found(since=since) == set()


def _listed() -> list[tuple[str, str]]:
    from pipeline.verification import violations

    return [(each.invariant, each.expected) for each in violations()]
