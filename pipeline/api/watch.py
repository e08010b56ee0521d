"""Waiting for pipelines to change: one query per process and tick over all that are watched.

Nobody who waits holds a database connection; the watcher has one, in a thread of its own, while anybody waits.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Self
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from pipeline.models import Pipeline
from pipeline.states import TERMINAL

log = logging.getLogger(__name__)

TICK: Final = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a pipeline is. Two marks are equal while nothing that the API shows has changed."""

    state: str
    seq: int
    updated_at: datetime

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in TERMINAL


def mark_of(pipeline: Pipeline) -> Mark:
    """The mark of a row as it was read."""
    return Mark(pipeline.state, pipeline.seq, pipeline.updated_at)


_is_ending = False


def end_all() -> None:
    """Answer everybody who waits within a tick, and let nobody begin to wait: the process is about to end.

    Called by a signal's handler, so it takes no lock: a second signal that came meanwhile would wait for itself.
    """
    global _is_ending
    _is_ending = True


def is_ending() -> bool:
    """Whether `end_all` was called."""
    return _is_ending


class TooManyWatchers(Exception):
    """This process watches as much as it may (MAX_WATCHERS, MAX_WATCHERS_PER_CLIENT), or is about to end."""


@dataclass(eq=False, slots=True)
class _Waiting:
    pipeline: uuid.UUID
    seen: Mark
    woken: asyncio.Future[Mark | None]


class Watcher:
    """The watcher of one event loop. A process served by uvicorn has one loop."""

    def __init__(self) -> None:
        self._waiting: set[_Waiting] = set()
        self._task: asyncio.Task[None] | None = None

    async def changed(self, pipeline: uuid.UUID, seen: Mark, seconds: float) -> Mark | None:
        """The new mark once it differs from `seen`; None when the time is over first, or the process ends."""
        if seconds <= 0:
            return None
        loop = asyncio.get_running_loop()
        waiting = _Waiting(pipeline, seen, loop.create_future())
        self._waiting.add(waiting)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        try:
            return await asyncio.wait_for(waiting.woken, seconds)
        except TimeoutError:
            return None
        finally:
            self._waiting.discard(waiting)

    async def _run(self) -> None:
        """Look at every tick while anybody waits."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "watcher") as thread:
            try:
                while self._waiting:
                    watched = {waiting.pipeline for waiting in self._waiting}
                    marks = await loop.run_in_executor(thread, _look, watched)
                    self._wake(marks)
                    if is_ending():
                        self._dismiss()
                    await asyncio.sleep(TICK)
            finally:
                thread.submit(_let_go)

    def _wake(self, marks: dict[uuid.UUID, Mark]) -> None:
        for waiting in list(self._waiting):
            mark = marks.get(waiting.pipeline)
            if mark is not None and mark != waiting.seen and not waiting.woken.done():
                waiting.woken.set_result(mark)

    def _dismiss(self) -> None:
        for waiting in self._waiting:
            if not waiting.woken.done():
                waiting.woken.set_result(None)


def _look(watched: set[uuid.UUID]) -> dict[uuid.UUID, Mark]:
    """One index lookup for each pipeline. Without a database nothing has changed that anybody could see."""
    try:
        rows = Pipeline.objects.filter(pk__in=watched).values_list("pk", "state", "seq", "updated_at")
        return {key: Mark(state, seq, updated_at) for key, state, seq, updated_at in rows}
    except (DatabaseError, InterfaceError) as error:
        log.warning("watching: the database does not answer (%s)", type(error).__name__)
        connection.close()
        return {}


def _let_go() -> None:
    """Close this thread's connection (`connection` is another one in each thread)."""
    connection.close()


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Watcher] = WeakKeyDictionary()


class Seat:
    """A place among those that this process watches for; left once, at the latest when nobody refers to it."""

    _taken: ClassVar[Counter[str]] = Counter()  # by client
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, client: str) -> None:
        """`client` is the address that it is for. TooManyWatchers when all are taken, or all of the client's."""
        self._is_left = True
        self._client = client
        with Seat._lock:
            if is_ending() or Seat._is_full(client):
                raise TooManyWatchers
            Seat._taken[client] += 1
        self._is_left = False

    @classmethod
    def _is_full(cls, client: str) -> bool:
        most: int = settings.MAX_WATCHERS_PER_CLIENT
        return cls._taken.total() >= settings.MAX_WATCHERS or bool(most and cls._taken[client] >= most)

    def leave(self) -> None:
        """Give it to somebody else."""
        with Seat._lock:
            if not self._is_left:
                self._is_left = True
                Seat._taken[self._client] -= 1
                if not Seat._taken[self._client]:
                    del Seat._taken[self._client]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def __del__(self) -> None:
        self.leave()


def watcher() -> Watcher:
    """The running loop's watcher."""
    return _watchers.setdefault(asyncio.get_running_loop(), Watcher())


async def until_terminal(pipeline: uuid.UUID, seen: Mark, seconds: float, *, client: str) -> Mark:
    """The mark when the pipeline has ended or the time is over; TooManyWatchers."""
    ends = time.monotonic() + seconds
    with Seat(client):
        watching = watcher()
        while not seen.is_terminal:
            mark = await watching.changed(pipeline, seen, ends - time.monotonic())
            if mark is None:
                break
            seen = mark
    return seen


async def until_changed(pipeline: uuid.UUID, seen: Mark, seconds: float, *, client: str) -> Mark | None:
    """The new mark, or None when the time is over; TooManyWatchers."""
    with Seat(client):
        return await watcher().changed(pipeline, seen, seconds)
