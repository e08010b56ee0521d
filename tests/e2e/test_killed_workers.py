"""A worker killed with -9 between effect and record, for every step and verb: the ledger outside stays right."""

import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.models import Event, Pipeline
from tests.e2e.conftest import WorkerProcess, wait_for_end
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]

GOOD, DECLINED = "pm_card_visa", "pm_card_chargeDeclined"
POINTS = [
    *((GOOD, f"{step}.{verb}") for step in ("logo", "posting", "payment", "email") for verb in ("stage", "commit")),
    *((DECLINED, f"{step}.rollback") for step in ("logo", "posting", "payment", "email")),
]


@pytest.mark.parametrize(("card", "place"), POINTS)
def test_a_pool_child_killed_between_effect_and_record_doubles_nothing(
    worker: WorkerProcess, outside: Outside, submit: Submit, crash_file: Path, card: str, place: str
) -> None:
    crash_file.write_text(f"{place}.effect")
    pipeline = submit(card)
    wait_for_end([pipeline], seconds=40)
    assert not crash_file.exists(), "nobody was killed: the test shows nothing"
    assert Pipeline.objects.get(pk=pipeline).state == ("committed" if card == GOOD else "rolled_back")
    step, _ = place.split(".")
    assert Event.objects.filter(pipeline=pipeline, type="taken_over", step=step).exists()
    # A mail may come twice after a crash: its provider knows no key. Everything else happens once.
    outside.assert_agrees(pipeline, mails_at_most=2 if place in ("email.commit", "email.rollback") else 1)


def test_whole_workers_killed_again_and_again_lose_and_double_nothing(
    start_worker: Callable[..., WorkerProcess], outside: Outside, submit: Submit
) -> None:
    chance = random.Random(7)
    workers = [start_worker() for _ in range(2)]
    pipelines = [submit(chance.choice([GOOD, GOOD, DECLINED])) for _ in range(30)]
    for number in range(4):
        time.sleep(chance.uniform(0.2, 0.6))  # somewhere in the middle of something
        pipelines += [submit() for _ in range(5)]
        victim = workers[number % 2]
        victim.kill()
        victim.start()
    wait_for_end(pipelines, seconds=40)
    for pipeline in pipelines:
        outside.assert_agrees(pipeline, mails_at_most=3)
    states = set(Pipeline.objects.values_list("state", flat=True))
    assert states == {"committed", "rolled_back"}
