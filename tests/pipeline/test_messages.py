"""Messages may be lost, repeated, delayed and reordered; the broker may be down."""

import random
import uuid
from datetime import timedelta
from itertools import pairwise

import pytest

from pipeline import dispatch, tasks
from pipeline.models import Pipeline, Step
from pipeline.plan import Job
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.testing import advance, drain, drain_all, snapshot, state_of, until_due
from pipeline.workflow import Refused, Unavailable


@pytest.fixture(params=[True, False], ids=["going on", "by message"], autouse=True)
def go_on(request, tune):
    tune(GO_ON=request.param)
    return request.param


@pytest.mark.parametrize("ending", ["committed", "rolled_back"])
def test_replaying_every_message_of_an_ended_pipeline_changes_nothing(ending, posting, begin, broker, world):
    if ending == "rolled_back":
        world.will("email.stage", Refused("no"))
    pipeline = begin(posting)
    assert drain(pipeline, broker) == ending
    rows, calls = snapshot(pipeline), len(world.calls)
    assert broker.replay_all([pipeline]) > 0
    sweep_once()
    broker.deliver_all()
    assert snapshot(pipeline) == rows
    assert len(world.calls) == calls


def test_every_message_twice_does_everything_once(posting, begin, broker, world):
    pipeline = begin(posting)
    for _ in range(100):
        if not broker.waiting:
            break
        broker.duplicate()
        broker.deliver()
    assert drain(pipeline, broker) == "committed"
    world.assert_agrees(pipeline)
    assert len(world.calls) == 8


def test_every_job_of_every_kind_sent_early_late_and_twice_does_everything_once(posting, begin, broker, world):
    pipeline = begin(posting)
    jobs = [Job(pipeline, step, verb) for step in ("logo", "posting", "payment", "email") for verb in Verb] * 2
    chance = random.Random(7)
    for _ in range(30):
        tasks.run_job(chance.choice(jobs), [])
    assert drain(pipeline, broker) == "committed"
    world.assert_agrees(pipeline)


def test_every_message_lost_is_found_by_the_sweep(posting, begin, broker, world):
    world.will("posting.stage", Unavailable("down"))
    pipeline = begin(posting)
    for number in range(200):
        if broker.waiting and number % 2:
            broker.deliver()
        else:
            broker.drop_all()
            advance(until_due(pipeline) + timedelta(milliseconds=1))
            sweep_once()
        if state_of(pipeline) == "committed":
            break
    assert state_of(pipeline) == "committed"
    world.assert_agrees(pipeline)


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_messages_of_many_pipelines_all_end_right(seed, posting, begin, broker, world):
    chance = random.Random(seed)
    pipelines = [begin(posting) for _ in range(8)]
    for _ in range(60):
        broker.reorder(chance.randrange(1000))
        act = chance.choice([broker.deliver, broker.deliver, broker.duplicate, broker.drop, sweep_once])
        act()
    drain_all(pipelines, broker)
    for pipeline in pipelines:
        world.assert_agrees(pipeline)


def test_a_submission_is_accepted_while_the_broker_is_down_and_completes_when_it_is_back(posting, begin, broker, world):
    broker.go_down()
    pipeline = begin(posting)
    assert broker.sent == []
    for _ in range(100):  # minutes of it
        advance(timedelta(seconds=2))
        dispatch.use_sender(broker._take)  # the pause of five seconds is over as well
        sweep_once()
    broker.come_back()
    assert until_due(pipeline) <= timedelta(seconds=2), "a long outage must not make it wait a minute more"
    advance(until_due(pipeline))
    assert sweep_once() == 1
    broker.deliver_all()
    assert state_of(pipeline) == "committed"


def test_after_a_failure_a_process_leaves_the_broker_alone_for_a_moment(posting, begin, broker, monkeypatch):
    tries = []

    def refuse(jobs):
        tries.append(jobs)
        raise ConnectionError("refused")

    dispatch.use_sender(refuse)
    for _ in range(3):
        begin(posting)
    assert len(tries) == 1
    assert dispatch.is_paused()
    assert sweep_once() == 0
    monkeypatch.setattr(dispatch, "_quiet_until", 0.0)
    begin(posting)
    assert len(tries) == 2
    broker.come_back()


