"""Each kind of thing that may be left outside: made, removed once, or listed for a person and never touched."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from pipeline import findings, reconciliation
from pipeline.errors import IllegalAction
from pipeline.models import Event, Finding, Pipeline
from pipeline.reconciliation import reconcile, reconcile_recent
from pipeline.testing import ScriptedBroker, drain, snapshot
from postings import endings
from postings.models import Posting
from postings.providers import storage, stripe
from tests.postings.conftest import PRICE, Outside
from tests.verification.conftest import Submit, found, hold, put, sql

Plant = Callable[[Outside, uuid.UUID], str]


@pytest.fixture(autouse=True)
def old_enough(settings: Any) -> None:
    """What was made a moment ago is old enough; the sandbox tells whole seconds, the database less."""
    reconcilers = ("postings.reconcile.Intents", "postings.reconcile.Objects")
    settings.PIPELINE = settings.PIPELINE | {"RECONCILE_AFTER": timedelta(seconds=-2), "RECONCILERS": reconcilers}


def _intent(shop: Outside, pipeline: uuid.UUID) -> str:
    params = {"amount": PRICE, "currency": "eur", "capture_method": "manual"}
    made = shop.sandbox.stripe(timeout=5).v1.payment_intents.create(
        params | {"metadata": {"pipeline_id": str(pipeline)}}  # type: ignore[arg-type]
    )
    return made.id


def _object(shop: Outside, pipeline: uuid.UUID) -> str:
    put(shop, "logos/late.png", str(pipeline))
    return "logos/late.png"


def _hold(shop: Outside, pipeline: uuid.UUID) -> str:
    return hold(shop, str(pipeline))


def _capture(shop: Outside, pipeline: uuid.UUID) -> str:
    return hold(shop, str(pipeline), capture=True)


SAFE = [_hold, _intent, _object]


def _states() -> dict[str, str]:
    return dict(Finding.objects.values_list("object_id", "state"))


def _done(**options: Any) -> list[tuple[str, str]]:
    return [(dealt.thing.id, dealt.done) for dealt in reconcile(**options)]


def _told(pipeline: uuid.UUID, action: str) -> int:
    return Event.objects.filter(pipeline=pipeline, data__by="reconcile", data__action=action).count()


def _outside_effects(shop: Outside) -> int:
    return len([entry for entry in shop.sandbox.ledger() if not entry["replayed"]])


# --- removed ---------------------------------------------------------------------------------------


def test_in_order_nothing_is_found(shop: Outside, committed: uuid.UUID, rolled_back: uuid.UUID) -> None:
    before = [snapshot(committed), snapshot(rolled_back)]
    assert _done() == []
    assert [snapshot(committed), snapshot(rolled_back)] == before
    assert not Finding.objects.exists()


@pytest.mark.parametrize("plant", SAFE)
def test_what_a_late_worker_left_is_removed_once(shop: Outside, rolled_back: uuid.UUID, plant: Plant) -> None:
    left = plant(shop, rolled_back)
    assert ("I3", rolled_back) in found()
    assert _done() == [(left, "removed")]
    assert found(settled=True) - {("I5", rolled_back)} == set()
    finding = Finding.objects.get()
    assert (finding.state, finding.object_id, finding.pipeline_id) == ("repaired", left, rolled_back)
    assert next(call["key"] for call in finding.calls.values()).startswith(f"reconcile:{finding.pk}:")
    assert _told(rolled_back, "remove") == 1
    effects = _outside_effects(shop)
    assert _done() == []
    assert (_outside_effects(shop), _told(rolled_back, "remove")) == (effects, 1)


@pytest.mark.parametrize("plant", SAFE)
def test_a_dry_run_only_says_so(shop: Outside, rolled_back: uuid.UUID, plant: Plant) -> None:
    left = plant(shop, rolled_back)
    before, effects = snapshot(rolled_back), _outside_effects(shop)
    assert _done(dry_run=True) == [(left, "would be removed")]
    assert (snapshot(rolled_back), _outside_effects(shop), Finding.objects.count()) == (before, effects, 0)


@pytest.mark.parametrize("plant", SAFE)
def test_what_is_young_is_left_alone(shop: Outside, rolled_back: uuid.UUID, plant: Plant, settings: Any) -> None:
    settings.PIPELINE = settings.PIPELINE | {"RECONCILE_AFTER": timedelta(minutes=10)}
    plant(shop, rolled_back)
    effects = _outside_effects(shop)
    assert _done() == []
    assert _outside_effects(shop) == effects


@pytest.mark.parametrize("card", ["pm_card_authenticationRequired", "pm_card_visa"])
def test_what_a_pipeline_still_needs_is_left_alone(shop: Outside, broker, submit: Submit, settings, card: str) -> None:
    settings.PIPELINE = settings.PIPELINE | {"GO_ON": False}
    pipeline = submit(card)
    for _ in range(12):
        assert _done() == []
        broker.deliver()
    assert not Finding.objects.exists()
    assert Pipeline.objects.get(pk=pipeline).state in ("waiting", "committed")


@pytest.mark.parametrize("plant", SAFE)
def test_a_run_that_dies_after_the_call_is_ended_by_the_next(
    shop: Outside, rolled_back: uuid.UUID, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = plant(shop, rolled_back)

    def die(_finding: Finding) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(findings, "end_repair", die)
        with pytest.raises(KeyboardInterrupt):
            _done()
    assert _states() == {left: "repairing"}
    effects = _outside_effects(shop)
    assert _done() == []
    assert _states() == {left: "repaired"}
    assert (_outside_effects(shop), _told(rolled_back, "remove")) == (effects, 1)


@pytest.mark.parametrize("plant", SAFE)
def test_a_run_that_dies_before_the_call_is_repeated(
    shop: Outside, rolled_back: uuid.UUID, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = plant(shop, rolled_back)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(stripe, "cancel", die)
        dying.setattr(storage, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            _done()
    assert _states() == {left: "repairing"}
    assert _done() == [(left, "removed")]
    (call,) = Finding.objects.get().calls.values()
    assert call["generation"] == 2
    assert _told(rolled_back, "remove") == 1


@pytest.mark.parametrize("kind", ["error_before", "error_after", "drop_after", "down", "rate_limit"])
def test_a_provider_that_fails_is_asked_again_at_the_next_run(shop: Outside, rolled_back, kind: str) -> None:
    left = _hold(shop, rolled_back)
    shop.fault("stripe", "payment_intents.cancel", kind, times=1)
    assert [each for each, _ in _done()] == [left]
    assert _done() in ([], [(left, "removed")])
    assert _states() == {left: "repaired"}
    assert shop.effects(rolled_back).count("voided") == 1


def test_a_provider_that_cannot_be_read_does_not_stop_the_others(shop: Outside, rolled_back: uuid.UUID) -> None:
    left = _object(shop, rolled_back)
    shop.fault("stripe", "payment_intents.list", "down")
    out = StringIO()
    with pytest.raises(CommandError, match="run it again") as failed:
        call_command("reconcile", stdout=out)
    assert failed.value.returncode == 2
    assert f"object {left} of pipeline {rolled_back}" in out.getvalue()
    assert _states() == {left: "repaired"}


def test_two_runs_at_once_remove_it_once(shop: Outside, rolled_back: uuid.UUID) -> None:
    left = _hold(shop, rolled_back)
    first, second = reconcile(), reconcile()
    passes = [reconciliation._Pass("postings.reconcile.Intents", None, dry_run=False) for _ in range(2)]
    things = [next(iter(each._suspected(list(each.reconciler.things(None))))) for each in passes]
    outcomes = [each._deal_with(thing) for each, thing in zip(passes, things, strict=True)]
    assert [dealt.done if dealt else "gone" for dealt in outcomes] == ["removed", "gone"]
    assert (list(first), list(second)) == ([], [])
    assert _states() == {left: "repaired"}
    assert shop.effects(rolled_back).count("voided") == 1
    assert _told(rolled_back, "remove") == 1


def test_what_comes_back_is_removed_again(shop: Outside, rolled_back: uuid.UUID) -> None:
    for times in (1, 2):
        left = _object(shop, rolled_back)
        assert _done() == [(left, "removed")]
        assert _told(rolled_back, "remove") == times
    assert Finding.objects.count() == 1


# --- listed ----------------------------------------------------------------------------------------


def _refund(shop: Outside, pipeline: uuid.UUID) -> str:
    intent = next(entry["object_id"] for entry in shop.entries(pipeline) if entry["effect"] == "captured")
    shop.sandbox.stripe(timeout=5).v1.refunds.create({"payment_intent": intent, "amount": 100})
    return intent


@pytest.mark.parametrize(
    ("plant", "of", "why"),
    [
        (_capture, "rolled_back", "were captured and nothing was published"),
        (_capture, "committed", "a second one"),
        (_hold, "committed", "a second one"),
        (_refund, "committed", "were refunded at Stripe"),
        (_object, "committed", "shows another object"),
        (_capture, "waiting", "captured before the decision"),
        (_hold, "nobody", "no pipeline's here"),
        (_capture, "nobody", "no pipeline's here"),
        (_object, "nobody", "no pipeline's here"),
    ],
)
def test_what_a_person_must_decide_is_listed_and_never_touched(
    shop: Outside, broker: ScriptedBroker, submit: Submit, plant: Plant, of: str, why: str
) -> None:
    pipeline = uuid.uuid4()
    if of != "nobody":
        card = {"rolled_back": "pm_card_chargeDeclined", "waiting": "pm_card_authenticationRequired"}
        pipeline = submit(card.get(of, "pm_card_visa"))
        broker.deliver_all()
        assert Pipeline.objects.get().state == of
    left = plant(shop, pipeline)
    effects = _outside_effects(shop)
    assert _done(dry_run=True) == [(left, "a person must decide")]
    for _ in range(3):
        assert _done() == [(left, "listed for a person")]
    finding = Finding.objects.get()
    assert (finding.state, finding.pipeline_id) == ("open", pipeline)
    assert why in finding.why
    assert _outside_effects(shop) == effects
    marks = Pipeline.objects.filter(pk=pipeline, attention=1).count()
    assert marks == (0 if of == "nobody" else 1), "a person is told once"


def test_it_closes_by_itself_when_it_is_gone(shop: Outside, rolled_back: uuid.UUID) -> None:
    left = _capture(shop, rolled_back)
    assert _done() == [(left, "listed for a person")]
    shop.sandbox.stripe(timeout=5).v1.refunds.create({"payment_intent": left})
    assert _done() == []
    assert _states() == {left: "gone"}


def test_what_a_provider_down_or_a_short_window_hides_is_not_gone(shop: Outside, rolled_back: uuid.UUID) -> None:
    left = _capture(shop, rolled_back)
    _done()
    shop.fault("stripe", "payment_intents.list", "down", times=1)
    _done()
    _done(since=timezone.now() + timedelta(hours=1))
    assert _states() == {left: "open"}


def test_a_person_acknowledges_and_resolves_it(shop: Outside, rolled_back: uuid.UUID) -> None:
    left = _capture(shop, rolled_back)
    _done()
    finding = Finding.objects.get()
    findings.acknowledge(finding.pk, by="olga", note="asking the customer")
    assert _done() == [(left, "listed for a person")]
    assert _states() == {left: "acknowledged"}
    findings.resolve(finding.pk, by="olga", note="a test purchase of ours")
    assert _done() == [(left, "resolved by olga: a test purchase of ours")]
    assert _states() == {left: "resolved"}
    assert Pipeline.objects.get().attention == 1
    said = Event.objects.filter(pipeline=rolled_back, data__by="olga").values_list("data__action", flat=True)
    assert list(said) == ["acknowledged", "resolved"]
    with pytest.raises(IllegalAction, match="closed"):
        findings.acknowledge(finding.pk, by="olga", note="once more")


def test_a_withdrawals_refund_is_no_finding(shop: Outside, committed: uuid.UUID, broker: ScriptedBroker) -> None:
    withdrawal = endings.withdraw(Posting.objects.get(), by="olga", reason="asked for").id
    assert drain(withdrawal, broker) == "committed"
    assert _done() == []


def test_of_what_was_reaped_only_what_is_certain_is_judged(shop: Outside, committed, rolled_back) -> None:
    left = _hold(shop, rolled_back)
    sql("DELETE FROM pipeline_step")
    sql("UPDATE pipeline_pipeline SET input = '{}', reaped_at = now()")
    assert _done() == [(left, "removed")]


# --- the chore -------------------------------------------------------------------------------------


def test_the_chore_looks_at_what_was_made_lately(shop: Outside, rolled_back: uuid.UUID, settings: Any) -> None:
    left = _hold(shop, rolled_back)
    settings.PIPELINE = settings.PIPELINE | {"RECONCILE_WINDOW": timedelta(minutes=-10)}
    reconcile_recent()
    assert _states() == {}
    settings.PIPELINE = settings.PIPELINE | {"RECONCILE_WINDOW": timedelta(days=2)}
    reconcile_recent()
    assert _states() == {left: "repaired"}


def test_the_chore_says_which_provider_it_could_not_read(shop: Outside, rolled_back: uuid.UUID) -> None:
    left = _object(shop, rolled_back)
    shop.fault("stripe", "payment_intents.list", "down")
    with pytest.raises(reconciliation.StepFailure, match="Stripe"):
        reconcile_recent()
    assert _states() == {left: "repaired"}
