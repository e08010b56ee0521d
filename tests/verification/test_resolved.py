"""What a person has resolved makes no alarm; what happened by itself, and what nobody has seen, does."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from pipeline import actions, findings
from pipeline.models import Finding, FindingState
from pipeline.reconciliation import reconcile
from pipeline.testing import ScriptedBroker, drain
from tests.postings.conftest import PRICE, Outside
from tests.verification.conftest import Submit, hold, put, sql, verify

NOTE = "a test purchase of ours"


@pytest.fixture(autouse=True)
def old_enough(settings: Any) -> None:
    """What was made a moment ago is old enough, and the provider's clock may be ahead."""
    reconcilers = ("postings.reconcile.Intents", "postings.reconcile.Objects")
    settings.PIPELINE = settings.PIPELINE | {"RECONCILE_AFTER": timedelta(minutes=-1), "RECONCILERS": reconcilers}


def _reconcile() -> list[tuple[str, str]]:
    return [(dealt.thing.id, dealt.done) for dealt in reconcile()]


def _resolve() -> None:
    for finding in Finding.objects.all():
        findings.resolve(finding.pk, by="olga", note=NOTE)


def _refund(shop: Outside, intent: str, **amount: int) -> None:
    shop.sandbox.stripe(timeout=5).v1.refunds.create({"payment_intent": intent, **amount})  # type: ignore[arg-type]


def test_a_capture_that_a_person_has_resolved_is_listed_and_no_alarm(shop: Outside, rolled_back: uuid.UUID) -> None:
    hold(shop, str(rolled_back), capture=True)
    _reconcile()
    assert verify()[0] == 1
    findings.acknowledge(Finding.objects.get().pk, by="olga", note="asking the customer")
    assert verify()[0] == 1
    _resolve()
    status, text = verify()
    line, count = text.splitlines()
    assert (status, count) == (0, "no violations, 1 resolved")
    assert line.startswith(f"resolved by olga: {NOTE}: I3 pipeline {rolled_back}")
    assert verify("--settled")[0] == 0, "nor is the money as a whole"


def test_scripts_are_told_what_is_resolved_and_by_whom(shop: Outside, rolled_back: uuid.UUID) -> None:
    intent = hold(shop, str(rolled_back), capture=True)
    _reconcile()
    _resolve()
    status, text = verify("--json")
    told = json.loads(text)
    assert (status, told["violations"]) == (0, [])
    assert told["resolved"][0]["resolved"] == [{"object": intent, "by": "olga", "note": NOTE}]


def test_a_test_runs_verdict_is_strict(shop: Outside, rolled_back: uuid.UUID) -> None:
    hold(shop, str(rolled_back), capture=True)
    _reconcile()
    _resolve()
    status, text = verify("--strict")
    assert (status, text.splitlines()[-1]) == (1, "1 violations")
    assert len(json.loads(verify("--strict", "--json")[1])["violations"]) == 1


@pytest.mark.parametrize("state", sorted(set(FindingState) - {FindingState.RESOLVED}))
def test_nothing_that_happens_by_itself_resolves(shop: Outside, rolled_back: uuid.UUID, state: str) -> None:
    hold(shop, str(rolled_back), capture=True)
    _reconcile()
    is_closed = state in ("gone", "repaired")
    Finding.objects.update(state=state, by="olga", note=NOTE, closed_at=Now() if is_closed else None)
    assert verify()[0] == 1


def test_one_thing_without_a_decision_is_enough(shop: Outside, rolled_back: uuid.UUID) -> None:
    hold(shop, str(rolled_back), capture=True)
    _reconcile()
    _resolve()
    hold(shop, str(rolled_back), capture=True)
    assert verify()[0] == 1


def test_another_violation_of_the_same_pipeline_stays_one(shop: Outside, committed: uuid.UUID) -> None:
    hold(shop, str(committed), capture=True)
    _reconcile()
    _resolve()
    assert verify()[0] == 0
    sql("UPDATE postings_posting SET state = 'hidden'")
    status, text = verify()
    assert status == 1
    assert "I2" in text
    assert "it is hidden" in next(line for line in text.splitlines() if not line.startswith("resolved"))


def test_a_wrong_price_of_the_own_intent_is_not_hidden_by_a_resolved_second(shop: Outside, committed) -> None:
    hold(shop, str(committed), capture=True)
    _reconcile()
    _resolve()
    sql("UPDATE pipeline_pipeline SET input = jsonb_set(input, '{plan,amount}', '1')")
    assert verify()[0] == 1


def test_a_second_capture_that_was_given_back_is_resolved_when_a_person_says_so(shop: Outside, committed) -> None:
    second = hold(shop, str(committed), capture=True)
    assert _reconcile() == [(second, "listed for a person")]
    _refund(shop, second)
    assert _reconcile() == []
    assert Finding.objects.get().state == "gone"
    assert verify()[0] == 1, "it was charged twice, and nobody has said anything about it"
    _resolve()
    assert verify("--settled")[0] == 0


def test_money_that_went_back_in_part_is_resolved(shop: Outside, committed: uuid.UUID) -> None:
    own = next(entry["object_id"] for entry in shop.entries(committed) if entry["effect"] == "captured")
    _refund(shop, own, amount=PRICE // 2)
    assert _reconcile() == [(own, "listed for a person")]
    assert verify()[0] == 1
    _resolve()
    assert verify("--settled")[0] == 0


@pytest.mark.parametrize("capture", [False, True], ids=["hold", "capture"])
def test_what_is_nobodys_is_resolved(shop: Outside, committed: uuid.UUID, *, capture: bool) -> None:
    hold(shop, str(uuid.uuid4()), capture=capture)
    _reconcile()
    assert verify()[0] == 1
    _resolve()
    assert verify("--settled")[0] == 0


def test_money_without_a_mark_is_nobodys_to_resolve(shop: Outside, rolled_back: uuid.UUID) -> None:
    hold(shop, str(rolled_back), capture=True)
    _reconcile()
    _resolve()
    hold(shop, "", capture=True)
    assert verify()[0] == 0
    assert verify("--settled")[0] == 1


def test_what_was_said_before_the_end_says_nothing_of_it(
    shop: Outside, broker: ScriptedBroker, submit: Submit, settings: Any
) -> None:
    pipeline = submit("pm_card_authenticationRequired")
    broker.deliver_all()
    hold(shop, str(pipeline), capture=True)
    _reconcile()
    _resolve()
    assert verify()[0] == 1
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert verify()[0] == 1
    assert [done for _, done in _reconcile()] == ["listed for a person"], "to be decided once more"
    _resolve()
    assert verify()[0] == 0


def test_what_is_made_anew_under_a_resolved_name_is_seen_to(shop: Outside, rolled_back: uuid.UUID) -> None:
    put(shop, "logos/late.png", str(rolled_back))
    assert _reconcile() == [("logos/late.png", "removed")]
    _resolve()
    shop.sandbox.post("clock", {"advance": 5})
    put(shop, "logos/late.png", str(rolled_back))
    assert _reconcile() == [("logos/late.png", "removed")]
    assert (Finding.objects.get().state, Finding.objects.get().by) == ("repaired", "")