def test_a_backlog_is_not_multiplied_by_the_sweep(posting, begin, broker):
    """Nobody takes messages for five minutes: a move is published again ever more seldom, a minute at most."""
    pipeline = begin(posting)
    times, passed = [], timedelta(0)
    while passed < timedelta(minutes=5):
        if sweep_once():
            times.append(passed)
        wait = max(until_due(pipeline), timedelta(milliseconds=500))
        advance(wait)
        passed += wait
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) <= 12
    assert gaps[0] < timedelta(seconds=3)
    assert max(gaps) <= timedelta(seconds=61)


def test_the_broker_going_down_in_between_leaves_the_rest_to_the_sweep(posting, begin, broker, world):
    world.will("payment.commit", lambda run: (broker.go_down(), world.do(run))[1])
    pipeline = begin(posting)
    broker.deliver_all()
    broker.come_back()
    assert drain(pipeline, broker) == "committed"
    world.assert_agrees(pipeline)


@pytest.mark.parametrize("verb", Verb)
def test_a_message_for_a_pipeline_that_does_not_exist_is_nothing(verb, broker):
    tasks.run_job(Job(uuid.uuid4(), "logo", verb), [])


def test_a_message_for_a_step_that_does_not_exist_is_nothing(posting, begin, broker):
    pipeline = begin(posting)
    rows = snapshot(pipeline)
    tasks.run_job(Job(pipeline, "nothing", Verb.STAGE), [])
    after = snapshot(pipeline)
    assert after["steps"] == rows["steps"]
    assert after["events"] == rows["events"]


def test_a_chain_is_one_message_whose_done_links_are_taken_off(posting, begin, broker, go_on, world):
    pipeline = begin(posting)
    assert [str(message) for message in broker.sent] == ["logo.stage > posting.stage > payment.stage > email.stage"]
    broker.deliver()
    following = [str(message) for message in broker.waiting]
    if go_on:
        # Of the two effects after the pivot one is made here, the other by whoever takes its message, in parallel.
        assert following == ["posting.commit"]
    else:
        assert following == ["posting.stage > payment.stage > email.stage"]
    broker.drop_all()
    drain(pipeline, broker)


def test_steps_that_wait_for_nobody_are_committed_by_the_worker_that_decided(define, world, begin, broker, go_on):
    quick = [world.step(name, quick=True) for name in ("one", "two", "three")]
    pipeline = begin(define(*quick))
    broker.deliver()
    assert state_of(pipeline) == ("committed" if go_on else "staging")
    assert drain(pipeline, broker) == "committed"
    world.assert_agrees(pipeline)


def test_a_failing_link_takes_its_chain_with_it_and_the_sweep_goes_on(posting, begin, broker, world):
    world.will("posting.stage", Unavailable("down"))
    pipeline = begin(posting)
    broker.deliver()
    if broker.waiting:
        broker.deliver()
    assert broker.waiting == []
    assert drain(pipeline, broker) == "committed"


def test_a_message_carries_ids_and_names_and_nothing_personal(posting, begin, broker):
    pipeline = begin(posting, input={"email": "ann@example.com"})
    signature = tasks.signature(Job(pipeline, "logo", Verb.STAGE))
    assert signature.args == (str(pipeline), "logo")
    assert signature.kwargs == {}
    assert signature.options["queue"] == "pipeline"
    assert signature.immutable
    assert "ann@" not in str(signature)


def test_two_sweeps_at_once_publish_a_move_once(posting, begin, broker):
    from pipeline.testing import together

    pipelines = [begin(posting) for _ in range(20)]
    broker.drop_all()
    advance(timedelta(seconds=3))
    published = together(*[sweep_once] * 4)
    assert sum(published) == len(pipelines)
    assert Step.objects.exclude(state="pending").count() == 0
    assert Pipeline.objects.filter(published=1).count() == 20
