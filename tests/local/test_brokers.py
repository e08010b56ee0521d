"""The settings that each broker needs: Redis or RabbitMQ, by the address alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RABBITMQ = "amqp://user:password@127.0.0.1:1//"
REDIS = "redis://127.0.0.1:1/0"
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


@pytest.mark.parametrize("broker", [REDIS, RABBITMQ], ids=["redis", "rabbitmq"])
def test_the_system_checks_find_nothing_wrong_with_either(broker):
    command = [sys.executable, "manage.py", "check", "--fail-level", "ERROR"]
    done = subprocess.run(command, cwd=ROOT, env=environment(broker), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
