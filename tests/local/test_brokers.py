"""The settings that each broker needs: Redis or RabbitMQ, by the address alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import celery.worker.consumer
import pytest
from amqp.exceptions import NotFound
from kombu import Connection
from kombu.utils.imports import symbol_by_name

from config.celery import app
from config.local.folder import DataFolder
from tests.chaos.rabbitmq import QUEUES, RabbitMQ, program

ROOT = Path(__file__).resolve().parents[2]
RABBITMQ = "amqp://user:password@127.0.0.1:1//"
REDIS = "redis://127.0.0.1:1/0"
WORKER = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "threads", "--concurrency", "1"]
WORKER += ["-Q", ",".join(QUEUES), "--without-gossip", "--without-mingle", "--without-heartbeat"]
READ = """
import json
from django.conf import settings
queues = {queue.name: queue.queue_arguments for queue in settings.CELERY_TASK_QUEUES}
timeout = settings.PIPELINE["PUBLISH_TIMEOUT"].total_seconds()
print(json.dumps([settings.CELERY_BROKER_TRANSPORT_OPTIONS, queues, timeout]))
"""


def environment(broker: str, **more: str) -> dict[str, str]:
    return dict(os.environ) | {"BROKER_URL": broker, "DJANGO_SETTINGS_MODULE": "config.settings"} | more


def settings(broker: str, **more: str) -> list[Any]:
    env = environment(broker, **more)
    done = subprocess.run([sys.executable, "-c", READ], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(done.stdout)
    return found


def test_rabbitmq_has_quorum_queues_and_confirms_what_is_published():
    options, queues, timeout = settings(RABBITMQ)
    assert options["confirm_publish"] is True
    assert "visibility_timeout" not in options, "it belongs to Redis"
    assert set(queues) == {"pipeline", "commit", "rollback"}
    assert all(arguments["x-queue-type"] == "quorum" for arguments in queues.values())
    assert timeout == 5


def test_redis_has_time_outs_and_plain_queues():
    options, queues, timeout = settings(REDIS, BROKER_SOCKET_TIMEOUT="1.5")
    assert (options["socket_timeout"], timeout) == (1.5, 1.5)
    assert options["visibility_timeout"] > 60
    assert set(queues.values()) == {None}


def test_a_worker_s_start_has_every_step_of_celery_s_but_the_queues_for_delays():
    ours = symbol_by_name(app.conf.worker_consumer).Blueprint.default_steps
    left_out = [step for step in celery.worker.consumer.Consumer.Blueprint.default_steps if step not in ours]
    assert left_out == ["celery.worker.consumer.delayed_delivery:DelayedDelivery"]


@pytest.mark.slow
@pytest.mark.timeout(240)  # two servers start, one after the other
@pytest.mark.skipif(program() is None, reason="rabbitmq-server is not installed here")
def test_on_rabbitmq_a_worker_declares_the_three_queues_of_jobs_alone(tmp_path):
    rabbit = RabbitMQ(DataFolder(tmp_path))
    rabbit.folder.logs.mkdir(parents=True, exist_ok=True)
    rabbit.prepare()
    server = rabbit.start()
    try:
        rabbit.wait()
        log = tmp_path / "worker.log"
        with log.open("w") as out:
            worker = subprocess.Popen(WORKER, cwd=ROOT, env=environment(rabbit.url()), stdout=out, stderr=out)
        try:
            wait_for(lambda: all(consumers(rabbit, name) == 1 for name in QUEUES), worker)
        finally:
            worker.terminate()
            worker.wait(40)
        assert consumers(rabbit, "celery_delayed_0") is None
        assert "native_delayed_delivery" not in log.read_text()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        rabbit.forget()


def wait_for(is_so: Callable[[], bool], worker: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90
    while not is_so():
        assert worker.poll() is None, "the worker ended by itself"
        assert time.monotonic() < until, "the worker never consumed its queues"
        time.sleep(0.2)


def consumers(rabbit: RabbitMQ, name: str) -> int | None:
    """Of the queue; a worker consumes once its start is over. None when there is no such queue."""
    with Connection(rabbit.url(), connect_timeout=3) as link:
        try:
            return int(link.channel().queue_declare(name, passive=True).consumer_count)
        except NotFound:
            return None


@pytest.mark.parametrize("broker", [REDIS, RABBITMQ], ids=["redis", "rabbitmq"])
def test_the_system_checks_find_nothing_wrong_with_either(broker):
    command = [sys.executable, "manage.py", "check", "--fail-level", "ERROR"]
    done = subprocess.run(command, cwd=ROOT, env=environment(broker), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
