"""Marks for a person: when they are made and cleared, and who is told."""

import logging
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from pipeline import actions, attention, marks
from pipeline.conf import conf
from pipeline.errors import IllegalAction
from pipeline.models import Event, Pipeline, Step
from pipeline.sweep import sweep_once
from pipeline.testing import IN_THE_END, advance, drain, pause_at, snapshot, state_of, until_due
from pipeline.workflow import Refused, Unavailable, Unknown

TOLD: list[str] = []


def tell(pipeline):
    TOLD.append(str(pipeline.pk))


def tell_in_vain(pipeline):
    TOLD.append(str(pipeline.pk))
    raise Unavailable("mail", "down")


def tell_with_a_defect(pipeline):
    TOLD.append(str(pipeline.pk))
    raise KeyError("x")


@pytest.fixture(autouse=True)
def told(monkeypatch):
    TOLD.clear()
    monkeypatch.setattr(attention, "_quiet_until", 0.0)
    return TOLD


def try_until(pipeline, broker, passed):
    """Let the pipeline's jobs be tried for that long."""
    left = passed
    while left > timedelta(0):
        step = min(max(until_due(pipeline), timedelta(milliseconds=10)), left)
        advance(step, pipeline)
        left -= step
        sweep_once()
        broker.deliver_all()


def times_marked(pipeline):
    return Event.objects.filter(pipeline=pipeline, type="attention").count()


@pytest.mark.parametrize("failing", ["payment.commit", "posting.commit", "email.commit", "logo.rollback"])
def test_a_job_that_fails_for_fifteen_minutes_is_marked_once_and_tried_on(failing, posting, begin, broker, world):
    if failing == "logo.rollback":
        world.will("email.stage", Refused("no"))
    world.will(failing, *[Unknown("timeout")] * 60)
    pipeline = begin(posting)
    broker.deliver_all()
    try_until(pipeline, broker, timedelta(minutes=7))
    assert times_marked(pipeline) == 0
    try_until(pipeline, broker, timedelta(hours=3))
    assert times_marked(pipeline) == 1
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    last = Event.objects.filter(pipeline=pipeline, type="attempt_failed").latest("seq")
    delay = Step.objects.get(pipeline=pipeline, name=last.step).due_at - last.at
    assert timedelta(minutes=44) < delay <= timedelta(hours=1)
    world._scripts.clear()
    assert drain(pipeline, broker, within=IN_THE_END) == ("rolled_back" if failing == "logo.rollback" else "committed")
    row = Pipeline.objects.get(pk=pipeline)
    assert row.attention == 0
    assert not row.steps.filter(attention=True).exists()


@pytest.mark.parametrize("failing", ["posting.commit", "email.commit", "logo.rollback"])
def test_what_is_expected_is_waited_for_without_a_mark_and_the_quarter_of_an_hour_counts_from_then(
    failing, posting, begin, broker, world
):
    def tomorrow(run):
        raise Unavailable("quota", until=run.now + timedelta(hours=20))

    if failing == "logo.rollback":
        world.will("email.stage", Refused("no"))
    world.will(failing, Unknown("timeout"), tomorrow, *[Unknown("timeout")] * 60)
    pipeline = begin(posting)
    broker.deliver_all()
    try_until(pipeline, broker, timedelta(minutes=1))
    assert timedelta(hours=19, minutes=58) < until_due(pipeline) <= timedelta(hours=20)
    advance(until_due(pipeline), pipeline)
    try_until(pipeline, broker, timedelta(minutes=7))
    assert times_marked(pipeline) == 0
    try_until(pipeline, broker, timedelta(minutes=30))
    assert times_marked(pipeline) == 1
    world._scripts.clear()
    assert drain(pipeline, broker, within=IN_THE_END) == ("rolled_back" if failing == "logo.rollback" else "committed")


def test_what_a_stage_waits_for_does_not_move_its_deadline(posting, begin, broker, world):
    world.will("logo.stage", Unavailable("quota", until=datetime.now(UTC) + timedelta(hours=20)))
    pipeline = begin(posting)
    broker.deliver_all()
    assert until_due(pipeline) <= conf().STAGING_DEADLINE
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"


def test_a_staging_that_fails_marks_nothing(posting, begin, broker, world):
    world.will("logo.stage", *[Unavailable("down")] * 50)
    pipeline = begin(posting)
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert times_marked(pipeline) == 0


