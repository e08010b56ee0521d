"""Random schedules: whatever order deliveries, losses, deaths, hints and cancellations come in, it ends right."""

import contextlib
import os
import random
from datetime import timedelta

import pytest

from pipeline import actions
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline
from pipeline.start import start
from pipeline.sweep import sweep_once
from pipeline.testing import (
    IN_THE_END,
    advance,
    as_workers,
    assert_consistent,
    crash_at,
    disarm,
    drain,
    history,
    pause_at,
    snapshot,
    until_due,
)
from pipeline.workflow import Refused, Skip, Unavailable, Unknown, Wait

GAMES = int(os.environ.get("SCHEDULE_GAMES", "60"))
STEPS = ("logo", "posting", "payment", "email")


def outcomes(chance, world):
    """What a verb may do instead of its effect; an unknown one may have had it."""

    def lost_answer(run):
        world.do(run)
        raise Unknown("timeout")

    def wait(run):
        return Wait({"type": "confirm"}, run.created_at + timedelta(minutes=30))

    def skip(run):
        """Skip says that nothing was done: not after an attempt that has done it."""
        return world.do(run) if world.count(run.pipeline_id, run.step, "stage") else Skip("not needed")

    return {
        "stage": [Unavailable("down"), Unknown("timeout"), lost_answer, wait, skip, Refused("no")],
        "commit": [Unavailable("down"), Unknown("timeout"), lost_answer],
        "rollback": [Unavailable("down"), Unknown("timeout"), lost_answer],
    }


def play(seed, posting, world, broker, tune):
    """One pipeline under a random schedule."""
    chance = random.Random(seed)
    tune(GO_ON=chance.random() < 0.5)
    can = outcomes(chance, world)
    for step in STEPS:
        for verb, choices in can.items():
            if chance.random() < 0.35:
                world.will(f"{step}.{verb}", *chance.choices(choices, k=chance.randint(1, 2)))
    if chance.random() < 0.1:

        def expire(run):
            if world.count(run.pipeline_id, "payment", "commit"):
                return world.do(run)  # captured before: the provider says so
            raise Refused("expired")

        world.will("payment.commit", expire)
    pipeline = start(posting, input={}, key=f"seed-{seed}").id
    with as_workers(3) as workers:
        for _ in range(chance.randint(5, 40)):
            with chance.choice(workers).acting():
                act(chance, pipeline, broker, workers)
        disarm()
        with workers[0].acting():
            drain(pipeline, broker, within=IN_THE_END)
            rows = snapshot(pipeline)
            broker.replay_all([pipeline])
    assert snapshot(pipeline) == rows, "a replay changed something"
    world.assert_agrees(pipeline)
    return Pipeline.objects.values_list("state", flat=True).get(pk=pipeline)


def act(chance, pipeline, broker, workers):
    place = f"{chance.choice(STEPS)}.{chance.choice(['stage', 'commit', 'rollback'])}"
    place += f".{chance.choice(['claimed', 'effect', 'recorded'])}"

    def overtaken():
        advance(timedelta(seconds=61))
        sweep_once()
        with chance.choice(workers).acting():
            broker.deliver()

    def cancel():
        with contextlib.suppress(IllegalAction):
            actions.cancel(pipeline)

    acts = [
        (12, broker.deliver),
        (3, broker.drop),
        (3, broker.duplicate),
        (2, lambda: broker.reorder(chance.randrange(1000))),
        (5, sweep_once),
        (5, lambda: advance(until_due(pipeline) + timedelta(milliseconds=1), pipeline)),
        (3, lambda: crash_at(place)),
        (2, lambda: pause_at(place, overtaken)),
        (2, lambda: actions.hint(pipeline, "webhook")),
        (1, lambda: chance.choice(workers).die()),
        (0.4, cancel),
    ]
    chance.choices([act for _, act in acts], weights=[weight for weight, _ in acts])[0]()
    assert_consistent(pipeline)


@pytest.mark.timeout(120)
def test_random_schedules_end_right(posting, world, broker, tune):
    first = int(os.environ.get("SCHEDULE_SEED", "1"))
    ends = {"committed": 0, "rolled_back": 0}
    for seed in range(first, first + GAMES):
        world._scripts.clear()
        broker.drop_all()
        broker.sent.clear()
        try:
            ends[play(seed, posting, world, broker, tune)] += 1
        except BaseException as error:
            row = Pipeline.objects.filter(key=f"seed-{seed}").first()
            told = history(row.pk) if row else ""
            raise AssertionError(f"SCHEDULE_SEED={seed}\n{told}") from error
    # Not vacuous: both ends were reached.
    assert min(ends.values()) > 0, ends
