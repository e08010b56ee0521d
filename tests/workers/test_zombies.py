"""A process that is stopped past its lease, and wakes."""

import os
import signal

from pipeline.models import Event, Step
from tests.workers.conftest import wait_for_end, wait_until


def test_a_process_that_was_stopped_past_its_lease_writes_nothing_when_it_wakes(start_worker, place, submit, ledger):
    one, two = start_worker(LEASE_SECONDS="4").wait(), start_worker(LEASE_SECONDS="4").wait()
    gate = place[0] / "gate"
    pipeline = submit(gates={"payment.commit": str(gate)})
    wait_until(lambda: ledger.has(pipeline, "payment.commit"))
    pid = next(entry[3] for entry in ledger.entries(pipeline) if entry[0] == "payment.commit")
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for_end([pipeline], 20)
        events = Event.objects.filter(pipeline=pipeline).count()
        gate.touch()
    finally:
        os.kill(pid, signal.SIGCONT)
    logs = [one.log, two.log]
    wait_until(lambda: any("stopped in commit of payment: its fence was raised" in log.read_text() for log in logs))
    assert Event.objects.filter(pipeline=pipeline).count() == events
    assert Event.objects.get(pipeline=pipeline, type="taken_over").data == {"why": "lease ended"}
    assert Step.objects.get(pipeline=pipeline, name="payment").commit_attempts == 2
    ledger.assert_agrees(pipeline, repeats=1)
    one.kill()
    two.kill()