def test_a_person_is_told_once_of_each_mark(posting, begin, broker, world, tune):
    tune(ON_ATTENTION="tests.pipeline.test_attention.tell")
    world.will("posting.commit", Refused("x"), Refused("x"), Refused("x"))
    pipeline = begin(posting)
    broker.deliver_all()
    told = told_list()
    for _ in range(3):
        attention.tell_untold()
    assert told == [str(pipeline)]
    assert Pipeline.objects.get(pk=pipeline).attention_told_at is not None
    marks.attention(pipeline, {"code": "dispute"})
    attention.tell_untold()
    assert told == [str(pipeline)] * 2
    drain(pipeline, broker, within=IN_THE_END)


def told_list():
    import tests.pipeline.test_attention as module  # the module that the dotted path finds

    module.TOLD.clear()
    return module.TOLD


@pytest.mark.parametrize("teller", ["tell_in_vain", "tell_with_a_defect"])
def test_a_teller_that_fails_stops_no_sweep_and_is_called_again_a_minute_later(
    teller, posting, begin, broker, world, tune, monkeypatch, caplog
):
    tune(ON_ATTENTION=f"tests.pipeline.test_attention.{teller}")
    told = told_list()
    world.will("posting.commit", Refused("x"))
    pipeline = begin(posting)
    broker.deliver_all()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            attention.tell_untold()
    assert told == [str(pipeline)]
    assert "nobody could be told yet" in caplog.text
    assert Pipeline.objects.get(pk=pipeline).attention_told_at is None
    monkeypatch.setattr(attention, "_quiet_until", 0.0)
    attention.tell_untold()
    assert told == [str(pipeline)] * 2
    drain(pipeline, broker, within=IN_THE_END)


def test_a_finished_pipeline_can_be_marked_and_stays_as_it_is(posting, begin, broker):
    pipeline = begin(posting)
    drain(pipeline, broker)
    assert marks.attention(pipeline, {"code": "dispute"})
    row = Pipeline.objects.get(pk=pipeline)
    assert (row.state, row.attention, row.due_at) == ("committed", 1, None)


def test_a_mark_of_no_step_goes_when_a_person_acknowledges_it(posting, begin, broker):
    pipeline = begin(posting)
    drain(pipeline, broker)
    marks.attention(pipeline, {"code": "disputed"})
    marks.attention(pipeline, {"code": "refunded_at_stripe"})
    actions.acknowledge(pipeline, by="ann", reason="settled with the customer")
    row = Pipeline.objects.get(pk=pipeline)
    assert (row.state, row.attention, row.due_at) == ("committed", 0, None)
    note = Event.objects.get(pipeline=pipeline, type="operator_action").data
    assert note == {"action": "acknowledge", "by": "ann", "reason": "settled with the customer"}
    with pytest.raises(IllegalAction, match="no mark"):
        actions.acknowledge(pipeline, by="ann", reason="settled with the customer")
    marks.attention(pipeline, {"code": "disputed"})
    assert Pipeline.objects.get(pk=pipeline).attention == 1


def test_a_step_s_own_mark_is_not_acknowledged_and_goes_when_its_job_succeeds(posting, begin, broker, world):
    world.will("posting.commit", Refused("x"))
    pipeline = begin(posting)
    broker.deliver_all()
    with pytest.raises(IllegalAction, match="a step's goes when its job succeeds"):
        actions.acknowledge(pipeline, by="ann", reason="settled with the customer")
    marks.attention(pipeline, {"code": "disputed"})
    actions.acknowledge(pipeline, by="ann", reason="settled with the customer")
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert Pipeline.objects.get(pk=pipeline).attention == 0


def test_a_mark_that_comes_while_a_person_acknowledges_stays(posting, begin, broker):
    pipeline = begin(posting)
    drain(pipeline, broker)
    marks.attention(pipeline, {"code": "disputed"})
    seen = Pipeline.objects.get(pk=pipeline).seq
    marks.attention(pipeline, {"code": "refunded_at_stripe"})
    assert not marks.acknowledge(pipeline, seen, 0, {})
    assert Pipeline.objects.get(pk=pipeline).attention == 2


def test_an_unknown_pipeline_has_nothing_to_acknowledge(db):
    with pytest.raises(IllegalAction):
        actions.acknowledge(uuid.uuid4(), by="ann", reason="settled with the customer")


# --- what operators may do ------------------------------------------------------------------------------


