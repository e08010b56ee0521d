"""Dead owners are replaced at once, hanging ones when their lease ends, and late ones write nothing."""

import time
from datetime import timedelta

import psycopg
import pytest
from django.db import OperationalError, connection

from pipeline import actions, owner_session, ownership, tasks
from pipeline.models import Event, Pipeline, Step
from pipeline.plan import Job
from pipeline.providers import budget
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.testing import (
    IN_THE_END,
    Worker,
    advance,
    as_workers,
    crash_at,
    drain,
    pause_at,
    snapshot,
    state_of,
    together,
    until_due,
)
from pipeline.workflow import Refused, Skip, Unavailable, Wait

KEEPALIVES = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "12000",
}


@pytest.fixture
def workers():
    with as_workers(2) as two:
        yield two


def taken_over(pipeline):
    return [event.data["why"] for event in Event.objects.filter(pipeline=pipeline, type="taken_over").order_by("seq")]


def test_a_dead_workers_job_is_taken_over_at_once(posting, begin, broker, world, workers):
    crash_at("payment.stage.effect")
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert Step.objects.get(pipeline=pipeline, name="payment").owner is not None
    with workers[1].acting():
        assert sweep_once() == 1
        broker.deliver_all()
    assert state_of(pipeline) == "committed"
    assert taken_over(pipeline) == ["owner gone"]
    assert Step.objects.get(pipeline=pipeline, name="payment").stage_attempts == 2
    world.assert_agrees(pipeline)


def test_a_live_owners_job_is_nobody_elses(posting, begin, broker, world, workers):
    def look_meanwhile(run):
        with workers[1].acting():
            sweep_once()
            broker.deliver_all()
            tasks.run_job(Job(run.pipeline_id, run.step, run.verb), [])
        return world.do(run)

    world.will("payment.stage", look_meanwhile)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert Step.objects.get(pipeline=pipeline, name="payment").stage_attempts == 1
    assert taken_over(pipeline) == []


def test_after_a_start_of_postgresql_only_leases_count(posting, begin, broker, tune, workers):
    """Then every lock is free, whether its process lives or not."""
    tune(OWNER_GRACE=timedelta(days=3650))
    crash_at("logo.stage.effect")
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert sweep_once() == 0
    advance(timedelta(seconds=61))
    assert sweep_once() == 1
    assert taken_over(pipeline) == ["lease ended"]


@pytest.mark.parametrize("verb", ["stage", "commit"])
def test_an_owner_that_hangs_loses_its_job_when_the_lease_ends_and_its_late_record_is_dropped(
    verb, posting, begin, broker, world, workers
):
    late = {}

    def hang(run):
        advance(timedelta(seconds=61))
        with workers[1].acting():
            sweep_once()
            broker.deliver_all()
        late["before"] = snapshot(run.pipeline_id)
        return {"late": True}

    world.will(f"payment.{verb}", hang)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert taken_over(pipeline) == ["lease ended"]
    assert state_of(pipeline) == "committed"
    assert snapshot(pipeline) == late["before"]
    assert "late" not in Step.objects.get(pipeline=pipeline, name="payment").data
    world.assert_agrees(pipeline)


@pytest.mark.parametrize("outcome", ["fail", "wait", "skip", "refuse"])
def test_whatever_a_late_owner_found_out_is_not_written(outcome, posting, begin, broker, world, workers):
    def hang(run):
        advance(timedelta(seconds=61))
        with workers[1].acting():
            sweep_once()
            broker.deliver_all()
        if outcome == "wait":
            return Wait({"type": "x"}, run.now + timedelta(hours=1))
        if outcome == "skip":
            return Skip()
        raise Unavailable("down") if outcome == "fail" else Refused("no")

    world.will("payment.stage", hang)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert state_of(pipeline) == "committed"
    assert not Event.objects.filter(pipeline=pipeline, type__in=["attempt_failed", "waiting", "refused"]).exists()


@pytest.mark.parametrize("act", ["record", "call", "check"])
def test_a_late_owner_is_stopped_inside_its_verb_before_the_next_effect(act, posting, begin, broker, world, workers):
    effects = []

    def hang_between_two_effects(run):
        effects.append("first")
        advance(timedelta(seconds=61))
        with workers[1].acting():
            sweep_once()
            broker.deliver_all()
        workers[0].die()  # its lock is gone as well, so that the check that asks no database tells
        {"record": lambda: run.record(x=1), "call": lambda: run.call("second", {}), "check": run.check}[act]()
        effects.append("second")

    world.will("payment.stage", hang_between_two_effects)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert effects == ["first"]
    assert "x" not in Step.objects.get(pipeline=pipeline, name="payment").data
    assert state_of(pipeline) == "committed"


