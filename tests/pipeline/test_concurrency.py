"""What happens at the same instant, in sessions of its own."""

import itertools
import threading
import time

import pytest
from django.db import connections

from pipeline import actions, transitions
from pipeline.errors import IllegalAction
from pipeline.models import Event, Pipeline, Step
from pipeline.plan import Job
from pipeline.start import KeyReused, TooManyOpen, start
from pipeline.states import Verb
from pipeline.testing import assert_consistent, drain, history, state_of, together
from pipeline.testing.processes import Worker


class Crew:
    """Threads that do one thing after another at the same instant; quicker than new ones each time."""

    def __init__(self, size):
        self.start, self.end = threading.Barrier(size + 1), threading.Barrier(size + 1)
        self.acts, self.results, self.over = [None] * size, [None] * size, False
        self.threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(size)]
        for thread in self.threads:
            thread.start()

    def do(self, *acts):
        self.acts = acts
        self.start.wait(30)
        self.end.wait(30)
        for result in self.results:
            if isinstance(result, BaseException):
                raise result
        return list(self.results)

    def close(self):
        self.over = True
        self.start.wait(30)
        for thread in self.threads:
            thread.join(10)

    def _work(self, number):
        worker = Worker()
        with worker.acting():
            while True:
                self.start.wait(60)
                if self.over:
                    break
                try:
                    self.results[number] = self.acts[number]()
                except BaseException as error:  # noqa: BLE001 - raised in the test
                    self.results[number] = error
                self.end.wait(30)
        worker.close()
        connections.close_all()


@pytest.fixture
def crew():
    made = []

    def make(size):
        made.append(Crew(size))
        return made[-1]

    yield make
    for each in made:
        each.close()


def committing(workflow, names, key):
    """A pipeline with all of its commit jobs begun, ready to be recorded."""
    pipeline = start(workflow, input={}, key=key).id
    for name in names:
        job = Job(pipeline, name, Verb.STAGE)
        begun, view = transitions.claim(job, 1)
        transitions.advance(job, begun, data={}, note={}, seen_seq=view.seq)
    return pipeline, [
        (Job(pipeline, name, Verb.COMMIT), *transitions.claim(Job(pipeline, name, Verb.COMMIT), 1)) for name in names
    ]


@pytest.mark.timeout(120)
def test_three_commit_jobs_that_end_at_the_same_instant_are_always_finished_by_exactly_one(broker, world, define, crew):
    names = ["a", "b", "c"]
    workflow = define(*(world.step(name) for name in names))
    three = crew(3)

    def record(job, begun, view):
        while True:  # as the executor does: if others moved before the last one, it looks again
            after = transitions.advance(job, begun, data={}, note={}, seen_seq=view.seq)
            if after is not None:
                return after.state
            seen = view.seq
            view = transitions.look_again(view)
            assert view.seq != seen, "lost its job"

    for number in range(400):
        pipeline, jobs = committing(workflow, names, f"k{number}")
        states = three.do(*(lambda j=j: record(*j) for j in jobs))
        assert sorted(states) == ["committed", "committing", "committing"], history(pipeline)
        if number % 20 == 0:
            assert_consistent(pipeline)
    assert set(Pipeline.objects.values_list("state", flat=True)) == {"committed"}
    assert Event.objects.filter(type="pipeline_committed").count() == 400


def test_fifty_submissions_of_one_key_at_once_make_one_pipeline(broker, posting):
    made = together(*[lambda: start(posting, input={"n": 1}, key="same", fingerprint="f")] * 50)
    assert len({started.id for started in made}) == 1
    assert sum(started.is_new for started in made) == 1
    assert Pipeline.objects.count() == 1
    assert Step.objects.count() == 4
    assert len(broker.sent) == 1


def test_of_one_key_with_different_content_one_wins_and_the_others_are_told(broker, posting):
    def submit(number):
        try:
            return start(posting, input={}, key="same", fingerprint=str(number)).is_new
        except KeyReused:
            return "reused"

    answers = together(*(lambda n=n: submit(n) for n in range(10)))
    assert sorted(map(str, answers)) == ["True", *["reused"] * 9]


def test_a_clients_ceiling_holds_against_submissions_at_once(broker, posting, tune):
    tune(MAX_OPEN_PER_CLIENT=3)

    def submit(number):
        try:
            return start(posting, input={}, key=f"k{number}", client="c").is_new
        except TooManyOpen:
            return False

    assert sum(together(*(lambda n=n: submit(n) for n in range(12)))) == 3
    assert Pipeline.objects.count() == 3
    assert len(broker.sent) == 3


