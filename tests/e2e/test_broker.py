"""The broker may be away, or lose everything: what was accepted ends all the same."""

import time
import uuid
from collections.abc import Callable

import pytest
import redis
from django.conf import settings

from tests.e2e.conftest import WorkerProcess, wait_for_end
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]


@pytest.fixture
def broker_client() -> redis.Redis:
    return redis.Redis.from_url(settings.CELERY_BROKER_URL)


def test_messages_lost_with_all_of_redis_are_published_again(
    worker: WorkerProcess, outside: Outside, submit: Submit, broker_client: redis.Redis
) -> None:
    pipelines = []
    for _ in range(10):
        pipelines.append(submit())
        broker_client.flushdb()
    wait_for_end(pipelines, seconds=30)
    for pipeline in pipelines:
        outside.assert_agrees(pipeline)


def test_without_a_worker_nothing_happens_and_with_one_it_does(
    start_worker: Callable[..., WorkerProcess], outside: Outside, submit: Submit, broker_client: redis.Redis
) -> None:
    broker_client.flushdb()
    pipeline = submit()
    broker_client.flushdb()
    time.sleep(0.2)
    assert outside.effects(pipeline) == []
    start_worker()
    wait_for_end([pipeline])
    outside.assert_agrees(pipeline)
