"""Who is compared at saturation: each submits work as fast as it can and tells when all of it has ended."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

import redis
from django.db import connection

from benchmarks import workers
from benchmarks.cpu import WORKERS
from benchmarks.workers import Setting

POLL_SECONDS: Final = 0.05  # how late the end may be noticed; asking costs the processor too
PREFORKS: Final = (Setting("prefork", 2, 4), Setting("prefork", 3, 4), Setting("prefork", 2, 16))
# What waits for PostgreSQL now and then leaves a core to a third process.
DURABLE_PREFORKS: Final = (Setting("prefork", 3, 4), Setting("prefork", 2, 4), Setting("prefork", 2, 16))

Heads = Mapping[str, Sequence[int]]  # of the process trees that work for it, by part (benchmarks/cpu.py)


class Contender(Protocol):
    """One way of running several steps."""

    name: str

    @property
    def settings(self) -> Sequence[Any]:
        """The settings to choose its best from; the first one when there is no time to choose."""

    def running(self, setting: Any) -> AbstractContextManager[Heads]:
        """Its processes."""

    def submit(self, count: int) -> None:
        """Hand in so many, one after another."""

    def left(self) -> int:
        """How many have not ended; 0 when nothing is under way."""


class Pipelines:
    """This project: `pipeline.start.start` to committed, everything on."""

    name = "pipelines"

    def __init__(
        self,
        settings: Sequence[Setting] = DURABLE_PREFORKS,
        *,
        calls: bool = False,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """With `calls` each verb calls a provider, else none does anything; `extra` is for the workers' environment."""
        self.settings = settings
        self._calls = calls
        self._extra = extra

    @contextmanager
    def running(self, setting: Setting) -> Iterator[Heads]:
        """Workers of all queues, their sweeps included."""
        with workers.running("config", "pipeline,commit,rollback", setting, self._extra) as pids:
            yield {WORKERS: pids}

    def submit(self, count: int) -> None:
        """By the engine's own call, each with a key of its own."""
        from benchmarks.workflow import Calling, Nothing
        from pipeline.start import start

        workflow = Calling if self._calls else Nothing
        for _ in range(count):
            start(workflow, input={}, key=str(uuid.uuid4()), scope="benchmark")

    def left(self) -> int:
        """By the database's word."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pipeline_pipeline WHERE finished_at IS NULL")
            row = cursor.fetchone()
        return int(row[0])


class BareChains:
    """A bare Celery chain of tasks that do nothing, or call a provider."""

    def __init__(
        self, broker: redis.Redis, links: int, settings: Sequence[Setting] = PREFORKS, *, calls: bool = False
    ) -> None:
        self.name = f"bare chains of {links}"
        self.settings = settings
        self._broker = broker
        self._links = links
        self._calls = calls

    @contextmanager
    def running(self, setting: Setting) -> Iterator[Heads]:
        """Workers of the chain's queue."""
        from benchmarks import bare

        with workers.running("benchmarks.bare", bare.QUEUE, setting) as pids:
            yield {WORKERS: pids}

    def submit(self, count: int) -> None:
        """By Celery's own call."""
        from benchmarks import bare

        for _ in range(count):
            bare.submit(self._links, calls=self._calls)

    def left(self) -> int:
        """Messages queued or not acknowledged. A link is published before the one before it is acknowledged."""
        from benchmarks.bare import PREFIX, QUEUE

        asked = self._broker.pipeline(transaction=True)
        asked.llen(PREFIX + QUEUE)
        asked.hlen(PREFIX + "unacked")
        return sum(asked.execute())


def seconds_for(
    contender: Contender,
    count: int,
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    at_once: int | None = None,
) -> float:
    """From the first submission until the last has ended; TimeoutError over the limit, in seconds.

    `at_once` is how many may be under way together; None hands all of them in as fast as they are taken.
    """
    began = clock()
    waiting, left = count, 0
    while waiting or left:
        now = waiting if at_once is None else min(waiting, max(at_once - left, 0))
        contender.submit(now)
        waiting -= now
        left = contender.left()
        if clock() - began > limit:
            raise TimeoutError(f"{left + waiting} of {count} {contender.name} had not ended after {limit:.0f} s.")
        if left:
            time.sleep(POLL_SECONDS)
    return clock() - began
