"""A worker that its broker's transport breaks ends by itself, so that every documented supervisor starts it again."""

import re
from pathlib import Path

import psutil
import pytest
import yaml

from tests.workers.conftest import wait_for_end, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(150)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_whose_broker_breaks_it_ends_whole_and_goes_on_when_it_is_started_again(
    pool, start_worker, submit, ledger, tmp_path
):
    breaks = tmp_path / "break"
    worker = start_worker(POOL=pool, BREAK_BROKER_FILE=str(breaks)).wait()
    wait_until(worker.sweeps)
    sweeps, broken = worker.sweeps(), worker.process
    breaks.touch()
    pipeline = submit()
    wait_until(lambda: broken.poll() is not None, 30, worker.log.read_text)
    assert broken.returncode == 1
    assert "Unrecoverable error" in worker.log.read_text()
    wait_until(lambda: not any(sweep.is_running() and sweep.status() != psutil.STATUS_ZOMBIE for sweep in sweeps))
    with worker.supervised():
        wait_for_end([pipeline], 30)
    ledger.assert_agrees(pipeline)
    worker.kill()


def test_every_documented_supervisor_starts_a_worker_again_whatever_its_status():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    workers = {name: each for name, each in services.items() if "celery" in str(each.get("command", ""))}
    assert workers
    assert {each["restart"] for each in workers.values()} == {"unless-stopped"}
    unit = re.search(r"    \[Service\]\n(?:.*\n)+?\n(?=\S)", (ROOT / "docs/operations.md").read_text())
    assert unit
    assert "Restart=always" in unit[0]
    assert "StartLimitIntervalSec=0" in unit[0]
