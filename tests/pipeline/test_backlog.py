"""What the broker holds already, the sweep does not publish behind."""

import uuid
from datetime import timedelta

import pytest
from celery import current_app

from pipeline import actions, dispatch
from pipeline.plan import Job
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.tasks import QUEUES
from pipeline.testing import advance, drain_all
from pipeline.workflow import Unavailable


@pytest.fixture
def real_broker():
    """Celery's own, whose queues nobody takes from; empty before and after."""
    dispatch.use_sender(None)
    with current_app.pool.acquire(block=True) as connection:
        for queue in QUEUES.values():
            connection.default_channel.queue_purge(queue)
        yield
        for queue in QUEUES.values():
            connection.default_channel.queue_purge(queue)


def test_the_brokers_queues_are_counted(real_broker):
    for verb in (Verb.STAGE, Verb.STAGE, Verb.COMMIT):
        assert dispatch.publish(Job(uuid.uuid4(), "logo", verb))
    assert [dispatch.waiting(QUEUES[verb]) for verb in (Verb.STAGE, Verb.COMMIT, Verb.ROLLBACK)] == [2, 1, 0]


def test_the_sweep_adds_nothing_to_a_queue_that_is_full(posting, begin, broker, tune, world):
    """Until the workers have taken what is there; the other verbs' queues are not concerned."""
    tune(QUEUE_FULL=3)
    world.will("posting.stage", Unavailable("down"))
    decided = begin(posting)
    broker.deliver_all()
    actions.cancel(decided)
    broker.drop_all()
    waiting = [begin(posting) for _ in range(3)]
    advance(timedelta(seconds=10))
    assert sweep_once() > 0
    assert {message.job.pipeline for message in broker.waiting[3:]} == {decided}
    broker.drop()
    assert sweep_once() == 3
    drain_all([decided, *waiting], broker)
