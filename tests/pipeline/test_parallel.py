import os
import threading
import time
import uuid

import pytest

from pipeline import onward, ownership, parallel
from pipeline.models import Pipeline
from pipeline.plan import Job, PipelineView, StepView
from pipeline.states import Verb
from pipeline.testing import as_workers, crash_at, disarm, drain, fail_at, state_of
from pipeline.workflow import Refused

EFFECTS = ("logo", "search", "board")


@pytest.fixture(autouse=True)
def in_parallel(broker):
    parallel.switch(on=True)
    yield
    parallel.switch(on=False)


@pytest.fixture
def three(define, world):
    """A pivot, and then three effects whose providers are waited for."""
    return define(world.step("payment", pivot=True), *map(world.step, EFFECTS))


def meet(world, verb):
    """From now on each of the three waits in this verb for the two others."""
    barrier = threading.Barrier(len(EFFECTS))

    def wait(run):
        barrier.wait(10)
        return world.do(run)

    for step in EFFECTS:
        world.will(f"{step}.{verb}", wait)


def test_a_wave_waits_for_all_its_providers_at_once_by_one_message(three, world, begin, broker):
    meet(world, "commit")
    pipeline = begin(three)
    broker.deliver_all()
    assert state_of(pipeline) == "committed"
    assert len(broker.sent) == 1


def test_a_rollback_undoes_its_steps_at_once_too(three, world, begin, broker):
    meet(world, "rollback")
    world.will("payment.commit", Refused("card_declined"))
    pipeline = begin(three)
    broker.deliver_all()
    assert state_of(pipeline) == "rolled_back"
    assert len(broker.sent) == 1


@pytest.mark.parametrize(("threads", "messages"), [(0, 3), (1, 2), (2, 1)])
def test_what_finds_no_free_thread_goes_by_message(threads, messages, tune, three, world, begin, broker):
    tune(PARALLEL=threads)
    published = threading.Event()
    take = broker._take

    def count(jobs):
        take(jobs)
        if len(broker.sent) == messages:
            published.set()

    def hold(run):  # its thread, until the others have been published
        assert messages == 1 or published.wait(10)
        return world.do(run)

    broker._take = count
    broker.come_back()
    for step in EFFECTS[1:]:
        world.will(f"{step}.commit", hold)
    pipeline = begin(three)
    broker.deliver_all()
    assert state_of(pipeline) == "committed"
    assert len(broker.sent) == messages


@pytest.mark.parametrize("trouble", [crash_at, fail_at])
@pytest.mark.parametrize("point", ["claimed", "effect", "recorded"])
def test_one_that_dies_beside_the_others_is_taken_over(trouble, point, three, world, begin, broker):
    pipeline = begin(three)
    trouble(f"board.commit.{point}")
    broker.deliver_all()
    disarm()
    assert drain(pipeline, broker) == "committed"
    assert [world.count(pipeline, step, "commit") for step in EFFECTS] == [1, 1, 1]


def test_what_one_raises_is_raised_by_the_message_when_all_have_ended():
    ended = []

    def run(job):
        if job.step == "logo":
            raise ValueError("logo")
        time.sleep(0.1)  # longer than the failure takes
        ended.append(job.step)

    beside = parallel.Parallel(run)
    assert beside.take([Job(uuid.uuid4(), step, Verb.COMMIT) for step in EFFECTS]) == []
    with pytest.raises(ValueError, match="logo"):
        beside.end()
    assert sorted(ended) == ["board", "search"]


def test_its_threads_are_free_again_afterwards(tune, three, begin, broker):
    tune(PARALLEL=2)
    for _ in range(3):
        begin(three)
    broker.deliver_all()
    assert len(broker.sent) == 3


def test_a_job_beside_another_is_the_same_owners(three, world, begin, broker):
    owners = []
    for step in EFFECTS:
        world.will(f"{step}.commit", lambda run: (owners.append(ownership.owner().held()), world.do(run))[1])
    with as_workers(1) as [worker], worker.acting():
        begin(three)
        broker.deliver_all()
        assert owners == [worker.id] * 3


def test_it_goes_on_no_longer_than_the_message_that_it_came_from(three, tune, world, begin, broker, monkeypatch):
    """Or the time limits of a message would have to hold twice as much."""
    from pipeline import executor

    given = []
    run = executor.run
    monkeypatch.setattr(executor, "run", lambda job, until=0.0: (given.append((job.step, until)), run(job, until))[1])
    begin(three)
    broker.deliver_all()
    beside = dict(given[1:])
    assert set(beside) == {"search", "board"}
    assert len(set(beside.values())) == 1
    assert min(beside.values()) > 0


def test_a_step_that_this_process_does_not_know_is_for_others(three):
    steps = [StepView(name, number, name, 1, "staged") for number, name in enumerate(("payment", *EFFECTS))]
    row = Pipeline()
    view = PipelineView(
        row.id, three.name, 1, "committing", {}, {}, row.deadline_at, None, False, row.created_at, 1, tuple(steps)
    )
    jobs = [Job(row.id, name, Verb.COMMIT) for name in EFFECTS]
    three.steps = [step for step in three.steps if step.name != "board"]
    assert [[job.step for job in each] for each in onward.split(three, view, jobs)] == [["logo"], ["search"], ["board"]]


def test_a_forked_process_begins_with_no_threads(three, begin, broker):
    begin(three)
    broker.deliver_all()
    assert parallel._threads is not None
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(parallel._threads).encode())
        os._exit(0)
    os.wait()
    assert os.read(read, 100) == b"None"
