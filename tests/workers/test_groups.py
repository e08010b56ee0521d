"""kill -9 of a whole worker: parent, pool and sweep."""

import time

import pytest

from tests.workers.conftest import wait_for_end, wait_until, was_taken_over


@pytest.mark.parametrize("where", ["payment.commit", "logo.rollback"])
def test_a_whole_group_killed_after_an_effect_is_replaced_by_another_worker(where, start_worker, place, submit, ledger):
    step, verb = where.split(".")
    refuse = {"refuse": "payment.commit"} if verb == "rollback" else {}
    victim = start_worker().wait()
    pipeline = submit(gates={where: str(place[0] / "never")}, **refuse)
    wait_until(lambda: ledger.has(pipeline, where))
    other = start_worker().wait()
    victim.kill()
    killed = time.monotonic()
    wait_for_end([pipeline], 15)
    assert time.monotonic() - killed < 8
    assert was_taken_over(pipeline, step)
    ledger.assert_agrees(pipeline, repeats=1)
    other.kill()