def test_a_zombie_that_wakes_between_its_claim_and_its_effect_does_nothing(posting, begin, broker, world, workers):
    def sleep_through_it():
        workers[0].die()
        with workers[1].acting():
            sweep_once()
            broker.deliver_all()

    pause_at("payment.stage.claimed", sleep_through_it)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert state_of(pipeline) == "committed"
    assert [call.attempt for call in world.calls if (call.step, call.verb) == ("payment", "stage")] == [2]
    world.assert_agrees(pipeline)


def test_a_zombie_that_wakes_between_its_effect_and_its_record_writes_nothing(posting, begin, broker, world, workers):
    seen = {}

    def sleep_through_it():
        workers[0].die()
        with workers[1].acting():
            sweep_once()
            broker.deliver_all()
        seen["rows"] = snapshot(pipeline)

    pause_at("payment.commit.effect", sleep_through_it)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    assert snapshot(pipeline) == seen["rows"]
    assert state_of(pipeline) == "committed"
    world.assert_agrees(pipeline)


def test_a_process_whose_lock_was_cut_begins_no_effect(posting, begin, broker, world, workers):
    """Not even one that makes no recorded call: nothing of it is asked."""

    def cut():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
                [workers[0].id],
            )
            assert cursor.fetchall() == [(True,)]

    world.will("payment.stage", lambda _run: None)
    pause_at("payment.stage.claimed", cut)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver()
        assert ("payment", "stage") not in [(call.step, call.verb) for call in world.calls]
        assert drain(pipeline, broker) == "committed"
    assert Step.objects.get(pipeline=pipeline, name="payment").stage_attempts == 2


def test_a_process_that_lost_its_lock_goes_on_under_a_new_id(broker, workers):
    before = workers[0].id
    workers[0].die()
    assert workers[0].id != before


def test_a_lock_lost_while_the_record_is_written_is_no_matter(posting, begin, broker, world, workers):
    """The fence decides what is written, the lock only what is begun."""
    pause_at("payment.stage.effect", workers[0].die)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
        assert drain(pipeline, broker) == "committed"
    assert Step.objects.get(pipeline=pipeline, name="payment").stage_attempts == 1


def test_an_effect_is_not_begun_when_the_lease_is_nearly_over(posting, begin, broker, world, tune):
    tune(LEASE=timedelta(seconds=10), LEASE_MARGIN=timedelta(seconds=15))
    pipeline = begin(posting)
    broker.deliver()
    assert world.calls == []
    assert state_of(pipeline) == "staging"


def seconds_left(run):
    with budget.within(timedelta(hours=1)):
        return {"left": budget.left()}


@pytest.mark.parametrize(
    ("changes", "longest"),
    [
        ({}, 25),
        ({"ATTEMPT_TIME": timedelta(hours=1)}, 55),
        ({"ATTEMPT_TIME": timedelta(hours=1), "LEASE": timedelta(seconds=20)}, 15),
    ],
    ids=str,
)
def test_a_call_ends_before_its_attempt_and_its_lease_do(begin, broker, world, define, tune, changes, longest):
    """What is left of the lease is for the record: the margin without a call."""
    tune(**changes)
    world.will("payment.stage", seconds_left)
    pipeline = begin(define(world.step("payment", pivot=True)))
    assert drain(pipeline, broker) == "committed"
    assert 0 < Step.objects.get(pipeline=pipeline).data["left"] <= longest


def test_a_second_call_of_an_attempt_has_what_the_first_has_left(begin, broker, world, define, tune):
    tune(ATTEMPT_TIME=timedelta(seconds=8))

    def stage(run):
        first = seconds_left(run)["left"]
        time.sleep(0.1)
        return {"first": first, **seconds_left(run)}

    world.will("payment.stage", stage)
    pipeline = begin(define(world.step("payment", pivot=True)))
    assert drain(pipeline, broker) == "committed"
    data = Step.objects.get(pipeline=pipeline).data
    assert data["left"] < data["first"] - 0.05


def test_the_time_that_the_effect_before_took_is_not_taken_for_this_ones(begin, broker, world, define):
    """A worker that goes on has the lease of its second job from the record of the first, not from its start."""
    seen = {}

    def slow(run):
        time.sleep(0.4)
        seen["first"] = run.now

    def ask(run):
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            seen["off"] = run.now - cursor.fetchone()[0]

    workflow = define(world.step("logo"), world.step("posting"))
    world.will("logo.stage", slow)
    world.will("posting.stage", ask)
    assert drain(begin(workflow), broker) == "committed"
    assert abs(seen["off"]) < timedelta(milliseconds=200)


