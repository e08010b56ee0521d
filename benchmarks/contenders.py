"""Who is compared at saturation: each submits work as fast as it can and tells when all of it has ended."""

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

import redis
from django.db import connection

from benchmarks import workers
from benchmarks.workers import Setting

POLL_SECONDS: Final = 0.01  # how late the end may be noticed


class Contender(Protocol):
    """One way of running four steps."""

    name: str

    def running(self, setting: Setting) -> AbstractContextManager[int]:
        """Its worker; the process that heads it."""

    def submit(self, count: int) -> None:
        """Hand in so many, one after another."""

    def left(self) -> int:
        """How many have not ended; 0 when nothing is under way."""


class Pipelines:
    """This project: `pipeline.start.start` to committed, everything on."""

    name = "pipelines"

    def running(self, setting: Setting) -> AbstractContextManager[int]:
        """A worker of all queues, its sweep included."""
        return workers.running("config", "pipeline,commit,rollback", setting)

    def submit(self, count: int) -> None:
        """By the engine's own call, each with a key of its own."""
        from benchmarks.workflow import Nothing
        from pipeline.start import start

        for _ in range(count):
            start(Nothing, input={}, key=str(uuid.uuid4()), scope="benchmark")

    def left(self) -> int:
        """By the database's word."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pipeline_pipeline WHERE finished_at IS NULL")
            row = cursor.fetchone()
        return int(row[0])


class BareChains:
    """A bare Celery chain of four empty tasks."""

    name = "bare chains"

    def __init__(self, broker: redis.Redis) -> None:
        self._broker = broker

    def running(self, setting: Setting) -> AbstractContextManager[int]:
        """A worker of the chain's queue."""
        from benchmarks import bare

        return workers.running("benchmarks.bare", bare.QUEUE, setting)

    def submit(self, count: int) -> None:
        """By Celery's own call."""
        from benchmarks import bare

        for _ in range(count):
            bare.submit()

    def left(self) -> int:
        """Messages queued or not acknowledged. A link is published before the one before it is acknowledged."""
        from benchmarks.bare import PREFIX, QUEUE

        asked = self._broker.pipeline(transaction=True)
        asked.llen(PREFIX + QUEUE)
        asked.hlen(PREFIX + "unacked")
        return sum(asked.execute())


def seconds_for(contender: Contender, count: int, limit: float, clock: Callable[[], float] = time.monotonic) -> float:
    """From the first submission until the last has ended; TimeoutError over the limit, in seconds."""
    began = clock()
    contender.submit(count)
    while left := contender.left():
        if clock() - began > limit:
            raise TimeoutError(f"{left} of {count} {contender.name} had not ended after {limit:.0f} s.")
        time.sleep(POLL_SECONDS)
    return clock() - began
