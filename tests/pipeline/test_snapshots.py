"""A statement that waited for the pipeline's lock has an older snapshot of its steps: nothing may depend on that."""

import threading

import pytest
from django.db import connection, connections, transaction

from pipeline import tasks, transitions
from pipeline.models import Pipeline, Step
from pipeline.plan import Job
from pipeline.states import Verb
from pipeline.testing import drain, together
from pipeline.workflow import Refused


def wait_for_the_lock_queue(length=1):
    """Until so many sessions wait for a lock in this database."""
    with connection.cursor() as cursor:
        for _ in range(2000):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0] >= length:
                return
            threading.Event().wait(0.002)
            cursor.execute("SELECT pg_stat_clear_snapshot()")
    raise AssertionError("nobody waits for a lock")


def claim_behind(write, job):
    """Claim the job with a statement that began before `write` was committed."""
    claimed = []

    def claim():
        try:
            claimed.append(transitions.claim(job, 2))
        finally:
            connections.close_all()

    waiter = threading.Thread(target=claim)
    with transaction.atomic():
        write()
        waiter.start()
        wait_for_the_lock_queue()
    waiter.join(5)
    assert claimed, "the claim did not end"
    return claimed[0]


def test_a_claim_that_waited_for_a_record_sees_what_was_recorded(hand):
    begun = hand.claim("logo")
    _, view = claim_behind(lambda: hand.done(begun, {"key": "logos/1"}), Job(hand.pipeline, "posting", Verb.STAGE))
    assert view.step("logo").state == "staged"
    assert view.step("logo").data == {"key": "logos/1"}


def test_a_step_skipped_just_before_is_not_counted_as_something_to_undo(hand, world, broker):
    begun = hand.claim("logo")
    claimed, view = claim_behind(lambda: hand.done(begun, skip=True), Job(hand.pipeline, "posting", Verb.STAGE))
    assert view.step("logo").state == "skipped"
    transitions.fail(
        Job(hand.pipeline, "posting", Verb.STAGE), claimed, error={}, delay=claimed.now - claimed.now, mark=False
    )
    world.will("posting.stage", Refused("no"))
    assert drain(hand.pipeline, broker) == "rolled_back"


def test_a_job_that_follows_parallel_ones_sees_what_each_of_them_recorded(begin, broker, world, define):
    """Two effects are committed by two workers; the one that ends last goes on with telling."""
    barrier = threading.Barrier(2)
    seen = {}

    def commit(run):
        barrier.wait(5)
        if run.step == "posting":
            # The other one ends last, having claimed before this was recorded.
            return {"url": "/jobs/1/"}
        while Step.objects.get(pipeline=run.pipeline_id, name="posting").state != "committed":
            threading.Event().wait(0.005)
        return {"visible": True}

    def tell(run):
        seen.update({"posting": run.of("posting"), "logo": run.of("logo")})

    workflow = define(
        world.step("logo"),
        world.step("posting"),
        world.step("email", tells=True),
        result=lambda _input, steps: {"url": steps["posting"].get("url"), "visible": steps["logo"].get("visible")},
    )
    world.will("logo.commit", commit)
    world.will("posting.commit", commit)
    world.will("email.commit", tell)
    pipeline = begin(workflow)
    for step in ("logo", "posting", "email"):
        transitions_do(pipeline, step)
    jobs = [Job(pipeline, step, Verb.COMMIT) for step in ("logo", "posting")]
    broker.drop_all()
    together(*(lambda job=job: tasks.run_job(job, []) for job in jobs))
    assert drain(pipeline, broker) == "committed"
    assert seen["posting"].get("url") == "/jobs/1/"
    assert seen["logo"].get("visible") is True


def transitions_do(pipeline, step):
    job = Job(pipeline, step, Verb.STAGE)
    begun, view = transitions.claim(job, 1)
    assert transitions.advance(job, begun, data={}, note={}, seen_seq=view.seq) is not None


@pytest.mark.parametrize("last", ["logo", "posting"])
def test_the_result_is_made_from_what_every_step_recorded_whoever_ends_last(last, begin, broker, world, define):
    """Two commits end the pipeline; both were claimed before either was recorded."""
    both = threading.Barrier(2)

    def commit(run):
        both.wait(5)
        if run.step == last:
            other = "logo" if last == "posting" else "posting"
            while Step.objects.get(pipeline=run.pipeline_id, name=other).state != "committed":
                threading.Event().wait(0.005)
        return {"is": f"committed {run.step}"}

    workflow = define(
        world.step("logo"),
        world.step("posting"),
        result=lambda _input, steps: {name: data["is"] for name, data in steps.items()},
    )
    world.will("logo.commit", commit)
    world.will("posting.commit", commit)
    pipeline = begin(workflow)
    for step in ("logo", "posting"):
        transitions_do(pipeline, step)
    broker.drop_all()
    together(*(lambda s=s: tasks.run_job(Job(pipeline, s, Verb.COMMIT), []) for s in ("logo", "posting")))
    assert drain(pipeline, broker) == "committed"
    assert Pipeline.objects.get(pk=pipeline).result == {"logo": "committed logo", "posting": "committed posting"}


def test_a_worker_that_goes_on_does_not_take_its_own_record_for_all_that_happened(begin, broker, world, define):
    """It begins its next job in the write of the last; in between another worker has committed a third."""

    def commit_while_another_commits(run):
        posting = next(message for message in broker.waiting if message.job.step == "posting")
        together(lambda: broker.deliver(posting))
        assert Step.objects.get(pipeline=run.pipeline_id, name="posting").state == "committed"

    workflow = define(
        world.step("logo"),
        world.step("posting"),
        world.step("badge", local=True),
        result=lambda _input, steps: {name: sorted(data) for name, data in steps.items()},
    )
    world.will("badge.commit", commit_while_another_commits)
    pipeline = begin(workflow)
    broker.deliver()
    row = Pipeline.objects.get(pk=pipeline)
    assert row.state == "committed"
    assert row.result["posting"] == ["commit", "stage"]