def test_a_claim_is_had_by_one_of_many(broker, posting, crew):
    ten = crew(10)
    for number in range(20):
        job = Job(start(posting, input={}, key=f"k{number}").id, "logo", Verb.STAGE)
        owners = itertools.count(1)
        got = ten.do(*[lambda owners=owners, job=job: transitions.claim(job, next(owners))] * 10)
        assert sum(each is not None for each in got) == 1
        assert Step.objects.get(pipeline=job.pipeline, name="logo").stage_attempts == 1


# Seconds by which the cancellation and the decision start late: neither may win by its being the quicker one alone.
LAGS = [(0, 0), (0, 0.001), (0, 0.002), (0, 0.004), (0.002, 0), (0, 0.05), (0.05, 0)]


@pytest.mark.timeout(120)
def test_a_cancellation_and_the_decision_at_the_same_instant_end_in_one_of_the_two(broker, world, define, crew):
    workflow = define(world.step("a"), world.step("pay", pivot=True))
    two = crew(2)
    won = {"rolled_back": 0, "committed": 0}

    def cancel(pipeline):
        try:
            actions.cancel(pipeline)
        except IllegalAction:
            return "too late"
        return "cancelled"

    for number, (cancel_lag, decide_lag) in zip(range(150), itertools.cycle(LAGS), strict=False):
        pipeline = start(workflow, input={}, key=f"k{number}").id
        stage(pipeline, "a")
        job = Job(pipeline, "pay", Verb.STAGE)
        begun, view = transitions.claim(job, 1)

        def decide(job=job, begun=begun, view=view, lag=decide_lag):
            time.sleep(lag)
            return transitions.advance(job, begun, data={}, note={}, seen_seq=view.seq).state

        def cancel_after(pipeline=pipeline, lag=cancel_lag):
            time.sleep(lag)
            return cancel(pipeline)

        answer, state = two.do(cancel_after, decide)
        assert (answer, state) in {("cancelled", "rolling_back"), ("too late", "committing")}
        broker.drop_all()
        ended = drain(pipeline, broker)
        assert ended == ("rolled_back" if answer == "cancelled" else "committed"), history(pipeline)
        won[ended] += 1
    assert min(won.values()) > 0, f"one of the orders never happened: {won}"


def stage(pipeline, step):
    job = Job(pipeline, step, Verb.STAGE)
    begun, view = transitions.claim(job, 1)
    transitions.advance(job, begun, data={}, note={}, seen_seq=view.seq)


@pytest.mark.parametrize("order", ["cancellation first", "decision first"])
def test_a_cancellation_before_the_decision_wins_and_after_it_is_refused(order, hand):
    for step in ("logo", "posting", "payment"):
        hand.do(step)
    begun = hand.claim("email")
    if order == "cancellation first":
        actions.cancel(hand.pipeline)
        assert hand.done(begun).state == "rolling_back"
    else:
        assert hand.done(begun).state == "committing"
        with pytest.raises(IllegalAction):
            actions.cancel(hand.pipeline)


def test_two_cancellations_at_once_make_one_decision(broker, posting, begin):
    for _ in range(20):
        pipeline = begin(posting)

        def cancel(pipeline=pipeline):
            try:
                actions.cancel(pipeline)
            except IllegalAction:
                return False
            return True

        assert sum(together(cancel, cancel)) == 1
        assert Event.objects.filter(pipeline=pipeline, type="decided_rollback").count() == 1


def test_hints_at_once_are_all_counted(broker, posting, begin):
    pipeline = begin(posting)
    together(*[lambda: actions.hint(pipeline, "webhook")] * 10)
    assert Pipeline.objects.get(pk=pipeline).hints == 10
    assert Event.objects.filter(pipeline=pipeline, type="hinted").count() == 10


def test_many_workers_on_one_queue_end_every_pipeline_once(broker, world, posting, begin):
    lock = threading.Lock()
    pipelines = [begin(posting) for _ in range(12)]
    for message in list(broker.waiting):
        broker.duplicate(message)

    def work():
        while True:
            with lock:
                message = broker.waiting.pop(0) if broker.waiting else None
            if message is None:
                return
            broker.deliver(message)

    together(*[work] * 6)
    for pipeline in pipelines:
        assert drain(pipeline, broker) == "committed"
        world.assert_agrees(pipeline)
        assert state_of(pipeline) == "committed"
