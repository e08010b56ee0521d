"""Waiting for the customer: asking, hints, the deadline."""

from datetime import timedelta

import pytest

from pipeline import actions
from pipeline.errors import IllegalAction
from pipeline.models import Event, Pipeline, Step
from pipeline.sweep import sweep_once
from pipeline.testing import IN_THE_END, advance, drain, state_of, until_due
from pipeline.workflow import Refused, Unavailable, Wait

HALF_AN_HOUR = timedelta(minutes=30)


def ask(run):
    return Wait({"type": "confirm_payment"}, run.now + HALF_AN_HOUR, {"intent": "pi_1"})


@pytest.fixture
def waiting(posting, begin, broker, world):
    """A pipeline whose payment waits for the customer; further answers are scripted by the test."""
    world.will("payment.stage", ask)
    pipeline = begin(posting)
    broker.deliver_all()
    assert state_of(pipeline) == "waiting"
    return pipeline


def asked(world):
    return sum((call.step, call.verb) == ("payment", "stage") for call in world.calls)


def look(pipeline, broker, passed=timedelta(0)):
    advance(passed, pipeline)
    sweep_once()
    broker.deliver_all()


def test_the_customer_is_told_what_to_do_and_until_when(waiting):
    row = Pipeline.objects.get(pk=waiting)
    assert row.next_action == {"type": "confirm_payment"}
    assert HALF_AN_HOUR - timedelta(minutes=1) < row.deadline_at - row.created_at < HALF_AN_HOUR + timedelta(minutes=1)
    assert Step.objects.get(pipeline=waiting, name="payment").data["intent"] == "pi_1"
    assert Event.objects.filter(pipeline=waiting, type="waiting").count() == 1


def test_the_provider_is_asked_at_growing_intervals_without_a_word_in_the_history(waiting, broker, world):
    gaps = []
    world.will("payment.stage", *[ask] * 20)
    for _ in range(10):
        gaps.append(until_due(waiting))
        look(waiting, broker, gaps[-1])
    assert timedelta(seconds=3) < gaps[0] <= timedelta(seconds=5)
    assert gaps[0] < gaps[3] < gaps[6] <= timedelta(seconds=60)
    assert all(timedelta(seconds=40) < gap <= timedelta(seconds=60) for gap in gaps[7:])
    assert asked(world) == 11
    assert Event.objects.filter(pipeline=waiting, type__in=["waiting", "staging_started"], step="payment").count() == 2


def test_a_hint_makes_it_look_at_once(waiting, broker, world):
    assert actions.hint(waiting, "webhook")
    sweep_once()
    broker.deliver_all()
    assert state_of(waiting) == "committed"


def test_resume_makes_it_look_at_once_without_a_sweep(waiting, broker):
    actions.resume(waiting)
    broker.deliver_all()
    assert state_of(waiting) == "committed"


def test_resume_is_refused_when_nobody_is_waited_for(posting, begin, broker):
    pipeline = begin(posting)
    with pytest.raises(IllegalAction, match="not waiting"):
        actions.resume(pipeline)


def test_a_hint_that_comes_while_it_asks_makes_it_look_again_instead_of_waiting(waiting, broker, world):
    """The provider answered "not yet", and the webhook came before that was recorded."""

    def ask_and_be_overtaken(run):
        assert actions.hint(run.pipeline_id, "webhook")
        return ask(run)

    world.will("payment.stage", ask_and_be_overtaken)
    look(waiting, broker, timedelta(seconds=6))
    assert asked(world) == 2
    assert until_due(waiting) == timedelta(0)
    look(waiting, broker)
    assert state_of(waiting) == "committed"


def test_a_hint_that_comes_during_a_failing_attempt_makes_it_look_again_at_once(posting, begin, broker, world):
    def fail_and_be_overtaken(run):
        actions.hint(run.pipeline_id, "webhook")
        raise Unavailable("down", retry_after=timedelta(seconds=30))

    world.will("payment.commit", fail_and_be_overtaken)
    pipeline = begin(posting)
    broker.deliver_all()
    assert until_due(pipeline) == timedelta(0)
    look(pipeline, broker)
    assert state_of(pipeline) == "committed"


def test_a_hint_seen_before_an_attempt_does_not_hurry_the_next_one(waiting, broker, world):
    world.will("payment.stage", ask)
    actions.hint(waiting, "webhook")
    look(waiting, broker)
    assert until_due(waiting) > timedelta(seconds=3)