def test_an_operator_makes_a_waiting_job_due_at_once(posting, begin, broker, world):
    world.will("posting.commit", *[Unavailable("down")] * 6)
    pipeline = begin(posting)
    broker.deliver_all()
    try_until(pipeline, broker, timedelta(seconds=25))
    world._scripts.clear()
    assert state_of(pipeline) == "committing"
    actions.retry_now(pipeline, by="ann", reason="the bucket is back")
    broker.deliver_all()
    assert state_of(pipeline) == "committed"
    note = Event.objects.get(pipeline=pipeline, type="operator_action").data
    assert note == {"action": "retry now", "by": "ann", "reason": "the bucket is back"}


def test_an_operator_rolls_back_what_is_not_decided(posting, begin, broker, world):
    world.will("payment.stage", Unavailable("down"))
    pipeline = begin(posting)
    broker.deliver_all()
    actions.roll_back(pipeline, by="ann", reason="fraud")
    broker.deliver_all()
    assert state_of(pipeline) == "rolled_back"
    assert not Pipeline.objects.get(pk=pipeline).is_cancelled
    world.assert_agrees(pipeline)


def test_an_operator_gives_a_job_up_and_the_pipeline_ends_with_its_result(posting, begin, broker, world):
    world.will("email.commit", *[Unavailable("down")] * 50)
    pipeline = begin(posting)
    broker.deliver_all()
    assert state_of(pipeline) == "committing"
    actions.skip(pipeline, "email", by="ann", reason="told by phone")
    row = Pipeline.objects.get(pk=pipeline)
    assert row.state == "committed"
    assert row.result == {
        "logo": f"{pipeline}:logo:stage:do:1",
        "paid": f"{pipeline}:payment:commit:do:1",
    }
    types = [event.type for event in Event.objects.filter(pipeline=pipeline).order_by("seq")][-3:]
    assert types == ["operator_action", "skipped", "pipeline_committed"]


def test_giving_a_marked_job_up_clears_its_mark(posting, begin, broker, world):
    world.will("posting.commit", *[Refused("gone")] * 50)
    pipeline = begin(posting)
    broker.deliver_all()
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    actions.skip(pipeline, "posting", by="ann", reason="done by hand")
    assert Pipeline.objects.get(pk=pipeline).attention == 0
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"


@pytest.mark.parametrize(
    ("step", "complaint"), [("payment", "holds the money"), ("logo", "cannot be skipped"), ("nothing", "no step")]
)
def test_what_may_not_be_given_up_is_refused_and_leaves_no_trace(step, complaint, posting, begin, broker, world):
    world.will("payment.commit", Unknown("timeout"))
    pipeline = begin(posting)
    broker.deliver_all()
    rows = snapshot(pipeline)
    with pytest.raises(IllegalAction, match=complaint):
        actions.skip(pipeline, step, by="ann", reason="x")
    assert snapshot(pipeline) == rows
    drain(pipeline, broker)


def test_a_job_that_is_being_worked_on_is_not_given_up(posting, begin, broker, world):
    seen = []

    def try_it():
        rows = snapshot(pipeline)
        with pytest.raises(IllegalAction, match="being worked on"):
            actions.skip(pipeline, "posting", by="ann", reason="x")
        seen.append(snapshot(pipeline) == rows)

    pause_at("posting.commit.claimed", try_it)
    pipeline = begin(posting)
    broker.deliver_all()
    assert seen == [True]


def test_a_job_that_moves_while_it_is_given_up_leaves_no_trace_of_the_action(
    posting, begin, broker, world, monkeypatch
):
    """Between reading the step and the write a worker was faster."""
    world.will("email.commit", Unavailable("down"))
    pipeline = begin(posting)
    broker.deliver_all()
    as_nobody = actions._as_nobody
    monkeypatch.setattr(
        actions,
        "_as_nobody",
        lambda row: (Step.objects.filter(pk=row.pk).update(fence=row.fence + 1), as_nobody(row))[1],
    )
    with pytest.raises(IllegalAction, match="just moved on"):
        actions.skip(pipeline, "email", by="ann", reason="x")
    assert not Event.objects.filter(pipeline=pipeline, type="operator_action").exists()
    monkeypatch.undo()
    drain(pipeline, broker)


@pytest.mark.parametrize("act", [actions.retry_now, actions.look_again, actions.roll_back])
def test_nothing_is_left_to_do_with_a_pipeline_that_has_ended(act, posting, begin, broker):
    pipeline = begin(posting)
    drain(pipeline, broker)
    rows = snapshot(pipeline)
    with pytest.raises(IllegalAction):
        act(pipeline, by="ann", reason="x")
    assert snapshot(pipeline) == rows
    assert actions.hint(pipeline, "webhook") is False
