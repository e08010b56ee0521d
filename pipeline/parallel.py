"""The jobs of a wave in parallel, in threads of the process that opened it.

A message for each would cost as much again as all that the job writes (docs/performance.md). Each is claimed, recorded
and retried by itself all the same; one that finds no free thread goes by message. PIPELINE["PARALLEL"] = 0: all do.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from pipeline.conf import conf
from pipeline.plan import Job

Run = Callable[[Job], None]


class Parallel:
    """What one message's job has handed over, and waits for before that message is acknowledged."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._futures: list[Future[None]] = []

    def take(self, jobs: Sequence[Job]) -> list[Job]:
        """Begin as many as there are free threads for; the others."""
        return [job for job in jobs if not self._begin(job)]

    def end(self) -> None:
        """Return when all have ended; the first exception of theirs is raised again."""
        wait(self._futures)
        for future in self._futures:
            future.result()

    def _begin(self, job: Job) -> bool:
        future = _of_this_process().submit(lambda: self._run(job)) if conf().PARALLEL and not _is_off else None
        if future is not None:
            self._futures.append(future)
        return future is not None


class _Threads:
    """So many at most, each made when it is first needed. Nothing waits for a free one.

    Each keeps its connection, as the worker's own threads do; the executor closes one that is broken.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._busy = 0
        self._mutex = threading.Lock()
        self._pool = ThreadPoolExecutor(size, "pipeline")
        self._connections: set[BaseDatabaseWrapper] = set()

    def submit(self, act: Callable[[], None]) -> Future[None] | None:
        """Run it in a thread, in the caller's context; None when all are busy."""
        with self._mutex:
            if self._busy == self._size:
                return None
            self._busy += 1
        return self._pool.submit(copy_context().run, self._act, act)

    def stop(self) -> None:
        """End them all, and their connections."""
        self._pool.shutdown()
        for connection in self._connections:
            connection.inc_thread_sharing()
            connection.close()

    def _act(self, act: Callable[[], None]) -> None:
        try:
            act()
        finally:
            with self._mutex:
                self._connections.update(connections.all(initialized_only=True))
                self._busy -= 1


_making = threading.Lock()
_threads: _Threads | None = None
_is_off = False


def _of_this_process() -> _Threads:
    global _threads
    with _making:
        if _threads is None:
            _threads = _Threads(conf().PARALLEL)
        return _threads


def switch(*, on: bool) -> None:
    """For tests: off, every job goes by message, so that the order of things is the test's. Ends the threads."""
    global _threads, _is_off
    with _making:
        threads, _threads, _is_off = _threads, None, not on
    if threads is not None:
        threads.stop()


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _making, _threads
    _making, _threads = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
