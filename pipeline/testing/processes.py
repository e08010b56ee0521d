"""Several workers in one process: each acts under an owner's id and lock of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from pipeline.ownership import Owner, acting_as
from pipeline.testing.faults import wait_until_freed


class Worker:
    """One pretended process. `with worker:` everything this thread runs, runs as it."""

    def __init__(self) -> None:
        self._owner = Owner()

    @property
    def id(self) -> int:
        """Its owner id; takes its lock if need be."""
        return self._owner.id()

    @contextmanager
    def acting(self) -> Iterator["Worker"]:
        """Act as this worker in this thread."""
        with acting_as(self._owner):
            yield self

    def die(self) -> None:
        """End as by kill -9: its lock is free once this returns; whatever it still runs is a zombie's doing."""
        dead = self._owner.held()
        self._owner.renounce()
        if dead:
            wait_until_freed(dead)

    def close(self) -> None:
        """Give its session back at the end of a test."""
        self._owner.renounce()


@contextmanager
def as_workers(count: int) -> Iterator[list[Worker]]:
    """So many workers, ended afterwards."""
    workers = [Worker() for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def together(*acts: Callable[[], Any], seconds: float = 30.0) -> list[Any]:
    """Run the functions at the same instant, each in a thread with a connection and an owner of its own.

    Their results in order; the first exception is raised again.
    """
    barrier = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)
    errors: list[BaseException] = []

    def run(number: int, act: Callable[[], Any]) -> None:
        worker = Worker()
        try:
            with worker.acting():
                barrier.wait(seconds)
                results[number] = act()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)
        finally:
            worker.close()
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number, act), daemon=True) for number, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    if errors:
        raise errors[0]
    if any(thread.is_alive() for thread in threads):
        raise AssertionError(f"not ended after {seconds} s: a deadlock?")
    return results
