"""kill -9 between effect and record, of a pool process and of a whole group."""

import time

import pytest

from pipeline.models import Pipeline
from tests.workers.conftest import wait_for_end, wait_until, was_taken_over

STEPS = ("logo", "local", "payment", "email", "sms")
# A wave's jobs run beside each other in one process, and die with it between effect and record: a rollback's widest
# has three. By message each has a pool process of its own.
REPEATS = {"1": 3, "0": 1}
PLACES = [(step, verb) for step in STEPS for verb in ("stage", "commit", "rollback")]


@pytest.fixture(scope="module", params=["1", "0"], ids=["going on", "by message"])
def worker(request, start_worker):
    running = start_worker(PIPELINE_GO_ON=request.param).wait()
    running.goes_on = request.param == "1"
    running.repeats = REPEATS[request.param]
    yield running
    running.kill()


@pytest.mark.parametrize(("step", "verb"), PLACES)
def test_a_pool_process_killed_between_effect_and_record_is_replaced_within_seconds(
    step, verb, worker, place, submit, ledger
):
    (place[0] / "crash").write_text(f"{step}.{verb}.effect")
    began = time.monotonic()
    pipeline = submit(**({"refuse": "payment.commit"} if verb == "rollback" else {}))
    wait_for_end([pipeline], 15)
    assert not (place[0] / "crash").exists(), "nobody was killed: this shows nothing"
    assert was_taken_over(pipeline, step)
    assert Pipeline.objects.get(pk=pipeline).state == ("rolled_back" if verb == "rollback" else "committed")
    ledger.assert_agrees(pipeline, repeats=worker.repeats)
    assert time.monotonic() - began < 10


def test_links_that_were_done_on_the_way_are_taken_off_the_chain(worker, submit, ledger):
    before = worker.received("pipeline.stage")
    pipelines = [submit() for _ in range(5)]
    wait_for_end(pipelines)
    wait_until(lambda: worker.received("pipeline.stage") - before >= (5 if worker.goes_on else 5 * len(STEPS)))
    messages = worker.received("pipeline.stage") - before
    # A link whose message is late may be published by the sweep as well; a chain that is not cut doubles them all.
    assert messages <= (7 if worker.goes_on else 5 * len(STEPS) + 3)
    for pipeline in pipelines:
        ledger.assert_agrees(pipeline)
