"""Redis emptied, killed and started again, and away when everything else starts."""

import threading

import pytest

from pipeline.models import Pipeline
from tests.workers.conftest import wait_for_end, wait_until


@pytest.fixture
def emptied(own_redis):
    """FLUSHALL every 50 ms until the test ends."""
    over = threading.Event()

    def empty():
        while not over.wait(0.05):
            own_redis.client.flushall()

    thread = threading.Thread(target=empty, daemon=True)
    thread.start()
    yield over
    over.set()
    thread.join(5)


@pytest.mark.parametrize("go_on", ["1", "0"])
def test_a_broker_that_keeps_losing_everything_delays_and_loses_nothing(
    go_on, start_worker, submit, ledger, own_redis, emptied
):
    worker = start_worker(PIPELINE_GO_ON=go_on).wait()
    pipelines = [submit(**({"refuse": "payment.commit"} if number % 3 == 0 else {})) for number in range(9)]
    emptied.wait(0.5)
    emptied.set()
    wait_for_end(pipelines, 25)
    for pipeline in pipelines:
        ledger.assert_agrees(pipeline)
    assert {row.state for row in Pipeline.objects.all()} == {"committed", "rolled_back"}
    worker.kill()


def test_a_redis_that_is_killed_and_started_again_delays_and_loses_nothing(start_worker, submit, ledger, own_redis):
    worker = start_worker().wait()
    pipelines = [submit() for _ in range(10)]
    with worker.supervised():
        own_redis.kill()
        pipelines += [submit() for _ in range(3)]  # accepted without a broker
        own_redis.start()
        wait_for_end(pipelines, 30)
    for pipeline in pipelines:
        ledger.assert_agrees(pipeline)
    worker.kill()


def test_a_broker_that_is_away_when_all_starts_is_waited_for(start_worker, submit, ledger, own_redis):
    own_redis.kill()
    pipeline = submit()
    worker = start_worker()
    wait_until(lambda: "Cannot connect" in worker.log.read_text(), 20, worker.log.read_text)
    assert ledger.entries(pipeline) == []
    own_redis.start()
    worker.wait()
    wait_for_end([pipeline], 20)
    ledger.assert_agrees(pipeline)
    worker.kill()


def test_a_sweep_that_is_killed_is_started_again(start_worker, submit, ledger, own_redis):
    worker = start_worker().wait()
    wait_until(worker.sweeps)
    (first,) = worker.sweeps()
    first.kill()
    wait_until(lambda: [sweep for sweep in worker.sweeps() if sweep != first])
    pipeline = submit()
    own_redis.client.flushall()
    wait_for_end([pipeline], 20)
    ledger.assert_agrees(pipeline)
    worker.kill()


def test_the_sweep_ends_with_its_worker_however_that_ends(start_worker):
    worker = start_worker().wait()
    wait_until(worker.sweeps)
    (sweep,) = worker.sweeps()
    worker.process.kill()  # the parent alone: not its group
    wait_until(lambda: not sweep.is_running())