def test_fences_only_rise(posting, begin, broker, world, workers):
    fences = []
    world.will("payment.commit", *[Unavailable("down")] * 3)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    for round_ in range(8):
        fences.append(Step.objects.get(pipeline=pipeline, name="payment").fence)
        with workers[round_ % 2].acting():
            advance(until_due(pipeline) + timedelta(milliseconds=1))
            sweep_once()
            if round_ == 2:
                crash_at("payment.commit.claimed")
            broker.deliver_all()
    assert fences == sorted(fences)
    assert fences[0] < fences[1] < fences[2] < fences[3]


def test_a_job_that_kills_every_worker_slows_down_and_is_brought_to_a_persons_attention(posting, begin, broker, world):
    """Nobody lives to record its failures; still it must not be begun again twice a second for ever in silence."""
    crash_at("posting.commit.claimed", times=1000)
    pipeline = begin(posting)
    waits, passed = [], timedelta(0)
    while passed < timedelta(minutes=18):
        broker.deliver_all()
        sweep_once()
        waits.append(until_due(pipeline))
        advance(waits[-1])
        passed += waits[-1]
        sweep_once()
    assert max(waits[:3]) < timedelta(seconds=3)
    assert max(waits) > timedelta(seconds=30)
    assert len(waits) < 60
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    assert Event.objects.filter(pipeline=pipeline, type="attention").count() == 1
    crash_at("nowhere")
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert Pipeline.objects.get(pk=pipeline).attention == 0


def test_cancelling_a_running_stage_waits_for_its_record(posting, begin, broker, world, workers):
    def stage_and_be_cancelled(run):
        with workers[1].acting():
            actions.cancel(run.pipeline_id)
            sweep_once()
            broker.deliver_all()
            tasks.run_job(Job(run.pipeline_id, run.step, Verb.ROLLBACK), [])
        assert not [entry for entry in world.entries if (entry.step, entry.verb) == ("payment", "rollback")]
        return world.do(run)

    world.will("payment.stage", stage_and_be_cancelled)
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
        assert drain(pipeline, broker) == "rolled_back"
    world.assert_agrees(pipeline)
    assert ("payment", "rollback") in [(entry.step, entry.verb) for entry in world.entries]


@pytest.mark.parametrize("ending", ["its death", "its lease's end"])
def test_cancelling_a_running_stage_that_never_records_waits_for_the_end_of_its_owner(
    ending, posting, begin, broker, world, workers
):
    crash_at("payment.stage.effect")
    pipeline = begin(posting)
    with workers[0].acting():
        broker.deliver_all()
    if ending == "its lease's end":
        # The process hangs: its lock is there.
        Step.objects.filter(pipeline=pipeline, name="payment").update(owner=workers[0].id)
    with workers[1].acting():
        actions.cancel(pipeline)
        if ending == "its lease's end":
            sweep_once()
            broker.deliver_all()
            assert Step.objects.get(pipeline=pipeline, name="payment").rollback_attempts == 0
            advance(timedelta(seconds=61))
        sweep_once()
        broker.deliver_all()
    assert state_of(pipeline) == "rolled_back"
    world.assert_agrees(pipeline)


def test_the_owners_session_is_a_session_of_its_own_that_waits_for_nothing(broker, workers):
    session = workers[0]._owner
    assert workers[0].id
    with connection.cursor() as cursor:
        cursor.execute("SELECT application_name, state FROM pg_stat_activity WHERE application_name = 'pipeline-owner'")
        assert ("pipeline-owner", "idle") in cursor.fetchall()
    assert session.is_alive(workers[0].id)


def test_the_owners_session_ends_14_s_after_its_machine_has_vanished(broker, workers):
    """Whatever the server's defaults are: where a user timeout is set, Linux counts no probes."""
    assert workers[0].id
    shown = {name: workers[0]._owner._session.execute(f"SHOW {name}").fetchone()[0] for name in KEEPALIVES}
    assert shown == KEEPALIVES


def test_two_owners_never_have_one_id(broker):
    ids = together(*(lambda: ownership.owner().id() for _ in range(8)))
    assert len(set(ids)) == 8


def test_a_database_that_is_away_at_the_claim_ends_the_task_and_keeps_nothing(posting, begin, broker, monkeypatch):
    pipeline = begin(posting)

    def refuse(*_args, **_kwargs):
        raise psycopg.OperationalError("refused")

    worker = Worker()
    with worker.acting():
        monkeypatch.setattr(owner_session.psycopg, "connect", refuse)
        with pytest.raises(OperationalError):
            broker.deliver()
        monkeypatch.undo()
        assert Step.objects.filter(pipeline=pipeline, owner__isnull=False).count() == 0
        assert drain(pipeline, broker) == "committed"
    worker.close()
