"""Every step, verb and place of the executor, with every kind of trouble there: the effects agree in the end."""

from datetime import timedelta

import pytest

from pipeline import parallel, tasks
from pipeline.models import Inbox, Pipeline, Step
from pipeline.plan import Job
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.testing import (
    advance,
    as_workers,
    crash_at,
    disarm,
    drain,
    fail_at,
    pause_at,
    snapshot,
)
from pipeline.workflow import Refused

STEPS = ("logo", "posting", "payment", "email", "sms")
FORWARD = [(step, verb) for step in STEPS for verb in ("stage", "commit")]
BACK = [(step, "rollback") for step in STEPS]
POINTS = ("claimed", "effect", "recorded")
KINDS = ("kill", "exception", "duplicate", "hang")


def local_verb(verb):
    """An effect in this database, shared with the record's transaction: a row that is there or not."""

    def run_verb(_self, run):
        mark = f"{run.pipeline_id}:{verb}"
        assert not Inbox.objects.filter(event_id=mark).exists(), f"{mark} happened twice"
        Inbox.objects.create(provider="local", event_id=mark, kind=verb)

    return run_verb


@pytest.fixture
def shop(world, define):
    """Two effects, one of them local, around a pivot; two are told."""
    local = {verb.value: local_verb(verb.value) for verb in Verb}
    return define(
        world.step("logo"),
        world.step("posting", local=True, **local),
        world.step("payment", pivot=True),
        world.step("email", tells=True),
        world.step("sms", tells=True),
    )


@pytest.fixture(params=["going on", "in parallel", "by message"], autouse=True)
def go_on(request, tune, broker):
    tune(GO_ON=request.param != "by message")
    parallel.switch(on=request.param == "in parallel")
    yield
    parallel.switch(on=False)


def local_effects(pipeline):
    return set(Inbox.objects.filter(event_id__startswith=str(pipeline)).values_list("kind", flat=True))


def agree(pipeline, state, world):
    """The world, the local rows and the pipeline tell the same."""
    assert Pipeline.objects.get(pk=pipeline).state == state
    entries = [entry for entry in world.entries if entry.pipeline == pipeline]
    posting = Step.objects.get(pipeline=pipeline, name="posting")
    world_of_others = {entry.step for entry in entries}
    assert "posting" not in world_of_others
    done = local_effects(pipeline)
    if state == "committed":
        assert done == {"stage", "commit"}
        assert all(world.count(pipeline, step, "commit") == 1 for step in STEPS if step != "posting")
        assert not [entry for entry in entries if entry.verb == "rollback"]
    else:
        assert done in ({"stage", "rollback"}, {"rollback"}, set())
        assert ("rollback" in done) == (posting.state == "rolled_back")
        assert not [entry for entry in entries if entry.verb == "commit"]
        staged = {entry.step for entry in entries if entry.verb == "stage"}
        undone = {entry.step for entry in entries if entry.verb == "rollback"}
        assert staged <= undone


def trouble(kind, place, pipeline, workers, broker):
    """Arm it. A duplicate is delivered to another worker right there; one that hangs loses its lease there."""
    step, verb, _ = place.split(".")

    def other_worker(*, late):
        def act():
            if late:
                advance(timedelta(seconds=61))
            with workers[1].acting():
                if late:
                    sweep_once()
                tasks.run_job(Job(pipeline, step, Verb(verb)), [])
                broker.deliver_all()

        return act

    if kind == "kill":
        crash_at(place)
    elif kind == "exception":
        fail_at(place)
    else:
        pause_at(place, other_worker(late=kind == "hang"))


def points(step, kind):
    # Inside a local step's transaction nobody else can act: its rows are locked, and another waits.
    return [p for p in POINTS if not (step == "posting" and p == "effect" and kind in ("duplicate", "hang"))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("step", "verb"), FORWARD + BACK)
def test_the_effects_agree_after(step, verb, kind, shop, begin, broker, world):
    for point in points(step, kind):
        place = f"{step}.{verb}.{point}"
        if verb == "rollback":
            world.will("payment.commit", Refused("expired"))
        reached = []
        pipeline = begin(shop)
        with as_workers(2) as workers:
            trouble(kind, place, pipeline, workers, broker)
            count_reached(place, reached)
            with workers[0].acting():
                broker.deliver_all()
            disarm()
            with workers[1].acting():
                state = drain(pipeline, broker)
        assert reached, f"{place} was never reached"
        assert state == ("rolled_back" if verb == "rollback" else "committed")
        agree(pipeline, state, world)
        rows = snapshot(pipeline)
        broker.replay_all([pipeline])
        assert snapshot(pipeline) == rows


def count_reached(place, reached):
    """The matrix must not pass because the place was never reached."""
    from pipeline import crashpoints

    armed = crashpoints._hook

    def hook(name):
        if name == place:
            reached.append(name)
        armed(name)

    crashpoints.arm(hook)