def test_the_provider_is_asked_once_more_at_the_deadline_and_its_yes_counts(waiting, broker):
    look(waiting, broker, HALF_AN_HOUR + timedelta(minutes=5))
    assert state_of(waiting) == "committed"


def test_after_the_deadline_only_the_providers_answer_rolls_back(waiting, broker, world):
    world.will("payment.stage", Unavailable("down"), Unavailable("down"), ask)
    look(waiting, broker, HALF_AN_HOUR)
    assert state_of(waiting) == "waiting"
    look(waiting, broker, timedelta(seconds=40))
    assert state_of(waiting) == "waiting"
    look(waiting, broker, timedelta(seconds=40))
    assert drain(waiting, broker) == "rolled_back"
    assert Pipeline.objects.get(pk=waiting).error["code"] == "customer_timed_out"
    world.assert_agrees(waiting)


def test_it_is_due_at_the_deadline_however_long_the_interval(waiting, broker, world):
    world.will("payment.stage", *[ask] * 30)
    for _ in range(15):
        look(waiting, broker, until_due(waiting))
    left = Pipeline.objects.get(pk=waiting)
    advance(left.deadline_at - Event.objects.filter(pipeline=waiting).latest("seq").at, waiting)
    row = Pipeline.objects.get(pk=waiting)
    assert row.due_at <= row.deadline_at


def test_asking_again_does_not_move_the_deadline(waiting, broker, world):
    world.will("payment.stage", *[lambda run: Wait({"type": "x"}, run.now + 100 * HALF_AN_HOUR)] * 2)
    before = Pipeline.objects.get(pk=waiting).deadline_at
    look(waiting, broker, timedelta(seconds=10))
    assert before - Pipeline.objects.get(pk=waiting).deadline_at == timedelta(seconds=10)


def test_stagings_clock_stands_still_meanwhile(waiting, broker, world):
    """Ten minutes of staging, two of them gone; the customer takes twenty; eight are left."""
    Pipeline.objects.filter(pk=waiting).update(staging_left=timedelta(minutes=8))
    world.will("email.stage", *[Unavailable("down")] * 50)
    look(waiting, broker, timedelta(minutes=20))
    row = Pipeline.objects.get(pk=waiting)
    assert row.state == "staging"
    assert timedelta(minutes=7, seconds=55) < row.deadline_at - row.updated_at <= timedelta(minutes=8)
    look(waiting, broker, timedelta(minutes=7))
    assert state_of(waiting) == "staging"
    look(waiting, broker, timedelta(minutes=1, seconds=5))
    assert drain(waiting, broker) == "rolled_back"


def test_a_refusal_while_waiting_rolls_back(waiting, broker, world):
    world.will("payment.stage", Refused("authentication_failed"))
    actions.resume(waiting)
    assert drain(waiting, broker) == "rolled_back"
    world.assert_agrees(waiting)


def test_cancelling_while_waiting_undoes_at_once(waiting, broker, world):
    actions.cancel(waiting)
    broker.deliver_all()
    assert state_of(waiting) == "rolled_back"
    world.assert_agrees(waiting)


def test_cancelling_during_the_question_lets_it_be_answered_first(waiting, broker, world):
    def ask_and_be_cancelled(run):
        actions.cancel(run.pipeline_id)
        broker.deliver_all()
        assert not any(call.verb == "rollback" and call.step == "payment" for call in world.calls)
        return ask(run)

    world.will("payment.stage", ask_and_be_cancelled)
    look(waiting, broker, timedelta(seconds=10))
    assert drain(waiting, broker) == "rolled_back"
    world.assert_agrees(waiting)


def test_only_the_stage_verb_may_wait(posting, begin, broker, world):
    world.will("logo.commit", ask)
    pipeline = begin(posting)
    broker.deliver_all()
    assert Step.objects.get(pipeline=pipeline, name="logo").error["code"] == "cannot_wait"
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"


def test_a_deadline_without_a_time_zone_is_a_defect_and_no_loop(posting, begin, broker, world):
    world.will("payment.stage", lambda run: Wait({"type": "x"}, (run.now + HALF_AN_HOUR).replace(tzinfo=None)))
    pipeline = begin(posting)
    broker.deliver_all()
    assert Step.objects.get(pipeline=pipeline, name="payment").error["code"] == "unexpected_error"
    assert drain(pipeline, broker) == "committed"
