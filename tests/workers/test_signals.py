"""A process that is told to end again and again ends: a handler that waits for itself would hold it for ever."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workers.conftest import ROOT, wait_until

_HANDLES = 1 << (signal.SIGTERM - 1)


def catches_sigterm(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("SigCgt:")[1].split()[0], 16) & _HANDLES


@pytest.fixture
def sweep(place):
    _, environment = place
    process = subprocess.Popen([sys.executable, "-m", "django", "sweep"], cwd=ROOT, env=environment)
    yield process
    process.kill()
    process.wait(10)


def test_a_sweep_that_is_told_to_end_a_thousand_times_ends(sweep):
    wait_until(lambda: catches_sigterm(sweep), 40)
    for _ in range(1000):
        os.kill(sweep.pid, signal.SIGTERM)
        time.sleep(0.0001)  # many of them while the one before is being handled
    assert sweep.wait(30) in {0, -signal.SIGTERM}  # a signal after its last line ends it, too
